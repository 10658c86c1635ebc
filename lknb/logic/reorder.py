"""Opus packets -> the same in order, at once; what is lost is marked.

For a consumer that paces itself, as a player with a buffer of its own or a reader of samples does. Nothing is delayed
unless a packet is missing: then what follows is held for a moment, since the packet may be late, or on its way again.
"""

from __future__ import annotations

from lknb.logic.audio_packet import PacketStep, audio_frame, concealed_frame
from lknb.logic.intake import Intake
from lknb.wire.frame import AUDIO_LEVEL_SILENT, EncodedFrame

GAP_S = 0.08
CONCEALED_MAX = 5
"""Marks for one hole. They come when its time is over, so more of them would only delay what follows; the rest is a
leap of the timestamp."""
PENDING_MAX = 64


class AudioReorderBuffer:
    """The packets of one SSRC in the order of their numbers; another SSRC needs another buffer.

    A leap of the timestamp without a hole is a sender that was silent (DTX, mute), and no loss.
    """

    __slots__ = (
        "_follows",
        "_gap_s",
        "_intake",
        "_last",
        "_next",
        "_pending",
        "_step",
        "concealed",
        "discarded",
        "frames",
    )

    def __init__(self, *, gap_s: float = GAP_S) -> None:
        """`gap_s`: how long a missing packet is waited for."""
        self._gap_s = gap_s
        self._intake: Intake[EncodedFrame | None] = Intake()
        self._step = PacketStep()
        # What is held behind a hole, by unwrapped number in order of arrival: (arrival, frame or None for padding).
        self._pending: dict[int, tuple[float, EncodedFrame | None]] = {}
        self._next = 0
        self._last: EncodedFrame | None = None
        self._follows = False
        self.frames = 0
        """Handed out, marks not counted."""
        self.concealed = 0
        """Marks handed out."""
        self.discarded = 0
        """Packets that came twice, or too late."""

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
    ) -> list[EncodedFrame]:
        """A packet arrived (16 bit number, 32 bit timestamp, payload without padding); the frames to hand on now.

        `audio_level`: of its RFC 6464 extension, 0 to 127.
        """
        unwrapped = self._intake.timestamp(timestamp)
        frame = audio_frame(unwrapped, payload, arrival_us, audio_level)
        out: list[EncodedFrame] = []
        taken = self._intake.take(sequence_number, unwrapped, frame, self._next)
        if self._intake.restarted:
            self._pending.clear()
            self._next = taken[0][0]
            self._last = None
            self._follows = False
        for number, entry in taken:
            if number < self._next or number in self._pending:
                self.discarded += 1
            else:
                self._pending[number] = (now, entry)
        self._advance(out)
        self._settle(now, out)
        return out

    def poll(self, now: float) -> list[EncodedFrame]:
        """Time passed: give up what was waited for too long; the frames to hand on now."""
        out: list[EncodedFrame] = []
        self._settle(now, out)
        return out

    def deadline(self) -> float | None:
        """When to call `poll`; None while nothing is waited for."""
        return self._oldest_at() + self._gap_s if self._pending else None

    def _oldest_at(self) -> float:
        return next(iter(self._pending.values()))[0]

    def _advance(self, out: list[EncodedFrame]) -> None:
        while (entry := self._pending.pop(self._next, None)) is not None:
            self._next += 1
            frame = entry[1]
            if frame is None:
                continue
            self._step.observe(frame.timestamp, follows=self._follows)
            self._follows = True
            self._last = frame
            self.frames += 1
            out.append(frame)

    def _settle(self, now: float, out: list[EncodedFrame]) -> None:
        while self._pending and (now >= self._oldest_at() + self._gap_s or len(self._pending) > PENDING_MAX):
            number = min(self._pending)
            self._conceal(number, self._pending[number][1], out)
            self._next = number
            self._follows = False
            self._advance(out)

    def _conceal(self, number: int, frame: EncodedFrame | None, out: list[EncodedFrame]) -> None:
        """Mark what is missing before the packet of this number."""
        last, step = self._last, self._step.value
        if last is None:
            return
        count = min(number - self._next, CONCEALED_MAX)
        if frame is not None:
            # the time between tells how much of the hole was sound
            count = min(count, (frame.timestamp - last.timestamp) // step - 1)
        marks = [concealed_frame(last, last.timestamp + step * (index + 1)) for index in range(count)]
        self.concealed += len(marks)
        out += marks
