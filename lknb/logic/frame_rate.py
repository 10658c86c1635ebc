"""How many frames came within the last second."""

from __future__ import annotations

from collections import deque

_FRAMES_MAX = 240


class FrameRate:
    """Frames a second, counted over the last one."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_FRAMES_MAX)

    def add(self, now: float) -> None:
        """A frame came."""
        self._times.append(now)

    def fps(self, now: float) -> float:
        """How many did within the second before."""
        while self._times and self._times[0] <= now - 1:
            self._times.popleft()
        return float(len(self._times))
