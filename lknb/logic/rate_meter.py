"""Bit/s over the last second."""

from __future__ import annotations

from collections import deque

WINDOW_S = 1.0


class RateMeter:
    """Sizes and times in, a rate out."""

    __slots__ = ("_bytes", "_items")

    def __init__(self) -> None:
        self._items: deque[tuple[float, int]] = deque()
        self._bytes = 0

    def add(self, now: float, size_bytes: int) -> None:
        """So much at `now`."""
        self._items.append((now, size_bytes))
        self._bytes += size_bytes
        self._forget(now)

    def bps(self, now: float) -> float:
        """The rate of the second that ends now."""
        self._forget(now)
        return self._bytes * 8 / WINDOW_S

    def _forget(self, now: float) -> None:
        while self._items and now - self._items[0][0] >= WINDOW_S:
            self._bytes -= self._items.popleft()[1]
