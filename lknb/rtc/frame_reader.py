"""Decoded frames of one remote track: a worker thread decodes while somebody reads, and keeps the newest."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from lknb.errors import MediaError
from lknb.rtc.track_flow import ReadableTrack, Size, TrackFlow
from lknb.rtc.wakeup import Wakeup
from lknb.wire.frame import EncodedFrame

logger = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_MAX_WAITING_FRAMES = 500
"""Encoded frames a decoder may be behind: 10 seconds of sound, or a busy cell's worth of pictures."""


class FrameDecoder(Protocol[T_co]):
    """What turns encoded frames into what is read. Belongs to the worker thread."""

    @property
    def needs_keyframe(self) -> bool:
        """Whether nothing can be decoded before a key frame."""

    def push(self, frame: EncodedFrame) -> Iterable[T_co]:
        """What a frame completes. May raise `MediaError`; the next frame is tried all the same."""

    def restart(self) -> None:
        """Frames were left out."""


class FrameReader(Generic[T]):
    """Reads one track. `open` attaches it, `close` detaches it for good; nothing runs before and after.

    The newest `kept` results wait to be read. With `rest_after_s`, decoding rests when nobody has asked for that
    long, and goes on from a key frame when somebody does; what had been kept by then is stale and dropped. `size` is the
    size in pixels the reader is content with, None for all there is.
    """

    def __init__(
        self,
        track: ReadableTrack,
        decoder: FrameDecoder[T],
        *,
        kept: int,
        rest_after_s: float | None = None,
        size: Size | None = None,
    ) -> None:
        self._track = track
        self._size = size
        self._decoder = decoder
        self._rest_after_s = rest_after_s
        self._changed = threading.Condition()
        self._frames: deque[EncodedFrame] = deque()
        self._ready: deque[T] = deque(maxlen=kept)
        self._wakeup = Wakeup()
        self._flow: TrackFlow | None = None
        self._restart_due = False
        self._resting = False
        self._readers = 0
        self._asked_at = time.monotonic()
        self._ended = False

    async def open(self) -> None:
        """Let the frames flow. Raises `TrackError`, `DisconnectedError`, `CoreError`; the reader is closed then."""
        flow = self._flow = TrackFlow.attach(self._track, self._take, self._size)
        self._track.on("ended", self.end)
        threading.Thread(target=self._run, name="lknb-frame-reader", daemon=True).start()
        try:
            opened = asyncio.wrap_future(flow.opened)
            # other readers may wait for the same answer
            await asyncio.shield(opened)
        except BaseException:
            self.close()
            raise

    async def read(self) -> T | None:
        """The next result, waiting for it; None when the track has ended or the reader is closed."""
        self._readers += 1
        self._wake_up()
        try:
            await self._wakeup.wait_for(lambda: bool(self._ready) or self._ended)
        finally:
            self._readers -= 1
            self._asked_at = time.monotonic()
        try:
            return self._ready.popleft()
        except IndexError:
            return None

    def end(self) -> None:
        """Nothing more comes; what is kept can still be read. From any thread, harmless twice."""
        with self._changed:
            self._ended = True
            self._frames.clear()
            self._changed.notify_all()
        if self._flow is not None:
            self._flow.detach(self._take)
        self._wakeup.notify()

    def close(self) -> None:
        """Read no more. From any thread, harmless twice."""
        self.end()
        self._ready.clear()
        if self._flow is not None:
            self._track.off("ended", self.end)

    def _wake_up(self) -> None:
        """Somebody asks: decode again, if that rests."""
        self._asked_at = time.monotonic()
        if not self._resting:
            return
        with self._changed:
            self._resting = False
            self._restart_due = True
            self._ready.clear()
        if self._flow is not None:
            self._flow.request_keyframe()

    def _take(self, frame: EncodedFrame) -> None:
        with self._changed:
            if self._ended or self._is_resting():
                return
            if frame.keyframe and self._ready.maxlen == 1:
                # of what waits, nobody would see anything
                self._frames.clear()
            if len(self._frames) >= _MAX_WAITING_FRAMES:
                self._frames.popleft()
                self._restart_due = True
            self._frames.append(frame)
            self._changed.notify_all()

    def _is_resting(self) -> bool:
        if self._rest_after_s is None or self._readers:
            return False
        if not self._resting and time.monotonic() - self._asked_at > self._rest_after_s:
            self._resting = True
            self._frames.clear()
        return self._resting

    def _run(self) -> None:
        while (frame := self._next_frame()) is not None:
            try:
                results = list(self._decoder.push(frame))
            except MediaError as error:
                logger.debug("a frame of %s was dropped: %s", self._track, error)
                results = []
            if self._decoder.needs_keyframe and self._flow is not None:
                self._flow.request_keyframe()
            if results:
                self._ready.extend(results)
                self._wakeup.notify()

    def _next_frame(self) -> EncodedFrame | None:
        with self._changed:
            while not self._frames and not self._ended:
                self._changed.wait()
            if self._ended:
                return None
            if self._restart_due:
                self._restart_due = False
                self._decoder.restart()
            return self._frames.popleft()
