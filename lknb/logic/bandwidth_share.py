"""An estimate shared among video tracks: which layers are sent, and how many bits each may take.

The lowest layer of every track comes first, then the second of every track, and so on; what does not fit is not sent,
highest first. Down it goes at once, up once a second: a new layer costs a key frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

LAYER_MIN_BPS = 30_000
"""The lowest layer of an encoder that adapts is sent with whatever there is, as libwebrtc does."""

_KEEP_SHARE = 0.4
_RESUME_SHARE = 0.6
"""Of its bitrate that a higher layer needs to stay, and to come (back): less would show worse than the layer below."""
_UP_EVERY_S = 1.0
_CHANGE = 1.05
"""Encoders are not troubled for less."""
_FIXED_MARGIN = 1.1
"""What a stream that is sent as it is must fit in to come back."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A track that wants to be sent: the bitrate each layer has at most, by rid, lowest layer first.

    `adapts` is False where the stream exists already: a layer is sent whole, or not at all.
    """

    layers_bps: Mapping[str, int]
    adapts: bool = True

    @property
    def total_bps(self) -> int:
        """Of all layers."""
        return sum(self.layers_bps.values())


Shares = dict[str, dict[str, int]]
"""By track: bit/s by rid, for the layers that are to be sent."""


class BandwidthShare:
    """Remembers what it decided, for steps that make sense one after the other."""

    __slots__ = ("_rose_at", "_shares", "_wants")

    def __init__(self) -> None:
        self._shares: Shares = {}
        self._wants: Mapping[str, Demand] = {}
        self._rose_at = -inf

    def update(self, demands: Mapping[str, Demand], budget_bps: float, now: float) -> Shares:
        """The shares from now on; the same object again when nothing changes."""
        fresh = self._divide(demands, budget_bps)
        if demands != self._wants:
            # other tracks, or other layers of them: no matter of steps
            self._wants = dict(demands)
        elif fresh == self._shares:
            return self._shares
        elif not _falls(self._shares, fresh):
            if now - self._rose_at < _UP_EVERY_S or not _rises(self._shares, fresh):
                return self._shares
            self._rose_at = now
        self._shares = fresh
        return fresh

    def _divide(self, demands: Mapping[str, Demand], budget_bps: float) -> Shares:
        shares: Shares = {track: {} for track in demands}
        left_bps = budget_bps
        full: set[str] = set()
        for level in range(max((len(demand.layers_bps) for demand in demands.values()), default=0)):
            for track, demand in demands.items():
                rids = list(demand.layers_bps)
                if level >= len(rids) or track in full:
                    continue
                rid = rids[level]
                share_bps = self._share(track, demand, rid, level, left_bps)
                if share_bps is None:
                    full.add(track)
                else:
                    shares[track][rid] = share_bps
                    left_bps = max(0.0, left_bps - share_bps)
        return shares

    def _share(self, track: str, demand: Demand, rid: str, level: int, left_bps: float) -> int | None:
        wanted_bps = demand.layers_bps[rid]
        sent = rid in self._shares.get(track, ())
        if not demand.adapts:
            fits = left_bps >= wanted_bps * (1.0 if sent else _FIXED_MARGIN)
            return wanted_bps if fits else None
        share_bps = int(min(wanted_bps, left_bps))
        if level == 0:
            return max(share_bps, min(LAYER_MIN_BPS, wanted_bps))
        return share_bps if share_bps >= wanted_bps * (_KEEP_SHARE if sent else _RESUME_SHARE) else None


def _falls(before: Shares, after: Shares) -> bool:
    return _rises(after, before)


def _rises(before: Shares, after: Shares) -> bool:
    return any(
        share_bps > _CHANGE * before.get(track, {}).get(rid, 0)
        for track, layers in after.items()
        for rid, share_bps in layers.items()
    )
