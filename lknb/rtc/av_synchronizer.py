"""Sound and pictures that belong together, sent in step."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lknb.codec.clock import AUDIO_CLOCK_HZ, now_us
from lknb.errors import FrameError, MediaError
from lknb.rtc.argument import is_number
from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.audio_source import AudioSource
from lknb.rtc.core_source import check_number
from lknb.rtc.video_frame import VideoFrame
from lknb.rtc.video_source import VideoSource, as_picture

if TYPE_CHECKING:
    import av
    from PIL.Image import Image

_US_PER_S = 1_000_000

# The first picture waits so long for the first sound.
_FIRST_SOUND_S = 0.1

# Without sound, a picture that comes later than this is a new beginning.
_GAP_US = 100_000


class AVSynchronizer:
    """Sends the first picture and the first sound together, and those that follow by the frame rate and the sample rate.

        synchronizer = rtc.AVSynchronizer(audio_source=sound, video_source=pictures, video_fps=25)
        await synchronizer.push(picture)
        await synchronizer.push(samples)

    The sound leads: picture n is due when the sound n / `video_fps` seconds after the first is played, also when the
    sound was late and plays later. Picture or sound that is more than 0.3 s away from its place begins a new count
    there: the one is sent with what is pushed of the other then. Without sound the pictures go by the clock.

    `push` waits while `video_queue_size_ms` of pictures are queued, or while the queue of the audio source is full. To be
    made where an event loop runs. Raises `MediaError` for a frame rate that is not above 0, a size below 0 (0 is no
    limit), and for other sources.
    """

    def __init__(
        self,
        *,
        audio_source: AudioSource,
        video_source: VideoSource,
        video_fps: float,
        video_queue_size_ms: float = 100,
        _max_delay_tolerance_ms: float = 300,
    ) -> None:
        check_number("a frame rate", video_fps)
        check_number("the size of the queue", video_queue_size_ms)
        if not video_fps > 0:
            raise MediaError(f"expected a frame rate above 0, got {video_fps}")
        if video_queue_size_ms < 0:
            raise MediaError(f"expected a queue of 0 ms (for no limit) or more, got {video_queue_size_ms}")
        if not isinstance(audio_source, AudioSource) or not isinstance(video_source, VideoSource):
            raise MediaError(f"expected an AudioSource and a VideoSource, got {audio_source!r} and {video_source!r}")
        self._audio_source = audio_source
        self._video_source = video_source
        self._video_fps = video_fps
        self._tolerance_us = round(_max_delay_tolerance_ms * 1000)
        size = max(1, int(video_fps * video_queue_size_ms / 1000)) if video_queue_size_ms > 0 else 0
        self._pictures: asyncio.Queue[tuple[av.VideoFrame, float | None]] = asyncio.Queue(size)
        self._captured_at: deque[float] = deque(maxlen=max(2, round(video_fps)))
        self._last_video_time = self._last_audio_time = 0.0
        self._zero_us: int | None = None
        """When picture 0 was, or would have been, due."""
        self._pushed = self._sent = 0
        self._first_sample: int | None = None
        self._sound_at_us = 0
        """Where the first sample lies, in microseconds after picture 0."""
        self._sound_began = asyncio.Event()
        self._task = asyncio.create_task(self._capture_pictures(), name="lknb av synchronizer")

    async def push(self, frame: VideoFrame | AudioFrame | NDArray[Any] | Image, timestamp: float | None = None) -> None:
        """Queue a picture or a piece of sound, and wait while its queue is full.

        Arrays of uint8 are pictures (RGB, RGBA or gray, by their shape; `VideoFrame.from_ndarray(array, "BGR")` or "I420"
        for the others), other arrays are sound. `timestamp` has no effect but on `last_video_time` and
        `last_audio_time`; for sound it is that of its end. Raises `FrameError`, which says what was expected, for what
        cannot be sent, and nothing of it is queued; `MediaError` after `aclose`.
        """
        self._check_running()
        if timestamp is not None and not is_number(timestamp):
            raise FrameError(f"expected a timestamp in seconds, got {timestamp!r}")
        if isinstance(frame, AudioFrame) or (isinstance(frame, np.ndarray) and frame.dtype != np.uint8):
            is_first = self._first_sample is None
            if is_first:
                self._first_sample = self._audio_source._captured
                self._sound_at_us = 0 if self._zero_us is None else self._time_us(self._pushed)
                self._sound_began.set()
            try:
                await self._audio_source.capture_frame(frame)
            except FrameError:
                if is_first:
                    self._first_sample = None
                    self._sound_began.clear()
                raise
            if timestamp is not None:
                self._last_audio_time = timestamp
            return
        # here, and not when it is due: whoever pushed it is to hear of it, and the others go on
        picture = as_picture(frame)
        self._pushed += 1
        await self._while_running(self._pictures.put((picture, timestamp)))

    async def clear_queue(self) -> None:
        """Forget what was not played yet; what is pushed next begins together."""
        self._audio_source.clear_queue()
        while not self._pictures.empty():
            self._pictures.get_nowait()
            self._pictures.task_done()
        self._begin()

    async def wait_for_playout(self) -> None:
        """Wait until all that was pushed has been played. Raises what `push` raises when a picture could not be sent."""
        await asyncio.gather(self._audio_source.wait_for_playout(), self._while_running(self._pictures.join()))

    def reset(self) -> None:
        """Begin anew: the next picture and the next sound go together."""
        self._begin()
        self._captured_at.clear()

    async def aclose(self) -> None:
        """Send no more pictures. The sources stay open. Harmless twice."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task

    @property
    def actual_fps(self) -> float:
        """Pictures sent in a second, over about the last second; 0 before there are two."""
        if len(self._captured_at) < 2:
            return 0.0
        return (len(self._captured_at) - 1) / (self._captured_at[-1] - self._captured_at[0])

    @property
    def last_video_time(self) -> float:
        """The timestamp of the last picture that was sent with one."""
        return self._last_video_time

    @property
    def last_audio_time(self) -> float:
        """The timestamp that the sound played now has."""
        return self._last_audio_time - self._audio_source.queued_duration

    def _begin(self) -> None:
        self._zero_us = self._first_sample = None
        self._pushed = self._sent = self._sound_at_us = 0
        self._sound_began.clear()

    def _check_running(self) -> None:
        if not self._task.done():
            return
        if self._task.cancelled():
            raise MediaError("this AVSynchronizer was closed: make a new one, on the same sources if they are open")
        self._task.result()

    async def _while_running(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for what ends only as long as pictures are taken from the queue."""
        waiter = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait((waiter, self._task), return_when=asyncio.FIRST_COMPLETED)
            if not waiter.done():
                self._check_running()
        finally:
            waiter.cancel()

    async def _capture_pictures(self) -> None:
        while True:
            frame, timestamp = await self._pictures.get()
            due_us = await self._wait_due()
            self._video_source._capture_at(frame, due_us)
            # not for one that failed: who waits for it is told why
            self._pictures.task_done()
            self._sent += 1
            self._captured_at.append(now_us() / _US_PER_S)
            if timestamp is not None:
                self._last_video_time = timestamp

    async def _wait_due(self) -> int:
        """Wait until the next picture is due; when that is."""
        if self._zero_us is None and self._first_sample is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SOUND_S):
                    await self._sound_began.wait()
        while (left_us := (due_us := self._due_us(now_us())) - now_us()) > 0:
            await asyncio.sleep(left_us / _US_PER_S)
        return due_us

    def _due_us(self, now: int) -> int:
        sound_zero_us = self._sound_zero_us()
        if self._zero_us is None:
            self._zero_us = now if sound_zero_us is None else sound_zero_us
        elif sound_zero_us is not None:
            off_us = sound_zero_us - self._zero_us
            if abs(off_us) > self._tolerance_us:
                self._sound_at_us += off_us
            else:
                self._zero_us = sound_zero_us
        late_us = now - self._zero_us - self._time_us(self._sent)
        if sound_zero_us is None and late_us > _GAP_US:
            self._zero_us += late_us
        elif late_us > self._tolerance_us:
            self._zero_us += late_us
            self._sound_at_us -= late_us
        return self._zero_us + self._time_us(self._sent)

    def _sound_zero_us(self) -> int | None:
        """When picture 0 was due by the sound that is played; None while none is."""
        origin_us = self._audio_source._origin_us
        if origin_us is None or self._first_sample is None:
            return None
        return origin_us + self._first_sample * _US_PER_S // AUDIO_CLOCK_HZ - self._sound_at_us

    def _time_us(self, pictures: int) -> int:
        return round(pictures * _US_PER_S / self._video_fps)
