"""What was sent on a transport, until its feedback comes: numbers of transport-wide feedback -> packets with both times.

draft-holmer-rmcat-transport-wide-cc-extensions-01. Feedback is a stranger's word: numbers that were never sent are
passed over, times may run backwards, and what is kept is bounded.
"""

from __future__ import annotations

from typing import NamedTuple

from lknb.logic.sequence import Unwrapper, difference
from lknb.wire.rtcp import TransportFeedback

PACKETS_MAX = 8192
"""Waiting for their feedback; at 5,000 packets a second still more than a round trip."""

_KEPT_S = 5.0
_OUTAGE_S = 0.1
"""Nothing of a tenth of a second arrived: a path that is gone, or a receiver that had no CPU and no room for more. However
full a queue is, it lets something through."""
_REFERENCE_US = 64_000
_REFERENCE_BITS = 24


class SentPacket(NamedTuple):
    """One packet we sent. `probe` is the number of the cluster it belongs to, 0 for none."""

    sent_s: float
    size_bytes: int
    probe: int


class Arrival(NamedTuple):
    """A packet that has arrived, at `arrival_s` of the receiver's clock."""

    sent_s: float
    arrival_s: float
    size_bytes: int
    probe: int


class Report(NamedTuple):
    """What one feedback packet says that was not known: arrivals in order of arrival, and how many were lost."""

    arrivals: list[Arrival]
    lost: int


class SentPackets:
    """The packets whose fate is not known, and those reported lost, which may come after all."""

    __slots__ = ("_highest", "_oldest", "_packets", "_reference", "_reported_lost")

    def __init__(self) -> None:
        self._packets: dict[int, SentPacket] = {}
        self._reported_lost: dict[int, None] = {}
        self._highest = self._oldest = 0
        self._reference = Unwrapper(_REFERENCE_BITS)

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, number: int, size_bytes: int, now: float, probe: int = 0) -> None:
        """A packet leaves under the next transport-wide number (16 bit)."""
        self._highest += (number - self._highest) & 0xFFFF
        packets = self._packets
        if not packets:
            self._oldest = self._highest
        packets[self._highest] = SentPacket(now, size_bytes, probe)
        while self._oldest < self._highest:
            oldest = packets.get(self._oldest)
            if oldest is not None:
                if now - oldest.sent_s <= _KEPT_S and self._highest - self._oldest < PACKETS_MAX:
                    break
                del packets[self._oldest]
                self._reported_lost.pop(self._oldest, None)
            self._oldest += 1

    def match(self, feedback: TransportFeedback) -> Report:
        """The packets a feedback packet is about. Each arrives once and is lost once, whatever is repeated."""
        packets = self._packets
        number = self._highest + difference(feedback.base_sequence_number, self._highest & 0xFFFF)
        offset_us = self._reference(feedback.reference_time_64ms & (1 << _REFERENCE_BITS) - 1) * _REFERENCE_US
        arrivals = []
        lost = 0
        run: list[int] = []
        for since_us in feedback.packets:
            if since_us is None:
                if number in packets and number not in self._reported_lost:
                    run.append(number)
            else:
                packet = packets.pop(number, None)
                if packet is not None:
                    arrivals.append(Arrival(packet.sent_s, (offset_us + since_us) / 1e6, *packet[1:]))
                    self._reported_lost.pop(number, None)
                    lost += self._end_run(run)
                    run = []
            number += 1
        lost += self._end_run(run)
        arrivals.sort(key=_arrival_s)
        return Report(arrivals, lost)

    def _end_run(self, run: list[int]) -> int:
        """How many of these, lost one after the other, count as losses: none, if the path was away."""
        if not run:
            return 0
        self._reported_lost.update(dict.fromkeys(run))
        away = self._packets[run[-1]].sent_s - self._packets[run[0]].sent_s > _OUTAGE_S
        return 0 if away else len(run)


def _arrival_s(arrival: Arrival) -> float:
    return arrival.arrival_s
