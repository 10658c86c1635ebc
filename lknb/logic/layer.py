"""Which simulcast layers are alive, and which of them a subscriber gets (LiveKit: pkg/sfu/streamtracker, videolayerselector)."""

from __future__ import annotations

from collections.abc import Iterable

CYCLE_S = 0.5
_PACKETS_PER_CYCLE = (1, 2, 2)
_CYCLES_TO_REVIVE = 4


class LayerActivity:
    """Liveness of one layer: live on its first packet, dead after a bad cycle of 500 ms, live again after four good ones.

    A cycle is good with one packet on the lowest layer, with two on the others. LiveKit wants five, and twenty cycles to come
    back; that is for data centres: a notebook's machine that stalls for a moment would sit on its smallest layer for ten
    seconds, and a screen share of a few frames a second would never leave it.
    """

    __slots__ = ("_cycle_ends_at", "_good_cycles", "_needed", "_packets", "_seen", "live")

    def __init__(self, layer: int) -> None:
        self._needed = _PACKETS_PER_CYCLE[min(layer, 2)]
        self._packets = 0
        self._good_cycles = 0
        self._cycle_ends_at: float | None = None
        self._seen = False
        self.live = False

    def packet(self) -> bool:
        """One media packet came; True when that made the layer live."""
        self._packets += 1
        if self._seen:
            return False
        self._seen = self.live = True
        return True

    def reset(self) -> None:
        """Forget the past: the next packet makes the layer live (after a mute, or when it was switched off on request)."""
        self._seen = self.live = False
        self._packets = self._good_cycles = 0
        self._cycle_ends_at = None

    def tick(self, now: float) -> bool:
        """Close a cycle when its time is over; True when `live` changed."""
        if not self._seen:
            return False
        if self._cycle_ends_at is None:
            self._cycle_ends_at = now + CYCLE_S
            self._packets = 0
            return False
        if now < self._cycle_ends_at:
            return False
        good = self._packets >= self._needed
        self._packets = 0
        self._cycle_ends_at = now + CYCLE_S
        if self.live:
            if not good:
                self.live = False
                self._good_cycles = 0
                return True
            return False
        self._good_cycles = self._good_cycles + 1 if good else 0
        if self._good_cycles < _CYCLES_TO_REVIVE:
            return False
        self.live = True
        return True


def choose_layer(live: Iterable[int], wanted: int) -> int | None:
    """The best live layer up to the wanted one, else the lowest above it, else None."""
    layers = sorted(live)
    below = [layer for layer in layers if layer <= wanted]
    if below:
        return below[-1]
    return layers[0] if layers else None
