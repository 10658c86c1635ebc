"""The first byte of Opus packets (RFC 6716 section 3.1)."""

from __future__ import annotations

import av
import numpy as np
import pytest

from lknb.codec.opus import is_stereo, lost_packet, packet_duration_us, silence


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


@pytest.mark.parametrize("duration_us", [-5_000, 0, 1_000, 2_500, 19_000, 20_000, 57_499, 1_000_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_silence_lasts_as_long_as_it_should_and_is_silent(duration_us: int, channels: int) -> None:
    packets = list(silence(duration_us, channels))
    lasted_us = sum(map(packet_duration_us, packets))
    assert abs(lasted_us - max(0, duration_us)) <= 1_250
    assert all(is_stereo(packet) == (channels == 2) for packet in packets)
    context = av.CodecContext.create("libopus", "r")
    context.sample_rate, context.layout = 48_000, "mono" if channels == 1 else "stereo"
    decoded = [frame.to_ndarray() for packet in packets for frame in context.decode(av.Packet(packet))]
    assert sum(piece.shape[1] for piece in decoded) == lasted_us * channels * 48 // 1000
    assert not any(np.any(piece) for piece in decoded)
