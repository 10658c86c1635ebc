"""A thing that may not happen more often than once in a while, such as asking for a key frame."""

from __future__ import annotations

from math import inf


class Throttle:
    """Lets one through per interval.

    `allow` drops what comes too early; `request` keeps it, once, for the end of the interval: `poll` at `deadline`
    fires it.
    """

    __slots__ = ("_next_at", "_pending", "interval_s")

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._next_at = -inf
        self._pending = False

    def allow(self, now: float) -> bool:
        """Whether it may happen now. A deferred request is settled with it."""
        if now < self._next_at:
            return False
        self._next_at = now + self.interval_s
        self._pending = False
        return True

    def request(self, now: float) -> bool:
        """Whether it may happen now; if not, it is due at `deadline`."""
        allowed = self.allow(now)
        self._pending = not allowed
        return allowed

    def poll(self, now: float) -> bool:
        """Whether a deferred request is to happen now."""
        return self._pending and self.allow(now)

    def deadline(self) -> float | None:
        """When to call `poll`; None while nothing is deferred."""
        return self._next_at if self._pending else None

    def cancel(self) -> None:
        """Nothing is wanted any more."""
        self._pending = False
