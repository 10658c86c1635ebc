"""The estimate of a transport, shared among the tracks that are published over it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite

from lknb.core.outbox import Outbox
from lknb.core.publication import Publication
from lknb.logic.bandwidth_share import BandwidthShare

_EVERY_S = 0.1
_PAYLOAD_SHARE = 0.93
"""Of what is on the wire: the rest is headers, which encoders do not count."""


class Bandwidth:
    """Watches the outbox, tells the publications. Sound comes first: what it takes is not shared."""

    def __init__(self, outbox: Outbox, publications: Mapping[str, Publication]) -> None:
        self._outbox = outbox
        self._publications = publications
        self._share = BandwidthShare()
        self._estimate_bps = inf
        self._due_at = 0.0

    @property
    def available_bps(self) -> int | None:
        """What the path takes, headers included, in bit/s; None when nobody says anything of it."""
        estimate_bps = self._outbox.estimate_bps
        return int(estimate_bps) if isfinite(estimate_bps) else None

    def update(self, now: float) -> None:
        """The estimate may be another: share at once when there is less than before, else ten times a second."""
        if now >= self._due_at or self._outbox.estimate_bps < self._estimate_bps:
            self.share(now)

    def share(self, now: float) -> None:
        """Share anew, as when a track has come, gone, or wants something else."""
        estimate_bps = self._estimate_bps = self._outbox.estimate_bps
        self._due_at = now + _EVERY_S
        demands = {
            sid: demand for sid, publication in self._publications.items() if (demand := publication.demand) is not None
        }
        sound_bps = self._outbox.sound_bps(now)
        wanted_bps = sum(demand.total_bps for demand in demands.values())
        self._outbox.estimator.wanted_bps = wanted_bps / _PAYLOAD_SHARE + sound_bps if wanted_bps else 0.0
        shares = self._share.update(demands, max(0.0, estimate_bps - sound_bps) * _PAYLOAD_SHARE, now)
        for sid, share_bps in shares.items():
            self._publications[sid].limit(share_bps)
