"""One room: its participants and what each is told of the others."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.server import data
from lknb.server.quality import RoomQuality
from lknb.server.speaker import RoomSpeakers

if TYPE_CHECKING:
    from lknb.server.config import ServerConfig
    from lknb.server.participant import Participant
    from lknb.server.publication import Publication

logger = logging.getLogger(__name__)

CODECS = ("audio/opus", "video/VP8", "video/H264")
ROOM_UPDATE_INTERVAL_S = 5.0
State = models.ParticipantInfo.State


def new_sid(prefix: str) -> str:
    """A LiveKit style id: prefix and 12 characters."""
    return prefix + secrets.token_urlsafe(16).replace("-", "").replace("_", "")[:12].ljust(12, "0")


class Room:
    """Participants by sid, in the order they came."""

    def __init__(self, name: str, config: ServerConfig, now: float) -> None:
        self.name = name
        self.sid = new_sid("RM_")
        self.metadata = ""
        self.config = config
        self.empty_timeout_s = config.empty_timeout_s
        self.departure_timeout_s = config.departure_timeout_s
        self.max_participants = 0
        self.participants: dict[str, Participant] = {}
        self.tracks: dict[str, Publication] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.speakers = RoomSpeakers(self)
        self.quality = RoomQuality(self, now)
        self._created_at_ms = int(time.time() * 1000)
        self._empty_since = now
        self._had_guests = False
        self._room_update_due: float | None = None

    def info(self) -> models.Room:
        """The room as clients and the API see it."""
        visible = [p for p in self.participants.values() if not p.info.permission.hidden]
        return models.Room(
            sid=self.sid,
            name=self.name,
            empty_timeout=self.empty_timeout_s,
            departure_timeout=self.departure_timeout_s,
            max_participants=self.max_participants,
            creation_time=self._created_at_ms // 1000,
            creation_time_ms=self._created_at_ms,
            enabled_codecs=[models.Codec(mime=mime) for mime in CODECS],
            metadata=self.metadata,
            num_participants=len(visible),
            num_publishers=sum(1 for p in visible if p.publications),
        )

    def find(self, identity: str) -> Participant | None:
        """The participant of this identity."""
        return next((p for p in self.participants.values() if p.identity == identity), None)

    def end_track(self, publication: Publication) -> None:
        """Forget a track that is published no more, and everybody's wishes for it."""
        del self.tracks[publication.sid]
        for participant in self.participants.values():
            participant.subscriber.forget(publication)

    def others(self, participant: Participant) -> list[models.ParticipantInfo]:
        """Everybody this participant may know of, except itself."""
        return [p.info for p in self.participants.values() if p is not participant and not p.info.permission.hidden]

    def add(self, participant: Participant, now: float) -> None:
        """Let somebody in; the others are told."""
        self.participants[participant.sid] = participant
        self._had_guests = True
        self.announce(participant, to_self=False)
        self.touch(now)

    def remove(self, participant: Participant, now: float) -> None:
        """Forget somebody who has left; the others are told."""
        if self.participants.pop(participant.sid, None) is None:
            return
        self.announce(participant, to_self=False)
        self.speakers.forget(participant.sid)
        self.quality.forget(participant.sid)
        if not self.participants:
            self._empty_since = now
        self.touch(now)

    def announce(self, participant: Participant, *, to_self: bool = True) -> None:
        """Tell everybody the state of one participant, the newest version at once."""
        participant.info.version += 1
        snapshot = models.ParticipantInfo()
        snapshot.CopyFrom(participant.info)
        message = rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[snapshot]))
        for other in list(self.participants.values()):
            if other is participant:
                if to_self:
                    other.send(message)
            elif not participant.info.permission.hidden:
                other.send(message)

    def broadcast(self, message: rtc.SignalResponse) -> None:
        """The same message to everybody."""
        for participant in list(self.participants.values()):
            participant.send(message)

    def send_data(self, packet: models.DataPacket, label: str, sender: Participant | None) -> None:
        """A data packet to whom it is meant for; never back to its sender."""
        data.route(self, packet, label, sender)

    def set_metadata(self, metadata: str) -> None:
        """Change the room's metadata; everybody is told at once."""
        self.metadata = metadata
        self._room_update_due = None
        self.broadcast(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.info())))

    def touch(self, now: float) -> None:
        """The counts of the room changed: tell everybody, at most once in five seconds."""
        if self._room_update_due is None:
            self._room_update_due = now + ROOM_UPDATE_INTERVAL_S

    def tick(self, now: float) -> None:
        """Timers of the room; called every 50 ms or so."""
        self.speakers.tick(now)
        self.quality.tick(now)
        if self._room_update_due is not None and now >= self._room_update_due:
            self._room_update_due = None
            self.broadcast(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.info())))
        for participant in list(self.participants.values()):
            try:
                participant.tick(now)
            except Exception:
                # one participant's fault must not stop the clock of the others
                logger.exception("%s: timer failed", participant.sid)

    @property
    def deserted(self) -> bool:
        """Whether all who were here have left."""
        return self._had_guests and not self.participants

    @property
    def ends_at(self) -> float:
        """Until when the room waits for somebody, in monotonic seconds; while it is empty."""
        return self._empty_since + (self.departure_timeout_s if self._had_guests else self.empty_timeout_s)

    def expired(self, now: float) -> bool:
        """Whether the room has been empty for longer than its timeouts allow."""
        return not self.participants and now > self.ends_at

    async def close(self, reason: models.DisconnectReason) -> None:
        """Send everybody away."""
        await asyncio.gather(*(p.leave(reason, tell=True) for p in list(self.participants.values())))
