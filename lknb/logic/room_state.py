"""The life of one connection to a room: five states, and what leads from one to another.

    disconnected --connect--> connecting --joined--> connected <--recovered-- resuming
         ^                        |                   |     |                  |    ^
         |                        |                   |     +---signal_lost----)----+
         |                        |             session_lost                   |
         |                        |                   v                        |
         |                        |               restarting <--session_lost---+
         +---------closed---------+-------------------+------------------------+

A resume keeps the session (same sids, same peer connections) and only replaces the signalling; a restart joins anew and
publishes again. `resuming` and `restarting` are one thing to the user, who is told "reconnecting".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class RoomState(StrEnum):
    """Where a connection stands. The values travel from the core to the kernel."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RESUMING = "resuming"
    RESTARTING = "restarting"


class RoomChange(StrEnum):
    """What can happen to a connection."""

    CONNECT = "connect"
    JOINED = "joined"
    SIGNAL_LOST = "signal_lost"
    SESSION_LOST = "session_lost"
    RECOVERED = "recovered"
    CLOSED = "closed"


TRANSITIONS: Mapping[RoomState, Mapping[RoomChange, RoomState]] = {
    RoomState.DISCONNECTED: {RoomChange.CONNECT: RoomState.CONNECTING},
    RoomState.CONNECTING: {RoomChange.JOINED: RoomState.CONNECTED, RoomChange.CLOSED: RoomState.DISCONNECTED},
    RoomState.CONNECTED: {
        RoomChange.SIGNAL_LOST: RoomState.RESUMING,
        RoomChange.SESSION_LOST: RoomState.RESTARTING,
        RoomChange.CLOSED: RoomState.DISCONNECTED,
    },
    RoomState.RESUMING: {
        RoomChange.RECOVERED: RoomState.CONNECTED,
        # cut again, or the resume was answered with RECONNECT: one escalation, never back to resuming
        RoomChange.SIGNAL_LOST: RoomState.RESTARTING,
        RoomChange.SESSION_LOST: RoomState.RESTARTING,
        RoomChange.CLOSED: RoomState.DISCONNECTED,
    },
    RoomState.RESTARTING: {
        RoomChange.JOINED: RoomState.CONNECTED,
        RoomChange.SIGNAL_LOST: RoomState.RESTARTING,
        RoomChange.SESSION_LOST: RoomState.RESTARTING,
        RoomChange.CLOSED: RoomState.DISCONNECTED,
    },
}

RECONNECTING = frozenset({RoomState.RESUMING, RoomState.RESTARTING})


class RoomStateMachine:
    """The state of one connection, moved by changes (`handle`) or by what the other process says (`follow`)."""

    def __init__(self) -> None:
        self.state = RoomState.DISCONNECTED

    def can(self, change: RoomChange) -> bool:
        """Whether this change means anything in the present state."""
        return change in TRANSITIONS[self.state]

    def handle(self, change: RoomChange) -> RoomState:
        """The state after a change. Raises ValueError for one that cannot happen in the present state."""
        try:
            self.state = TRANSITIONS[self.state][change]
        except KeyError:
            raise ValueError(f"{change.value} cannot happen to a room that is {self.state.value}") from None
        return self.state

    def follow(self, state: RoomState) -> bool:
        """Move to a state that somebody else reached; False, and nothing changes, when no change leads there."""
        if state not in TRANSITIONS[self.state].values():
            return False
        self.state = state
        return True


def announcements(before: RoomState, after: RoomState) -> tuple[str, ...]:
    """The events of `livekit.rtc` that a move from one state to another is told with, in order.

    `connection_state_changed` is among them only when the state the user sees is another; `disconnected` has a reason,
    which the caller adds.
    """
    seen_before, seen_after = _as_seen(before), _as_seen(after)
    if seen_before is seen_after:
        return ()
    names = {
        RoomState.CONNECTED: ("reconnected",) if before in RECONNECTING else ("connected",),
        RoomState.RESUMING: ("reconnecting",),
        RoomState.DISCONNECTED: ("disconnected",),
    }[seen_after]
    return ("connection_state_changed", *names)


def _as_seen(state: RoomState) -> RoomState:
    # livekit's ConnectionState has no "connecting": until it is joined a room is disconnected
    if state is RoomState.CONNECTING:
        return RoomState.DISCONNECTED
    return RoomState.RESUMING if state in RECONNECTING else state
