"""Not more often than once in a while."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.throttle import Throttle


def test_the_first_one_passes_at_once_whatever_the_clock_says() -> None:
    assert Throttle(0.5).allow(0.0)
    assert Throttle(0.5).allow(-1e9)


def test_what_comes_too_early_is_dropped() -> None:
    throttle = Throttle(0.5)
    assert [throttle.allow(now) for now in (10.0, 10.1, 10.499, 10.5, 10.6)] == [True, False, False, True, False]
    assert throttle.deadline() is None


def test_a_request_that_comes_too_early_fires_once_at_the_deadline() -> None:
    throttle = Throttle(0.5)
    assert throttle.request(10.0)
    assert throttle.deadline() is None
    assert not throttle.poll(10.6)
    assert throttle.request(11.0)
    assert not throttle.request(11.1)
    assert not throttle.request(11.2)
    assert throttle.deadline() == 11.5
    assert not throttle.poll(11.4)
    assert throttle.poll(11.5)
    assert not throttle.poll(12.5)
    assert throttle.deadline() is None


def test_an_immediate_one_settles_the_deferred_one() -> None:
    throttle = Throttle(0.5)
    throttle.request(10.0)
    throttle.request(10.1)
    assert throttle.allow(10.7)
    assert throttle.deadline() is None
    assert not throttle.poll(20.0)


def test_cancel_forgets_the_deferred_one() -> None:
    throttle = Throttle(0.5)
    throttle.request(10.0)
    throttle.request(10.1)
    throttle.cancel()
    assert throttle.deadline() is None
    assert not throttle.poll(20.0)


@given(st.lists(st.floats(0.0, 0.4), max_size=60), st.booleans())
def test_two_never_come_closer_than_the_interval(gaps: list[float], deferred: bool) -> None:
    throttle = Throttle(0.3)
    now, fired = 100.0, []
    for gap in gaps:
        now += gap
        deadline = throttle.deadline()
        if deadline is not None and deadline <= now:
            assert throttle.poll(deadline)
            fired.append(deadline)
        if throttle.request(now) if deferred else throttle.allow(now):
            fired.append(now)
    assert all(b >= a + 0.3 for a, b in pairwise(fired))
    assert bool(fired) == bool(gaps)
