"""Renumbering of forwarded RTP, so that a subscriber sees one unbroken stream whatever the source does.

A subscriber's stream is fed by one simulcast layer at a time. `RtpMunger` keeps its sequence numbers contiguous (a packet
that is not forwarded leaves no hole) and its timestamps rising across a change of layer; `Vp8Munger` does the same for the
VP8 picture id (15 bit), TL0PICIDX (8 bit) and KEYIDX (5 bit) of RFC 7741. LiveKit: pkg/sfu/rtpmunger.go and
codecmunger/vp8.go.
"""

from __future__ import annotations

from bisect import bisect_right

from lknb.logic.sequence import difference
from lknb.wire.vp8 import Vp8Descriptor

_RANGES = 256
_CATCH_UP = 8
"""A source that is behind goes so much faster until it has caught up."""
_LATE_TICKS = 10 * 90_000
"""No packet comes later than that."""


class RtpMunger:
    """Sequence numbers and timestamps of one subscriber's stream.

    Sequence numbers of the source come in unwrapped (plain integers), those handed out are 16 bit.
    """

    __slots__ = (
        "_begun",
        "_behind",
        "_offset",
        "_offsets",
        "_source_last",
        "_starts",
        "last_sequence",
        "last_timestamp",
        "timestamp_offset",
    )

    def __init__(self, first_sequence: int) -> None:
        self.last_sequence = first_sequence - 1
        self.last_timestamp = 0
        self.timestamp_offset = 0
        self._begun = self._behind = 0
        self._offset = 0
        self._source_last = -1
        # Late packets need the offset of their own time: starts[i] is where offsets[i] begins to hold.
        self._starts: list[int] = []
        self._offsets: list[int] = []

    def switch(self, source_sequence: int, timestamp_offset: int) -> None:
        """From `source_sequence` on the stream continues with another source."""
        self._offset = source_sequence - self.last_sequence - 1
        self._starts = [source_sequence]
        self._offsets = [self._offset]
        self._source_last = source_sequence - 1
        self.timestamp_offset = timestamp_offset
        self._behind = 0

    def catch_up(self, source_timestamp: int) -> None:
        """The source begins here with this picture, which may be no newer than what was sent: another layer was quicker.

        Then it and those that follow come right after what was sent, and close to one another, until one has come up with
        its own time. Were the source moved to a later time instead, its pictures would be shown late from then on, and
        later with every change of layer.
        """
        self._begun = (source_timestamp + self.timestamp_offset) & 0xFFFFFFFF
        self._behind = max(0, 1 - difference(self._begun, self.last_timestamp, 32))

    def timestamp(self, source_timestamp: int) -> int:
        """The timestamp to send a packet of the source under."""
        timestamp = (source_timestamp + self.timestamp_offset) & 0xFFFFFFFF
        if not self._behind:
            return timestamp
        since = difference(timestamp, self._begun, 32)
        if since > 2 * self._behind + _LATE_TICKS:
            self._behind = 0
        return (self._begun + max(since, self._behind + since // _CATCH_UP)) & 0xFFFFFFFF

    def map(self, source_sequence: int, source_timestamp: int) -> int | None:
        """The sequence number (unwrapped) to send this packet under, or None when it has no place any more."""
        if source_sequence > self._source_last:
            self._source_last = source_sequence
            sequence = source_sequence - self._offset
            self.last_sequence = sequence
            self.last_timestamp = self.timestamp(source_timestamp)
            return sequence
        index = bisect_right(self._starts, source_sequence) - 1
        if index < 0:
            return None
        return source_sequence - self._offsets[index]

    def drop(self, source_sequence: int) -> None:
        """This packet is not forwarded: close the gap. A late one leaves its gap, the receiver has counted it lost."""
        if source_sequence <= self._source_last:
            return
        skipped = source_sequence - self._source_last - 1
        self._source_last = source_sequence
        self.last_sequence += skipped
        self._offset += 1
        self._starts.append(source_sequence + 1)
        self._offsets.append(self._offset)
        if len(self._starts) > _RANGES:
            del self._starts[: _RANGES // 2]
            del self._offsets[: _RANGES // 2]

    def inject(self) -> int:
        """A number for a packet of our own, after all that was sent."""
        self.last_sequence += 1
        self._offset -= 1
        self._starts.append(self._source_last + 1)
        self._offsets.append(self._offset)
        return self.last_sequence


class Vp8Munger:
    """Picture ids of one subscriber's VP8 stream.

    `rewrite` is total: a descriptor without ids passes unchanged.
    """

    __slots__ = ("_key", "_picture", "_tl0", "last_key", "last_picture", "last_tl0")

    def __init__(self) -> None:
        self._picture = self._tl0 = self._key = 0
        self.last_picture = self.last_tl0 = self.last_key = -1

    @property
    def identity(self) -> bool:
        """Whether descriptors pass unchanged for now."""
        return not (self._picture or self._tl0 or self._key)

    def switch(self, descriptor: Vp8Descriptor) -> None:
        """The next picture comes from another source: continue one after the last."""
        if self.last_picture < 0:
            return
        if descriptor.picture_id is not None:
            self._picture = (self.last_picture + 1 - descriptor.picture_id) & 0x7FFF
        if descriptor.tl0_index is not None:
            self._tl0 = (self.last_tl0 + 1 - descriptor.tl0_index) & 0xFF
        if descriptor.key_index is not None:
            self._key = (self.last_key + 1 - descriptor.key_index) & 0x1F

    def skip_picture(self) -> None:
        """One whole picture is not forwarded (a temporal layer): later ids move up."""
        self._picture = (self._picture - 1) & 0x7FFF

    def note(self, descriptor: Vp8Descriptor) -> None:
        """Remember the ids sent with a packet that is the newest."""
        if descriptor.picture_id is not None:
            self.last_picture = (descriptor.picture_id + self._picture) & 0x7FFF
        if descriptor.tl0_index is not None:
            self.last_tl0 = (descriptor.tl0_index + self._tl0) & 0xFF
        if descriptor.key_index is not None:
            self.last_key = (descriptor.key_index + self._key) & 0x1F

    def rewrite(self, payload: bytes, descriptor: Vp8Descriptor) -> bytes:
        """The payload with our ids. A 7 bit picture id is widened, since ours may not fit (RFC 7741 section 4.2)."""
        if self._picture == 0 and self._tl0 == 0 and self._key == 0:
            return payload
        out = bytearray(payload)
        if descriptor.key_index is not None and self._key:
            at = descriptor.key_index_offset
            out[at] = (out[at] & 0xE0) | ((descriptor.key_index + self._key) & 0x1F)
        if descriptor.tl0_index is not None:
            out[descriptor.tl0_offset] = (descriptor.tl0_index + self._tl0) & 0xFF
        if descriptor.picture_id is not None:
            picture = 0x8000 | ((descriptor.picture_id + self._picture) & 0x7FFF)
            at = descriptor.picture_id_offset
            end = at + (2 if descriptor.picture_id_long else 1)
            out[at:end] = picture.to_bytes(2, "big")
        return bytes(out)

    def inject(self) -> tuple[int, int]:
        """(picture id, tl0picidx) for a picture of our own, after all that was sent."""
        self.last_picture = (self.last_picture + 1) & 0x7FFF
        self.last_tl0 = (self.last_tl0 + 1) & 0xFF
        return self.last_picture, self.last_tl0
