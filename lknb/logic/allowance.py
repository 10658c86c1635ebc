"""So many at once, and so many a second in the long run (a token bucket)."""

from __future__ import annotations


class Allowance:
    """Lets `burst` through at once and `per_s` a second after that."""

    __slots__ = ("_at", "_left", "burst", "per_s")

    def __init__(self, burst: int, per_s: float) -> None:
        self.burst = burst
        self.per_s = per_s
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more may pass now."""
        if self._at is not None:
            self._left = min(float(self.burst), self._left + max(0.0, now - self._at) * self.per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def next_at(self, now: float) -> float:
        """When `take` lets the next one pass, if it does not now."""
        return now + max(0.0, 1 - self._left) / self.per_s
