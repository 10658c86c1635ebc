"""Who is in a room and what they publish, kept from what the server says (sans-I/O).

`Roster.join` takes the JoinResponse, `Roster.handle` every later SignalResponse; out comes a list of typed events
in the order to tell them. Rules, as in LiveKit's clients (client-sdk-js Room.ts, rust-sdks room/mod.rs):

- nobody who was in the room at the join is announced, nor their tracks;
- an info older (`version`) than what is known of the same sid changes nothing, and a sid that left does not come back;
- an identity that shows up with another sid has left and come again: disconnected, then connected;
- a participant that leaves first loses its tracks;
- whether a track of our own is muted is ours to say: only a `mute` from the server changes it, never its echo;
- hidden participants are not there.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

from livekit.protocol import models, rtc

from lknb.logic.member import Member, TrackEntry
from lknb.logic.roster_event import (
    LocalTrackEnded,
    LocalTrackMuteAsked,
    LocalTrackSubscribed,
    ParticipantActive,
    ParticipantConnected,
    ParticipantDisconnected,
    QualityChanged,
    RecordingChanged,
    RoomMetadataChanged,
    RoomUpdated,
    RosterEvent,
    SpeakersChanged,
    SpeakingChanged,
    StreamStateChanged,
    SubscriptionFailed,
    SubscriptionPermissionChanged,
    TrackPublished,
    TrackUnpublished,
)

State = models.ParticipantInfo.State
_DEPARTED_KEPT = 256
_EARLY_KEPT = 64

Events: TypeAlias = list[RosterEvent]


class Roster:
    """The room as the server told it."""

    def __init__(self) -> None:
        self.room = models.Room()
        self.local: Member | None = None
        self.remote: dict[str, Member] = {}
        """By identity."""
        self.speakers: list[Member] = []
        """Loudest first."""
        self._departed: OrderedDict[str, int] = OrderedDict()
        self._early: deque[tuple[str, rtc.SignalResponse]] = deque(maxlen=_EARLY_KEPT)
        self._handlers: dict[str, Callable[[rtc.SignalResponse], Events]] = {
            "update": lambda message: self.update(message.update.participants),
            "room_update": lambda message: self._update_room(message.room_update.room),
            "speakers_changed": lambda message: self._update_speakers(message.speakers_changed.speakers),
            "connection_quality": lambda message: self._update_quality(message.connection_quality.updates),
            "stream_state_update": lambda message: self._update_streams(message.stream_state_update.stream_states),
            "subscription_permission_update": lambda message: self._update_permission(
                message.subscription_permission_update
            ),
            "subscription_response": lambda message: self._fail_subscription(message.subscription_response),
            "mute": lambda message: self._tell_local(message.mute.sid, message),
            "track_unpublished": lambda message: self._tell_local(message.track_unpublished.track_sid, message),
            "track_subscribed": lambda message: self._tell_local(message.track_subscribed.track_sid, message),
        }

    def join(self, response: rtc.JoinResponse) -> None:
        """Begin with what the server says at the join; nobody is announced."""
        self.room.CopyFrom(response.room)
        self.local = Member.of(response.participant, with_tracks=False)
        self.remote = {}
        self.speakers = []
        self._departed.clear()
        self._early.clear()
        for info in response.other_participants:
            if info.state != State.DISCONNECTED and not info.permission.hidden:
                self.remote[info.identity] = Member.of(info)

    def handle(self, message: rtc.SignalResponse) -> Events:
        """The events of one message; none for a message that is not about the roster."""
        handler = self._handlers.get(message.WhichOneof("message") or "")
        return handler(message) if handler is not None else []

    def member(self, sid: str) -> Member | None:
        """Whoever has this participant sid, the local participant included."""
        if self.local is not None and self.local.sid == sid:
            return self.local
        return next((member for member in self.remote.values() if member.sid == sid), None)

    def owner(self, track_sid: str) -> tuple[Member, TrackEntry] | None:
        """The remote participant that publishes this track, and the track."""
        for member in self.remote.values():
            if track_sid in member.tracks:
                return member, member.tracks[track_sid]
        return None

    def add_local_track(self, info: models.TrackInfo) -> tuple[TrackEntry, Events]:
        """A track of our own is published. With it comes what the server said about it before we knew its sid."""
        entry = TrackEntry.of(info)
        if self.local is not None:
            self.local.tracks[info.sid] = entry
        early = [message for sid, message in self._early if sid == info.sid]
        self._early = deque((pair for pair in self._early if pair[0] != info.sid), maxlen=_EARLY_KEPT)
        return entry, [event for message in early for event in self.handle(message)]

    def remove_local_track(self, sid: str) -> TrackEntry | None:
        """A track of our own is no longer published. None when it was not."""
        return self.local.tracks.pop(sid, None) if self.local is not None else None

    def update(self, participants: Iterable[models.ParticipantInfo]) -> Events:
        """The events of a ParticipantUpdate."""
        events: Events = []
        for info in participants:
            if self.local is not None and info.sid == self.local.sid:
                events += self._update_local(self.local, info)
            elif self.local is None or info.identity != self.local.identity:
                events += self._update_remote(info)
        return events

    def _update_local(self, local: Member, info: models.ParticipantInfo) -> Events:
        if info.version < local.info.version:
            return []
        local.take_local_tracks(info)
        return local.describe(info)

    def _update_remote(self, info: models.ParticipantInfo) -> Events:
        member = self.remote.get(info.identity) if info.identity else self.member(info.sid)
        gone = info.state == State.DISCONNECTED or info.permission.hidden
        if member is not None and member.sid != info.sid:
            if gone or self._is_stale(info):
                return []
            return [*self._remove(member), *self._add(info)]
        if member is None:
            return [] if gone or self._is_stale(info) else self._add(info)
        if info.version < member.info.version:
            return []
        if gone:
            member.info.version = info.version
            member.info.disconnect_reason = info.disconnect_reason
            return self._remove(member)
        return self._change(member, info)

    def _is_stale(self, info: models.ParticipantInfo) -> bool:
        return info.version <= self._departed.get(info.sid, -1)

    def _add(self, info: models.ParticipantInfo) -> Events:
        member = Member.of(info)
        self.remote[info.identity] = member
        events: Events = [ParticipantConnected(member)]
        if info.state == State.ACTIVE:
            events.append(ParticipantActive(member))
        events += [TrackPublished(member, entry) for entry in member.tracks.values()]
        return events

    def _remove(self, member: Member) -> Events:
        del self.remote[member.identity]
        self._departed[member.sid] = member.info.version
        if len(self._departed) > _DEPARTED_KEPT:
            self._departed.popitem(last=False)
        member.info.state = State.DISCONNECTED
        events: Events = [TrackUnpublished(member, member.tracks.pop(sid)) for sid in list(member.tracks)]
        events += self._silence(member)
        events.append(ParticipantDisconnected(member))
        return events

    def _silence(self, member: Member) -> Events:
        member.speaking, member.audio_level = False, 0.0
        if member not in self.speakers:
            return []
        self.speakers = [speaker for speaker in self.speakers if speaker is not member]
        return [SpeakingChanged(member), SpeakersChanged(tuple(self.speakers))]

    def _change(self, member: Member, info: models.ParticipantInfo) -> Events:
        became_active = info.state == State.ACTIVE and member.info.state != State.ACTIVE
        active: Events = [ParticipantActive(member)] if became_active else []
        return [*active, *member.describe(info), *member.list_tracks(info)]

    def _update_room(self, room: models.Room) -> Events:
        events: Events = []
        before = self.room
        self.room = models.Room()
        self.room.CopyFrom(room)
        self.room.sid = room.sid or before.sid
        if before.metadata != room.metadata:
            events.append(RoomMetadataChanged(before.metadata, room.metadata))
        if before.active_recording != room.active_recording:
            events.append(RecordingChanged(room.active_recording))
        events.append(RoomUpdated())
        return events

    def _update_speakers(self, updates: Iterable[models.SpeakerInfo]) -> Events:
        events: Events = []
        speakers = {member.sid: member for member in self.speakers}
        for update in updates:
            member = self.member(update.sid)
            if member is None:
                continue
            member.audio_level = update.level
            if member.speaking != update.active:
                member.speaking = update.active
                events.append(SpeakingChanged(member))
            if update.active:
                speakers[member.sid] = member
            else:
                speakers.pop(member.sid, None)
        self.speakers = sorted(speakers.values(), key=lambda member: -member.audio_level)
        return [*events, SpeakersChanged(tuple(self.speakers))]

    def _update_quality(self, updates: Iterable[rtc.ConnectionQualityInfo]) -> Events:
        events: Events = []
        for update in updates:
            member = self.member(update.participant_sid)
            if member is not None and member.quality != update.quality:
                member.quality = update.quality
                events.append(QualityChanged(member, update.quality))
        return events

    def _update_streams(self, states: Iterable[rtc.StreamStateInfo]) -> Events:
        events: Events = []
        for state in states:
            found = self.owner(state.track_sid)
            paused = state.state == rtc.StreamState.PAUSED
            if found is not None and found[1].paused != paused:
                found[1].paused = paused
                events.append(StreamStateChanged(*found))
        return events

    def _update_permission(self, update: rtc.SubscriptionPermissionUpdate) -> Events:
        found = self.owner(update.track_sid)
        if found is None or found[1].allowed == update.allowed:
            return []
        found[1].allowed = update.allowed
        return [SubscriptionPermissionChanged(*found)]

    def _fail_subscription(self, response: rtc.SubscriptionResponse) -> Events:
        found = self.owner(response.track_sid)
        return [SubscriptionFailed(found[0], response.track_sid, response.err)] if found is not None else []

    def _tell_local(self, sid: str, message: rtc.SignalResponse) -> Events:
        entry = self.local.tracks.get(sid) if self.local is not None else None
        if entry is None:
            self._early.append((sid, message))
            return []
        match message.WhichOneof("message"):
            case "mute":
                return [LocalTrackMuteAsked(entry, message.mute.muted)]
            case "track_subscribed":
                return [LocalTrackSubscribed(entry)]
        self.remove_local_track(sid)
        return [LocalTrackEnded(entry)]
