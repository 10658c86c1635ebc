"""Packets leave evenly: a key frame of sixty packets at once would overflow the first queue on its way.

A leaky bucket, as libwebrtc paces (pacing_controller.cc). Streams take turns, so that the key frame of a large layer
does not hold up a small one; packets sent again go first. Sound does not come here.
"""

from __future__ import annotations

from collections import deque
from math import inf

BURST_S = 0.01
"""What may leave at once, in time at the pace: usual pictures go in one piece, and timers need not be exact."""
CATCH_UP_S = 0.05
"""What a late timer has cost is made up for, up to this: on a busy machine the pace would be lost otherwise."""
QUEUE_S = 1.0
"""Nothing waits longer: a longer queue is sent faster."""


class Pacer:
    """`rate_bps` is the pace, infinite at first. Streams are numbers (their SSRCs). `begin` goes before what is
    put after a time in which nothing waited."""

    __slots__ = ("_free_at", "_streams", "_urgent", "_waiting_bytes", "rate_bps")

    def __init__(self) -> None:
        self.rate_bps = inf
        self._streams: dict[int, deque[bytes]] = {}
        self._urgent: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._free_at = -inf

    def put(self, stream: int, packet: bytes) -> None:
        """A packet is to leave when its turn comes."""
        self._streams.setdefault(stream, deque()).append(packet)
        self._waiting_bytes += len(packet)

    def put_urgent(self, stream: int, packet: bytes) -> None:
        """A packet is to leave before all others."""
        self._urgent.append((stream, packet))
        self._waiting_bytes += len(packet)

    def waiting(self, stream: int) -> int:
        """Packets of a stream that wait, urgent ones not counted."""
        return len(self._streams.get(stream, ()))

    def drop(self, stream: int) -> int:
        """Forget what waits of a stream; how many packets that were, urgent ones not counted."""
        packets = self._streams.pop(stream, ())
        urgent = [packet for other, packet in self._urgent if other == stream]
        if urgent:
            self._urgent = deque(item for item in self._urgent if item[0] != stream)
        self._waiting_bytes -= sum(map(len, packets)) + sum(map(len, urgent))
        return len(packets)

    def take(self, now: float) -> bytes | None:
        """The packet that may leave now; None if none may, or none waits."""
        if not (self._streams or self._urgent) or now < self._free_at - BURST_S:
            return None
        if self._urgent:
            _, packet = self._urgent.popleft()
        else:
            stream = next(iter(self._streams))
            packets = self._streams.pop(stream)
            packet = packets.popleft()
            if packets:
                self._streams[stream] = packets
        self.spend(len(packet), now)
        self._waiting_bytes -= len(packet)
        return packet

    def spend(self, size_bytes: int, now: float) -> None:
        """So much leaves now, from the queue or past it."""
        pace_bps = max(self.rate_bps, self._waiting_bytes * 8 / QUEUE_S)
        self._free_at = max(self._free_at, now - CATCH_UP_S) + size_bytes * 8 / pace_bps

    def begin(self, now: float) -> None:
        """Nothing has waited until now: there is nothing to catch up with."""
        self._free_at = max(self._free_at, now)

    def spread(self, now: float) -> None:
        """Without a burst from now on: the pace itself is to be measured."""
        self._free_at = max(self._free_at, now + BURST_S)

    def deadline(self) -> float | None:
        """When to call `take`; None while nothing waits."""
        return self.free_at() if self._streams or self._urgent else None

    def free_at(self) -> float:
        """When the next packet may leave, if there is one."""
        return self._free_at - BURST_S
