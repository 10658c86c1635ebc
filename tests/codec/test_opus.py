"""The first byte of Opus packets (RFC 6716 section 3.1)."""

from __future__ import annotations

import pytest

from lknb.codec.opus import is_stereo, lost_packet, packet_duration_us


@pytest.mark.parametrize(
    ("packet", "duration_ms"),
    [
        (b"", 0),
        (bytes([0 << 3]), 10),
        (bytes([3 << 3]), 60),
        (bytes([9 << 3]), 20),
        (bytes([13 << 3]), 20),
        (bytes([15 << 3 | 1]), 40),
        (bytes([16 << 3]), 2.5),
        (bytes([31 << 3]), 20),
        (bytes([31 << 3 | 2]), 40),
        (bytes([31 << 3 | 3, 0x83]), 60),
        (bytes([31 << 3 | 3]), 0),
    ],
)
def test_durations(packet: bytes, duration_ms: float) -> None:
    assert packet_duration_us(packet) == duration_ms * 1000


def test_channels() -> None:
    assert is_stereo(b"\x04")
    assert not is_stereo(b"\xf8")
    assert not is_stereo(b"")


@pytest.mark.parametrize("configuration", range(32))
@pytest.mark.parametrize("stereo", [0, 4])
def test_what_stands_for_a_lost_packet_lasts_20_ms_in_the_same_mode(configuration: int, stereo: int) -> None:
    for code in range(4):
        lost = lost_packet(bytes([configuration << 3 | stereo | code, 1]))
        assert packet_duration_us(lost) == 20_000
        assert is_stereo(lost) == bool(stereo)
        group = 4 if configuration < 12 or configuration >= 16 else 2
        assert (lost[0] >> 3) // group == configuration // group
