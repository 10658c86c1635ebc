"""Video packets -> encoded pictures, complete and in decode order, each as soon as its last packet is there.

Packets are taken strictly in the order of their sequence numbers, so a picture is complete when the turn of its last
packet comes: nothing is delayed unless something is missing. For a missing packet everything behind it is held, since
it may be late, or on its way again after a NACK. When it stays away, a key frame is to be asked for
(`keyframe_needed`), and what comes first decides: the packet, or the key frame, up to which all is dropped then.
"""

from __future__ import annotations

from lknb.logic.intake import Intake
from lknb.logic.picture import PictureAssembler, VideoPacket
from lknb.wire.frame import EncodedFrame

HOLD_MIN_S, HOLD_MAX_S = 0.2, 0.5
PENDING_MAX = 2048
"""Packets held at most: a picture of 600 packets fits, and half a second of 20 Mbit/s."""

_HOLD_ROUND_TRIPS = 4
# So many packets missing after such a silence are an outage: to wait for them all would only show the past.
_OUTAGE_PACKETS = 30
# Beginnings of key frames remembered among the packets held, so that a flood of broken ones costs little.
_KEYFRAMES_MAX = 64
# The first packet to arrive need not be the first that was sent.
_LEAD_PACKETS = 100


class VideoJitterBuffer:
    """The pictures of one SSRC; another SSRC needs another buffer.

    `rtt_s` may be set whenever it is known: four round trips, within the bounds, a missing packet is waited for before
    a key frame is wanted too. `keyframe_needed` is True while one is: ask for it, and again while it stays so.
    """

    __slots__ = (
        "_advanced_at",
        "_assembler",
        "_codec",
        "_edge_timestamp",
        "_hold_max_s",
        "_hold_min_s",
        "_intake",
        "_keyframes",
        "_next",
        "_overdue",
        "_packets",
        "_synced",
        "discarded",
        "keyframe_needed",
        "losses",
        "pictures",
        "rtt_s",
    )

    def __init__(
        self, codec: str, *, rid: str = "", hold_min_s: float = HOLD_MIN_S, hold_max_s: float = HOLD_MAX_S
    ) -> None:
        """`codec`: "vp8" or "h264", ValueError otherwise. `rid` is written into the pictures."""
        if codec not in ("vp8", "h264"):
            raise ValueError(f"a codec this buffer cannot assemble: {codec!r}")
        self._codec = codec
        self._hold_min_s = hold_min_s
        self._hold_max_s = hold_max_s
        self._assembler = PictureAssembler(codec, rid)
        self._intake: Intake[VideoPacket] = Intake()
        # Packets whose turn has not come, in order of arrival, by unwrapped number.
        self._packets: dict[int, VideoPacket] = {}
        # Of these, the ones that hold the beginning of a key frame; some may be gone by now.
        self._keyframes: list[int] = []
        # Whose turn it is; while nothing can be decoded, the number below which nothing is of use.
        self._next = 0
        self._edge_timestamp: int | None = None
        self._advanced_at = 0.0
        self._synced = False
        # Whether the packet whose turn it is was waited for so long that a key frame is welcome too.
        self._overdue = False
        self.rtt_s = 0.0
        self.keyframe_needed = False
        self.pictures = 0
        """Handed out."""
        self.losses = 0
        """How often pictures had to be dropped up to a key frame."""
        self.discarded = 0
        """Packets that came twice, or too late."""

    @property
    def hold_s(self) -> float:
        """How long a missing packet is waited for before a key frame is wanted."""
        return min(max(self._hold_min_s, _HOLD_ROUND_TRIPS * self.rtt_s), self._hold_max_s)

    @property
    def next_sequence_number(self) -> int:
        """Everything before this number (16 bit) is done with, and not worth a NACK."""
        return self._next & 0xFFFF

    def add(
        self, sequence_number: int, timestamp: int, marker: int, payload: bytes, now: float, arrival_us: int
    ) -> list[EncodedFrame]:
        """A packet arrived (16 bit number, 32 bit timestamp, payload without padding); the pictures to decode now.

        Their `timestamp_us` is `arrival_us` of their first packet. What is malformed spoils its picture, nothing else.
        """
        unwrapped = self._intake.timestamp(timestamp)
        packet = VideoPacket(self._codec, unwrapped, marker, payload, now, arrival_us)
        out: list[EncodedFrame] = []
        taken = self._intake.take(sequence_number, unwrapped, packet, self._next)
        if self._intake.restarted:
            self._begin(taken[0][0])
        for number, packet in taken:
            self._insert(number, packet, out)
        self._settle(now, out)
        return out

    def poll(self, now: float) -> list[EncodedFrame]:
        """Time passed: give up what was waited for too long; the pictures to decode now."""
        out: list[EncodedFrame] = []
        self._settle(now, out)
        return out

    def deadline(self) -> float | None:
        """When to call `poll`; None while nothing is waited for."""
        if not self._synced or not self._packets:
            return None
        return self._oldest().now + (self._hold_max_s if self._overdue else self.hold_s)

    def _begin(self, number: int) -> None:
        """A numbering begins with this number, or a little before it."""
        self.losses += self._synced
        self._synced = self._overdue = False
        self._assembler.reset()
        self._packets.clear()
        self._keyframes.clear()
        self._next = number - _LEAD_PACKETS
        self._edge_timestamp = None

    def _insert(self, number: int, packet: VideoPacket, out: list[EncodedFrame]) -> None:
        if number < self._next or number in self._packets:
            self.discarded += 1
            return
        self._packets[number] = packet
        if packet.keyframe:
            held = [held for held in self._keyframes if held >= self._next]
            self._keyframes = [*held[1 - _KEYFRAMES_MAX :], number]
        if not self._synced:
            if self._can_begin(number, packet):
                self._sync(number)
            elif packet.data or packet.broken:
                self.keyframe_needed = True
        if self._synced:
            if number == self._next:
                self._advance(out)
            elif len(self._packets) == 1 and self._is_outage(number, packet.now):
                self._lose()
                self._advance(out)

    def _is_outage(self, number: int, now: float) -> bool:
        return number - self._next > _OUTAGE_PACKETS and now - self._advanced_at > self.hold_s

    def _advance(self, out: list[EncodedFrame]) -> None:
        """Take the packets whose turn it is."""
        before = len(out)
        while self._synced and (packet := self._packets.pop(self._next, None)) is not None:
            self._next += 1
            self._edge_timestamp = packet.timestamp
            self._advanced_at = packet.now
            self._overdue = self.keyframe_needed = False
            if not self._assembler.add(packet, out):
                self._lose()
        self.pictures += len(out) - before

    def _settle(self, now: float, out: list[EncodedFrame]) -> None:
        full = len(self._packets) > PENDING_MAX
        while self._synced and self._packets and (full or now >= self._oldest().now + self.hold_s):
            beginnings = self._beginnings()
            waits = not full and now < self._oldest().now + self._hold_max_s
            if waits and not any(map(self._is_whole, beginnings)):
                self._overdue = True
                # one that is on its way is not asked for again
                self.keyframe_needed = not beginnings
                return
            self._lose()
            self._advance(out)
            full = len(self._packets) > PENDING_MAX
        if self._synced:
            return
        # What came before the missing beginning of a key frame may still be of use, for a while.
        while self._packets and (now >= self._oldest().now + self._hold_max_s or len(self._packets) > PENDING_MAX):
            number = next(iter(self._packets))
            packet = self._packets.pop(number)
            if number >= self._next:
                self._next = number + 1
                self._edge_timestamp = packet.timestamp

    def _oldest(self) -> VideoPacket:
        return next(iter(self._packets.values()))

    def _lose(self) -> None:
        """The picture whose turn it is cannot be had: go on with the next key frame, if its beginning is here."""
        self.losses += self._synced
        self._synced = False
        self._overdue = False
        self._assembler.reset()
        self.keyframe_needed = True
        beginnings = sorted(self._beginnings())
        if beginnings:
            self._sync(next(filter(self._is_whole, beginnings), beginnings[0]))

    def _beginnings(self) -> list[int]:
        """The packets held with which decoding can begin anew."""
        held = ((number, self._packets.get(number)) for number in self._keyframes)
        return [number for number, packet in held if packet is not None and self._can_begin(number, packet)]

    def _is_whole(self, number: int) -> bool:
        """Whether the picture that begins with this packet is here up to its marker."""
        while (packet := self._packets.get(number)) is not None:
            if packet.marker:
                return True
            number += 1
        return False

    def _can_begin(self, number: int, packet: VideoPacket) -> bool:
        """Whether a decoder that knows nothing can begin with this packet."""
        if not packet.keyframe:
            return False
        if self._codec == "vp8" or packet.has_parameter_sets():
            return True
        # An IDR picture that leans on earlier parameter sets: it must be known that nothing of it came before.
        before = self._packets.get(number - 1)
        timestamp = before.timestamp if before else self._edge_timestamp if number == self._next else None
        return timestamp is not None and timestamp != packet.timestamp

    def _sync(self, number: int) -> None:
        self._synced = True
        self.keyframe_needed = False
        self._next = number
        for old in [old for old in self._packets if old < number]:
            del self._packets[old]
