"""Probing: a short burst at a higher rate, to learn within a round trip that the path takes more.

The draft leaves the start open and grows by 8 % a second, which takes half a minute from one layer to three; what is
done here is libwebrtc's way (probe_controller.cc, probe_bitrate_estimator.cc). A burst of 15 ms at twice the rate
delays a full path by another 15 ms and no more.

A burst that arrives as fast as it was sent proves its rate. One that the path has slowed down measures the path, but eight
packets do not measure it well: a pause of 10 ms on the way, before the first of them or the last, makes it a quarter wider
or narrower. So where the path slows bursts down, two in a row have to agree that there is more than the estimate, or less;
then the one that is nearer to it counts. (libwebrtc believes each, up and down.)
"""

from __future__ import annotations

from math import inf

from lknb.logic.bandwidth_sent import Arrival

PROBE_S = 0.015
PROBE_PACKETS = 8
"""A cluster is at least this long, in time and in packets."""

_FIRST_FACTOR = 3.0
_FACTOR = 2.0
_BEYOND_WANTED = 1.25
_GO_ON_SHARE = 0.7
"""Of its rate that a cluster must have shown for the next one to follow at once."""

_INTERVAL_S = 1.25
_INTERVAL_MAX_S = 3.0
"""After a cluster that has not shown more; twice as long after each that follows. The first may be the receiver's fault,
which is late to look at the clock when its machine is busy."""
_CALM_S = 1.0
"""After a decrease: the queue is to be empty again."""
_AGAIN_S = 1.0
"""After a cluster that measured nothing, which says nothing of the path either."""
_DOUBT_S = 0.3
"""After a cluster that has shown more than the estimate, until another has to agree: its queue is to be empty again."""
_LOST_S = 1.0

_UNKNOWN = 0.0, False

_ARRIVED_SHARE = 0.7
_FASTEST_SHARE = 0.5
_SLOWER = 1.1
_USED_SHARE = 0.95


class ProbePlan:
    """When to probe, how fast, and what came of it. One cluster at a time."""

    __slots__ = ("_cluster", "_due_at", "_first", "_interval_s", "_last", "_number")

    def __init__(self) -> None:
        self._cluster: _Cluster | None = None
        self._number = 0
        self._interval_s = _INTERVAL_S
        self._due_at = -inf
        self._first = True
        self._last = _UNKNOWN
        """What the last cluster has measured, and whether the path had slowed it down."""

    def begin(self, estimate_bps: float, wanted_bps: float, now: float) -> float | None:
        """The bitrate to send a cluster at now; None for no probe, which is the answer mostly."""
        cluster = self._cluster
        if cluster is not None:
            if now - cluster.began_at < _LOST_S:
                return None
            if cluster.complete:
                self._conclude(False, now)
            else:
                # for want of a CPU it was never sent, which says nothing of the path
                self._cluster = None
        if estimate_bps >= wanted_bps or now < self._due_at:
            return None
        rate_bps = min((_FIRST_FACTOR if self._first else _FACTOR) * estimate_bps, _BEYOND_WANTED * wanted_bps)
        self._first = False
        self._number += 1
        self._cluster = _Cluster(self._number, rate_bps, now)
        return rate_bps

    def tag(self, size_bytes: int, now: float) -> int:
        """A packet leaves: the number of the cluster it belongs to, 0 for none."""
        cluster = self._cluster
        return cluster.take(size_bytes, now) if cluster is not None else 0

    def restart(self) -> None:
        """The cluster has paused for too long, which would be taken for the pace of the path: it is measured from the
        next packet on."""
        cluster = self._cluster
        if cluster is not None and not cluster.complete:
            self._number += 1
            self._cluster = _Cluster(self._number, cluster.rate_bps, cluster.began_at)

    @property
    def rate_bps(self) -> float:
        """Of the cluster that is being sent; 0 when there is none."""
        cluster = self._cluster
        return cluster.rate_bps if cluster is not None and not cluster.complete else 0.0

    def arrived(self, arrival: Arrival) -> None:
        """A packet of a cluster has arrived."""
        if self._cluster is not None and self._cluster.number == arrival.probe:
            self._cluster.arrivals.append(arrival)

    def result(self, estimate_bps: float, now: float) -> float | None:
        """The bitrate that clusters have shown, once they have, if that is another than the estimate."""
        cluster = self._cluster
        measured_bps = cluster.measure() if cluster is not None else None
        if cluster is None or measured_bps is None:
            return None
        if not measured_bps:
            self._conclude(False, now)
            self._due_at = now + _AGAIN_S
            return None
        (last_bps, last_slowed), self._last = self._last, (measured_bps, cluster.slowed)
        proven = not (cluster.slowed or last_slowed)
        at_least_bps = measured_bps if proven else min(measured_bps, last_bps)
        at_most_bps = max(measured_bps, last_bps) if cluster.slowed and last_slowed else inf
        shown_bps = min(max(estimate_bps, at_least_bps), at_most_bps)
        doubtful = measured_bps > estimate_bps >= shown_bps
        self._conclude(doubtful or shown_bps > estimate_bps, now)
        if doubtful:
            self._due_at = now + _DOUBT_S
        elif shown_bps > max(estimate_bps, _GO_ON_SHARE * cluster.rate_bps):
            self._due_at = now
        return None if shown_bps == estimate_bps else shown_bps

    def calm(self, now: float) -> None:
        """The estimate went down: no probing into a queue."""
        self._due_at = max(self._due_at, now + _CALM_S)
        self._cluster = None
        self._last = _UNKNOWN

    def give_up(self, now: float) -> None:
        """The cluster cannot be sent."""
        if self._cluster is not None:
            self._conclude(False, now)

    def hurry(self, now: float) -> None:
        """Something has changed that makes a probe worth while at once."""
        self._due_at = min(self._due_at, now)
        self._interval_s = _INTERVAL_S

    def _conclude(self, raised: bool, now: float) -> None:
        self._cluster = None
        if raised:
            self._interval_s = _INTERVAL_S
        self._due_at = now + self._interval_s
        if not raised:
            self._interval_s = min(2 * self._interval_s, _INTERVAL_MAX_S)


class _Cluster:
    """One burst."""

    __slots__ = (
        "arrivals",
        "began_at",
        "bytes",
        "complete",
        "first_at",
        "looked_at",
        "number",
        "packets",
        "rate_bps",
        "slowed",
    )

    def __init__(self, number: int, rate_bps: float, began_at: float) -> None:
        self.number = number
        self.rate_bps = rate_bps
        self.began_at = began_at
        self.first_at = inf
        self.bytes = self.packets = 0
        self.complete = self.looked_at = self.slowed = False
        self.arrivals: list[Arrival] = []

    def take(self, size_bytes: int, now: float) -> int:
        if self.complete:
            return 0
        if not self.packets:
            self.first_at = now
        self.packets += 1
        self.bytes += size_bytes
        # a late timer has left a pause, which is to be caught up with first
        until_s = max(PROBE_S, now - self.first_at)
        enough = self.packets >= PROBE_PACKETS and self.bytes * 8 >= self.rate_bps * until_s
        self.complete = enough or now - self.began_at > _LOST_S
        return self.number

    def measure(self) -> float | None:
        """What the path took in bit/s; 0 when that cannot be told, None when it is too early."""
        arrivals = self.arrivals
        if not self.complete or len(arrivals) < _ARRIVED_SHARE * self.packets or len(arrivals) < 2:
            return None
        if len(arrivals) < self.packets and not self.looked_at:
            # the rest may be in the next feedback
            self.looked_at = True
            return None
        first, last = min(arrivals), max(arrivals)
        total = sum(arrival.size_bytes for arrival in arrivals)
        sent_s = last.sent_s - first.sent_s
        arrived = sorted(arrivals, key=lambda arrival: arrival.arrival_s)
        arrived_s = arrived[-1].arrival_s - arrived[0].arrival_s
        if arrived_s <= _FASTEST_SHARE * sent_s or sent_s <= 0:
            # a queue somewhere let all of it go at once: nothing was measured
            return 0.0
        self.slowed = arrived_s > _SLOWER * sent_s
        if not self.slowed:
            return min((total - last.size_bytes) * 8 / sent_s, self.rate_bps)
        return min(_USED_SHARE * (total - arrived[0].size_bytes) * 8 / arrived_s, self.rate_bps)
