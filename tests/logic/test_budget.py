"""The token bucket."""

from __future__ import annotations

import pytest

from lknb.logic.budget import Budget


def test_a_burst_at_once_then_so_much_a_second() -> None:
    budget = Budget(10, 5)
    passed = 0
    for step in range(1001):
        now = 100 + step / 1000
        while budget.wait_s(now) == 0:
            budget.spend(1, now)
            passed += 1
    # the burst, one that overdraws it, and a second's worth
    assert passed == pytest.approx(5 + 1 + 10, abs=1)


def test_what_is_large_is_paid_for_afterwards() -> None:
    budget = Budget(100, 10)
    assert budget.wait_s(0) == 0
    budget.spend(210, 0)
    assert budget.wait_s(0) == pytest.approx(2)
    assert budget.wait_s(1) == pytest.approx(1)
    assert budget.wait_s(2) == pytest.approx(0)


def test_what_is_not_spent_is_not_kept_for_ever() -> None:
    budget = Budget(100, 10)
    budget.spend(0, 0)
    budget.spend(20, 1_000)
    assert budget.wait_s(1_000) == pytest.approx(0.1)
