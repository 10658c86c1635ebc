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

_RUN_WINDOWS = 4
_SAME_SHARE = 0.75


class LossController:
    """The loss-based estimate `bps`; infinite until something was lost.

    Loss that stays the same while the rate falls does not come from the rate: a radio link loses its share of whatever
    is sent. After four decreases without effect the level is taken for the path's own, and only more than it counts.
    """

    __slots__ = ("_decreases", "_first_loss", "_lost", "_opened_at", "_own_loss", "_total", "bps")

    def __init__(self) -> None:
        self.bps = inf
        self._lost = self._total = 0
        self._opened_at: float | None = None
        self._own_loss = 0.0
        self._first_loss = 0.0
        self._decreases = 0

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
        if loss < _LOW:
            # a path that was bad may have become good
            self._own_loss = 0.0
        excess = loss - self._own_loss if loss < self._own_loss + _HEAVY else loss
        if excess <= _HIGH:
            self._decreases = 0
            if excess < _LOW:
                self.bps *= _RISE_PER_S**passed_s
            return False
        if not self._decreases:
            self._first_loss = loss
        self._decreases += 1
        if self._decreases > _RUN_WINDOWS and loss > _SAME_SHARE * self._first_loss and loss < _HEAVY:
            self._own_loss, self._decreases = loss, 0
            return False
        capped_bps = min(self.bps, sending_bps)
        fallen_bps = capped_bps * (1 - 0.5 * loss)
        if loss >= _HEAVY and arrived_bps is not None:
            fallen_bps = min(fallen_bps, _HEAVY_SHARE * arrived_bps)
        self.bps = max(fallen_bps, MIN_BPS)
        return True

    def lift(self, bps: float) -> None:
        """A probe has shown that this much arrives."""
        self.bps = max(self.bps, bps)
