"""Sound that the notebook makes: arrays or frames, handed over to the core at once, which sends them in time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, Samples
from lknb.codec.clock import AUDIO_CLOCK_HZ, now_us
from lknb.codec.resample import Resampler, to_samples
from lknb.core.source.samples import PAUSE_US
from lknb.errors import CoreError, FrameError
from lknb.rtc.argument import is_number
from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.core_source import audio_parameters
from lknb.rtc.source import Encoding, Kind, OpenSource
from lknb.rtc.wakeup import Wakeup

if TYPE_CHECKING:
    from lknb.core.client import CoreClient

_US_PER_S = 1_000_000

# Sound of any length may come at once: it travels in pieces, and not all of it is handed over before its time.
_PIECE_SAMPLES = 5 * AUDIO_CLOCK_HZ
_AHEAD_US = 60 * _US_PER_S

# A packet that begins sooner than this may be sent before the core hears that it is cleared away.
_ON_THE_WAY_US = 5_000


class AudioSource:
    """Where a local audio track gets its sound from: a queue that is played in real time, whether a track is
    published or not, and plays on while the notebook computes.

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
        if not is_number(queue_size_ms) or not 0 <= queue_size_ms < math.inf:
            raise FrameError(f"expected a queue of 0 ms or more, got {queue_size_ms!r}")
        self._sample_rate_hz = sample_rate
        self._channels = num_channels
        self._resampler = Resampler(sample_rate, num_channels, AUDIO_CLOCK_HZ, num_channels)
        # besides the packet that is played
        self._capacity_us = max(FRAME_US, queue_size_ms * 1000) + FRAME_US
        self._lock = threading.Lock()
        self._wakeup = Wakeup()
        self._clients: dict[int, CoreClient] = {}
        """Of the handles the source is open with."""
        self._captured = 0
        """Samples captured so far, at 48,000 Hz; what was cleared away is not counted."""
        self._begin_us = self._length = 0
        """Since when sound is played without a pause, and how many samples of that were captured."""
        self._pieces: deque[tuple[int, Samples]] = deque()
        """What is not played yet, each with the time it is due, for who opens the source later."""
        self._cleared = 0
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
        return self._queued_us / _US_PER_S

    async def capture_frame(self, frame: AudioFrame | NDArray[Any]) -> None:
        """Queue sound: an AudioFrame, or an array of int16, or of float32 or float64 from -1 to 1 (louder is clipped).

        An array has the rate and the channels of the source, in shape (n, channels), (channels, n), or (n,), which is
        one channel, or two that take turns. Where both sides have the number of channels, the first reading counts.

        Returns when all of it is in the queue and the queue is no longer than it may be. Raises `FrameError`, which
        says what was expected, for a frame of another rate or other channels, and for other arrays. Nothing happens
        once the source is closed.
        """
        samples = self._samples_of(frame)
        with self._lock:
            if self._closed:
                return
            cleared = self._cleared
            rest = self._resampler.push(samples)
            self._queue(rest[:_PIECE_SAMPLES])
        while len(rest := rest[_PIECE_SAMPLES:]):
            await self._play_down_to(max(self._capacity_us, _AHEAD_US))
            with self._lock:
                if self._closed or cleared != self._cleared:
                    return
                self._queue(rest[:_PIECE_SAMPLES])
        await self._play_down_to(self._capacity_us)

    def clear_queue(self) -> None:
        """Forget all sound that was not played yet."""
        with self._lock:
            self._forget()
        self._wakeup.notify()

    async def wait_for_playout(self) -> None:
        """Wait until all sound that was captured has been played."""
        with self._lock:
            # nobody has to wait whether the rest of the last packet comes
            if self._is_playing and not self._closed:
                self._queue(np.zeros((-self._length % FRAME_SAMPLES, self._channels), np.int16))
        await self._play_down_to(0)

    async def aclose(self) -> None:
        """Take no more sound, and forget what is queued."""
        with self._lock:
            self._closed = True
            self._forget()
        self._wakeup.notify()

    async def open(self, client: CoreClient, encoding: Encoding) -> OpenSource:
        """See `MediaSource`."""
        handle = client.next_handle()
        request = {"op": "source_open", "source": handle, "kind": self.kind, "type": "samples"}
        await client.request({**request, "channels": self._channels, **audio_parameters(encoding)})
        with self._lock:
            self._clients[handle] = client
            for due_us, samples in self._pieces:
                _send(client, handle, due_us, samples)
        return OpenSource(handle, self.kind, "opus", stereo=self._channels == 2)

    async def release(self, handle: int) -> None:
        """See `MediaSource`."""
        with self._lock:
            client = self._clients.pop(handle, None)
        if client is not None:
            with contextlib.suppress(CoreError):
                await client.request({"op": "source_close", "source": handle})

    def __repr__(self) -> str:
        return f"rtc.AudioSource(sample_rate={self._sample_rate_hz}, num_channels={self._channels})"

    @property
    def _origin_us(self) -> int | None:
        """When the first sample ever would have been played, going by what is played now; None while nothing is."""
        with self._lock:
            return self._end_us - self._captured * _US_PER_S // AUDIO_CLOCK_HZ if self._is_playing else None

    @property
    def _end_us(self) -> int:
        """When all that was captured will have been played."""
        return self._begin_us + self._length * _US_PER_S // AUDIO_CLOCK_HZ

    @property
    def _queued_us(self) -> int:
        with self._lock:
            return 0 if self._closed else max(0, self._end_us - now_us())

    @property
    def _is_playing(self) -> bool:
        """Whether sound that is captured now goes on where the last ends."""
        return now_us() - self._end_us <= PAUSE_US

    async def _play_down_to(self, queued_us: int) -> None:
        """Wait while more than this is queued."""
        while (left_us := self._queued_us - queued_us) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_us / _US_PER_S):
                    # told when it was cleared away
                    await self._wakeup.wait_for(lambda: self._queued_us <= queued_us)

    def _queue(self, samples: Samples) -> None:
        """Hand over samples, which play after those before; with the lock held."""
        if not len(samples):
            return
        now = now_us()
        if not self._is_playing:
            self._begin_us, self._length = now, 0
        due_us = self._end_us
        self._length += len(samples)
        self._captured += len(samples)
        while len(self._pieces) > 1 and self._pieces[1][0] <= now:
            self._pieces.popleft()
        self._pieces.append((due_us, samples))
        for handle, client in self._clients.items():
            _send(client, handle, due_us, samples)

    def _forget(self) -> None:
        """Forget what is not played yet, here and in the core; with the lock held."""
        self._cleared += 1
        self._pieces.clear()
        packets = -((self._begin_us - now_us() - _ON_THE_WAY_US) // FRAME_US)
        kept = min(self._length, packets * FRAME_SAMPLES)
        self._captured -= self._length - kept
        self._length = kept
        for handle, client in self._clients.items():
            client.post({"op": "clear_samples", "source": handle})

    def _samples_of(self, frame: AudioFrame | NDArray[Any]) -> Samples:
        if isinstance(frame, np.ndarray):
            # whoever publishes the source later gets what was captured now
            return to_samples(frame, self._channels).copy()
        if not isinstance(frame, AudioFrame):
            raise FrameError(f"expected an AudioFrame or a numpy array, got {type(frame).__name__}")
        if (frame.sample_rate, frame.num_channels) != (self._sample_rate_hz, self._channels):
            expected = f"{self._sample_rate_hz} Hz and {self._channels} channels"
            raise FrameError(f"expected sound of {expected}, got {frame.sample_rate} Hz and {frame.num_channels}")
        return frame.to_ndarray()


def _send(client: CoreClient, handle: int, due_us: int, samples: Samples) -> None:
    client.post({"op": "samples", "source": handle, "due_us": due_us}, [samples.data])
