"""The closing frames of a stream that stops: tiny black key frames, so that a receiver keeps no stale picture.

The real server does the same (pkg/sfu/downtrack.go writeBlankFrameRTP): VP8 8x8, H264 2x2. Receivers that count or store
pictures must ignore frames of that size.
"""

from __future__ import annotations

import struct

BLANK_FRAMES = 5
BLANK_INTERVAL_TICKS = 3000  # 30 frames a second on a 90 kHz clock

_VP8_FRAME = bytes.fromhex("1002009d012a080008000047088585889984880202000c0d6000feffab5080")

_H264_NAL_UNITS = (
    bytes.fromhex("6742c00cda7e222210000003001000000303c8f142aa"),
    bytes.fromhex("68ce3c80"),
    bytes.fromhex("65888406a8930a0003fbf8"),
)


def blank_vp8(picture_id: int, tl0_index: int) -> bytes:
    """The payload of an 8x8 black VP8 key frame with these ids (RFC 7741 section 4.2)."""
    return struct.pack("!BBHBB", 0x90, 0xE0, 0x8000 | (picture_id & 0x7FFF), tl0_index & 0xFF, 0) + _VP8_FRAME


def blank_h264() -> bytes:
    """The payload of a 2x2 black H264 picture: SPS, PPS and IDR in one STAP-A (RFC 6184 section 5.7.1)."""
    return b"\x78" + b"".join(struct.pack("!H", len(unit)) + unit for unit in _H264_NAL_UNITS)
