"""A rhythm that neither drifts nor bursts."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.core.source.pace import Pacer, Rhythm


def test_beats_stand_on_a_grid_that_does_not_drift() -> None:
    rhythm = Rhythm(30, 1_000_000)
    ticks = [rhythm.advance(0) for _ in range(30 * 3600 + 1)]
    assert ticks[-1].timestamp_us == 1_000_000 + 3_600_000_000
    assert ticks[1].timestamp_us == 1_033_333


def test_whoever_is_late_loses_beats_and_goes_on_with_the_latest() -> None:
    rhythm = Rhythm(10, 0)
    assert rhythm.advance(0).index == 0
    tick = rhythm.advance(555_000)
    assert (tick.index, tick.timestamp_us) == (5, 500_000)
    assert rhythm.advance(556_000).timestamp_us == 600_000


def test_a_little_late_is_made_up_for_where_that_is_wanted() -> None:
    rhythm = Rhythm(10, 0, catch_up=3)
    rhythm.advance(0)
    assert [rhythm.advance(350_000).index for _ in range(4)] == [1, 2, 3, 4]
    assert rhythm.advance(1_000_000).index == 10


@given(st.lists(st.integers(0, 300_000), max_size=100), st.integers(0, 5))
def test_beats_are_in_order_and_never_more_than_allowed_behind(steps_us: list[int], catch_up: int) -> None:
    rhythm = Rhythm(50, 0, catch_up)
    now_us = last = -1
    for step_us in steps_us:
        now_us += step_us
        tick = rhythm.advance(now_us)
        assert tick.index > last
        assert now_us - tick.timestamp_us < (catch_up + 1) * 20_000
        last = tick.index


def test_waiting_lasts_until_the_beat() -> None:
    pacer = Pacer(100)
    stopped = threading.Event()
    began = time.monotonic()
    ticks = [pacer.wait(stopped) for _ in range(11)]
    assert time.monotonic() - began >= 0.0999
    assert next(tick.index for tick in ticks if tick) == 0


def test_waiting_ends_when_stopped() -> None:
    pacer = Pacer(0.1)
    stopped = threading.Event()
    assert pacer.wait(stopped) is not None
    threading.Timer(0.05, stopped.set).start()
    assert pacer.wait(stopped) is None
    assert pacer.wait(stopped) is None


@pytest.mark.parametrize("rate_hz", [23.976, 29.97, 59.94])
def test_broken_rates_are_kept(rate_hz: float) -> None:
    rhythm = Rhythm(rate_hz, 0)
    for _ in range(10_000):
        tick = rhythm.advance(0)
    assert tick.timestamp_us == pytest.approx(9_999 / rate_hz * 1e6, abs=1)
