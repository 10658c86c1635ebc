"""One offer at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.offer_turn import ANSWER_TIMEOUT_S, OfferTurn


def test_what_changes_while_an_offer_is_under_way_goes_into_the_next() -> None:
    turn = OfferTurn(7)
    assert not turn.due
    assert turn.request() == 1
    assert turn.due
    assert turn.begin(0) == 8
    assert not turn.due
    assert [turn.request(), turn.request()] == [2, 3]
    assert not turn.due, "an offer is under way"
    assert (turn.covered, turn.requested) == (1, 3)
    assert turn.accepts(8)
    turn.end()
    assert turn.due
    assert turn.begin(1) == 9
    turn.end()
    assert not turn.due


@pytest.mark.parametrize(("id", "accepted"), [(0, True), (3, True), (2, False), (4, False)])
def test_only_the_answer_to_the_newest_offer_counts(id: int, accepted: bool) -> None:
    turn = OfferTurn(2)
    assert not turn.accepts(id), "nothing was offered"
    turn.begin(0)
    assert turn.accepts(id) is accepted
    turn.end()
    assert not turn.accepts(id), "a second answer"


def test_an_answer_that_does_not_come_is_overdue() -> None:
    turn = OfferTurn()
    assert not turn.overdue(1e9)
    turn.begin(100)
    assert not turn.overdue(100 + ANSWER_TIMEOUT_S)
    assert turn.overdue(100.1 + ANSWER_TIMEOUT_S)
    turn.end()
    assert not turn.overdue(1e9)


@given(st.lists(st.sampled_from(["request", "offer", "answer"]), max_size=60))
def test_every_request_is_offered_in_the_end_and_never_two_at_once(steps: list[str]) -> None:
    turn, under_way = OfferTurn(), False
    for step in [*steps, "answer", "offer", "answer"]:
        if step == "request":
            turn.request()
        elif step == "offer" and turn.due:
            assert not under_way
            turn.begin(0)
            under_way = True
        elif step == "answer" and turn.accepts(turn.id):
            turn.end()
            under_way = False
    assert turn.covered == turn.requested
    assert not turn.due
