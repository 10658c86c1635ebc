"""H264 in RTP (RFC 6184, packetization-mode 1): packets of an access unit, and which of them begin a key frame.

An access unit is held in Annex B form: NAL units behind start codes of three or four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from lknb import limits
from lknb.errors import WireError
from lknb.wire.h264_sps import parse_sps_dimensions

_IDR, _SPS = 5, 7
_STAP_A, _FU_A = 24, 28
_START_CODE = b"\0\0\0\1"
_FU_START, _FU_END = 0x80, 0x40
_NRI_AND_FORBIDDEN = 0xE0


def is_h264_keyframe(payload: bytes) -> bool:
    """Whether a packet holds the beginning of a sequence parameter set or an IDR picture: alone, in a STAP-A, or as
    first FU-A.

    Total: False for anything malformed, as far as it is malformed.
    """
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind in (_IDR, _SPS):
        return True
    if kind == _FU_A:
        return len(payload) > 1 and payload[1] & _FU_START != 0 and payload[1] & 0x1F in (_IDR, _SPS)
    if kind == _STAP_A:
        position = 1
        while position + 2 < len(payload):
            if payload[position + 2] & 0x1F in (_IDR, _SPS):
                return True
            position += 2 + (payload[position] << 8 | payload[position + 1])
    return False


def split_annexb(access_unit: bytes) -> Iterator[bytes]:
    """The NAL units of an access unit, without start codes and trailing zeros; what precedes the first is skipped."""
    position = access_unit.find(b"\0\0\1")
    while position >= 0:
        start = position + 3
        position = access_unit.find(b"\0\0\1", start)
        nal = (access_unit[start:] if position < 0 else access_unit[start:position]).rstrip(b"\0")
        if nal:
            yield nal


def packetize_h264(annexb: bytes, max_payload: int = limits.RTP_PAYLOAD_BYTES) -> list[bytes]:
    """The RTP payloads of one access unit, each at most `max_payload` bytes; the marker belongs on the last.

    Neighbouring NAL units that fit one packet travel together (STAP-A), larger ones are cut into pieces of even size
    (FU-A). Raises WireError for an access unit without a NAL unit, or a `max_payload` below 3.
    """
    if max_payload < 3:
        raise WireError("H264 packets have no room for a NAL unit")
    payloads: list[bytes] = []
    group: list[bytes] = []
    group_size = 1
    for nal in split_annexb(annexb):
        if group and group_size + 2 + len(nal) > max_payload:
            payloads.append(_aggregate(group))
            group, group_size = [], 1
        if len(nal) > max_payload:
            payloads += _fragment(nal, max_payload)
            continue
        group.append(nal)
        group_size += 2 + len(nal)
    if group:
        payloads.append(_aggregate(group))
    if not payloads:
        raise WireError("H264 access unit holds no NAL unit")
    return payloads


def _aggregate(nals: list[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    # F is set if any is, NRI is the highest of all (RFC 6184 section 5.7)
    header = max(nal[0] & 0x60 for nal in nals) | max(nal[0] & 0x80 for nal in nals) | _STAP_A
    return bytes((header,)) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _fragment(nal: bytes, max_payload: int) -> Iterator[bytes]:
    indicator = nal[0] & _NRI_AND_FORBIDDEN | _FU_A
    kind = nal[0] & 0x1F
    count = -(-(len(nal) - 1) // (max_payload - 2))
    size, larger = divmod(len(nal) - 1, count)
    position = 1
    for index in range(count):
        stop = position + size + (index >= count - larger)
        flags = _FU_START * (index == 0) | _FU_END * (index == count - 1)
        yield bytes((indicator, flags | kind)) + nal[position:stop]
        position = stop


def depacketize_h264(payload: bytes) -> bytes:
    """What a packet adds to the access unit, in Annex B form; joined in order the pieces give the access unit.

    The first fragment of an FU-A brings the start code and the NAL header, the others only their bytes. Raises
    WireError for an empty or cut off packet, a STAP-A whose lengths leave it, and packet types of packetization-mode 2.
    """
    if not payload:
        raise WireError("H264 packet is empty")
    kind = payload[0] & 0x1F
    if 0 < kind < _STAP_A:
        return _START_CODE + payload
    if kind == _FU_A:
        if len(payload) < 3:
            raise WireError("H264 fragment is cut off")
        header = payload[1]
        if header & _FU_START:
            return _START_CODE + bytes((payload[0] & _NRI_AND_FORBIDDEN | header & 0x1F,)) + payload[2:]
        return payload[2:]
    if kind == _STAP_A:
        return _split_aggregate(payload)
    raise WireError("H264 packet type belongs to no packetization mode in use here")


def _split_aggregate(payload: bytes) -> bytes:
    pieces = []
    position = 1
    while position < len(payload):
        start = position + 2
        stop = start + int.from_bytes(payload[position:start], "big")
        if start >= stop or stop > len(payload):
            raise WireError("H264 aggregate has a length that leaves it, or is 0")
        pieces.append(_START_CODE + payload[start:stop])
        position = stop
    if not pieces:
        raise WireError("H264 aggregate holds no NAL unit")
    return b"".join(pieces)


def h264_dimensions(annexb: bytes) -> tuple[int, int]:
    """(width, height) in pixels, cropping applied, of an access unit that holds a sequence parameter set.

    Raises WireError when it holds none, or a malformed one.
    """
    for nal in split_annexb(annexb):
        if nal[0] & 0x1F == _SPS:
            return parse_sps_dimensions(nal)
    raise WireError("H264 access unit holds no sequence parameter set")
