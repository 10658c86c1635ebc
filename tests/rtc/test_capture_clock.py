"""The times of a caller on our clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lknb.rtc.capture_clock import CaptureClock


def test_zero_is_now() -> None:
    assert CaptureClock().place(0, 5_000_000) == 5_000_000


def test_a_callers_clock_keeps_its_distances_whatever_the_delays() -> None:
    clock = CaptureClock()
    assert clock.place(77, 1_000_000) == 1_000_000
    assert clock.place(77 + 33_333, 1_050_000) == 1_033_333
    assert clock.place(77 + 66_666, 1_060_000) == 1_066_666


def test_our_own_clock_is_believed_however_late_the_first_picture_is() -> None:
    clock = CaptureClock()
    assert clock.place(7_000_000, 7_013_000) == 7_000_000
    assert clock.place(7_033_333, 7_033_400) == 7_033_333
    # the picture that was too late to be told from one of another clock spoils no other
    assert clock.place(7_066_666, 8_000_000) == 8_000_000
    assert clock.place(8_033_333, 8_040_000) == 8_033_333


def test_a_clock_that_jumps_is_placed_anew() -> None:
    clock = CaptureClock()
    clock.place(1_000, 1_000_000)
    assert clock.place(900_000_000, 2_000_000) == 2_000_000
    assert clock.place(900_033_333, 2_040_000) == 2_033_333


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**6))))
def test_times_always_grow(captures: list[tuple[int, int]]) -> None:
    clock = CaptureClock()
    now_us = last = 0
    for timestamp_us, step_us in captures:
        now_us += step_us
        placed = clock.place(timestamp_us, now_us)
        assert placed > last
        last = placed
