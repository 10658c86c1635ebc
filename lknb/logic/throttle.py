"""A thing that may not happen more often than once in a while, such as asking for a key frame."""

from __future__ import annotations


class Throttle:
    """Lets one through per interval.

    `allow` drops what comes too early; `request` keeps it, once, for the end of the interval: `poll` at `deadline`
    fires it.
    """

    __slots__ = ("_fired_at", "_pending", "interval_s")

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._fired_at: float | None = None
        self._pending = False

    def allow(self, now: float) -> bool:
        """Whether it may happen now. A deferred request is settled with it."""
        if self._fired_at is not None and now - self._fired_at < self.interval_s:
            return False
        self._fired_at = now
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
        if not self._pending or self._fired_at is None:
            return None
        return self._fired_at + self.interval_s

    def cancel(self) -> None:
        """Nothing is wanted any more."""
        self._pending = False
