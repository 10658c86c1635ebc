"""Microseconds and RTP timestamps."""

from __future__ import annotations

import itertools

from lknb.codec.clock import audio_timestamp, now_us, video_timestamp


def test_a_second_is_90_000_units_of_video_and_48_000_of_audio() -> None:
    assert video_timestamp(1_000_000) == 90_000
    assert audio_timestamp(1_000_000) == 48_000


def test_packets_of_20_ms_are_exactly_960_units_apart_wherever_they_begin() -> None:
    for start_us in (0, 1, 7, 123_456_789):
        timestamps = [audio_timestamp(start_us + 20_000 * index) for index in range(50)]
        assert {later - earlier for earlier, later in itertools.pairwise(timestamps)} == {960}


def test_the_clock_does_not_go_back() -> None:
    assert now_us() <= now_us()
