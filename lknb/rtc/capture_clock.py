"""The times of whoever captures pictures, on the clock of this process."""

from __future__ import annotations

# How far a caller's clock may be from where it was before it counts as another clock (libwebrtc: timestamp_aligner.cc).
_CLOCK_JUMP_US = 500_000


class CaptureClock:
    """Brings the times of a caller onto the monotonic clock, in order.

    Who stamps with the monotonic clock itself is believed. Of any other clock the first picture tells the place, which is
    late by as much as that picture is handed over late.
    """

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._last_us = 0

    def place(self, timestamp_us: int, now_us: int) -> int:
        """Our time for a time of the caller's; 0 is now."""
        placed_us = now_us
        if timestamp_us:
            if abs(timestamp_us - now_us) < _CLOCK_JUMP_US:
                # were it placed by its first picture, a loop that is busy then would put all of them behind their sound
                self._offset_us = 0
            elif self._offset_us is None or abs(timestamp_us + self._offset_us - now_us) > _CLOCK_JUMP_US:
                self._offset_us = now_us - timestamp_us
            placed_us = timestamp_us + self._offset_us
        return self.keep(placed_us)

    def keep(self, timestamp_us: int) -> int:
        """The same for a time on our own clock already."""
        self._last_us = max(timestamp_us, self._last_us + 1)
        return self._last_us
