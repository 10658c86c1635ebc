"""A cap on the bitrate by what is lost (draft-ietf-rmcat-gcc-02 section 6).

Below 2 % the cap rises, from 2 to 10 % it stays, above it falls by half the loss. Queues that are too short to show in
the delay show here.
"""

from __future__ import annotations

from math import inf

from lknb.logic.bandwidth_rate import MIN_BPS

_LOW = 0.02
_HIGH = 0.10
_HEAVY = 0.25
"""Where so much is lost, what arrives is what the path takes."""
_HEAVY_SHARE = 0.95

_WINDOW_S = 0.3
_WINDOW_PACKETS = 20
_RISE_PER_S = 1.08

_SMOOTHING = 0.8
_FALL_SHARE = 0.7
_SAME_SHARE = 0.6
_EFFECT_S = 0.7
"""Until a fall shows: a full queue, and what is on its way, still loses what was sent before it."""


class LossController:
    """The loss-based estimate `bps`; infinite until something was lost.

    Loss that stays while the rate falls by a third does not come from the rate: a radio link loses its share of
    whatever is sent. The level is then taken for the path's own, only more than it counts, and what was taken away is
    given back. (The draft lets the rate sink for good where a tenth is lost.)
    """

    __slots__ = ("_fallen_s", "_lost", "_opened_at", "_own_loss", "_smoothed", "_top_bps", "_top_loss", "_total", "bps")

    def __init__(self) -> None:
        self.bps = inf
        self._lost = self._total = 0
        self._opened_at: float | None = None
        self._own_loss = 0.0
        self._smoothed = 0.0
        self._top_bps: float | None = None
        """The rate at which a fall began, and the loss then."""
        self._top_loss = 0.0
        self._fallen_s = 0.0

    def add(self, lost: int, arrived: int, sending_bps: float, arrived_bps: float | None, now: float) -> bool:
        """So many packets were lost, so many arrived; `sending_bps` is the estimate in force. True when the cap fell."""
        if self._opened_at is None:
            self._opened_at = now
        self._lost += lost
        self._total += lost + arrived
        if now - self._opened_at < _WINDOW_S or self._total < _WINDOW_PACKETS:
            return False
        loss = self._lost / self._total
        passed_s = min(now - self._opened_at, 1.0)
        self._lost = self._total = 0
        self._opened_at = now
        return self.update(loss, passed_s, sending_bps, arrived_bps)

    def update(self, loss: float, passed_s: float, sending_bps: float, arrived_bps: float | None) -> bool:
        """The loss (0 to 1) of the last `passed_s` seconds. True when the cap fell."""
        self._smoothed += (1 - _SMOOTHING) * (loss - self._smoothed)
        if self._smoothed < _LOW:
            # the fall has helped, or a path that was bad has become good
            self._own_loss, self._top_bps = 0.0, None
        heavy = loss >= self._own_loss + _HEAVY
        excess = loss if heavy else loss - self._own_loss
        if excess <= _HIGH:
            if excess < _LOW:
                self.bps *= _RISE_PER_S**passed_s
            return False
        falling_bps = min(self.bps, sending_bps)
        if self._top_bps is None:
            self._smoothed = max(self._smoothed, loss)
            # less may have been sent than the estimate allows: a fall that does not reach that can have no effect
            sent_bps = falling_bps if arrived_bps is None else arrived_bps / max(1 - loss, 0.01)
            self._top_bps, self._top_loss = min(falling_bps, sent_bps), self._smoothed
            self._fallen_s = 0.0
        elif falling_bps < _FALL_SHARE * self._top_bps and not heavy:
            self._fallen_s += passed_s
            if self._fallen_s < _EFFECT_S:
                return False
            if self._smoothed > _SAME_SHARE * self._top_loss:
                self._own_loss, self._top_bps, self.bps = self._smoothed, None, inf
                return False
            self._top_bps = None
        falling_bps *= 1 - 0.5 * loss
        if heavy and arrived_bps is not None:
            falling_bps = min(falling_bps, _HEAVY_SHARE * arrived_bps)
        self.bps = max(falling_bps, MIN_BPS)
        return True

    def lift(self, bps: float) -> None:
        """A probe has shown that this much arrives."""
        self.bps = max(self.bps, bps)
