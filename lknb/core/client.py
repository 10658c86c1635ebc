"""The kernel's side of the room core: requests, events, and the one child process behind them.

Nothing here imports aiortc or PyAV: a notebook that only looks at a room needs neither in its own process.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from lknb import errors
from lknb.core.channel import Channel
from lknb.core.child import CoreProcess
from lknb.core.message import Buffer, Header, Message, encode_message
from lknb.errors import ConnectError, CoreError, LknbError, MediaDevicesError, WireError

logger = logging.getLogger(__name__)

Reply = tuple[dict[str, Any], list[bytes]]
Handler = Callable[[Header, list[bytes]], None]

_EXIT_WAIT_S = 2.0
_ERRORS: dict[str, type[LknbError]] = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, LknbError)
}


class CoreClient:
    """The link to one core process.

    Use `CoreClient.shared()`. All methods are thread-safe; handlers given to `listen` and `on_death` run on the link's
    own thread and must not block it.
    """

    _shared: ClassVar[CoreClient | None] = None
    _shared_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, sock: socket.socket, process: CoreProcess | None = None) -> None:
        self._process = process
        self._owner_pid = os.getpid()
        self._pending: dict[int, concurrent.futures.Future[Reply]] = {}
        self._listeners: dict[Hashable, Handler] = {}
        self._death_handlers: list[Callable[[], None]] = []
        self._request_ids = itertools.count(1)
        self._handles = itertools.count(1)
        self._gone: str | None = None
        log_fd = process.log_fd if process is not None else None
        self._channel = Channel(sock, self._receive, self._died, log_fd)
        self._channel.start()

    @classmethod
    def shared(cls) -> CoreClient:
        """The client of this process; starts `python -m lknb.core` at first use, after its death, and after a fork.

        Returns at once: requests wait in the socket while the core imports. Raises `CoreError` when there is no process
        to be had.
        """
        with cls._shared_lock:
            client = cls._shared
            if client is None or not client.alive:
                client = cls._shared = cls.spawn()
            return client

    @classmethod
    def spawn(cls) -> CoreClient:
        """A client with a core process of its own. Raises `CoreError`."""
        process = CoreProcess.start()
        return cls(process.socket, process)

    @property
    def pid(self) -> int:
        """The core's process id; our own for a core in this process (tests)."""
        return self._process.pid if self._process is not None else self._owner_pid

    @property
    def alive(self) -> bool:
        """Whether requests can be sent. False in a forked child, where the link belongs to the parent."""
        return self._gone is None and not self._channel.closed and os.getpid() == self._owner_pid

    def next_handle(self) -> int:
        """A number for a new room or source, never used before with this core."""
        return next(self._handles)

    async def request(self, header: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> Reply:
        """Send a request from any running event loop and return `(ok, buffers)` of its reply.

        Raises the typed error the core answers with, and `CoreError` when the core dies first, or for what cannot be said
        to it, such as NaN. Cancelling tells the core, which undoes what the request had done.
        """
        loop = asyncio.get_running_loop()
        answered = loop.create_future()

        def answer() -> None:
            if not answered.done():
                answered.set_result(None)

        def wake(_: object) -> None:
            # the loop may have been closed while the core was still at work
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(answer)

        request_id, future = self._begin(header, buffers)
        future.add_done_callback(wake)
        try:
            await answered
        except asyncio.CancelledError:
            if not future.cancel():
                # the reply is here but nobody will see it
                self.post({"op": "cancel", "request": request_id})
            raise
        return future.result()

    def request_threadsafe(
        self, header: Mapping[str, Any], buffers: Sequence[Buffer] = ()
    ) -> concurrent.futures.Future[Reply]:
        """As `request`, for callers without an event loop. `cancel()` of the future cancels the request."""
        return self._begin(header, buffers)[1]

    def post(self, header: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> bool:
        """Send a message that has no reply; never blocks.

        False when it was dropped: the core is gone, or a media frame (`op` "frame") found the link full.
        """
        if not self.alive:
            return False
        return self._channel.send(encode_message(header, buffers), media=header.get("op") == "frame")

    def listen(self, key: Hashable, handler: Handler) -> None:
        """Call `handler(header, buffers)` for the events of `("room", handle)`, `("source", handle)`, for encoded frames
        `("track", room handle, track sid)`, of a view `("view", room handle, view)`, or for what goes down comm lanes
        `("lanes",)`. The last handler of a key wins."""
        self._listeners[key] = handler

    def unlisten(self, key: Hashable) -> None:
        """No more events for this key; one that is being handled may still be under way."""
        self._listeners.pop(key, None)

    def on_death(self, handler: Callable[[], None]) -> None:
        """Call `handler` once when the core is gone without `close()`; at once if it is already."""
        self._death_handlers.append(handler)
        if self._gone is not None:
            self._call_death_handlers()

    def close(self) -> None:
        """Let the core leave its rooms and go; pending requests get `CoreError`. Waits up to two seconds, then kills."""
        if os.getpid() != self._owner_pid:
            return
        self._gone = self._gone or "the room core was closed"
        self._channel.close()
        self._fail_pending()
        if self._process is not None:
            self._process.stop(_EXIT_WAIT_S)

    def _begin(
        self, header: Mapping[str, Any], buffers: Sequence[Buffer]
    ) -> tuple[int, concurrent.futures.Future[Reply]]:
        request_id = next(self._request_ids)
        future: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        try:
            message = encode_message({**header, "id": request_id}, buffers)
        except WireError:
            raise
        except (TypeError, ValueError) as error:
            raise CoreError(f"the room core cannot be asked to {header.get('op')}: {error}") from error
        self._pending[request_id] = future
        future.add_done_callback(lambda done: self._settle(request_id, done))
        if not self.alive:
            self._fail(future, self._gone or "the room core belongs to the process that was forked")
        elif not self._channel.send(message):
            self._fail(future, self._gone or "the room core does not read its requests any more")
        return request_id, future

    def _settle(self, request_id: int, future: concurrent.futures.Future[Reply]) -> None:
        self._pending.pop(request_id, None)
        if future.cancelled():
            self.post({"op": "cancel", "request": request_id})

    def _receive(self, message: Message) -> None:
        header, buffers = message
        if "id" in header:
            self._answer(header, buffers)
            return
        handler = self._listeners.get(_listener_key(header))
        if handler is not None:
            handler(header, buffers)

    def _answer(self, header: Header, buffers: list[bytes]) -> None:
        future = self._pending.get(header["id"])
        if future is None:
            return
        # cancelled in this very moment: the cancel is on its way to the core
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if "error" in header:
                future.set_exception(_typed_error(header["error"]))
            else:
                future.set_result((header.get("ok") or {}, buffers))

    def _died(self, reason: str) -> None:
        status = self._process.stop(_EXIT_WAIT_S) if self._process is not None else None
        tail = self._channel.log_tail
        self._gone = f"the room core process is gone: {reason}"
        if status is not None:
            self._gone += f", exit status {status}"
        if tail:
            self._gone += f"; its last words:\n{tail}"
        self._fail_pending()
        self._call_death_handlers()

    def _fail_pending(self) -> None:
        for future in list(self._pending.values()):
            self._fail(future, self._gone or "")

    @staticmethod
    def _fail(future: concurrent.futures.Future[Reply], reason: str) -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            future.set_exception(CoreError(reason))

    def _call_death_handlers(self) -> None:
        while self._death_handlers:
            handler = self._death_handlers.pop(0)
            try:
                handler()
            except Exception:
                logger.exception("a handler of the room core's death failed")

    def _abandon(self) -> None:
        self._gone = "the room core belongs to the process that was forked"
        self._pending.clear()
        self._channel.abandon()
        if self._process is not None:
            self._process.abandon()


def _listener_key(header: Header) -> Hashable:
    if header.get("event") == "frame":
        return ("track", header.get("room"), header.get("track_sid"))
    if header.get("event") == "lanes_down":
        return ("lanes",)
    if header.get("event") in ("view", "lane_closed"):
        return ("view", header.get("room"), header.get("view"))
    if "source" in header:
        return ("source", header["source"])
    return ("room", header.get("room"))


def _typed_error(error: Mapping[str, Any]) -> LknbError:
    kind = _ERRORS.get(error.get("type", ""), CoreError)
    message = str(error.get("message", ""))
    if kind is ConnectError:
        return ConnectError(message, error.get("kind", "unavailable"))
    if kind is MediaDevicesError:
        return MediaDevicesError(message, error.get("kind", "devices"), error.get("reason", "other"))
    return kind(message)


def _close_shared() -> None:
    client = CoreClient._shared
    if client is not None:
        client.close()


def _forget_shared() -> None:
    """After a fork, in the child: the parent's socket must not stay open here, or the core never sees its end."""
    client, CoreClient._shared = CoreClient._shared, None
    CoreClient._shared_lock = threading.Lock()
    if client is not None:
        client._abandon()


atexit.register(_close_shared)
os.register_at_fork(after_in_child=_forget_shared)
