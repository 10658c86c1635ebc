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
    line = SoundLine()
    assert line.gap_us(10_000) == 0
    assert line.advance(20_000) == 0
    assert line.gap_us(20_000 + 25_000) == 0
    assert line.gap_us(120_000) == 100_000
    line.advance(100_000)
    assert line.advance(20_000) == 120_000
    assert line.gap_us(50_000) < 0
