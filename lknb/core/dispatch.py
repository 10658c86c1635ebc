"""Which function answers which message of the kernel, how its reply goes back, and how a request is cancelled.

The functions stand in two tables: requests are coroutines that give a `Reply`, notices are plain functions. Each request is
a task, started in the order of arrival; notices run at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lknb.core.message import Buffer, Header, Message
from lknb.errors import ConnectError, CoreError, LknbError, MediaDevicesError

logger = logging.getLogger(__name__)

_UNDO_KEPT = 64


@dataclass(slots=True)
class Reply:
    """What a request gives. `undo` takes it back, for a kernel that cancelled while the reply was on its way."""

    ok: dict[str, Any] = field(default_factory=dict)
    buffers: Sequence[Buffer] = ()
    undo: Callable[[], Awaitable[object]] | None = None


Request = Callable[[Header, list[bytes]], Awaitable[Reply]]
Notice = Callable[[Header, list[bytes]], None]


class Operations(Protocol):
    """What the dispatcher calls."""

    @property
    def requests(self) -> Mapping[str, Request]:
        """By the `op` of messages with an id."""

    @property
    def notices(self) -> Mapping[str, Notice]:
        """By the `op` of messages without."""


class Dispatcher:
    """Runs the kernel's messages. `send(header, buffers)` takes the replies."""

    def __init__(self, operations: Operations, send: Callable[[Mapping[str, Any], Sequence[Buffer]], None]) -> None:
        self._requests = operations.requests
        self._notices = {**operations.notices, "cancel": self._cancel}
        self._send = send
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._undo: OrderedDict[int, Callable[[], Awaitable[object]]] = OrderedDict()
        self._undoing: set[asyncio.Task[object]] = set()

    def handle(self, message: Message) -> None:
        """Run one message. Nothing escapes: a fault is the reply, or a line in the log."""
        header, buffers = message
        op, request_id = header.get("op", ""), header.get("id")
        if request_id is None:
            self._notice(op, header, buffers)
        elif op in self._requests:
            task = asyncio.create_task(self._answer(op, request_id, header, buffers), name=f"request {op}")
            self._tasks[request_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(request_id, None))
        else:
            self._send({"id": request_id, "error": _describe(CoreError(f"the room core has no operation {op!r}"))}, ())

    async def close(self) -> None:
        """Cancel all that is under way and wait for it."""
        tasks = [*self._tasks.values(), *self._undoing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _notice(self, op: str, header: Header, buffers: list[bytes]) -> None:
        notice = self._notices.get(op)
        if notice is None:
            logger.warning("the kernel sent an unknown message %r", op)
            return
        try:
            notice(header, buffers)
        except Exception:
            logger.exception("message %r failed", op)

    async def _answer(self, op: str, request_id: int, header: Header, buffers: list[bytes]) -> None:
        try:
            reply = await self._requests[op](header, buffers)
        except asyncio.CancelledError:
            self._send({"id": request_id, "error": _describe(CoreError("cancelled"))}, ())
            raise
        except LknbError as error:
            self._send({"id": request_id, "error": _describe(error)}, ())
        except Exception as error:
            logger.exception("request %r failed", op)
            self._send(
                {"id": request_id, "error": _describe(CoreError(f"{op} failed in the room core: {error!r}"))}, ()
            )
        else:
            self._keep_undo(request_id, reply)
            self._send({"id": request_id, "ok": reply.ok}, reply.buffers)

    def _keep_undo(self, request_id: int, reply: Reply) -> None:
        if reply.undo is None:
            return
        self._undo[request_id] = reply.undo
        if len(self._undo) > _UNDO_KEPT:
            self._undo.popitem(last=False)

    def _cancel(self, header: Header, buffers: list[bytes]) -> None:
        request_id = header["request"]
        task = self._tasks.get(request_id)
        # a task that has ended may still be listed, until the loop turns: then there is a result to take back
        if task is not None and not task.done():
            task.cancel()
            return
        undo = self._undo.pop(request_id, None)
        if undo is not None:
            undoing: asyncio.Task[object] = asyncio.ensure_future(undo())
            self._undoing.add(undoing)
            undoing.add_done_callback(self._undone)

    def _undone(self, task: asyncio.Task[object]) -> None:
        self._undoing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a cancelled request could not be taken back", exc_info=task.exception())


def _describe(error: LknbError) -> dict[str, Any]:
    described: dict[str, Any] = {"type": type(error).__name__, "message": error.message}
    if isinstance(error, ConnectError):
        described["kind"] = error.kind
    elif isinstance(error, MediaDevicesError):
        described |= {"kind": error.kind, "reason": error.reason}
    return described
