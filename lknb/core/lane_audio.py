"""All lanes of rooms' sound, and what the kernel is told of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lknb.core.lane_audio_session import AudioSession, AudioTrack
from lknb.core.lane_port import LanePort
from lknb.core.lane_ticket import Grant
from lknb.errors import TrackError

# from what says least about a room's sound to what says most; in two pages it is what the luckier one has
_STATES = ("connecting", "ended", "waiting", "blocked", "playing")


class AudioLanes:
    """The `LaneKind` "audio".

    `tracks(room handle)` gives the subscribed audio tracks of a room, None when there is no such room.
    `tell(grant, header, buffers)` gets what the kernel is to know:

        {"type": "state", "state"}    connecting (no page has a lane), waiting (one has, and says nothing yet),
                                      blocked (the browser wants a click first), playing, ended
    """

    def __init__(
        self,
        tracks: Callable[[int], Sequence[AudioTrack] | None],
        *,
        tell: Callable[[Grant, dict[str, Any], list[bytes]], None],
        clock: Callable[[], float],
    ) -> None:
        self._tracks = tracks
        self._tell = tell
        self._clock = clock
        self._sessions: list[AudioSession] = []
        self._told: dict[tuple[int, str], str] = {}

    def check(self, grant: Grant) -> None:
        if self._tracks(grant.room) is None:
            raise TrackError("the room was left")

    def open(self, grant: Grant, port: LanePort) -> AudioSession:
        session = AudioSession(
            grant,
            port,
            functools.partial(self._tracks, grant.room),
            clock=self._clock,
            on_change=lambda: self._tell_change(grant),
            on_closed=self._forget,
        )
        self._sessions.append(session)
        self._tell_change(grant)
        session.refresh()
        return session

    def _forget(self, session: AudioSession) -> None:
        self._sessions.remove(session)
        self._tell_change(session.grant)

    def _tell_change(self, grant: Grant) -> None:
        view = (grant.room, grant.view)
        states = [it.state for it in self._sessions if (it.grant.room, it.grant.view) == view]
        state = max(states, key=_STATES.index, default="connecting")
        told = self._told.get(view, "connecting")
        if states:
            self._told[view] = state
        else:
            self._told.pop(view, None)
        if state != told:
            self._tell(grant, {"type": "state", "state": state}, [])
