"""What the first byte of an Opus packet says (RFC 6716 section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator

_STEREO = 0x04
_CODE_MASK = 0x03
_COUNT_MASK = 0x3F
_FRAMES_OF_CODE = {0: 1, 1: 2, 2: 2}
"""A packet of code 3 counts its frames in the second byte."""

# SILK frames last 10, 20, 40 or 60 ms, hybrid frames 10 or 20 ms, CELT frames 2.5, 5, 10 or 20 ms.
_SILK_US = (10_000, 20_000, 40_000, 60_000)
_HYBRID_US = (10_000, 20_000)
_CELT_US = (2_500, 5_000, 10_000, 20_000)
_FIRST_HYBRID = 12
_FIRST_CELT = 16
_LAST_FULL_BAND = 31
"""CELT, full band, 20 ms."""


def packet_duration_us(packet: bytes) -> int:
    """How much sound a packet holds, in microseconds; 0 for an empty packet."""
    if not packet:
        return 0
    configuration, code = packet[0] >> 3, packet[0] & _CODE_MASK
    frames = _FRAMES_OF_CODE.get(code)
    if frames is None:
        frames = packet[1] & _COUNT_MASK if len(packet) > 1 else 0
    return frames * _frame_us(configuration)


def is_stereo(packet: bytes) -> bool:
    """Whether a packet holds two channels."""
    return bool(packet and packet[0] & _STEREO)


def lost_packet(previous: bytes) -> bytes:
    """A packet of 20 ms, of the kind of the previous one, with nothing in it: what a decoder conceals (RFC 6716
    section 4.4)."""
    configuration = previous[0] >> 3
    if configuration < _FIRST_HYBRID:
        configuration = configuration & ~3 | _SILK_US.index(20_000)
    elif configuration < _FIRST_CELT:
        configuration = configuration & ~1 | _HYBRID_US.index(20_000)
    else:
        configuration = configuration & ~3 | _CELT_US.index(20_000)
    return bytes((configuration << 3 | previous[0] & _STEREO,))


def silence(duration_us: int, channels: int) -> Iterator[bytes]:
    """Packets of nothing, one channel or two, that last so long together, give or take 1.25 ms."""
    left_us = max(0, duration_us) + _CELT_US[0] // 2
    for configuration, frame_us in zip(range(_LAST_FULL_BAND, 0, -1), reversed(_CELT_US), strict=False):
        count, left_us = divmod(left_us, frame_us)
        for _ in range(count):
            yield bytes((configuration << 3 | (_STEREO if channels == 2 else 0), 0xFF, 0xFE))


def _frame_us(configuration: int) -> int:
    if configuration < _FIRST_HYBRID:
        return _SILK_US[configuration & 3]
    if configuration < _FIRST_CELT:
        return _HYBRID_US[configuration & 1]
    return _CELT_US[configuration & 3]
