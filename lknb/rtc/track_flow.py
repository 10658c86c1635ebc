"""The encoded frames of one remote track in this process: asked for once, however many read them."""

from __future__ import annotations

import concurrent.futures
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from lknb.core.source.frames import frame_from_header
from lknb.errors import WireError
from lknb.logic.throttle import Throttle
from lknb.rtc.argument import is_number
from lknb.wire.frame import EncodedFrame

if TYPE_CHECKING:
    from lknb.core.client import CoreClient

logger = logging.getLogger(__name__)

Take: TypeAlias = Callable[[EncodedFrame], None]
Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

_KEYFRAME_INTERVAL_S = 0.5


def check_size(size: Size | None) -> Size | None:
    """The size a reader asks for. Raises ValueError unless it is two positive numbers."""
    if size is None:
        return None
    if not isinstance(size, Sequence) or len(size) != 2 or not all(map(is_number, size)):
        raise ValueError(f"a size is (width, height) in pixels, not {size!r}")
    width, height = size
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(f"a size of {width}x{height} pixels cannot be asked for")
    return math.ceil(width), math.ceil(height)


class ReadableTrack(Protocol):
    """What reading needs of a track. `room_handle` and `client` raise `DisconnectedError` once the track is in no room.

    The event "ended" is emitted when it is no longer received.
    """

    @property
    def sid(self) -> str: ...

    @property
    def kind(self) -> int: ...

    @property
    def room_handle(self) -> int: ...

    @property
    def client(self) -> CoreClient: ...

    def on(self, event: Any, callback: Any) -> Any: ...

    def off(self, event: Any, callback: Any) -> None: ...


class TrackFlow:
    """Begins with the first reader and ends with the last. All methods may be called from any thread, also by
    finalisers."""

    def __init__(self, track: ReadableTrack, client: CoreClient, room: int, sid: str) -> None:
        self._track = track
        self._client = client
        self._room = room
        self._sid = sid
        self._readers: dict[Take, Size | None] = {}
        self._size: Size | None = None
        self._throttle = Throttle(_KEYFRAME_INTERVAL_S)
        self.opened: concurrent.futures.Future[Any] = concurrent.futures.Future()
        """Done when the core lets the frames flow; `TrackError` or `CoreError` when it does not."""

    @classmethod
    def attach(cls, track: ReadableTrack, take: Take, size: Size | None = None) -> TrackFlow:
        """Give the frames of a track to `take`, on the thread of the link.

        `size` is what the reader is content with, None for all there is: with adaptive stream the server sends no more than
        the largest of its readers and views needs. Raises `DisconnectedError`.
        """
        client, key = track.client, (track.room_handle, track.sid)
        with _lock:
            flow = _flows.setdefault(client, {}).get(key)
            # one that was received before, under the same sid, may still have a reader: its frames have ended
            if flow is not None and flow._track is track:
                flow._readers = {**flow._readers, take: size}
                flow._resize()
                flow.request_keyframe()
                return flow
            flow = _flows[client][key] = cls(track, client, *key)
            flow._readers = {take: size}
            flow._size = size
            client.listen(("track", *key), flow._receive)
            flow.opened = flow._tell_core(on=True)
            return flow

    def detach(self, take: Take) -> None:
        """Give no more frames to `take`. Harmless twice."""
        with _lock:
            if take not in self._readers:
                return
            self._readers = {other: size for other, size in self._readers.items() if other != take}
            if self._readers:
                self._resize()
                return
            key = (self._room, self._sid)
            flows = _flows.get(self._client, {})
            if flows.get(key) is self:
                del flows[key]
                self._client.unlisten(("track", *key))
                self._tell_core(on=False)

    def request_keyframe(self) -> None:
        """Ask the publisher for a key frame, at most twice a second."""
        if self._throttle.allow(time.monotonic()):
            self._client.post({"op": "keyframe", "room": self._room, "track_sid": self._sid})

    def _resize(self) -> None:
        sizes = [size for size in self._readers.values() if size is not None]
        largest = max(sizes, key=lambda size: size[0] * size[1]) if len(sizes) == len(self._readers) else None
        if largest != self._size:
            self._size = largest
            self._tell_core(on=True)

    def _tell_core(self, *, on: bool) -> concurrent.futures.Future[Any]:
        header = {"op": "read", "room": self._room, "track_sid": self._sid, "on": on}
        if on and self._size is not None:
            header["width"], header["height"] = self._size
        return self._client.request_threadsafe(header)

    def _receive(self, header: dict[str, Any], buffers: list[bytes]) -> None:
        try:
            frame = frame_from_header(header, buffers[0] if buffers else b"")
        except WireError:
            logger.exception("a frame of the room core cannot be read")
            return
        for take in self._readers:
            take(frame)


_flows: weakref.WeakKeyDictionary[CoreClient, dict[tuple[int, str], TrackFlow]] = weakref.WeakKeyDictionary()
_lock = threading.RLock()
