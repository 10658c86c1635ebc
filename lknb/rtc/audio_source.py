"""Sound that the notebook makes: arrays or frames, queued, encoded and sent in time by a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, AudioEncoder, Samples
from lknb.codec.clock import AUDIO_CLOCK_HZ, now_us
from lknb.codec.resample import Resampler, to_samples
from lknb.codec.sample_queue import SampleQueue
from lknb.core.source.frames import frame_header
from lknb.errors import CoreError, FrameError
from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.source import Encoding, Kind, OpenSource
from lknb.rtc.wakeup import Wakeup

if TYPE_CHECKING:
    from lknb.core.client import CoreClient

_US_PER_S = 1_000_000

# Less than a packet of sound waits this long for the rest before silence fills it up: a packet that is late is heard
# better than one with a hole.
_PARTIAL_WAIT_US = 60_000

# Sound that comes later than this after the last is a new beginning; less is made up for.
_GAP_US = 100_000

# The thread ends when nothing was captured for so long.
_IDLE_US = 1_000_000


@dataclass(frozen=True, slots=True)
class _Output:
    """One publication of a source: its encoder, and its handle in the core."""

    client: CoreClient
    handle: int
    encoder: AudioEncoder

    def send(self, piece: Samples, timestamp_us: int) -> None:
        frame = self.encoder.encode(piece, timestamp_us)
        if frame is not None:
            self.client.post({"op": "frame", "source": self.handle, **frame_header(frame)}, [frame.data])


class AudioSource:
    """Where a local audio track gets its sound from: a queue that is played in real time, whether a track is
    published or not.

    `sample_rate` is that of the sound that is captured, 1,000 to 384,000 Hz (it is sent at 48,000), `num_channels` 1 or
    2. `capture_frame` waits while more than `queue_size_ms` are queued.
    An empty queue sends nothing. `loop` has no effect. Raises `FrameError` for a rate or channels that cannot be had.
    """

    kind: Kind = "audio"

    def __init__(
        self,
        sample_rate: int,
        num_channels: int,
        queue_size_ms: int = 1000,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if queue_size_ms < 0:
            raise FrameError(f"expected a queue of 0 ms or more, got {queue_size_ms}")
        self._sample_rate_hz = sample_rate
        self._channels = num_channels
        self._resampler = Resampler(sample_rate, num_channels, AUDIO_CLOCK_HZ, num_channels)
        self._capacity = max(FRAME_SAMPLES, queue_size_ms * AUDIO_CLOCK_HZ // 1000)
        self._changed = threading.Condition()
        self._wakeup = Wakeup()
        self._queue = SampleQueue(num_channels)
        self._outputs: dict[int, _Output] = {}
        self._thread: threading.Thread | None = None
        self._due_us: int | None = None
        self._taken = 0
        self._sending = False
        self._closed = False

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._sample_rate_hz

    @property
    def num_channels(self) -> int:
        """1 or 2."""
        return self._channels

    @property
    def queued_duration(self) -> float:
        """Seconds of sound that were captured and not played yet."""
        with self._changed:
            due_us = self._due_us
            playing_us = 0 if due_us is None else min(FRAME_US, max(0, due_us - now_us()))
            return len(self._queue) / AUDIO_CLOCK_HZ + playing_us / _US_PER_S

    async def capture_frame(self, frame: AudioFrame | NDArray[Any]) -> None:
        """Queue sound: an AudioFrame, or an array of int16, or of float32 or float64 from -1 to 1 (louder is clipped).

        An array has the rate and the channels of the source, in shape (n, channels), (channels, n), or (n,), which is
        one channel, or two that take turns. Where both sides have the number of channels, the first reading counts.

        Returns when all of it is in the queue and the queue is no longer than it may be. Raises `FrameError`, which
        says what was expected, for a frame of another rate or other channels, and for other arrays. Nothing happens
        once the source is closed.
        """
        samples = self._samples_of(frame)
        with self._changed:
            if self._closed or not len(samples):
                return
            now = now_us()
            if self._due_us is None or (not len(self._queue) and now - self._due_us > _GAP_US):
                self._due_us = now
            self._queue.push(self._resampler.push(samples))
            self._start_thread()
            self._changed.notify_all()
        await self._wakeup.wait_for(lambda: self._closed or len(self._queue) <= self._capacity)

    def clear_queue(self) -> None:
        """Forget all sound that was not played yet."""
        with self._changed:
            self._queue.clear()
            self._changed.notify_all()
        self._wakeup.notify()

    async def wait_for_playout(self) -> None:
        """Wait until all sound that was captured has been played."""
        await self._wakeup.wait_for(lambda: self._closed or not (self._sending or self.queued_duration))

    async def aclose(self) -> None:
        """Take no more sound, and forget what is queued."""
        with self._changed:
            self._closed = True
            self._thread = None
            self._due_us = None
            self._queue.clear()
            self._changed.notify_all()
        self._wakeup.notify()

    async def open(self, client: CoreClient, encoding: Encoding) -> OpenSource:
        """See `MediaSource`."""
        stereo = self._channels == 2
        encoder = AudioEncoder(self._channels, bitrate_bps=encoding.max_bitrate_bps, dtx=encoding.dtx and not stereo)
        handle = client.next_handle()
        request = {"op": "source_open", "source": handle, "kind": "audio", "type": "frames", "codec": "opus"}
        await client.request({**request, "stereo": stereo})
        with self._changed:
            self._outputs[handle] = _Output(client, handle, encoder)
        return OpenSource(handle, "audio", "opus", stereo=stereo)

    async def release(self, handle: int) -> None:
        """See `MediaSource`."""
        with self._changed:
            output = self._outputs.pop(handle, None)
        if output is not None:
            with contextlib.suppress(CoreError):
                await output.client.request({"op": "source_close", "source": handle})

    def __repr__(self) -> str:
        return f"rtc.AudioSource(sample_rate={self._sample_rate_hz}, num_channels={self._channels})"

    @property
    def _captured(self) -> int:
        """Samples captured so far, at 48,000 Hz; what was cleared away is not counted."""
        with self._changed:
            return self._taken + len(self._queue)

    @property
    def _origin_us(self) -> int | None:
        """When the first sample ever would have been played, going by what is played now; None while nothing is."""
        with self._changed:
            if self._due_us is None or (not len(self._queue) and now_us() - self._due_us > _GAP_US):
                return None
            return self._due_us - self._taken * _US_PER_S // AUDIO_CLOCK_HZ

    def _samples_of(self, frame: AudioFrame | NDArray[Any]) -> Samples:
        if isinstance(frame, np.ndarray):
            # what is queued must not change under the encoder
            return to_samples(frame, self._channels).copy()
        if not isinstance(frame, AudioFrame):
            raise FrameError(f"expected an AudioFrame or a numpy array, got {type(frame).__name__}")
        if (frame.sample_rate, frame.num_channels) != (self._sample_rate_hz, self._channels):
            expected = f"{self._sample_rate_hz} Hz and {self._channels} channels"
            raise FrameError(f"expected sound of {expected}, got {frame.sample_rate} Hz and {frame.num_channels}")
        return frame.to_ndarray()

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lknb-audio-source", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (taken := self._next_piece()) is not None:
            piece, timestamp_us = taken
            self._wakeup.notify()
            for output in list(self._outputs.values()):
                output.send(piece, timestamp_us)
            self._sending = False
            self._wakeup.notify()

    def _next_piece(self) -> tuple[Samples, int] | None:
        """The next 20 ms, when they are due, and when that was; None to end the thread."""
        with self._changed:
            while self._thread is threading.current_thread():
                now = now_us()
                due_us = self._due_us if self._due_us is not None else now
                if not len(self._queue):
                    if now >= due_us:
                        self._wakeup.notify()
                    if now - due_us >= _IDLE_US:
                        self._thread = None
                        self._due_us = None
                        break
                    self._due_us = due_us
                    self._changed.wait((max(due_us - now, 0) or _IDLE_US) / _US_PER_S)
                elif now < due_us:
                    self._changed.wait((due_us - now) / _US_PER_S)
                elif len(self._queue) < FRAME_SAMPLES and now < due_us + _PARTIAL_WAIT_US:
                    self._due_us = due_us
                    self._changed.wait((due_us + _PARTIAL_WAIT_US - now) / _US_PER_S)
                else:
                    if now - due_us > _GAP_US:
                        due_us = now
                    self._due_us = due_us + FRAME_US
                    self._taken += FRAME_SAMPLES
                    self._sending = True
                    return self._queue.pop_padded(FRAME_SAMPLES), due_us
            return None
