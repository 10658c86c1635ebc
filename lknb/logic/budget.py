"""So much per second, with a burst at once: a token bucket that may be overdrawn by the last thing it let through."""

from __future__ import annotations


class Budget:
    """`wait_s` says whether there is anything left, `spend` takes; what counts (messages, bytes) is the caller's."""

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = self._left = burst
        self._at: float | None = None

    def spend(self, amount: float, now: float) -> None:
        """Take this much, more than is left if need be: then there is a longer time to wait."""
        self._earn(now)
        self._left -= amount

    def wait_s(self, now: float) -> float:
        """Seconds until something may be spent again; 0 while there is something left."""
        self._earn(now)
        return max(0.0, -self._left / self._per_s)

    def _earn(self, now: float) -> None:
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
