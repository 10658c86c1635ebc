"""Opus packets -> one frame each packet duration, at the time it is to be heard.

For a consumer without a buffer and a clock of its own. Playout stays so far behind the fastest packets that late ones
are there in time, and no farther: the delay grows when packets come late, by marks that stretch the sound, and shrinks
again when they do not, in pauses or by leaving out a packet.
"""

from __future__ import annotations

from lknb.logic.audio_packet import CLOCK_RATE_HZ, PacketStep, audio_frame, concealed_frame
from lknb.logic.delay import DelayEstimator
from lknb.logic.intake import Intake
from lknb.wire.frame import AUDIO_LEVEL_SILENT, EncodedFrame

DELAY_MIN_S, DELAY_MAX_S = 0.02, 0.2
STRETCH_MAX = 3
"""Marks in a row while there is nothing to play; after them it is silence."""
PENDING_MAX = 64

_PATIENCE_S = 1.0
_QUIET_LEVEL = 60
_DTX_BYTES = 2
_STALL_S = 0.5
_HOLE_MAX = 10
_NOTHING = EncodedFrame("opus", b"", 0)


class AudioJitterBuffer:
    """The playout of one SSRC; another SSRC needs another buffer.

    A leap of the timestamp without a hole is a sender that was silent (DTX, mute): nothing is handed out in between.
    """

    __slots__ = (
        "_delay_max_s",
        "_due",
        "_estimator",
        "_excess_since",
        "_flushing",
        "_intake",
        "_last",
        "_newest",
        "_next",
        "_pending",
        "_step",
        "_stretched",
        "_timestamp",
        "concealed",
        "discarded",
        "frames",
        "left_out",
    )

    def __init__(self, *, delay_min_s: float = DELAY_MIN_S, delay_max_s: float = DELAY_MAX_S) -> None:
        """The delay beyond the fastest packet stays within these, but for moments."""
        self._delay_max_s = delay_max_s
        self._estimator = DelayEstimator(delay_min_s, delay_max_s)
        self._intake: Intake[EncodedFrame | None] = Intake()
        self._step = PacketStep()
        # What is to be played, by unwrapped number; None for padding.
        self._pending: dict[int, EncodedFrame | None] = {}
        self._newest: tuple[int, int] | None = None
        # The packet whose turn it is, when, and what its timestamp would be without a pause.
        self._next = 0
        self._due: float | None = None
        self._timestamp = 0
        self._last = _NOTHING
        self._stretched = 0
        self._excess_since: float | None = None
        self._flushing = False
        self.frames = 0
        """Handed out, marks not counted."""
        self.concealed = 0
        """Marks handed out."""
        self.left_out = 0
        """Packets that were there and not played, to catch up."""
        self.discarded = 0
        """Packets that came twice, or too late."""

    @property
    def target_delay_s(self) -> float:
        """How far behind the fastest packets playout wants to be."""
        return self._estimator.target_s

    @property
    def next_sequence_number(self) -> int:
        """Everything before this number (16 bit) is done with, and not worth a NACK."""
        return self._next & 0xFFFF

    def add(
        self,
        sequence_number: int,
        timestamp: int,
        payload: bytes,
        now: float,
        arrival_us: int,
        audio_level: int = AUDIO_LEVEL_SILENT,
    ) -> None:
        """A packet arrived (16 bit number, 32 bit timestamp, payload without padding).

        `audio_level`: of its RFC 6464 extension, 0 to 127.
        """
        unwrapped = self._intake.timestamp(timestamp)
        frame = audio_frame(unwrapped, payload, arrival_us, audio_level)
        taken = self._intake.take(sequence_number, unwrapped, frame, self._next)
        if self._intake.restarted:
            self._begin(taken[0][0])
        for number, entry in taken:
            if entry is not None:
                self._observe(number, entry.timestamp, now)
            if number < self._next or number in self._pending:
                self.discarded += 1
            else:
                self._pending[number] = entry
        while len(self._pending) > PENDING_MAX:
            oldest = min(self._pending)
            del self._pending[oldest]
            self._next = oldest + 1
            self.left_out += 1
        if self._due is None:
            self._resume(now)

    def _begin(self, number: int) -> None:
        self._estimator.reset()
        self._pending.clear()
        self._newest = None
        self._next = number
        self._due = None
        self._last = _NOTHING

    def _observe(self, number: int, timestamp: int, now: float) -> None:
        if self._newest is None or number > self._newest[0]:
            if self._newest is not None and timestamp <= self._newest[1]:
                # newer by number, older by timestamp: another clock
                self._estimator.reset()
                self._step.observe(timestamp, follows=False)
            else:
                follows = self._newest is not None and number == self._newest[0] + 1
                self._step.observe(timestamp, follows=follows)
            self._newest = (number, timestamp)
        self._estimator.observe(now - timestamp / CLOCK_RATE_HZ, now)

    def poll(self, now: float) -> list[EncodedFrame]:
        """The frames to be heard from now on: one for each packet duration that has passed."""
        out: list[EncodedFrame] = []
        if self._due is not None and now - self._due > _STALL_S:
            self._resume(now)
        while self._due is not None and self._due <= now:
            frame = self._play(self._due)
            if frame is not None:
                out.append(frame)
        return out

    def deadline(self) -> float | None:
        """When to call `poll`; None in silence."""
        return self._due

    def _play_at(self, timestamp: int) -> float:
        return timestamp / CLOCK_RATE_HZ + self._estimator.base_s + self._estimator.target_s

    def _resume(self, now: float) -> None:
        """Go on after silence or a stall: with the first packet whose time is not over."""
        step_s = self._step.value / CLOCK_RATE_HZ
        self._due = None
        for number in sorted(self._pending):
            frame = self._pending[number]
            if frame is not None and (self._play_at(frame.timestamp) + step_s > now or len(self._pending) == 1):
                self._next = number
                self._timestamp = frame.timestamp
                self._due = max(now, self._play_at(frame.timestamp))
                self._stretched = 0
                self._excess_since = None
                return
            del self._pending[number]
            self._next = number + 1
            self.left_out += frame is not None

    def _play(self, due: float) -> EncodedFrame | None:
        """One step of playout; None when it took no time, or all of what is left."""
        if self._next not in self._pending:
            return self._pass_over(due) if self._pending else self._stretch(due)
        frame = self._pending[self._next]
        if frame is None:
            del self._pending[self._next]
            self._next += 1
            return None
        step = self._step.value
        excess_s = due - self._play_at(frame.timestamp)
        if excess_s < 0 and frame.timestamp - self._timestamp >= step:
            # the sender was silent in between
            self._due = due - excess_s
            self._timestamp = frame.timestamp
            return None
        leave_out = self._leaves_out(frame, excess_s, due)
        del self._pending[self._next]
        self._next += 1
        self._timestamp = frame.timestamp + step
        if leave_out:
            self.left_out += 1
            return None
        self._stretched = 0
        self._last = frame
        self._due = due + step / CLOCK_RATE_HZ
        self.frames += 1
        return frame

    def _leaves_out(self, frame: EncodedFrame, excess_s: float, due: float) -> bool:
        """Whether to catch up with this packet: there is another to play, and the delay is longer than need be."""
        if excess_s < self._step.value / CLOCK_RATE_HZ or len(self._pending) < 2:
            self._excess_since = None
            self._flushing = False
            return False
        if self._flushing or excess_s > self._delay_max_s:
            self._flushing = True
            return True
        if self._excess_since is None:
            self._excess_since = due
        quiet = _QUIET_LEVEL <= frame.audio_level < AUDIO_LEVEL_SILENT or len(frame.data) <= _DTX_BYTES
        if not quiet and due - self._excess_since < _PATIENCE_S:
            return False
        self._excess_since = due
        return True

    def _pass_over(self, due: float) -> EncodedFrame | None:
        """The packet whose turn it is did not come, but a later one did."""
        number = min(self._pending)
        frame = self._pending[number]
        step = self._step.value
        if number - self._next > _HOLE_MAX or (frame is not None and frame.timestamp - self._timestamp < step):
            self._next = number
            return None
        self._next += 1
        timestamp = self._timestamp
        self._timestamp += step
        if self._stretched:
            # its time was filled already, when it was not known yet whether it was late or lost
            self._stretched -= 1
            return None
        return self._mark(timestamp, due)

    def _stretch(self, due: float) -> EncodedFrame | None:
        """There is nothing to play."""
        if self._stretched >= STRETCH_MAX or len(self._last.data) <= _DTX_BYTES:
            self._due = None
            return None
        self._stretched += 1
        return self._mark(self._timestamp + (self._stretched - 1) * self._step.value, due)

    def _mark(self, timestamp: int, due: float) -> EncodedFrame:
        self._due = due + self._step.value / CLOCK_RATE_HZ
        self.concealed += 1
        return concealed_frame(self._last, timestamp)
