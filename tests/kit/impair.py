"""A bad network as a pure model: packets and moments in, packets out. No socket, no clock; the same seed, the same fate.

One `Impairment` is one direction. `send` puts a packet in at `now`; `receive` takes out what has arrived by `now`;
`deadline` says when the next one will. Everything that happened to packets is counted.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the path does. Fractions are 0..1, times in milliseconds."""

    loss: float = 0.0
    """Of packets, on the whole; in runs of `burst_packets` on average (Gilbert's model), 1 = one by one."""
    burst_packets: float = 1.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """Of packets that are held back by up to `reorder_ms`, while others overtake them."""
    reorder_ms: float = 50.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Added to the delay, evenly between 0 and this. Order is kept: a packet waits for those before it."""
    rate_bps: float = 0.0
    """Of the bottleneck, 0 = none. Packets wait in its queue for up to `queue_ms`; what would wait longer is lost."""
    queue_ms: float = 200.0

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a fraction between 0 and 1")
        if self.burst_packets < 1.0:
            raise ValueError("burst_packets is 1 or more")


@dataclass(slots=True)
class Count:
    """What happened to packets so far."""

    sent: int = 0
    lost: int = 0
    overflowed: int = 0
    blacked_out: int = 0
    duplicated: int = 0
    reordered: int = 0
    delivered: int = 0


@dataclass(slots=True)
class Impairment:
    """One direction of a bad path. `conditions` may be replaced at any moment."""

    conditions: Conditions = field(default_factory=Conditions)
    seed: int = 0
    count: Count = field(default_factory=Count)
    _random: random.Random = field(init=False, repr=False)
    _under_way: list[tuple[float, int, bytes]] = field(default_factory=list, repr=False)
    _numbers: itertools.count[int] = field(default_factory=itertools.count, repr=False)
    _in_burst: bool = field(default=False, repr=False)
    _bottleneck_free_at: float = field(default=0.0, repr=False)
    _last_arrival: float = field(default=0.0, repr=False)
    _dark_until: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def black_out(self, now: float, duration_s: float) -> None:
        """Lose everything sent from now on for `duration_s`, and everything under way."""
        self._dark_until = max(self._dark_until, now + duration_s)
        self.count.blacked_out += len(self._under_way)
        self._under_way.clear()

    def send(self, packet: bytes, now: float) -> None:
        """One packet enters the path."""
        self.count.sent += 1
        if now < self._dark_until:
            self.count.blacked_out += 1
            return
        if self._is_lost():
            self.count.lost += 1
            return
        departure = self._leave_bottleneck(len(packet), now)
        if departure is None:
            self.count.overflowed += 1
            return
        self._deliver(packet, departure)
        if self._random.random() < self.conditions.duplicate:
            self.count.duplicated += 1
            self._deliver(packet, departure)

    def receive(self, now: float) -> list[bytes]:
        """What has arrived by now, in order of arrival."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(heapq.heappop(self._under_way)[2])
        self.count.delivered += len(arrived)
        return arrived

    def deadline(self) -> float | None:
        """When the next packet arrives; None when none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def _is_lost(self) -> bool:
        loss, burst = self.conditions.loss, self.conditions.burst_packets
        if loss <= 0.0 or loss >= 1.0:
            return loss >= 1.0
        # two states: a burst ends with 1 / its mean length, and begins as often as keeps the whole at `loss`
        ends = 1.0 / burst
        begins = min(1.0, loss * ends / (1.0 - loss))
        self._in_burst = self._random.random() >= ends if self._in_burst else self._random.random() < begins
        return self._in_burst

    def _leave_bottleneck(self, size_bytes: int, now: float) -> float | None:
        if self.conditions.rate_bps <= 0.0:
            return now
        begins = max(now, self._bottleneck_free_at)
        if begins - now > self.conditions.queue_ms / 1000:
            return None
        self._bottleneck_free_at = begins + size_bytes * 8 / self.conditions.rate_bps
        return self._bottleneck_free_at

    def _deliver(self, packet: bytes, departure: float) -> None:
        conditions = self.conditions
        arrival = departure + (conditions.delay_ms + self._random.random() * conditions.jitter_ms) / 1000
        if self._random.random() < conditions.reorder:
            self.count.reordered += 1
            arrival += self._random.random() * conditions.reorder_ms / 1000
        else:
            # jitter alone never reorders: queues are first in, first out
            arrival = self._last_arrival = max(arrival, self._last_arrival)
        heapq.heappush(self._under_way, (arrival, next(self._numbers), packet))
