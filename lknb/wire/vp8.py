"""VP8 in RTP (RFC 7741): payload descriptors, the packets of a frame, and the header of a key frame (RFC 6386)."""

from __future__ import annotations

from lknb import limits
from lknb.errors import WireError

PICTURE_ID_MODULO = 1 << 15
TL0_INDEX_MODULO = 1 << 8
KEY_INDEX_MODULO = 1 << 5

_START_CODE = b"\x9d\x01\x2a"
_KEYFRAME_HEADER_BYTES = 10


class Vp8Descriptor:
    """The descriptor in front of every VP8 payload (RFC 7741 section 4.2).

    `picture_id` is 7 bit, or 15 bit with `picture_id_long`; `tl0_index` is TL0PICIDX, 8 bit; `key_index` is KEYIDX, 5
    bit; each is None where absent. The `*_offset` attributes say where in the parsed buffer a field begins, -1 where
    absent, so that a forwarder can rewrite it in place. `temporal_id` is 0 where absent, `sync` the Y bit. `size` is
    the length in bytes.
    """

    __slots__ = (
        "key_index",
        "key_index_offset",
        "non_reference",
        "partition",
        "picture_id",
        "picture_id_long",
        "picture_id_offset",
        "size",
        "start_of_frame",
        "sync",
        "temporal_id",
        "tl0_index",
        "tl0_offset",
    )

    start_of_frame: bool
    """First packet of the frame: the S bit is set and the partition is 0."""
    partition: int
    non_reference: bool
    picture_id: int | None
    picture_id_offset: int
    picture_id_long: bool
    tl0_index: int | None
    tl0_offset: int
    temporal_id: int
    sync: bool
    key_index: int | None
    key_index_offset: int
    size: int

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Vp8Descriptor({fields})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vp8Descriptor):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


_new_descriptor = Vp8Descriptor.__new__


def parse_vp8_descriptor(payload: bytes, offset: int = 0) -> Vp8Descriptor:
    """The descriptor at `offset` (0 or more). Raises WireError when it, or the frame behind it, is cut off."""
    descriptor = _new_descriptor(Vp8Descriptor)
    position = offset + 1
    picture_id = tl0_index = key_index = None
    picture_id_offset = tl0_offset = key_index_offset = -1
    picture_id_long = sync = False
    temporal_id = 0
    try:
        first = payload[offset]
        if first & 0x80:
            flags = payload[position]
            position += 1
            if flags & 0x80:
                picture_id_offset = position
                picture_id = payload[position]
                position += 1
                if picture_id > 127:
                    picture_id_long = True
                    picture_id = (picture_id & 127) << 8 | payload[position]
                    position += 1
            if flags & 0x40:
                tl0_offset = position
                tl0_index = payload[position]
                position += 1
            if flags & 0x30:
                byte = payload[position]
                if flags & 0x20:
                    temporal_id = byte >> 6
                    sync = byte & 0x20 != 0
                if flags & 0x10:
                    key_index_offset = position
                    key_index = byte & 0x1F
                position += 1
    except IndexError:
        raise WireError("VP8 payload descriptor is cut off") from None
    if position >= len(payload):
        raise WireError("VP8 payload holds nothing but its descriptor")
    descriptor.start_of_frame = first & 0x17 == 0x10
    descriptor.partition = first & 7
    descriptor.non_reference = first & 0x20 != 0
    descriptor.picture_id = picture_id
    descriptor.picture_id_offset = picture_id_offset
    descriptor.picture_id_long = picture_id_long
    descriptor.tl0_index = tl0_index
    descriptor.tl0_offset = tl0_offset
    descriptor.temporal_id = temporal_id
    descriptor.sync = sync
    descriptor.key_index = key_index
    descriptor.key_index_offset = key_index_offset
    descriptor.size = position - offset
    return descriptor


def is_vp8_keyframe(payload: bytes) -> bool:
    """Whether a packet, descriptor included, begins a key frame. Total: False for anything malformed."""
    try:
        descriptor = parse_vp8_descriptor(payload)
    except WireError:
        return False
    # P, the lowest bit of the frame tag, is 0 in key frames (RFC 6386 section 9.1)
    return descriptor.start_of_frame and not payload[descriptor.size] & 1


def vp8_dimensions(frame: bytes) -> tuple[int, int]:
    """(width, height) in pixels of a key frame, without descriptor (RFC 6386 section 9.1).

    Raises WireError for a delta frame, a cut off header, a missing start code, and a side of 0.
    """
    if len(frame) < _KEYFRAME_HEADER_BYTES or frame[0] & 1 or frame[3:6] != _START_CODE:
        raise WireError("not the header of a VP8 key frame")
    width = (frame[7] << 8 | frame[6]) & 0x3FFF
    height = (frame[9] << 8 | frame[8]) & 0x3FFF
    if not width or not height:
        raise WireError("VP8 key frame has no width or no height")
    return width, height


def build_vp8_descriptor(
    *,
    start_of_frame: bool,
    picture_id: int | None = None,
    tl0_index: int | None = None,
    temporal_id: int | None = None,
    sync: bool = False,
    key_index: int | None = None,
    non_reference: bool = False,
) -> bytes:
    """The descriptor of a packet of partition 0; fields left None are absent.

    The picture id is always written in its 15 bit form, indices are taken modulo their width. Raises WireError for a
    temporal id above 3.
    """
    first = 0x20 * non_reference | 0x10 * start_of_frame
    flags = 0
    fields = bytearray()
    if picture_id is not None:
        flags |= 0x80
        fields += (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big")
    if tl0_index is not None:
        flags |= 0x40
        fields.append(tl0_index & 0xFF)
    if temporal_id is not None or key_index is not None:
        byte = 0
        if temporal_id is not None:
            if not 0 <= temporal_id <= 3:
                raise WireError("VP8 temporal id is not within 0 to 3")
            flags |= 0x20
            byte |= temporal_id << 6 | 0x20 * sync
        if key_index is not None:
            flags |= 0x10
            byte |= key_index & 0x1F
        fields.append(byte)
    if not flags:
        return bytes((first,))
    return bytes((0x80 | first, flags)) + fields


def packetize_vp8(
    frame: bytes,
    picture_id: int | None,
    max_payload: int = limits.RTP_PAYLOAD_BYTES,
    *,
    tl0_index: int | None = None,
    temporal_id: int | None = None,
    sync: bool = False,
    key_index: int | None = None,
    non_reference: bool = False,
) -> list[bytes]:
    """The RTP payloads of one frame, each at most `max_payload` bytes; the marker belongs on the last.

    The frame is cut into pieces of even size, as libwebrtc does it, so that no packet is a tiny rest. Raises WireError
    for an empty frame, or a `max_payload` that leaves no room behind the descriptor.
    """

    def descriptor(start_of_frame: bool) -> bytes:
        return build_vp8_descriptor(
            start_of_frame=start_of_frame,
            picture_id=picture_id,
            tl0_index=tl0_index,
            temporal_id=temporal_id,
            sync=sync,
            key_index=key_index,
            non_reference=non_reference,
        )

    head = descriptor(True)
    room = max_payload - len(head)
    if not frame or room <= 0:
        raise WireError("VP8 frame is empty, or its packets have no room for it")
    count = -(-len(frame) // room)
    size, larger = divmod(len(frame), count)
    payloads = []
    position = 0
    for index in range(count):
        stop = position + size + (index >= count - larger)
        payloads.append(head + frame[position:stop])
        position = stop
        if index == 0:
            head = descriptor(False)
    return payloads


def depacketize_vp8(payload: bytes) -> tuple[Vp8Descriptor, bytes]:
    """The descriptor of a packet and its piece of the frame. Raises WireError like `parse_vp8_descriptor`."""
    descriptor = parse_vp8_descriptor(payload)
    return descriptor, payload[descriptor.size :]
