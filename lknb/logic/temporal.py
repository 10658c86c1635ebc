"""Temporal layers of a VP8 stream (RFC 7741 section 4.2): how many frames a second each adds, and where one may change.

A subscriber that asked for fewer frames gets the lower layers only. Going down is possible at any frame; going up only at a
frame of the higher layer that depends on nothing but the base layer (its Y bit is set), else it could not be decoded.
"""

from __future__ import annotations

LAYERS = 4
WINDOW_S = 1.0
_ENOUGH = 0.9


class TemporalRates:
    """Frame rates up to each temporal layer, measured over windows of a second."""

    __slots__ = ("_counts", "_rates", "_window_began")

    def __init__(self) -> None:
        self._counts = [0] * LAYERS
        self._rates: list[float] = []
        self._window_began: float | None = None

    def add(self, temporal_id: int, now: float) -> None:
        """A frame of this layer (0 to 3) began."""
        if self._window_began is None:
            self._window_began = now
        elif now - self._window_began >= WINDOW_S:
            seconds = now - self._window_began
            top = max((i for i in range(LAYERS) if self._counts[i]), default=0)
            self._rates = [sum(self._counts[: i + 1]) / seconds for i in range(top + 1)]
            self._counts = [0] * LAYERS
            self._window_began = now
        self._counts[temporal_id] += 1

    def layer_for(self, fps: float) -> int:
        """The lowest layer that gives at least nine tenths of `fps`; the highest when none does, or nothing is known."""
        if fps <= 0:
            return LAYERS - 1
        return next((i for i, rate in enumerate(self._rates) if rate >= _ENOUGH * fps), LAYERS - 1)


class TemporalGate:
    """Which frames pass to one subscriber."""

    __slots__ = ("_passing", "target")

    def __init__(self) -> None:
        self.target = LAYERS - 1
        self._passing = LAYERS - 1

    def passes(self, temporal_id: int, sync: bool, start_of_frame: bool) -> bool:
        """Whether a packet of a frame with this layer and Y bit is forwarded; the choice is made at its first packet."""
        if start_of_frame:
            if self.target < self._passing:
                self._passing = self.target
            elif self._passing < temporal_id <= self.target and sync:
                self._passing = temporal_id
        return temporal_id <= self._passing

    def reset(self) -> None:
        """A key frame, or another source: everything up to the target may pass."""
        self._passing = self.target
