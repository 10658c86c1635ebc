"""From what happened in the roster to the events users hear: on the room, on the participant, on publication and track.

Names and order of arguments are those `livekit.rtc` really emits, which are not always those of its documentation; the
events that only livekit-client has follow its order in snake_case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from livekit.protocol import models

from lknb.logic import roster_event as event
from lknb.logic.member import Member, TrackEntry
from lknb.logic.roster_event import RosterEvent
from lknb.logic.track_setting import Dimensions
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.participant import Participant, RemoteParticipant
from lknb.rtc.track import RemoteAudioTrack, RemoteTrack, RemoteVideoTrack
from lknb.rtc.track_publication import RemoteTrackPublication, SubscriptionStatus

if TYPE_CHECKING:
    from lknb.rtc.room import Room

logger = logging.getLogger(__name__)

_FAILURES = {
    models.SubscriptionError.SE_CODEC_UNSUPPORTED: "codec unsupported",
    models.SubscriptionError.SE_TRACK_NOTFOUND: "track not found",
}


class Announcer:
    """Keeps the participants of one room in step with its roster, and tells what happens."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._tell_room = room._tell
        # subscriptions the core reported before the server told of the track
        self._early: dict[str, None] = {}
        self._handlers: Mapping[type[Any], Callable[[Any], None]] = {
            event.ParticipantConnected: self._connected,
            event.ParticipantActive: self._active,
            event.ParticipantDisconnected: self._disconnected,
            event.MetadataChanged: self._metadata,
            event.NameChanged: self._name,
            event.AttributesChanged: self._attributes,
            event.PermissionsChanged: self._permissions,
            event.QualityChanged: self._quality,
            event.SpeakingChanged: self._speaking,
            event.SpeakersChanged: self._speakers,
            event.TrackPublished: self._published,
            event.TrackUnpublished: self._unpublished,
            event.TrackMuted: lambda it: self._muted(it, "muted"),
            event.TrackUnmuted: lambda it: self._muted(it, "unmuted"),
            event.StreamStateChanged: self._stream_state,
            event.SubscriptionPermissionChanged: self._subscription_permission,
            event.SubscriptionFailed: self._subscription_failed,
            event.LocalTrackSubscribed: self._local_subscribed,
            event.LocalTrackEnded: lambda it: room.local_participant._drop_by_server(it.track.sid),
            event.LocalTrackMuteAsked: self._local_mute_asked,
            event.RoomMetadataChanged: lambda it: self._tell_room("room_metadata_changed", it.old, it.new),
            event.RecordingChanged: lambda it: self._tell_room("recording_status_changed", it.active),
            event.RoomUpdated: lambda it: room._room_updated(),
        }

    def tell(self, events: Sequence[RosterEvent]) -> None:
        """Tell these events, in order."""
        for each in events:
            self._handlers[type(each)](each)

    def subscribed(self, track_sid: str) -> None:
        """The core receives a track now."""
        found = self._find(track_sid)
        if found is None:
            self._early[track_sid] = None
            return
        participant, publication = found
        if publication.track is not None:
            return
        make = RemoteVideoTrack if publication.kind == TrackKind.KIND_VIDEO else RemoteAudioTrack
        track: RemoteTrack = make(publication._entry, self._room._core, participant._member)
        publication._track = track
        track._publication = publication
        # what was paused was another stream
        publication._entry.paused = False
        self._tell_room("track_subscribed", track, publication, participant)
        participant._tell("track_subscribed", track, publication)
        publication._tell("subscribed", track)
        self._tell_news(participant, publication)

    def wished(self, participant: RemoteParticipant, publication: RemoteTrackPublication) -> None:
        """The user asked for a track, or for it no longer."""
        status, allowed = publication._news()
        self._tell_status(participant, publication, status)
        self._tell_allowed(participant, publication, allowed)

    def seen(self, header: Mapping[str, Any]) -> None:
        """What adaptive stream sees of a track, in the core."""
        found = self._find(header["track_sid"])
        if found is None:
            return
        width, height = header["width"], header["height"]
        shown = None if width is None else Dimensions(width, height)
        found[1]._setting.set_shown(shown, visible=header["visible"])

    def unsubscribed(self, track_sid: str) -> None:
        """The core receives a track no longer."""
        self._early.pop(track_sid, None)
        found = self._find(track_sid)
        if found is not None:
            self._unsubscribe(*found)

    def _find(self, track_sid: str) -> tuple[RemoteParticipant, RemoteTrackPublication] | None:
        for participant in self._room._remote_participants.values():
            publication = participant._track_publications.get(track_sid)
            if publication is not None:
                return participant, publication
        return None

    def _participant(self, member: Member) -> Participant:
        local = self._room.local_participant
        return local if member is local._member else self._room._remote_participants[member.identity]

    def _remote(self, member: Member, track: TrackEntry) -> tuple[RemoteParticipant, RemoteTrackPublication]:
        participant = self._room._remote_participants[member.identity]
        return participant, participant._track_publications[track.sid]

    def _connected(self, it: event.ParticipantConnected) -> None:
        self._tell_room("participant_connected", self._room._add_participant(it.member))

    def _active(self, it: event.ParticipantActive) -> None:
        participant = self._participant(it.member)
        self._tell_room("participant_active", participant)
        participant._tell("active")

    def _disconnected(self, it: event.ParticipantDisconnected) -> None:
        participant = self._room._remote_participants.pop(it.member.identity)
        self._tell_room("participant_disconnected", participant)
        participant._end(f"{participant.identity} has left the room")

    def _metadata(self, it: event.MetadataChanged) -> None:
        participant = self._participant(it.member)
        self._tell_room("participant_metadata_changed", participant, it.old, it.new)
        participant._tell("participant_metadata_changed", it.old, it.new)

    def _name(self, it: event.NameChanged) -> None:
        participant = self._participant(it.member)
        self._tell_room("participant_name_changed", participant, it.old, it.new)
        participant._tell("participant_name_changed", it.old, it.new)

    def _attributes(self, it: event.AttributesChanged) -> None:
        participant = self._participant(it.member)
        self._tell_room("participant_attributes_changed", dict(it.changed), participant)
        participant._tell("attributes_changed", dict(it.changed))

    def _permissions(self, it: event.PermissionsChanged) -> None:
        participant = self._participant(it.member)
        self._tell_room("participant_permissions_changed", participant, participant.permissions)
        participant._tell("participant_permissions_changed", participant.permissions)

    def _quality(self, it: event.QualityChanged) -> None:
        participant = self._participant(it.member)
        self._tell_room("connection_quality_changed", participant, participant.connection_quality)
        participant._tell("connection_quality_changed", participant.connection_quality)

    def _speaking(self, it: event.SpeakingChanged) -> None:
        participant = self._participant(it.member)
        participant._set_spoke()
        participant._tell("is_speaking_changed", it.member.speaking)

    def _speakers(self, it: event.SpeakersChanged) -> None:
        self._room._active_speakers = [self._participant(member) for member in it.speakers]
        self._tell_room("active_speakers_changed", self._room.active_speakers)

    def _published(self, it: event.TrackPublished) -> None:
        participant = self._room._remote_participants[it.member.identity]
        # a participant that came with this track has it already
        publication = participant._track_publications.get(it.track.sid) or participant._add(it.track)
        self._tell_room("track_published", publication, participant)
        participant._tell("track_published", publication)
        if it.track.sid in self._early:
            del self._early[it.track.sid]
            self.subscribed(it.track.sid)

    def _unpublished(self, it: event.TrackUnpublished) -> None:
        participant, publication = self._remote(it.member, it.track)
        self._unsubscribe(participant, publication)
        del participant._track_publications[it.track.sid]
        self._tell_room("track_unpublished", publication, participant)
        participant._tell("track_unpublished", publication)
        publication._tell("ended")
        publication._fail_waits("the track was unpublished")

    def _unsubscribe(self, participant: RemoteParticipant, publication: RemoteTrackPublication) -> None:
        track = publication.track
        if track is None:
            return
        publication._track = None
        track._end()
        self._tell_room("track_unsubscribed", track, publication, participant)
        participant._tell("track_unsubscribed", track, publication)
        publication._tell("unsubscribed", track)
        self._tell_news(participant, publication)

    def _tell_news(self, participant: RemoteParticipant, publication: RemoteTrackPublication) -> None:
        status, allowed = publication._news()
        self._tell_allowed(participant, publication, allowed)
        self._tell_status(participant, publication, status)

    def _tell_status(
        self, participant: RemoteParticipant, publication: RemoteTrackPublication, status: SubscriptionStatus | None
    ) -> None:
        if status is None:
            return
        self._tell_room("track_subscription_status_changed", publication, status, participant)
        participant._tell("track_subscription_status_changed", publication, status)
        publication._tell("subscription_status_changed", status)

    def _tell_allowed(
        self, participant: RemoteParticipant, publication: RemoteTrackPublication, allowed: bool | None
    ) -> None:
        if allowed is None:
            return
        self._tell_room("track_subscription_permission_changed", publication, allowed, participant)
        participant._tell("track_subscription_permission_changed", publication, allowed)
        publication._tell("subscription_permission_changed", allowed)

    def _muted(self, it: event.TrackMuted | event.TrackUnmuted, word: str) -> None:
        participant, publication = self._remote(it.member, it.track)
        self._tell_room(f"track_{word}", participant, publication)
        participant._tell(f"track_{word}", publication)
        publication._tell(word)
        if publication.track is not None:
            publication.track._tell(word)

    def _stream_state(self, it: event.StreamStateChanged) -> None:
        participant, publication = self._remote(it.member, it.track)
        if publication.track is None:
            return
        state = publication.track.stream_state
        self._tell_room("track_stream_state_changed", publication, state, participant)
        participant._tell("track_stream_state_changed", publication, state)
        publication._tell("stream_state_changed", state)
        publication.track._tell("stream_state_changed", state)

    def _subscription_permission(self, it: event.SubscriptionPermissionChanged) -> None:
        self._tell_news(*self._remote(it.member, it.track))

    def _subscription_failed(self, it: event.SubscriptionFailed) -> None:
        participant = self._room._remote_participants[it.member.identity]
        reason = next((text for error, text in _FAILURES.items() if error == it.error), "unknown")
        self._tell_room("track_subscription_failed", participant, it.track_sid, reason)
        participant._tell("track_subscription_failed", it.track_sid, reason)

    def _local_subscribed(self, it: event.LocalTrackSubscribed) -> None:
        publication = self._room.local_participant.track_publications.get(it.track.sid)
        if publication is not None:
            publication._set_subscribed()
            self._tell_room("local_track_subscribed", publication.track)

    def _local_mute_asked(self, it: event.LocalTrackMuteAsked) -> None:
        publication = self._room.local_participant.track_publications.get(it.track.sid)
        if publication is not None and publication.track is not None:
            publication.track._set_muted(it.muted)
