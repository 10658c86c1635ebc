"""Who speaks in a room: levels of all published audio, told as changes (LiveKit: pkg/rtc/room.go audioUpdateWorker)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.logic.speaker import Speaker, SpeakerBoard

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

    def begin_hearing(self, participant: Participant, publisher_sid: str) -> None:
        """It has its first subscription to a publisher, who may be speaking already."""
        speaker = next((speaker for speaker in self._board.active if speaker.sid == publisher_sid), None)
        if speaker is not None:
            self._tell(participant, [speaker])

    def end_hearing(self, participant: Participant, publisher_sid: str) -> None:
        """It has no subscription to a publisher any more: to it, nobody speaks there."""
        self._tell(participant, [Speaker(publisher_sid, 0.0, False)])

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
            hears = participant.subscriber.hears
            heard = [change for change in changes if change.sid == participant.sid or hears(change.sid)]
            if heard:
                self._tell(participant, heard)

    @staticmethod
    def _tell(participant: Participant, speakers: list[Speaker]) -> None:
        infos = [models.SpeakerInfo(sid=item.sid, level=item.level, active=item.active) for item in speakers]
        participant.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=infos)))
