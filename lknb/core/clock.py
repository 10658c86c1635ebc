"""Capture times across a call: sources' clocks -> NTP in our sender reports, and peers' NTP -> one local axis.

Sound and picture stay in step because all tracks of one participant go through the same offset.
"""

from __future__ import annotations

from collections.abc import Callable

from lknb.codec.clock import now_us
from lknb.logic.report import SenderReportClock
from lknb.wire.rtcp import SenderReport

NTP_EPOCH_S = 2_208_988_800
"""1970 in seconds since 1900 (RFC 3550 section 4)."""

CLOCK_HZ = {"vp8": 90_000, "h264": 90_000, "opus": 48_000}
"""RTP clock of each codec."""

_SAME_AXIS_US = 1_000_000
_LATE_MAX_US = 30_000_000
"""By way of a kernel that is busy, a frame may be handed over this long after its capture."""
_MAX_DRIFT_US = 500_000
_AGREED_US = 100_000
_APART_US = 300_000


def ntp_time(wall_us: int) -> int:
    """Microseconds since 1970 as a 64 bit NTP time."""
    seconds, microseconds = divmod(wall_us, 1_000_000)
    return (seconds + NTP_EPOCH_S) << 32 | (microseconds << 32) // 1_000_000


def wall_us(ntp: int) -> float:
    """A 64 bit NTP time as microseconds since 1970."""
    return ((ntp >> 32) - NTP_EPOCH_S) * 1e6 + (ntp & 0xFFFFFFFF) / (1 << 32) * 1e6


class CaptureClock:
    """Capture times of our own sources on the wall clock.

    What this machine captures is stamped with its monotonic clock, `clock_us`, whose place is known, however late a frame
    is handed over. Other sources may count from anything: 1970, the start of a file. The first frame of such a source
    places its axis. An axis within a second of one already known is that one exactly, so that a camera and a microphone
    on the same clock keep their distance whatever their encoders take.
    """

    def __init__(self, clock_us: Callable[[], int] = now_us) -> None:
        self._clock_us = clock_us
        self._offsets_us: list[int] = []

    def offset_us(self, timestamp_us: int, wall_us: int) -> int:
        """What to add to a source's timestamps, given one of them and the wall clock at which it was handed over."""
        now = self._clock_us()
        is_ours = -_SAME_AXIS_US < now - timestamp_us < _LATE_MAX_US
        offset = wall_us - (now if is_ours else timestamp_us)
        for known in self._offsets_us:
            if abs(known - offset) < _SAME_AXIS_US:
                return known
        self._offsets_us.append(offset)
        return offset


class SourceClock:
    """The place of one source on the wall clock, found again when its timestamps jump (a seek, a file that starts over)."""

    def __init__(self, capture_clock: CaptureClock) -> None:
        self._capture_clock = capture_clock
        self._offset_us: int | None = None

    def wall_us(self, timestamp_us: int, wall_us: int) -> int:
        """The wall clock in microseconds at which a frame handed over at `wall_us` was captured."""
        if self._offset_us is None or abs(timestamp_us + self._offset_us - wall_us) > 2 * _SAME_AXIS_US:
            self._offset_us = self._capture_clock.offset_us(timestamp_us, wall_us)
        return timestamp_us + self._offset_us


class ParticipantClock:
    """A remote participant's wall clock on our monotonic clock, in microseconds.

    The first sender report of any of its tracks fixes the offset, network delay included; a clock that was set since
    is followed. No report comes early, but any may come late, by a server or a core that stood still, and those of all tracks
    together: a clock that seems to have been set back is believed when a later report says the same.
    """

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._doubted: tuple[int, int] | None = None
        """An offset that one report alone has told, and when."""

    def report(self, unix_us: int, arrival_us: int) -> None:
        """A sender report of one of its tracks said `unix_us` and arrived at `arrival_us`."""
        offset = arrival_us - unix_us
        if self._offset_us is None or offset < self._offset_us - _MAX_DRIFT_US:
            self._offset_us = offset
        elif offset <= self._offset_us + _MAX_DRIFT_US:
            self._doubted = None
        elif self._doubted is None or abs(offset - self._doubted[0]) > _AGREED_US:
            self._doubted = offset, arrival_us
        elif arrival_us - self._doubted[1] >= _APART_US:
            self._offset_us = offset

    def local_us(self, unix_us: int) -> int | None:
        """Our clock at a moment of its wall clock; None before the first report."""
        return None if self._offset_us is None else unix_us + self._offset_us


class TrackClock:
    """RTP timestamps of one stream -> microseconds of our monotonic clock."""

    def __init__(self, participant: ParticipantClock, clock_hz: int) -> None:
        self._participant = participant
        self._reports = SenderReportClock(clock_hz)

    def report(self, report: SenderReport, arrival_us: int) -> None:
        """A sender report of the stream arrived."""
        self._reports.update(report.ntp_time, report.rtp_timestamp, arrival_us / 1e6)
        unix_us = self._reports.unix_us(report.rtp_timestamp)
        if unix_us is not None:
            self._participant.report(unix_us, arrival_us)

    def timestamp_us(self, timestamp: int, arrival_us: int) -> int:
        """Capture time of an RTP timestamp; its time of arrival before the first report."""
        unix_us = self._reports.unix_us(timestamp)
        local_us = None if unix_us is None else self._participant.local_us(unix_us)
        return arrival_us if local_us is None else local_us
