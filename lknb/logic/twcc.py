"""Arrival times of all packets of a transport, as feedback for the sender's bandwidth estimator.

draft-holmer-rmcat-transport-wide-cc-extensions-01. Packets are numbered across all streams of a transport; each is
reported once, as received at a time or as missing. One that was reported missing and comes after all is reported
again, alone.
"""

from __future__ import annotations

from lknb.logic.sequence import JUMP_PACKETS, RestartDetector, difference
from lknb.wire.rtcp import TransportFeedback

PACKETS_MAX = 400
"""Covered by one feedback packet, which stays below 1,000 bytes."""
PENDING_MAX = 8192

_REFERENCE_US = 64_000
# What one step between two arrivals can express, minus what rounding to 250 us may add.
_STEP_MAX_US = 8_191_000
_MISSING_KEPT = 1000


class TwccRecorder:
    """Feedback about one transport. Arrival times come in microseconds of any clock that does not run backwards for
    long."""

    __slots__ = ("_arrivals", "_count", "_detector", "_highest", "_missing", "_reach", "_unreported")

    def __init__(self) -> None:
        # unwrapped number -> arrival
        self._arrivals: dict[int, int] = {}
        self._missing: dict[int, None] = {}
        self._highest = 0
        self._unreported = 0
        self._count = 0
        self._detector = RestartDetector()
        # How far ahead of the highest number the short path goes; 0 until there is one.
        self._reach = 0

    def add(self, sequence_number: int, arrival_us: int) -> None:
        """A packet with this transport-wide number (16 bit) arrived."""
        ahead = (sequence_number - self._highest) & 0xFFFF
        if 0 < ahead < self._reach and len(self._arrivals) < PENDING_MAX:
            self._highest = highest = self._highest + ahead
            self._arrivals[highest] = arrival_us
        else:
            self._add_out_of_order(sequence_number, arrival_us)

    def _add_out_of_order(self, sequence_number: int, arrival_us: int) -> None:
        ahead = difference(sequence_number, self._highest)
        if not self._reach or (abs(ahead) >= JUMP_PACKETS and self._detector.suspect(sequence_number)):
            self._begin(sequence_number, arrival_us)
        elif abs(ahead) < JUMP_PACKETS:
            self._place(self._highest + ahead, arrival_us)

    def _begin(self, sequence_number: int, arrival_us: int) -> None:
        self._reach = JUMP_PACKETS
        # One cycle up, so that nothing that is late becomes negative.
        self._highest = self._unreported = sequence_number + 0x10000
        self._arrivals = {self._highest: arrival_us}
        self._missing.clear()

    def _place(self, number: int, arrival_us: int) -> None:
        if number > self._highest:
            # nobody fetches the feedback: keep the newest half
            self._highest = number
            for old in sorted(self._arrivals)[: PENDING_MAX // 2]:
                del self._arrivals[old]
            self._arrivals[number] = arrival_us
        elif number >= self._unreported or number in self._missing:
            self._missing.pop(number, None)
            self._arrivals.setdefault(number, arrival_us)

    def build(self, sender_ssrc: int, media_ssrc: int) -> list[TransportFeedback]:
        """Feedback about all that came since the last call, in rising order; best sent every 50 to 100 ms.

        Each covers at most `PACKETS_MAX` packets. `media_ssrc` must be one of the sender's: libwebrtc ignores others.
        """
        if not self._arrivals:
            return []
        arrivals, self._arrivals = self._arrivals, {}
        return [self._feedback(sender_ssrc, media_ssrc, *span) for span in self._spans(arrivals)]

    def _spans(self, arrivals: dict[int, int]) -> list[tuple[int, list[int | None]]]:
        """Runs of successive numbers that fit one feedback packet each, as (first number, arrivals)."""
        spans: list[tuple[int, list[int | None]]] = []
        span: list[int | None] = []
        fresh_from = self._unreported
        position = -1
        last_us = 0
        for number in sorted(arrivals):
            arrival_us = arrivals[number]
            # What lies between two late packets was reported before; what lies before a fresh one is missing.
            begin = min(number, fresh_from)
            apart = position < begin
            if apart:
                position = begin
            missing = number - position
            if missing >= PACKETS_MAX:
                apart, position, missing = True, number, 0
            if apart or len(span) + missing >= PACKETS_MAX or abs(arrival_us - last_us) > _STEP_MAX_US:
                span = []
                spans.append((position, span))
            for lost in range(position, number):
                span.append(None)
                self._missing[lost] = None
            span.append(arrival_us)
            position = number + 1
            last_us = arrival_us
        self._unreported = max(fresh_from, position)
        for lost in list(self._missing)[:-_MISSING_KEPT]:
            del self._missing[lost]
        return spans

    def _feedback(self, sender_ssrc: int, media_ssrc: int, base: int, span: list[int | None]) -> TransportFeedback:
        reference = next(arrival_us for arrival_us in span if arrival_us is not None) // _REFERENCE_US
        count, self._count = self._count, (self._count + 1) & 0xFF
        offset_us = reference * _REFERENCE_US
        return TransportFeedback(
            sender_ssrc=sender_ssrc,
            media_ssrc=media_ssrc,
            base_sequence_number=base & 0xFFFF,
            feedback_count=count,
            reference_time_64ms=reference & 0xFFFFFF,
            packets=tuple(None if arrival_us is None else arrival_us - offset_us for arrival_us in span),
        )
