"""How long playout has to wait."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.delay import WINDOW_S, DelayEstimator


def observe(estimator: DelayEstimator, transits: list[float], now: float = 0.0) -> float:
    for transit in transits:
        estimator.observe(transit, now)
        now += 0.02
    return now


def test_a_quiet_path_needs_the_least_delay() -> None:
    estimator = DelayEstimator(0.02, 0.2)
    assert estimator.target_s == 0.02
    observe(estimator, [5.0] * 100)
    assert (estimator.base_s, estimator.target_s) == (5.0, 0.02)


def test_the_delay_covers_nearly_all_packets_and_shrinks_again() -> None:
    random = Random(1)
    estimator = DelayEstimator(0.02, 0.2)
    now = observe(estimator, [5.0 + random.random() * 0.08 for _ in range(1000)])
    assert estimator.target_s == pytest.approx(0.1, abs=0.006)
    now = observe(estimator, [5.0] * 400, now)
    assert estimator.target_s > 0.09
    observe(estimator, [5.0] * 120, now)
    assert estimator.target_s == pytest.approx(0.02)


def test_a_few_stragglers_do_not_count() -> None:
    estimator = DelayEstimator(0.02, 0.2)
    observe(estimator, [5.15 if index % 50 == 49 else 5.0 for index in range(500)])
    assert estimator.target_s == pytest.approx(0.02)


def test_the_delay_has_an_upper_bound() -> None:
    estimator = DelayEstimator(0.02, 0.2)
    observe(estimator, [5.0, 6.0] * 50)
    assert estimator.target_s == 0.2


def test_a_late_start_is_learnt_within_few_packets() -> None:
    estimator = DelayEstimator(0.02, 0.2)
    observe(estimator, [5.0, 5.05])
    assert estimator.target_s == pytest.approx(0.07)


def test_a_faster_packet_counts_at_once() -> None:
    estimator = DelayEstimator(0.02, 0.2)
    observe(estimator, [5.0] * 25 + [4.9])
    assert estimator.base_s == 4.9


def test_clocks_that_drift_apart_do_no_harm() -> None:
    estimator = DelayEstimator(0.02, 0.2)
    now = 0.0
    for index in range(50 * 600):
        estimator.observe(5.0 + index * 2e-6, now)
        now += 0.02
    assert estimator.target_s < 0.022
    assert estimator.base_s == pytest.approx(5.0 + 50 * 600 * 2e-6, abs=0.002)


@pytest.mark.parametrize("jump", [-100.0, 100.0])
def test_another_clock_begins_anew(jump: float) -> None:
    estimator = DelayEstimator(0.02, 0.2)
    now = observe(estimator, [5.0, 5.1] * 100)
    estimator.observe(5.0 + jump, now)
    assert (estimator.base_s, estimator.target_s) == (5.0 + jump, 0.02)


def test_what_is_older_than_the_window_is_forgotten_also_with_few_packets() -> None:
    estimator = DelayEstimator(0.02, 0.2)
    estimator.observe(5.0, 0.0)
    for index in range(20):
        estimator.observe(5.1, WINDOW_S + 1.0 + index * 0.02)
    assert (estimator.base_s, estimator.target_s) == (5.1, 0.02)


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 5)), max_size=60))
def test_the_delay_stays_within_its_bounds(packets: list[tuple[float, float]]) -> None:
    estimator = DelayEstimator(0.02, 0.2)
    now = 0.0
    for transit, passed in packets:
        now += passed
        estimator.observe(transit, now)
        assert 0.02 <= estimator.target_s <= 0.2
        assert estimator.base_s <= transit
