"""Where the frames of a track lie on the time line of a recording."""

from __future__ import annotations

# A clock that is set, a stream that begins again: further off than this, the old reckoning says nothing.
_JUMP_US = 500_000

# Sound and picture of one sender have clocks of their own, which drift by 0.1 ms in a second at most; times of arrival
# are off by more, this way and that. Following a 64th of what a frame is off keeps to the first and ignores the other.
_FOLLOW_SHARE = 64

# Sound lies where its timestamps put it, unless that is this far from its capture times: a drift that is heard, or a
# stream that began again.
_SLIP_US = 30_000

# Not every sender counts samples; less than half a packet is no hole, and is made up for by what follows.
_HOLE_US = 10_000


class Timeline:
    """Capture times without jitter: the steps are those of the RTP timestamps, the place is that of the capture times."""

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._timestamp: int | None = None
        self._place_us = 0

    def settle(self, timestamp: int, timestamp_us: int) -> None:
        """Trust the capture time of this frame: `at` and `place` reckon from it."""
        self._timestamp = timestamp
        self._place_us = timestamp_us

    def at(self, timestamp: int) -> int | None:
        """When a frame with this RTP timestamp was captured, in microseconds; None before the first `settle`."""
        if self._timestamp is None:
            return None
        return self._place_us + (timestamp - self._timestamp) * 1_000_000 // self._clock_hz

    def place(self, timestamp: int, timestamp_us: int) -> int:
        """As `at`, following what is known of the capture time by now, `timestamp_us`."""
        place_us = self.at(timestamp)
        if place_us is None or abs(timestamp_us - place_us) > _JUMP_US:
            place_us = timestamp_us
        else:
            place_us += int((timestamp_us - place_us) / _FOLLOW_SHARE)
        self.settle(timestamp, place_us)
        return place_us


class SoundLine:
    """Packets of sound one after the other: what is missing is silence, and nothing is laid over another.

    The timestamps say how much is missing. A sender that is silent (DTX) may leave out a single packet: were that taken
    for jitter of its capture time, all that follows would be early by it.
    """

    def __init__(self, clock_hz: int) -> None:
        self.end_us = 0
        """Where the next packet goes, in microseconds from the beginning."""
        self._timeline = Timeline(clock_hz)

    def gap_us(self, timestamp: int, time_us: int) -> int:
        """How much silence goes before a packet of this timestamp and capture time; 0 for one that is in its turn, below 0
        for one that has no place any more."""
        due_us = self._timeline.at(timestamp)
        if due_us is None or abs(time_us - due_us) >= _SLIP_US:
            self._timeline.settle(timestamp, time_us)
        if due_us is None:
            return time_us - self.end_us
        gap_us = (self._timeline.at(timestamp) or 0) - self.end_us
        return 0 if abs(gap_us) < _HOLE_US else gap_us

    def advance(self, duration_us: int) -> int:
        """Take the next so many microseconds; where they begin."""
        begin_us = self.end_us
        self.end_us += duration_us
        return begin_us
