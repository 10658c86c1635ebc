"""The states of a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.room_state import TRANSITIONS, RoomChange, RoomState, RoomStateMachine, announcements


def machine(*changes: RoomChange) -> RoomStateMachine:
    made = RoomStateMachine()
    for change in changes:
        made.handle(change)
    return made


def test_a_room_that_joins_and_leaves() -> None:
    room = machine()
    assert room.state is RoomState.DISCONNECTED
    assert room.handle(RoomChange.CONNECT) is RoomState.CONNECTING
    assert room.handle(RoomChange.JOINED) is RoomState.CONNECTED
    assert room.handle(RoomChange.CLOSED) is RoomState.DISCONNECTED


def test_lost_signalling_is_resumed() -> None:
    room = machine(RoomChange.CONNECT, RoomChange.JOINED, RoomChange.SIGNAL_LOST)
    assert room.state is RoomState.RESUMING
    assert room.handle(RoomChange.RECOVERED) is RoomState.CONNECTED


def test_a_second_loss_during_a_resume_escalates_and_does_not_go_back() -> None:
    room = machine(RoomChange.CONNECT, RoomChange.JOINED, RoomChange.SIGNAL_LOST, RoomChange.SIGNAL_LOST)
    assert room.state is RoomState.RESTARTING
    assert room.handle(RoomChange.SIGNAL_LOST) is RoomState.RESTARTING
    assert room.handle(RoomChange.JOINED) is RoomState.CONNECTED


def test_what_cannot_happen_raises_and_changes_nothing() -> None:
    room = machine()
    with pytest.raises(ValueError, match="joined cannot happen to a room that is disconnected"):
        room.handle(RoomChange.JOINED)
    assert room.state is RoomState.DISCONNECTED
    assert not room.can(RoomChange.CLOSED)
    assert room.can(RoomChange.CONNECT)


def test_a_state_is_followed_only_when_something_leads_there() -> None:
    room = machine(RoomChange.CONNECT, RoomChange.JOINED)
    assert not room.follow(RoomState.CONNECTING)
    assert room.follow(RoomState.RESTARTING)
    assert not room.follow(RoomState.RESUMING)
    assert room.state is RoomState.RESTARTING


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        (RoomState.DISCONNECTED, RoomState.CONNECTING, ()),
        (RoomState.CONNECTING, RoomState.CONNECTED, ("connection_state_changed", "connected")),
        (RoomState.CONNECTING, RoomState.DISCONNECTED, ()),
        (RoomState.CONNECTED, RoomState.RESUMING, ("connection_state_changed", "reconnecting")),
        (RoomState.CONNECTED, RoomState.RESTARTING, ("connection_state_changed", "reconnecting")),
        (RoomState.RESUMING, RoomState.RESTARTING, ()),
        (RoomState.RESUMING, RoomState.CONNECTED, ("connection_state_changed", "reconnected")),
        (RoomState.RESTARTING, RoomState.CONNECTED, ("connection_state_changed", "reconnected")),
        (RoomState.RESTARTING, RoomState.DISCONNECTED, ("connection_state_changed", "disconnected")),
        (RoomState.CONNECTED, RoomState.DISCONNECTED, ("connection_state_changed", "disconnected")),
    ],
)
def test_what_users_are_told_of_a_move(before: RoomState, after: RoomState, names: tuple[str, ...]) -> None:
    assert announcements(before, after) == names


@given(st.lists(st.sampled_from(RoomChange)))
def test_whatever_happens_the_way_out_stays_open(changes: list[RoomChange]) -> None:
    room = RoomStateMachine()
    for change in changes:
        if room.can(change):
            room.handle(change)
    assert room.state is RoomState.DISCONNECTED or room.can(RoomChange.CLOSED)
    assert set(TRANSITIONS) == set(RoomState)
