"""A video track as a run of JPEG pictures, for pages whose browser decodes no video.

Browsers have no WebCodecs on pages that come by plain http from another machine, nor have old ones anywhere. For these, and
while they look, the core does what it else never does: it decodes, in a thread, and encodes what the page can take.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lknb.codec.jpeg import encode_jpeg
from lknb.codec.video_decoder import VideoDecoder
from lknb.errors import MediaError
from lknb.logic.throttle import Throttle
from lknb.wire.frame import EncodedFrame

if TYPE_CHECKING:
    from lknb.core.track import EncodedTrack, Sink

logger = logging.getLogger(__name__)

CODEC = "jpeg"
QUEUE_FRAMES = 8
"""Waiting for the thread; with more the rest is dropped up to a key frame."""
_KEYFRAME_INTERVAL_S = 0.5


class StillTrack:
    """An `EncodedTrack` with the pictures of another one, each of them a key frame of codec "jpeg".

    `size(made)` is the box the picture is shown in, in pixels, or None while nobody can take one besides the so many that are
    being made: it is then decoded and not encoded, since those after it build on it. One sink at a time.
    """

    kind = "video"
    codec = CODEC

    def __init__(self, track: EncodedTrack, size: Callable[[int], tuple[float, float] | None]) -> None:
        self._track = track
        self._size = size
        self._sink: Sink | None = None
        self._loop = asyncio.get_running_loop()
        self._executor: ThreadPoolExecutor | None = None
        self._decoder: VideoDecoder | None = None
        self._waiting = 0
        self._made = 0
        self._broken = False
        self._throttle = Throttle(_KEYFRAME_INTERVAL_S)

    @property
    def sid(self) -> str:
        return self._track.sid

    @property
    def muted(self) -> bool:
        return self._track.muted

    def attach(self, sink: Sink, *, keyframe: bool = True) -> None:
        self._sink = sink
        self._executor = ThreadPoolExecutor(1, "lknb-still")
        self._track.attach(self._take, keyframe=keyframe)

    def detach(self, sink: Sink) -> None:
        self._sink = None
        self._track.detach(self._take)
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def request_keyframe(self) -> None:
        """Nothing: every picture is one. Of the track itself they are asked for when its frames cannot be decoded."""

    def _take(self, frame: EncodedFrame) -> None:
        if self._executor is None:
            return
        if self._waiting >= QUEUE_FRAMES:
            self._broken = True
        if self._broken and not frame.keyframe:
            self._ask()
            return
        if self._waiting >= QUEUE_FRAMES:
            return
        self._broken = False
        self._waiting += 1
        size = self._size(self._made)
        self._made += size is not None
        self._executor.submit(self._work, frame, size)

    def _work(self, frame: EncodedFrame, size: tuple[float, float] | None) -> None:
        """In the thread."""
        still, lost = None, False
        try:
            if self._decoder is None or self._decoder.codec != frame.codec:
                self._decoder = VideoDecoder(frame.codec)
            picture = self._decoder.decode(frame)
            if picture is not None and size is not None:
                data, width, height = encode_jpeg(picture, *size)
                still = EncodedFrame(CODEC, data, frame.timestamp, True, frame.timestamp_us, width, height)
            lost = self._decoder.needs_keyframe
        except MediaError as error:
            logger.warning("a picture is left out: %s", error)
            lost = True
        except Exception:
            # one picture's fault must not be the last of all
            logger.exception("a picture is left out")
            self._decoder, lost = None, True
        # closed together with the core
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hand_on, still, lost, size is not None)

    def _hand_on(self, still: EncodedFrame | None, lost: bool, made: bool) -> None:
        self._waiting -= 1
        self._made -= made
        if self._sink is None:
            return
        if lost:
            self._broken = True
            self._ask()
        if still is not None:
            self._sink(still)

    def _ask(self) -> None:
        if self._throttle.allow(time.monotonic()):
            self._track.request_keyframe()
