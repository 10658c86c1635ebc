"""Who speaks in a room: levels of all published audio, told as changes (LiveKit: pkg/rtc/room.go audioUpdateWorker)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.logic.speaker import SpeakerBoard

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.room import Room

UPDATE_INTERVAL_S = 0.4


class RoomSpeakers:
    """Tells every participant about itself and about the publishers it hears."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._board = SpeakerBoard()
        self._due = 0.0

    def forget(self, participant_sid: str) -> None:
        """Somebody left."""
        self._board.forget(participant_sid)

    def tick(self, now: float) -> None:
        """Timers."""
        if now < self._due:
            return
        self._due = now + UPDATE_INTERVAL_S
        levels = {}
        for participant in self._room.participants.values():
            tracks = [p for p in participant.publications.values() if p.kind == "audio" and not p.muted]
            if tracks:
                levels[participant.sid] = max(track.audio_level.level(now) for track in tracks)
        changes = self._board.update(levels)
        if not changes:
            return
        for participant in list(self._room.participants.values()):
            heard = [
                models.SpeakerInfo(sid=change.sid, level=change.level, active=change.active)
                for change in changes
                if self._hears(participant, change.sid)
            ]
            if heard:
                participant.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=heard)))

    @staticmethod
    def _hears(participant: Participant, sid: str) -> bool:
        if sid == participant.sid:
            return True
        return any(s.publication.publisher.sid == sid for s in participant.subscriber.subscriptions.values())
