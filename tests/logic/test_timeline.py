"""The time line of a recording."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from lknb.logic.timeline import SoundLine, Timeline

PERIOD_US = 33_333


def test_arrival_jitter_is_not_in_the_times() -> None:
    line, jitter = Timeline(90_000), random.Random(1)
    placed = [line.place(3_000 * n, PERIOD_US * n + jitter.randrange(-8_000, 8_000)) for n in range(300)]
    steps = [b - a for a, b in pairwise(placed)]
    assert all(abs(step - PERIOD_US) < 300 for step in steps)


def test_a_clock_that_drifts_is_followed() -> None:
    line = Timeline(48_000)
    placed = 0
    for n in range(50 * 600):
        # 100 ppm fast, over ten minutes
        placed = line.place(960 * n, round(20_000 * n * 1.0001))
    assert abs(placed - 20_000 * n * 1.0001) < 5_000


def test_a_stream_that_begins_again_has_a_new_place() -> None:
    line = Timeline(90_000)
    line.place(0, 1_000_000)
    assert line.place(2_000_000_000, 3_000_000) == 3_000_000
    assert line.place(2_000_003_000, 3_033_400) == pytest.approx(3_033_333, abs=5)


def test_what_came_before_a_trusted_frame_is_reckoned_from_it() -> None:
    line = Timeline(48_000)
    assert line.at(0) is None
    line.settle(48_000, 5_000_000)
    assert line.at(0) == 4_000_000


def test_sound_has_no_holes_and_no_overlaps() -> None:
    line = SoundLine(48_000)
    assert line.gap_us(0, 12_345) == 12_345, "the first lies where it was captured"
    line.advance(12_345)
    assert line.advance(20_000) == 12_345
    # a capture time that jitters moves nothing
    assert line.gap_us(960, 32_345 + 25_000) == 0
    line.advance(20_000)
    assert line.gap_us(960 + 4_800, 132_345) == 80_000
    line.advance(80_000)
    assert line.advance(20_000) == 132_345
    assert line.gap_us(0, 12_345) < 0


@pytest.mark.parametrize("jitter_us", [-20_000, 0, 20_000])
def test_a_single_packet_that_a_silent_sender_left_out_is_silence(jitter_us: int) -> None:
    line = SoundLine(48_000)
    line.gap_us(0, 0)
    line.advance(20_000)
    assert line.gap_us(2 * 960, 40_000 + jitter_us) == 20_000


def test_sound_of_a_clock_that_drifts_goes_back_to_its_place() -> None:
    for drift in (-0.0002, 0.0002):
        line, worst_us = SoundLine(48_000), 0
        for n in range(50 * 600):
            time_us = round(20_000 * n * (1 + drift))
            gap_us = line.gap_us(960 * n, time_us)
            if gap_us >= 0:
                line.advance(gap_us)
                worst_us = max(worst_us, abs(line.advance(20_000) - time_us))
        assert 25_000 < worst_us <= 40_000


def test_timestamps_that_were_not_counted_leave_no_holes() -> None:
    line, jitter = SoundLine(48_000), random.Random(1)
    for n in range(1_000):
        assert line.gap_us(960 * n + jitter.randrange(-200, 200) * (n > 0), 20_000 * n) == 0
        line.advance(20_000)


def test_sound_that_begins_again_has_a_new_place() -> None:
    line = SoundLine(48_000)
    line.gap_us(0, 0)
    line.advance(20_000)
    assert line.gap_us(2_000_000_000, 500_000) == 480_000
    line.advance(480_000)
    line.advance(20_000)
    assert line.gap_us(2_000_000_960, 521_000) == 0
