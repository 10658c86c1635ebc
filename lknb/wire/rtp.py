"""RTP packets (RFC 3550 section 5.1) and their header extensions (RFC 8285).

`parse_rtp` runs once for every packet a server receives. It copies nothing: an `RtpView` keeps the datagram and where
its parts lie, and extension elements are only looked at when somebody asks for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error

from lknb.errors import WireError

HEADER_BYTES = 12
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
# The low four bits of the two-byte profile are "appbits", free for the application (RFC 8285 section 4.3).
_TWO_BYTE_MASK = 0xFFF0


_header = Struct("!BBHLL")
_read_header = _header.unpack_from
_write_header = _header.pack
_block_head = Struct("!HH")
_read_block_head = _block_head.unpack_from
_write_block_head = _block_head.pack


def is_rtcp(data: bytes) -> bool:
    """Whether a packet of a multiplexed transport is RTCP rather than RTP (RFC 5761 section 4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


class RtpView:
    """One RTP packet, seen in place. Made by `parse_rtp`, which has checked that every offset lies inside `data`.

    `extension_profile` is 0 without an extension block; `extension_start` and `extension_end` bound its elements.
    `payload_end` excludes padding, so a packet of padding only has `payload_start == payload_end`.
    """

    __slots__ = (
        "data",
        "extension_end",
        "extension_profile",
        "extension_start",
        "marker",
        "payload_end",
        "payload_start",
        "payload_type",
        "sequence_number",
        "ssrc",
        "timestamp",
    )

    data: bytes
    payload_type: int
    marker: bool
    sequence_number: int
    timestamp: int
    ssrc: int
    extension_profile: int
    extension_start: int
    extension_end: int
    payload_start: int
    payload_end: int

    @property
    def payload(self) -> bytes:
        """The payload without padding; a copy."""
        return self.data[self.payload_start : self.payload_end]

    def extension(self, id: int) -> bytes | None:
        """The value of the first extension element with this id (1 to 14, or to 255 in the two-byte form), else None.

        Total: an element that does not fit its block ends the search, as does id 15 in the one-byte form.
        """
        data = self.data
        position = self.extension_start
        end = self.extension_end
        profile = self.extension_profile
        if profile == ONE_BYTE_PROFILE:
            while position < end:
                head = data[position]
                found = head >> 4
                position += 1
                if found == id:
                    stop = position + (head & 15) + 1
                    return data[position:stop] if 0 < id < 15 and stop <= end else None
                if found:
                    if found == 15:
                        return None
                    position += (head & 15) + 1
                elif head:
                    # id 0 with a length: the block ends here (RFC 8285 section 4.2)
                    return None
            return None
        if profile & _TWO_BYTE_MASK != TWO_BYTE_PROFILE:
            return None
        while position + 1 < end:
            found = data[position]
            if not found:
                position += 1
                continue
            stop = position + 2 + data[position + 1]
            if found == id:
                return data[position + 2 : stop] if stop <= end else None
            position = stop
        return None

    def extensions(self) -> dict[int, bytes]:
        """All extension elements by id; of two with one id the first, as `extension` finds it. Total, too."""
        data = self.data
        position = self.extension_start
        end = self.extension_end
        elements: dict[int, bytes] = {}
        one_byte = self.extension_profile == ONE_BYTE_PROFILE
        if not one_byte and self.extension_profile & _TWO_BYTE_MASK != TWO_BYTE_PROFILE:
            return elements
        while position < end:
            head = data[position]
            if not head:
                position += 1
                continue
            if one_byte:
                id, start, stop = head >> 4, position + 1, position + 2 + (head & 15)
                if id in (0, 15):
                    break
            else:
                if position + 1 >= end:
                    break
                id, start, stop = head, position + 2, position + 2 + data[position + 1]
            if stop > end:
                break
            if id not in elements:
                elements[id] = data[start:stop]
            position = stop
        return elements

    def __repr__(self) -> str:
        return (
            f"RtpView(payload_type={self.payload_type}, marker={self.marker}, sequence_number={self.sequence_number}, "
            f"timestamp={self.timestamp}, ssrc={self.ssrc}, payload={self.payload_end - self.payload_start} bytes)"
        )


_new_view = RtpView.__new__


def parse_rtp(data: bytes) -> RtpView:
    """The view of one decrypted RTP packet.

    Raises WireError for a version other than 2, contributing sources or an extension block that run past the end, and
    padding of zero bytes or of more than the payload.
    """
    end = len(data)
    if end < 12:
        raise WireError("RTP packet is shorter than its header")
    first, second, sequence_number, timestamp, ssrc = _read_header(data)
    view = _new_view(RtpView)
    if first == 0x90 or first == 0x80:  # the usual cases: no contributing sources, no padding
        start = 12
    else:
        if first & 0xC0 != 0x80:
            raise WireError("RTP version is not 2")
        start = 12 + 4 * (first & 15)
        if start > end:
            raise WireError("RTP contributing sources run past the packet")
    if first & 0x10:
        if start + 4 > end:
            raise WireError("RTP extension block runs past the packet")
        view.extension_profile, words = _read_block_head(data, start)
        start += 4
        view.extension_start = start
        start += 4 * words
        if start > end:
            raise WireError("RTP extension block runs past the packet")
        view.extension_end = start
    else:
        view.extension_profile = 0
        view.extension_start = view.extension_end = start
    if first & 0x20:
        padding = data[-1]
        end -= padding
        if not padding or end < start:
            raise WireError("RTP padding is not within the payload")
    view.data = data
    view.payload_type = second & 127
    view.marker = second > 127
    view.sequence_number = sequence_number
    view.timestamp = timestamp
    view.ssrc = ssrc
    view.payload_start = start
    view.payload_end = end
    return view


def pack_extensions(items: Sequence[tuple[int, bytes]]) -> bytes:
    """A whole extension block, with its profile word and length, of (id, value) pairs; empty for no pairs.

    The one-byte form where every id is 1 to 14 and every value 1 to 16 bytes, else the two-byte form (id 1 to 255,
    value 0 to 255 bytes; the peer must have agreed to `extmap-allow-mixed`). Raises WireError for what fits neither.
    """
    if not items:
        return b""
    block = bytearray(4)
    profile = ONE_BYTE_PROFILE
    for id, value in items:
        size = len(value)
        if not (0 < id < 15 and 0 < size < 17):
            profile = TWO_BYTE_PROFILE
            break
        block.append(id << 4 | size - 1)
        block += value
    if profile == TWO_BYTE_PROFILE:
        del block[4:]
        for id, value in items:
            if not (0 < id < 256 and len(value) < 256):
                raise WireError("RTP header extension element has an id or a length that no form can carry")
            block.append(id)
            block.append(len(value))
            block += value
    block += bytes(-len(block) % 4)
    words = len(block) // 4 - 1
    if words > 0xFFFF:
        raise WireError("RTP header extension block is too long")
    block[:4] = _write_block_head(profile, words)
    return bytes(block)


def build_rtp(
    *,
    payload_type: int,
    marker: bool | int,
    sequence_number: int,
    timestamp: int,
    ssrc: int,
    payload: bytes,
    extensions: bytes = b"",
) -> bytes:
    """One RTP packet without contributing sources or padding.

    `sequence_number` and `timestamp` are taken modulo 2^16 and 2^32, so unwrapped ones may be given; `extensions` is a
    block of `pack_extensions`. Raises WireError for a payload type above 127 or an ssrc above 2^32 - 1.
    """
    if not 0 <= payload_type <= 127:
        raise WireError("RTP payload type is not within 0 to 127")
    try:
        header = _write_header(
            0x90 if extensions else 0x80,
            payload_type | 0x80 if marker else payload_type,
            sequence_number & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            ssrc,
        )
    except struct_error:
        raise WireError("RTP ssrc is not within 0 to 2^32 - 1") from None
    return header + extensions + payload
