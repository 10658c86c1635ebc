"""How long playout has to wait so that late packets are there in time."""

from __future__ import annotations

import math
from collections import deque

WINDOW_S = 10.0
"""How long a late packet is remembered: the delay shrinks again that long after the path has calmed."""
ON_TIME = 0.97
"""The part of the packets that is to be there in time."""

_CLOCK_JUMP_S = 5.0
_EVERY = 10
_SAMPLES_MAX = 2048


class DelayEstimator:
    """The spread of transit times over the last seconds, and the delay that covers it.

    A transit time is arrival minus media time, each of its own clock: only differences mean something. Clocks that
    drift apart move the window with them.
    """

    __slots__ = ("_delay_max_s", "_delay_min_s", "_fresh", "_samples", "base_s", "target_s")

    def __init__(self, delay_min_s: float, delay_max_s: float) -> None:
        """The delay is `delay_min_s` more than the spread, and `delay_max_s` at most."""
        self._delay_min_s = delay_min_s
        self._delay_max_s = delay_max_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES_MAX)
        self._fresh = 0
        self.base_s = 0.0
        """The shortest transit time of the window."""
        self.target_s = delay_min_s
        """What to wait beyond `base_s`."""

    def observe(self, transit_s: float, now: float) -> None:
        """A packet arrived."""
        if self._samples and abs(transit_s - self.base_s) > _CLOCK_JUMP_S:
            # no network does that: the source goes on with another clock
            self.reset()
        if not self._samples or transit_s < self.base_s:
            self.base_s = transit_s
        self._samples.append((now, transit_s))
        self._fresh += 1
        if self._fresh >= _EVERY or len(self._samples) < _EVERY:
            self._update(now)

    def _update(self, now: float) -> None:
        self._fresh = 0
        while self._samples[0][0] < now - WINDOW_S:
            self._samples.popleft()
        transits = sorted(transit_s for _, transit_s in self._samples)
        self.base_s = transits[0]
        spread_s = transits[math.ceil(len(transits) * ON_TIME) - 1] - self.base_s
        self.target_s = min(self._delay_min_s + spread_s, self._delay_max_s)

    def reset(self) -> None:
        """Forget the past: the source goes on with another clock."""
        self._samples.clear()
        self._fresh = 0
        self.target_s = self._delay_min_s
