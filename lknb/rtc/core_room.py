"""One room as the core process has it: requests out, events in, always on the loop of the room.

The core's events arrive on a thread of their own and may arrive before the reply to `connect` has been taken in, or after
the loop was closed. Both are settled here, so that `Room` lives on one loop and sees one order.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from livekit.protocol import models, rtc

from lknb.core.client import CoreClient
from lknb.errors import DisconnectedError

if TYPE_CHECKING:
    from lknb.rtc.room import Room

logger = logging.getLogger(__name__)

Buffers = Sequence[bytes]
Deliver = Callable[[Mapping[str, Any], list[bytes]], None]

_open_rooms: weakref.WeakKeyDictionary[CoreClient, set[CoreRoom]] = weakref.WeakKeyDictionary()
_open_rooms_lock = threading.Lock()


class CoreRoom:
    """A room handle in the core, between `open` and `close`.

    `deliver(header, buffers)` gets the core's events on `loop`; `on_lost()` is called there once when the core died.
    """

    def __init__(
        self, client: CoreClient, loop: asyncio.AbstractEventLoop, deliver: Deliver, on_lost: Callable[[], None]
    ) -> None:
        self.client = client
        self.handle = client.next_handle()
        self.loop = loop
        self.room: Room | None = None
        """Whose it is; None until it was joined."""
        self._deliver = deliver
        self._on_lost = on_lost
        self._early: list[tuple[Mapping[str, Any], list[bytes]]] | None = []
        self._closed = False

    @classmethod
    def open(
        cls, client: CoreClient, loop: asyncio.AbstractEventLoop, deliver: Deliver, on_lost: Callable[[], None]
    ) -> CoreRoom:
        """Take a handle and listen to its events, which are kept until `start`."""
        leave_closed_loops()
        room = cls(client, loop, deliver, on_lost)
        with _open_rooms_lock:
            first = client not in _open_rooms
            _open_rooms.setdefault(client, set()).add(room)
        client.listen(("room", room.handle), room._receive)
        if first:
            client.on_death(_tell_death_of(client))
        return room

    @property
    def closed(self) -> bool:
        """Whether it was closed, or the core died."""
        return self._closed

    def start(self) -> None:
        """Deliver what has come so far, and from now on, at the next turn of the loop.

        Not at once: whoever awaits the join may then still register handlers before the first event.
        """
        self.loop.call_soon(self._deliver_early)

    async def request(self, op: str, header: Mapping[str, Any] | None = None, buffers: Buffers = ()) -> Any:
        """The reply `(ok, buffers)` of one operation on this room.

        Raises the core's typed error, CoreError when the core dies, and DisconnectedError when the room is closed.
        """
        if self._closed:
            raise DisconnectedError("the room is not connected")
        return await self.client.request({"op": op, "room": self.handle, **(header or {})}, buffers)

    def send(self, op: str, header: Mapping[str, Any] | None = None, buffers: Buffers = ()) -> None:
        """An operation whose reply nobody waits for, from any thread; a refusal is logged. Nothing once closed."""
        if self._closed:
            return
        future = self.client.request_threadsafe({"op": op, "room": self.handle, **(header or {})}, buffers)
        future.add_done_callback(lambda done: self._log_refusal(op, done))

    def send_signal(self, request: rtc.SignalRequest) -> None:
        """A signal message to the server, from any thread."""
        self.send("signal", buffers=[request.SerializeToString()])

    def is_loop_thread(self) -> bool:
        """Whether the caller runs on the loop of this room."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call on the loop of this room: now when we are there, else as soon as it turns."""
        if self.is_loop_thread():
            function(*arguments)
            return
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            self.abandon()

    def close(self) -> None:
        """No more events and no more requests. Harmless twice, from any thread."""
        self._closed = True
        self._early = None
        self.client.unlisten(("room", self.handle))
        with _open_rooms_lock:
            _open_rooms.get(self.client, set()).discard(self)

    def abandon(self) -> None:
        """Close, and have the core leave the room: there is nobody any more who could."""
        if not self._closed:
            # closed first: that a core which is going refuses to leave is no news
            self.close()
            reason = int(models.DisconnectReason.CLIENT_INITIATED)
            self.client.request_threadsafe({"op": "disconnect", "room": self.handle, "reason": reason})

    def _receive(self, header: Mapping[str, Any], buffers: list[bytes]) -> None:
        # on the link's thread
        try:
            self.loop.call_soon_threadsafe(self._take, header, buffers)
        except RuntimeError:
            # the loop was closed without leaving the room
            self.abandon()

    def _take(self, header: Mapping[str, Any], buffers: list[bytes]) -> None:
        if self._closed:
            return
        if self._early is not None:
            self._early.append((header, buffers))
        else:
            self._deliver(header, buffers)

    def _deliver_early(self) -> None:
        early, self._early = self._early or [], None
        for header, buffers in early:
            self._take(header, buffers)

    def _tell_lost(self) -> None:
        if not self._closed:
            self._on_lost()

    def _log_refusal(self, op: str, done: concurrent.futures.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is not None and not self._closed:
            logger.warning("the room core refused %s: %s", op, done.exception())


def leave_closed_loops() -> None:
    """Leave every room whose event loop was closed, as after an `asyncio.run` that did not disconnect."""
    with _open_rooms_lock:
        orphans = [room for rooms in _open_rooms.values() for room in rooms if room.loop.is_closed()]
    for room in orphans:
        room.abandon()


def _tell_death_of(client: CoreClient) -> Callable[[], None]:
    reference = weakref.ref(client)

    def tell() -> None:
        gone = reference()
        with _open_rooms_lock:
            rooms = list(_open_rooms.get(gone, ())) if gone is not None else []
        for room in rooms:
            try:
                room.loop.call_soon_threadsafe(room._tell_lost)
            except RuntimeError:
                room.close()

    return tell
