"""Numbers that wrap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.logic.sequence import RestartDetector, Unwrapper, difference, newer


@pytest.mark.parametrize(
    ("a", "b", "bits", "expected"),
    [
        (1, 0, 16, 1),
        (0, 1, 16, -1),
        (0, 0xFFFF, 16, 1),
        (0xFFFF, 0, 16, -1),
        (0x7FFF, 0, 16, 0x7FFF),
        (0x8000, 0, 16, -0x8000),
        (0, 0x8000, 16, -0x8000),
        (7, 7, 16, 0),
        (5, 0xFFFFFFFF, 32, 6),
        (0xFFFFFFFF, 5, 32, -6),
        (0x80000000, 0, 32, -0x80000000),
    ],
)
def test_difference_goes_the_shorter_way_round(a: int, b: int, bits: int, expected: int) -> None:
    assert difference(a, b, bits) == expected
    assert newer(a, b, bits) == (expected > 0)


@given(a=st.integers(0, 0xFFFF), b=st.integers(0, 0xFFFF))
def test_of_two_numbers_one_is_newer_unless_they_are_equal_or_half_a_cycle_apart(a: int, b: int) -> None:
    undefined = (a - b) % 0x10000 in (0, 0x8000)
    assert newer(a, b) + newer(b, a) == (0 if undefined else 1)


def test_the_first_number_is_taken_as_it_is() -> None:
    unwrap = Unwrapper(16)
    assert unwrap.highest is None
    assert unwrap(65_530) == 65_530
    assert unwrap.highest == 65_530


def test_a_number_before_the_very_first_may_be_negative() -> None:
    unwrap = Unwrapper(16)
    assert unwrap(1) == 1
    assert unwrap(0xFFFF) == -1
    assert unwrap(2) == 2


def test_late_numbers_fall_below_the_highest_and_do_not_move_it() -> None:
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (65_534, 0, 65_535, 1)] == [65_534, 65_536, 65_535, 65_537]


@settings(max_examples=60)
@given(
    bits=st.sampled_from([16, 32]),
    first=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(-2000, 3000), max_size=100),
)
def test_unwrapping_undoes_wrapping(bits: int, first: int, steps: list[int]) -> None:
    unwrap = Unwrapper(bits)
    true = first % 2**bits
    assert unwrap(true) == true
    highest = true
    for step in steps:
        true = highest + step
        assert unwrap(true % 2**bits) == true
        highest = max(highest, true)


def test_a_day_of_timestamps() -> None:
    unwrap = Unwrapper(32)
    true = 4_000_000_000
    unwrap(true)
    for _ in range(24 * 3600):
        true += 90_000
        assert unwrap(true & 0xFFFFFFFF) == true


def test_two_suspects_in_a_row_are_a_restart() -> None:
    detector = RestartDetector()
    assert not detector.suspect(65_535)
    assert detector.suspect(0)
    assert not detector.suspect(1)


def test_stray_packets_are_none() -> None:
    detector = RestartDetector()
    assert not any(detector.suspect(number) for number in (10, 12, 11, 500, 9))


def test_a_packet_in_its_place_ends_a_run() -> None:
    detector = RestartDetector(run=3)
    assert not detector.suspect(10)
    assert not detector.suspect(11)
    detector.calm()
    assert not detector.suspect(12)
    assert not detector.suspect(13)
    assert detector.suspect(14)
