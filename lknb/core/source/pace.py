"""When the next frame is due: a steady rhythm that does not drift, and does not make up for lost time in bursts."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from lknb.codec.clock import now_us

_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Tick:
    """The `index`-th beat of a rhythm, due at `timestamp_us` on the monotonic clock."""

    index: int
    timestamp_us: int


class Rhythm:
    """Beat n is due n / `rate_hz` after the start. Sans-I/O.

    Whoever comes late gets up to `catch_up` missed beats one after the other; more than that are left out, and the
    rhythm goes on with the latest beat. The index counts those left out.
    """

    def __init__(self, rate_hz: float, start_us: int, catch_up: int = 0) -> None:
        self._period_us = _US_PER_S / rate_hz
        self._start_us = start_us
        self._catch_up = catch_up
        self._next = 0

    def advance(self, now_us: int) -> Tick:
        """The next beat to take, seen from `now_us`; it may be due only later."""
        current = int((now_us - self._start_us) // self._period_us)
        if current - self._next > self._catch_up:
            self._next = current
        tick = Tick(self._next, self._start_us + round(self._next * self._period_us))
        self._next += 1
        return tick


class Pacer:
    """A rhythm to wait for."""

    def __init__(self, rate_hz: float, *, catch_up: int = 0) -> None:
        self._rhythm = Rhythm(rate_hz, now_us(), catch_up)

    def wait(self, stopped: threading.Event) -> Tick | None:
        """Wait for the next beat and return it; None once `stopped` is set."""
        tick = self._rhythm.advance(now_us())
        delay_us = tick.timestamp_us - now_us()
        if stopped.wait(delay_us / _US_PER_S) if delay_us > 0 else stopped.is_set():
            return None
        return tick
