"""Reception and sender reports (RFC 3550 section 6.4): what is said of a stream, and what its sender says of its
clock."""

from __future__ import annotations

from lknb.logic.sequence import JUMP_PACKETS, RestartDetector, difference
from lknb.wire.rtcp import ReportBlock

# A larger difference of transit times is a clock that was set (libwebrtc: receive_statistics_impl.cc).
_JITTER_STEP_MAX_S = 5
_COMPACT_NTP_HZ = 65_536
_NTP_EPOCH_S = 2_208_988_800
"""From 1900 to 1970."""


class ReceptionStatistics:
    """Losses and jitter of one incoming stream, for its report blocks (RFC 3550 appendices A.1, A.3, A.8).

    Every packet is counted when it arrives, so retransmissions and duplicates lower the loss. Jitter is measured where
    a new timestamp begins, among packets in order: the packets of one picture leave one by one, and a retransmission
    comes a round trip late, neither being the path's doing.
    """

    __slots__ = (
        "_arrival_us",
        "_base",
        "_clock_rate_hz",
        "_detector",
        "_expected_before",
        "_highest",
        "_jitter_16ths",
        "_last_sr",
        "_reach",
        "_received_before",
        "_sr_at",
        "_ssrc",
        "_timestamp",
        "received",
    )

    def __init__(self, ssrc: int, clock_rate_hz: int) -> None:
        self._ssrc = ssrc
        self._clock_rate_hz = clock_rate_hz
        self._detector = RestartDetector()
        self._last_sr = 0
        self._sr_at = 0.0
        self._jitter_16ths = 0
        # How far ahead of the highest number the short path goes; 0 until there is one.
        self._reach = 0
        self._begin(0, 0, 0)
        self.received = 0

    def _begin(self, sequence_number: int, timestamp: int, arrival_us: int) -> None:
        self._base = self._highest = sequence_number
        self._timestamp = timestamp
        self._arrival_us = arrival_us
        self._expected_before = self._received_before = 0
        self.received = 1

    def add(self, sequence_number: int, timestamp: int, arrival_us: int) -> None:
        """A packet arrived: 16 bit sequence number, 32 bit timestamp, arrival in microseconds."""
        ahead = (sequence_number - self._highest) & 0xFFFF
        if 0 < ahead < self._reach:
            self._highest += ahead
            self.received += 1
            if timestamp != self._timestamp:
                self._measure(timestamp, arrival_us)
        else:
            self._add_out_of_order(sequence_number, timestamp, arrival_us)

    def _measure(self, timestamp: int, arrival_us: int) -> None:
        rate_hz = self._clock_rate_hz
        passed = (timestamp - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        step = abs((arrival_us - self._arrival_us) * rate_hz // 1_000_000 - passed)
        if step < _JITTER_STEP_MAX_S * rate_hz:
            # RFC 3550 A.8, with the estimate kept in sixteenths
            self._jitter_16ths += step - (self._jitter_16ths + 8 >> 4)
        self._timestamp = timestamp
        self._arrival_us = arrival_us

    def _add_out_of_order(self, sequence_number: int, timestamp: int, arrival_us: int) -> None:
        if not self._reach:
            self._reach = JUMP_PACKETS
            self._begin(sequence_number, timestamp, arrival_us)
        elif abs(difference(sequence_number, self._highest)) < JUMP_PACKETS:
            self.received += 1
        elif self._detector.suspect(sequence_number):
            self._begin(sequence_number, timestamp, arrival_us)

    def sender_report(self, ntp_time: int, now: float) -> None:
        """A sender report (64 bit NTP time) of this stream arrived; the report blocks echo it."""
        self._last_sr = ntp_time >> 16 & 0xFFFFFFFF
        self._sr_at = now

    def report(self, now: float) -> ReportBlock:
        """The report block to send now; losses count from the block before. Of a silent stream all is 0."""
        expected = self._highest - self._base + 1 if self.received else 0
        expected_now = expected - self._expected_before
        lost_now = expected_now - (self.received - self._received_before)
        self._expected_before = expected
        self._received_before = self.received
        delay = round((now - self._sr_at) * _COMPACT_NTP_HZ) if self._last_sr else 0
        return ReportBlock(
            ssrc=self._ssrc,
            fraction_lost=min(255, (lost_now << 8) // expected_now) if lost_now > 0 else 0,
            packets_lost=min(max(expected - self.received, -0x800000), 0x7FFFFF),
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=self._jitter_16ths >> 4,
            last_sr=self._last_sr,
            delay_since_last_sr=min(max(delay, 0), 0xFFFFFFFF),
        )

    @property
    def lost(self) -> int:
        """Packets lost since the start; negative with duplicates."""
        return self._highest - self._base + 1 - self.received if self.received else 0

    @property
    def jitter_s(self) -> float:
        """Interarrival jitter in seconds."""
        return (self._jitter_16ths >> 4) / self._clock_rate_hz


def round_trip_s(block: ReportBlock, ntp_time: int) -> float | None:
    """The round trip in seconds from a report block that arrived at `ntp_time` (64 bit, of the clock our sender reports
    carry); None when it echoes none of our reports (RFC 3550 section 6.4.1). A clock that was set back gives 0."""
    if not block.last_sr:
        return None
    round_trip = (ntp_time >> 16) - block.last_sr - block.delay_since_last_sr & 0xFFFFFFFF
    return 0.0 if round_trip & 0x80000000 else round_trip / _COMPACT_NTP_HZ


class SenderReportClock:
    """How the timestamps of one stream relate to its sender's wall clock, by its latest sender report.

    Timestamps are taken wrapped (32 bit) or unwrapped, within half a cycle of the report's.
    """

    __slots__ = ("_clock_rate_hz", "_ntp_time", "_received_at", "_timestamp")

    def __init__(self, clock_rate_hz: int) -> None:
        self._clock_rate_hz = clock_rate_hz
        self._ntp_time = 0
        self._timestamp = 0
        self._received_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether there was a report."""
        return self._ntp_time != 0

    def update(self, ntp_time: int, rtp_timestamp: int, now: float) -> None:
        """A sender report arrived. One without wall clock (NTP time 0, RFC 3550 section 6.4.1) says nothing."""
        if ntp_time:
            self._ntp_time = ntp_time
            self._timestamp = rtp_timestamp & 0xFFFFFFFF
            self._received_at = now

    def ntp_at(self, timestamp: int) -> int | None:
        """The sender's NTP time (64 bit) of a timestamp; None without a report."""
        if not self._ntp_time:
            return None
        passed = difference(timestamp, self._timestamp, 32)
        return self._ntp_time + (passed << 32) // self._clock_rate_hz & 0xFFFFFFFFFFFFFFFF

    def unix_us(self, timestamp: int) -> int | None:
        """The sender's time of a timestamp in microseconds since 1970; None without a report."""
        ntp_time = self.ntp_at(timestamp)
        return None if ntp_time is None else (ntp_time * 1_000_000 >> 32) - _NTP_EPOCH_S * 1_000_000

    def timestamp_at(self, now: float) -> tuple[int, int] | None:
        """(NTP time, timestamp) of the sender's clock at `now`, for a sender report of our own; None without one of
        its.

        The time its report was under way is not known and counts as none, the same for all streams of one sender.
        """
        if not self._ntp_time:
            return None
        passed = now - self._received_at
        ntp_time = self._ntp_time + round(passed * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
        return ntp_time, self._timestamp + round(passed * self._clock_rate_hz) & 0xFFFFFFFF

    def offset_to(self, other: SenderReportClock) -> int | None:
        """What to add (modulo 2^32) to a timestamp of `other`, another layer of the same sender, to have the timestamp
        that this stream has at the same moment; None until both have a report."""
        if not self._ntp_time or not other._ntp_time:
            return None
        between = (other._ntp_time - self._ntp_time) * self._clock_rate_hz
        return self._timestamp + (between + 0x80000000 >> 32) - other._timestamp & 0xFFFFFFFF
