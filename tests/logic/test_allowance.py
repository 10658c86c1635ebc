"""So many at once, so many a second."""

from __future__ import annotations

import pytest

from lknb.logic.allowance import Allowance


def test_a_burst_and_then_a_rate() -> None:
    allowance = Allowance(3, 10.0)
    assert [allowance.take(5.0) for _ in range(5)] == [True, True, True, False, False]
    assert allowance.next_at(5.0) == pytest.approx(5.1)
    assert not allowance.take(5.09)
    assert allowance.take(5.11)
    assert not allowance.take(5.11)
    assert [allowance.take(100.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_stands_gives_nothing_back() -> None:
    allowance = Allowance(1, 10.0)
    assert allowance.take(5.0)
    assert not allowance.take(4.0)
    assert allowance.next_at(4.0) == pytest.approx(4.1)
