"""One participant of a room: what it may do, what it publishes, what it is subscribed to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb import limits
from lknb.server.announcement import Announcement
from lknb.server.permission import SubscriptionRules
from lknb.server.publication import Publication
from lknb.server.room import new_sid
from lknb.server.subscriber import Subscriber

if TYPE_CHECKING:
    from lknb.server.grant import Grant, TokenAuthority
    from lknb.server.peer import Peer
    from lknb.server.room import Room
    from lknb.server.signal import SignalLink
    from lknb.wire.join import JoinParameters

logger = logging.getLogger(__name__)

State = models.ParticipantInfo.State
Reason = models.DisconnectReason
LEAVE_GRACE_S = 0.5
PENDING_S = 0.5
"""So long a track that was announced keeps its place in any case: clients that announce many do so at once."""
ADD_TRACK_BYTES = 16 << 10
MISSED_MAX = 200
# what a client cannot learn in another way when it missed it; the state of everybody is told anew
KEPT_WHILE_CUT = frozenset(
    {
        "mute",
        "request_response",
        "subscribed_quality_update",
        "subscription_permission_update",
        "subscription_response",
        "track_published",
        "track_subscribed",
        "track_unpublished",
    }
)
RequestReason = rtc.RequestResponse.Reason


class Participant:
    """State and requests of one participant. Media goes through `peer`, messages through `signal`."""

    peer: Peer

    def __init__(self, room: Room, grant: Grant, join: JoinParameters, authority: TokenAuthority) -> None:
        self.room = room
        self.grant = grant
        self.join = join
        self.authority = authority
        now_ms = int(time.time() * 1000)
        self.info = models.ParticipantInfo(
            sid=new_sid("PA_"),
            identity=grant.identity,
            name=grant.name,
            metadata=grant.metadata,
            attributes=grant.attributes,
            state=State.JOINING,
            joined_at=now_ms // 1000,
            joined_at_ms=now_ms,
            permission=grant.permission(),
            kind=grant.kind,
            client_protocol=join.client_info.client_protocol,
            capabilities=join.client_info.capabilities[:32],
        )
        self.signal: SignalLink | None = None
        self.publications: dict[str, Publication] = {}
        self.pending: dict[str, Publication] = {}
        self.subscriber = Subscriber(self)
        self.last_reliable_sequence = 0
        self.gone = False
        self._join_deadline: float | None = None
        self._signal_lost_at: float | None = None
        self._failed_at: float | None = None
        self._releasing: asyncio.Task[None] | None = None
        self._missed: deque[rtc.SignalResponse] = deque(maxlen=MISSED_MAX)
        self._token_due = 0.0
        self.announcement = Announcement(self)
        self.subscription_rules = SubscriptionRules()

    @property
    def sid(self) -> str:
        """Participant sid."""
        return self.info.sid

    @property
    def identity(self) -> str:
        """Identity, from the token."""
        return self.info.identity

    @property
    def is_agent(self) -> bool:
        """Whether it joined as an agent."""
        return self.info.kind == models.ParticipantInfo.Kind.AGENT or self.info.permission.agent

    @property
    def active(self) -> bool:
        """Whether media can flow."""
        return self.info.state == State.ACTIVE

    def send(self, message: rtc.SignalResponse) -> None:
        """Queue a signal message to this participant."""
        if self.signal is not None:
            self.signal.send(message)
        elif not self.gone and self._signal_lost_at is not None and message.WhichOneof("message") in KEPT_WHILE_CUT:
            self._missed.append(message)

    def resume_signal(self, signal: SignalLink, response: rtc.ReconnectResponse, now: float) -> SignalLink | None:
        """Go on over a new link, whose first message this response is; the link that was used before."""
        signal.send(rtc.SignalResponse(reconnect=response))
        before = self.signal
        self.attach_signal(signal, now)
        everybody = [self.info, *self.room.others(self)]
        self.send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=everybody)))
        self.send(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.room.info())))
        while self._missed:
            self.send(self._missed.popleft())
        return before

    def attach_signal(self, signal: SignalLink, now: float) -> None:
        """Talk over this link from now on."""
        self.signal = signal
        self._signal_lost_at = None
        if self._join_deadline is None:
            self._join_deadline = now + self.room.config.join_timeout_s

    def signal_lost(self, signal: SignalLink, now: float) -> None:
        """The link closed without a leave; a participant that was connected may resume for a while."""
        if self.signal is not signal:
            return
        self.signal = None
        self._signal_lost_at = now

    def on_connected(self) -> None:
        """The primary peer connection is up: the participant is active."""
        if self.gone or self.active:
            return
        self.info.state = State.ACTIVE
        self.announcement.changed()
        self.subscriber.reconcile_all()

    def on_failed(self) -> None:
        """A peer connection is lost for good. A client that leaves closes it first and says so a moment later."""
        if self._failed_at is None:
            self._failed_at = time.monotonic()

    def refuse(self, reason: RequestReason, message: str, request: rtc.SignalRequest) -> None:
        """Answer a request that cannot be done, with the request in the answer as LiveKit does."""
        response = rtc.RequestResponse(reason=reason, message=message)
        name = request.WhichOneof("message")
        if name in ("trickle", "add_track", "mute", "update_metadata", "update_audio_track", "update_video_track"):
            getattr(response, name).CopyFrom(getattr(request, name))
        if name == "update_metadata":
            response.request_id = request.update_metadata.request_id
        self.send(rtc.SignalResponse(request_response=response))

    # publishing

    def may_publish(self, source: models.TrackSource) -> bool:
        """Whether the grant covers a track of this source."""
        permission = self.info.permission
        if not permission.can_publish:
            return False
        return not permission.can_publish_sources or source in permission.can_publish_sources

    def add_track(self, request: rtc.AddTrackRequest) -> None:
        """Announce the wish to publish; the track is live once it is negotiated."""
        wrapped = rtc.SignalRequest(add_track=request)
        if not self.may_publish(request.source):
            self.refuse(RequestReason.NOT_ALLOWED, "does not have permission to publish this source", wrapped)
            return
        if request.type not in (models.TrackType.AUDIO, models.TrackType.VIDEO):
            self.refuse(RequestReason.UNSUPPORTED_TYPE, "only audio and video tracks can be published", wrapped)
            return
        if request.sid:
            # a second codec of a track that is there already: subscribers are all served by the first
            self.refuse(RequestReason.UNSUPPORTED_TYPE, "backup codecs are not used by this server", wrapped)
            return
        texts = (request.cid, request.name, request.stream, *(item.cid for item in request.simulcast_codecs))
        if max(len(text.encode()) for text in texts) > limits.NAME_BYTES or request.ByteSize() > ADD_TRACK_BYTES:
            self.refuse(RequestReason.LIMIT_EXCEEDED, f"names exceed {limits.NAME_BYTES} bytes", wrapped)
            return
        self._forget_pending()
        if len(self.pending) >= limits.PENDING_TRACKS or len(self.publications) >= limits.TRACKS_PER_PARTICIPANT:
            self.refuse(RequestReason.LIMIT_EXCEEDED, "too many tracks", wrapped)
            return
        publication = self.pending.get(request.cid)
        if publication is None:
            publication = Publication(self, request)
            self.pending[request.cid] = publication
        response = rtc.TrackPublishedResponse(cid=request.cid, track=publication.info)
        self.send(rtc.SignalResponse(track_published=response))
        self.peer.uplink_pending()

    def _forget_pending(self) -> None:
        """When no more fit, forget the one that was announced first: whoever gives up publishing a track does not say so."""
        if len(self.pending) >= limits.PENDING_TRACKS:
            oldest = next(iter(self.pending.values()))
            if time.monotonic() - oldest.announced_at >= PENDING_S:
                del self.pending[oldest.cid]

    def publish(self, publication: Publication) -> None:
        """A pending track was negotiated: others see it and subscribe."""
        self.pending.pop(publication.cid, None)
        if not self.may_publish(publication.info.source):
            self.peer.end_publication(publication)
            return
        self.publications[publication.sid] = self.room.tracks[publication.sid] = publication
        self.list_tracks()
        self.announcement.changed()
        self.room.touch(time.monotonic())

    def unpublish(self, publication: Publication) -> None:
        """A track is gone."""
        if self.publications.pop(publication.sid, None) is None:
            return
        self.room.end_track(publication)
        publication.streams.clear()
        self.list_tracks()
        self.announcement.changed()
        self.room.touch(time.monotonic())

    def list_tracks(self) -> None:
        """Bring what is told of the tracks in line with them."""
        del self.info.tracks[:]
        self.info.tracks.extend(publication.info for publication in self.publications.values())
        self.info.is_publisher = bool(self.publications)

    def mute(self, track_sid: str, muted: bool, *, by_admin: bool = False) -> bool:
        """Mute or unmute one of its tracks; False when there is no such track."""
        publication = self.publications.get(track_sid)
        if publication is None:
            publication = next((p for p in self.pending.values() if p.sid == track_sid), None)
            if publication is None:
                return False
            publication.info.muted = muted
            return True
        if publication.set_muted(muted, time.monotonic()):
            if by_admin:
                self.send(rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=track_sid, muted=muted)))
            self.list_tracks()
            self.announcement.changed()
        return True

    # requests

    def update_metadata(self, name: str, metadata: str, attributes: dict[str, str]) -> None:
        """Change what is said of it: empty means unchanged, an empty attribute is deleted."""
        if name:
            self.info.name = name
        if metadata:
            self.info.metadata = metadata
        for key, value in attributes.items():
            if value:
                self.info.attributes[key] = value
            else:
                self.info.attributes.pop(key, None)
        self.announcement.changed()
        self.send_token(time.monotonic())

    def set_permission(self, permission: models.ParticipantPermission) -> None:
        """Change what it may do, now: forbidden tracks end, subscriptions follow."""
        self.info.permission.CopyFrom(permission)
        self.pending = {cid: p for cid, p in self.pending.items() if self.may_publish(p.info.source)}
        for publication in list(self.publications.values()):
            if not self.may_publish(publication.info.source):
                self.send(rtc.SignalResponse(track_unpublished=rtc.TrackUnpublishedResponse(track_sid=publication.sid)))
                self.peer.end_publication(publication)
        self.subscriber.reconcile_all()

    def simulate(self, scenario: rtc.SimulateScenario) -> None:
        """The faults a client may ask for to test itself (LiveKit: room.go SimulateScenario)."""
        name = scenario.WhichOneof("scenario")
        if name == "speaker_update":
            speaker = models.SpeakerInfo(sid=self.sid, active=True, level=0.9)
            self.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=[speaker])))
        elif name == "server_leave":
            self._leave_soon(Reason.SERVER_SHUTDOWN)
        elif name in ("node_failure", "leave_request_full_reconnect"):
            self._leave_soon(Reason.STATE_MISMATCH, action=rtc.LeaveRequest.Action.RECONNECT)

    # life

    def tick(self, now: float) -> None:
        """Timers."""
        if self.gone:
            return
        if not self.active and self._join_deadline is not None and now > self._join_deadline:
            self._leave_soon(Reason.JOIN_FAILURE)
            return
        if self._failed_at is not None and now - self._failed_at >= LEAVE_GRACE_S:
            self._leave_soon(Reason.CONNECTION_TIMEOUT, action=rtc.LeaveRequest.Action.RECONNECT)
            return
        if self._signal_lost_at is not None:
            window_s = self.room.config.resume_window_s if self.active else 0.0
            if now - self._signal_lost_at >= window_s:
                self._leave_soon(Reason.SIGNAL_CLOSE)
                return
        if self.signal is not None and now >= self._token_due:
            self.send_token(now)
        self.peer.tick(now)
        self.announcement.tick(now)
        self.subscriber.tick(now)
        for publication in list(self.publications.values()):
            publication.tick(now)

    def send_token(self, now: float) -> None:
        """Push a fresh token, with what changed since the last."""
        self._token_due = now + self.room.config.token_refresh_s
        remaining_s = 2 * self.room.config.token_refresh_s
        token = self.authority.sign(self.grant, self.info, self.room.name, remaining_s)
        self.send(rtc.SignalResponse(refresh_token=token))

    def _leave_soon(
        self,
        reason: Reason,
        action: rtc.LeaveRequest.Action = rtc.LeaveRequest.Action.DISCONNECT,
    ) -> None:
        self.depart(reason, tell=True, action=action)

    async def leave(
        self,
        reason: Reason,
        *,
        tell: bool,
        action: rtc.LeaveRequest.Action = rtc.LeaveRequest.Action.DISCONNECT,
    ) -> None:
        """Take it out of the room and close its connections. `tell`: the client does not know yet. Idempotent."""
        self.depart(reason, tell=tell, action=action)
        if self._releasing is not None:
            await asyncio.shield(self._releasing)

    def depart(
        self,
        reason: Reason,
        *,
        tell: bool,
        action: rtc.LeaveRequest.Action = rtc.LeaveRequest.Action.DISCONNECT,
    ) -> None:
        """Take it out of the room now; its connections are closed in the background. Idempotent."""
        if self.gone:
            return
        self.gone = True
        logger.info("%s left %s: %s", self.sid, self.room.sid, Reason.Name(reason))
        if tell:
            can_reconnect = action != rtc.LeaveRequest.Action.DISCONNECT
            leave = rtc.LeaveRequest(reason=reason, action=action, can_reconnect=can_reconnect)
            self.send(rtc.SignalResponse(leave=leave))
        for publication in list(self.publications.values()):
            self.room.end_track(publication)
        self.subscriber.close()
        self.publications.clear()
        del self.info.tracks[:]
        self.info.is_publisher = False
        self.info.state = State.DISCONNECTED
        self.info.disconnect_reason = reason
        self.room.remove(self, time.monotonic())
        self._releasing = asyncio.ensure_future(self._release())
        self.room.tasks.add(self._releasing)
        self._releasing.add_done_callback(self.room.tasks.discard)

    async def _release(self) -> None:
        signal, self.signal = self.signal, None
        if signal is not None:
            await signal.close()
        await self.peer.close()
