"""Samples of the kernel, which says when each piece of them is due: encoded and sent in time here."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, AudioEncoder, Samples
from lknb.codec.clock import AUDIO_CLOCK_HZ, now_us
from lknb.codec.sample_queue import SampleQueue
from lknb.core.source.threaded import ThreadedSource
from lknb.errors import MediaError

_US_PER_S = 1_000_000
_LATE_US = 200_000
# Who counts samples and who counts packets may round differently.
_ROUNDING_US = 100

PAUSE_US = 60_000
"""Sound that the kernel gets later than this after the end of the last is a new beginning, due at once; what comes sooner
goes on where the last ended, late as it is."""

# Less than a packet waits for the rest as long as that may come, and some time for the way from the kernel; then silence
# fills it up. A packet that is late is heard better than one with a hole.
_REST_US = PAUSE_US + 20_000


@dataclass(slots=True)
class _Run:
    """Sound without a pause: what was not taken of it yet begins at `due_us`."""

    due_us: int
    samples: SampleQueue

    @property
    def end_us(self) -> int:
        return self.due_us + len(self.samples) * _US_PER_S // AUDIO_CLOCK_HZ


class SampleSource(ThreadedSource):
    """Sound at 48,000 Hz in one or two channels that the kernel hands over before it is due, so that it plays on while
    the kernel is busy.

    What is more than 0.2 s late is left out. Raises `MediaError`.
    """

    def __init__(self, *, channels: int, max_bitrate_bps: int | None = None, dtx: bool = False) -> None:
        super().__init__("audio", "opus", stereo=channels == 2)
        self._encoder = AudioEncoder(channels, bitrate_bps=max_bitrate_bps, dtx=dtx and channels == 1)
        self._changed = threading.Condition()
        # the last one stays when it was played: what goes on where it ended belongs to it
        self._runs: deque[_Run] = deque()
        self._sent_until_us = 0

    def push(self, data: bytes, due_us: int) -> None:
        """Queue int16 samples, channels in turns, of which the first is due at `due_us` on the monotonic clock: not before
        the end of what was pushed last. Raises `MediaError`."""
        channels = self._encoder.channels
        if type(due_us) is not int or not data or len(data) % (2 * channels):
            raise MediaError(f"expected int16 samples of {channels} channels, got {len(data)} bytes, due at {due_us!r}")
        with self._changed:
            if not self._runs or due_us > self._runs[-1].end_us + _ROUNDING_US:
                self._runs.append(_Run(due_us, SampleQueue(channels)))
            self._runs[-1].samples.push(np.frombuffer(data, np.int16).reshape(-1, channels))
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all that was not sent yet."""
        with self._changed:
            self._runs.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            # what was due before anybody listened
            self._leave_out(now_us(), 0)
        while (taken := self._next_packet()) is not None:
            samples, due_us = taken
            if self._muted:
                continue
            frame = self._encoder.encode(samples, due_us)
            if frame is not None:
                self._emit(frame)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _next_packet(self) -> tuple[Samples, int] | None:
        """The next 20 ms once they are due, and when that was; None to end the thread."""
        with self._changed:
            while not self._stopped.is_set():
                now = now_us()
                self._leave_out(now, _LATE_US)
                ready_us = self._ready_us()
                if ready_us is None:
                    self._changed.wait()
                elif ready_us > now:
                    self._changed.wait((ready_us - now) / _US_PER_S)
                else:
                    run = self._runs[0]
                    due_us = run.due_us
                    self._sent_until_us = run.due_us = due_us + FRAME_US
                    return run.samples.pop_padded(FRAME_SAMPLES), due_us
        return None

    def _leave_out(self, now: int, late_us: int) -> None:
        """Go on to the run that is played, without whole packets of it that are later than this."""
        while self._runs:
            run = self._runs[0]
            run.due_us = max(run.due_us, self._sent_until_us)
            if now - run.due_us > late_us:
                packets = (now - run.due_us) // FRAME_US
                left_out = run.samples.pop_padded(min(packets * FRAME_SAMPLES, len(run.samples)))
                run.due_us += len(left_out) * _US_PER_S // AUDIO_CLOCK_HZ
            if len(run.samples) or len(self._runs) == 1:
                break
            self._runs.popleft()

    def _ready_us(self) -> int | None:
        """When the next packet can be sent; None while there is nothing to send."""
        if not self._runs or not len(self._runs[0].samples):
            return None
        run = self._runs[0]
        # what another run follows gets no rest any more
        is_whole = len(run.samples) >= FRAME_SAMPLES or len(self._runs) > 1
        return run.due_us if is_whole else run.end_us + _REST_US
