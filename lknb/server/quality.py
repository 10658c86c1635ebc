"""Connection quality of the participants of a room, told every five seconds where it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.logic.quality import UPDATE_INTERVAL_S, mean_opinion_score, quality_of

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.room import Room


class RoomQuality:
    """Each participant hears of itself and of the publishers it is subscribed to."""

    def __init__(self, room: Room, now: float) -> None:
        self._room = room
        self._due = now + UPDATE_INTERVAL_S
        self._told: dict[tuple[str, str], int] = {}

    def forget(self, participant_sid: str) -> None:
        """Somebody left."""
        self._told = {pair: value for pair, value in self._told.items() if participant_sid not in pair}

    def tick(self, now: float) -> None:
        """Timers."""
        if now < self._due:
            return
        self._due = now + UPDATE_INTERVAL_S
        scores = {p.sid: self._score(p) for p in self._room.participants.values()}
        for participant in list(self._room.participants.values()):
            subjects = {participant.sid}
            subjects.update(s.publication.publisher.sid for s in participant.subscriber.subscriptions.values())
            updates = []
            for sid in subjects:
                score = scores.get(sid)
                if score is None:
                    continue
                quality = int(quality_of(score))
                if self._told.get((participant.sid, sid)) != quality:
                    self._told[participant.sid, sid] = quality
                    info = rtc.ConnectionQualityInfo(
                        participant_sid=sid,
                        quality=models.ConnectionQuality.Name(quality),
                        score=mean_opinion_score(score),
                    )
                    updates.append(info)
            if updates:
                update = rtc.ConnectionQualityUpdate(updates=updates)
                participant.send(rtc.SignalResponse(connection_quality=update))

    @staticmethod
    def _score(participant: Participant) -> float:
        """The worst of all paths to and from a participant."""
        paths = [publication.measure_quality() for publication in participant.publications.values()]
        paths += [subscription.measure_quality() for subscription in participant.subscriber.subscriptions.values()]
        return min(paths, default=100.0)
