"""The clock of a media file: which moment of the file is due when."""

from __future__ import annotations

import threading

from lknb.codec.clock import now_us

_US_PER_S = 1_000_000

# Further behind than this, the rest of the file is moved instead of being sent in a burst.
_MAX_LATE_US = 500_000


class MediaClock:
    """Moments of the file ("play time", microseconds from its start, growing on through loops) on the monotonic clock.

    All threads of one file share the clock, and its condition: picture and sound stay in step through pause, seek and
    delays. An epoch begins with every seek; what was read before belongs to an older one and is not played.
    """

    def __init__(self, changed: threading.Condition, *, paused: bool = False) -> None:
        self._changed = changed
        self._paused_at_us: int | None = now_us() if paused else None
        self._zero_us: int | None = None
        self.epoch = 0

    @property
    def paused(self) -> bool:
        return self._paused_at_us is not None

    @property
    def position_us(self) -> int | None:
        """The play time that is due now; None until the clock is set."""
        with self._changed:
            if self._zero_us is None:
                return None
            return (now_us() if self._paused_at_us is None else self._paused_at_us) - self._zero_us

    def new_epoch(self) -> int:
        """Stop the clock until it is set again."""
        with self._changed:
            self.epoch += 1
            self._zero_us = None
            self._changed.notify_all()
            return self.epoch

    def set(self, play_us: int) -> None:
        """This play time is due now."""
        with self._changed:
            now = now_us()
            self._zero_us = now - play_us
            if self._paused_at_us is not None:
                self._paused_at_us = now
            self._changed.notify_all()

    def pause(self) -> None:
        with self._changed:
            if self._paused_at_us is None:
                self._paused_at_us = now_us()
                self._changed.notify_all()

    def resume(self) -> None:
        with self._changed:
            if self._paused_at_us is not None:
                if self._zero_us is not None:
                    self._zero_us += now_us() - self._paused_at_us
                self._paused_at_us = None
                self._changed.notify_all()

    def wait(self, play_us: int, epoch: int, interrupted: threading.Event) -> int | None:
        """Wait until a play time is due, and return when that was, in microseconds of the monotonic clock.

        None when `interrupted` is set (whoever sets it notifies the condition), or the epoch is over.
        """
        with self._changed:
            while True:
                if interrupted.is_set() or epoch != self.epoch:
                    return None
                if self._zero_us is None or self._paused_at_us is not None:
                    self._changed.wait()
                    continue
                due_us = self._zero_us + play_us
                now = now_us()
                if now < due_us:
                    self._changed.wait((due_us - now) / _US_PER_S)
                    continue
                if now - due_us > _MAX_LATE_US:
                    self._zero_us += now - due_us
                    return now
                return due_us
