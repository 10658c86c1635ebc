"""What one Opus packet is to a receiver."""

from __future__ import annotations

import pytest

from lknb import limits
from lknb.logic.audio_packet import PacketStep, audio_frame, concealed_frame
from lknb.wire.frame import EncodedFrame


def test_a_packet_is_a_frame() -> None:
    assert audio_frame(960, b"\xf8\xff\xfe", 1234, 30) == EncodedFrame(
        "opus", b"\xf8\xff\xfe", 960, timestamp_us=1234, audio_level=30
    )


def test_padding_and_what_no_opus_packet_can_be_are_none() -> None:
    assert audio_frame(0, b"", 0, 0) is None
    assert audio_frame(0, bytes(limits.OPUS_PACKET_BYTES), 0, 0) is not None
    assert audio_frame(0, bytes(limits.OPUS_PACKET_BYTES + 1), 0, 0) is None


def test_a_mark_has_the_time_of_what_was_lost() -> None:
    before = EncodedFrame("opus", b"x", 9600, timestamp_us=1_000_000, audio_level=5)
    assert concealed_frame(before, 9600 + 1920) == EncodedFrame(
        "opus", b"", 11_520, timestamp_us=1_040_000, concealed=True
    )


@pytest.mark.parametrize(
    ("timestamps", "step"),
    [
        ([0, 960, 1920], 960),
        ([0, 480, 960, 1440], 480),
        ([0, 2880, 5760, 8640], 2880),
        ([0, 120, 240, 360], 120),
        ([0, 119, 238, 357], 960),
        ([0, 19_200, 38_400, 57_600], 960),
        ([0, 960, 1920, 3840, 4800, 5760], 960),
        ([0, 960, 1920, 3840, 4800, 6720, 7680], 960),
        ([0, 0, 0, 0], 960),
    ],
)
def test_the_duration_is_what_two_steps_in_a_row_agree_on(timestamps: list[int], step: int) -> None:
    meter = PacketStep()
    for index, timestamp in enumerate(timestamps):
        meter.observe(timestamp, follows=index > 0)
    assert meter.value == step


def test_steps_over_a_hole_do_not_count() -> None:
    meter = PacketStep()
    for index in range(6):
        meter.observe(index * 1920, follows=index % 2 == 0)
    assert meter.value == 960
