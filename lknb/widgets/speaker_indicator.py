"""`SpeakerIndicator`: who speaks, and how loud."""

from __future__ import annotations

import asyncio
from typing import Any

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.participant import Participant
from lknb.rtc.room import Room
from lknb.widgets.caption import microphone_state, person_label
from lknb.widgets.control_view import ControlView, Watched
from lknb.widgets.esm import control_esm

LEVEL_INTERVAL_S = 0.1

ROOM_EVENTS = ("connection_state_changed", "participant_connected", "participant_disconnected",
               "participant_name_changed", "active_speakers_changed", "track_published", "track_unpublished",
               "track_muted", "track_unmuted", "local_track_published", "local_track_unpublished")  # fmt: skip
PARTICIPANT_EVENTS = ("is_speaking_changed", "participant_name_changed", "track_published", "track_unpublished",
                      "track_muted", "track_unmuted", "local_track_published", "local_track_unpublished")  # fmt: skip


class SpeakerIndicator(ControlView):
    """The level of everybody's voice, and who the server says is speaking.

        SpeakerIndicator(room)           # everybody, ourselves included
        SpeakerIndicator(participant)    # one of them; also by one of their audio tracks

    Levels are the server's, of 0 to 1, and change at the pace it tells them, at most ten times a second.
    """

    _module = "speakers"
    _esm = control_esm("speakers")

    def __init__(self, source: Any, **traits: Any) -> None:
        person = _person_of(source)
        if person is None and not isinstance(source, Room):
            raise TrackError(f"SpeakerIndicator shows a room, a participant or an audio track, not {source!r}")
        self._room: Room | None = source if person is None else None
        self._person = person
        self._told: dict[str, float] = {}
        self._tick: asyncio.TimerHandle | None = None
        super().__init__(**traits)

    @property
    def levels(self) -> dict[str, float]:
        """How loud everybody is, from 0 to 1, by identity."""
        return {person.identity: person.audio_level for person in self._people()}

    def __repr__(self) -> str:
        name = self._room.name if self._room is not None else person_label(self._people()[0])
        return f"SpeakerIndicator({visible_label(name)!r})"

    def _people(self) -> list[Participant]:
        if self._person is not None:
            return [self._person]
        room = self._room
        local = room._local_participant if room is not None else None
        everybody: list[Participant] = [local] if local is not None else []
        return everybody + list(room.remote_participants.values() if room is not None else ())

    def _core(self) -> CoreRoom | None:
        if self._person is not None:
            core: CoreRoom | None = self._person._core  # type: ignore[attr-defined]
            return core if core is not None and not core.closed else None
        return self._room._core if self._room is not None else None

    def _follow(self) -> Watched:
        return ((self._room, ROOM_EVENTS), (self._person, PARTICIPANT_EVENTS))

    def _describe(self) -> dict[str, Any]:
        core = self._core()
        if core is None:
            return {"people": [], "empty": "Not in the room. Join it with: room = await lknb.connect(...)"}
        return {"people": [_describe(person) for person in self._people()], "empty": ""}

    def _greet(self) -> None:
        self._told = {}
        self._tell_levels()

    def _tell_levels(self) -> None:
        """On the room's loop, again and again while a page looks."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        core = self._core()
        if self.comm is None or not self._viewers or core is None:
            return
        now = {identity: round(level, 2) for identity, level in self.levels.items()}
        changed = {identity: level for identity, level in now.items() if self._told.get(identity) != level}
        self._told = now
        if changed:
            self.send({"type": "levels", "levels": changed})
        if core.is_loop_thread():
            self._tick = core.loop.call_later(LEVEL_INTERVAL_S, self._tell_levels)

    def _sleep(self) -> None:
        super()._sleep()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None


def _describe(person: Participant) -> dict[str, Any]:
    return {
        "identity": person.identity,
        "name": person_label(person),
        "speaking": person.is_speaking,
        "microphone": microphone_state(person),
    }


def _person_of(source: Any) -> Participant | None:
    if isinstance(source, Participant):
        return source
    if getattr(source, "kind", None) != TrackKind.KIND_AUDIO:
        return None
    publication = getattr(source, "publication", source)
    return getattr(publication, "participant", None)
