"""Sent packets, to answer NACKs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.history import RESENDS_MAX, PacketHistory


def filled(first: int, count: int, capacity: int = 500) -> PacketHistory:
    history = PacketHistory(capacity)
    for index in range(count):
        number = (first + index) & 0xFFFF
        history.put(number, number.to_bytes(2, "big"))
    return history


@pytest.mark.parametrize("first", [0, 1000, 65_000, 65_300, 65_535])
def test_the_last_500_packets_are_there_also_across_the_wrap(first: int) -> None:
    history = filled(first, 700)
    for index in range(200, 700):
        number = (first + index) & 0xFFFF
        assert history.take(number, 0.0, 0.0) == number.to_bytes(2, "big")


def test_older_ones_and_those_to_come_are_not() -> None:
    history = filled(0, 1000, capacity=512)
    assert history.take(1000 - 512, 0.0, 0.0) is not None
    assert history.take(1000 - 513, 0.0, 0.0) is None
    assert history.take(1000, 0.0, 0.0) is None


def test_an_empty_history_has_nothing() -> None:
    assert PacketHistory(200).take(0, 0.0, 0.0) is None


def test_a_packet_is_resent_three_times_at_most() -> None:
    history = filled(0, 10)
    assert [history.take(5, now, 0.0) is not None for now in range(5)] == [True] * RESENDS_MAX + [False] * 2


def test_the_number_of_resends_can_be_chosen() -> None:
    history = PacketHistory(16, resends_max=5)
    history.put(1, b"x")
    assert sum(history.take(1, now, 0.0) is not None for now in range(20)) == 5


def test_a_packet_is_not_resent_within_a_round_trip() -> None:
    history = filled(0, 10)
    assert history.take(5, 1.0, 0.1)
    assert history.take(5, 1.099, 0.1) is None
    assert history.take(6, 1.099, 0.1)
    assert history.take(5, 1.1, 0.1)


def test_a_number_used_again_counts_from_nothing() -> None:
    history = filled(0, 10)
    for now in range(3):
        history.take(5, now, 0.0)
    history.put(5, b"new")
    assert history.take(5, 3.0, 9.0) == b"new"


def test_clear_forgets() -> None:
    history = filled(0, 10)
    history.clear()
    assert history.take(5, 0.0, 0.0) is None
    history.put(5, b"x")
    assert history.take(5, 0.0, 0.0) == b"x"


@pytest.mark.parametrize(("capacity", "kept"), [(1, 1), (2, 2), (3, 4), (200, 256), (500, 512)])
def test_capacity_is_rounded_up_to_a_power_of_two(capacity: int, kept: int) -> None:
    history = filled(0, 2000, capacity)
    assert sum(history.take(n, 0.0, 0.0) is not None for n in range(2000)) == kept


@given(first=st.integers(0, 0xFFFF), count=st.integers(1, 600), ask=st.integers(0, 0xFFFF))
def test_what_is_handed_out_is_what_was_put_under_that_number(first: int, count: int, ask: int) -> None:
    packet = filled(first, count).take(ask, 0.0, 0.0)
    assert packet in (None, ask.to_bytes(2, "big"))
