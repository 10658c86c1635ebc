"""What a `Roster` tells: one frozen class for each thing that can happen to participants and their tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from lknb.logic.member import Member, TrackEntry


@dataclass(frozen=True, slots=True)
class ParticipantConnected:
    """Somebody is in the room now."""

    member: Member


@dataclass(frozen=True, slots=True)
class ParticipantActive:
    """Somebody's media and data can flow now."""

    member: Member


@dataclass(frozen=True, slots=True)
class ParticipantDisconnected:
    """Somebody left; the reason is in `member.info.disconnect_reason`."""

    member: Member


@dataclass(frozen=True, slots=True)
class MetadataChanged:
    """The metadata of a participant, local or remote, is another."""

    member: Member
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class NameChanged:
    """The name of a participant, local or remote, is another."""

    member: Member
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class AttributesChanged:
    """Attributes of a participant, local or remote, are other ones; a deleted key is told as `""`."""

    member: Member
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PermissionsChanged:
    """What a participant may do is different; `member.info.permission` has it."""

    member: Member


@dataclass(frozen=True, slots=True)
class QualityChanged:
    """The connection quality (`models.ConnectionQuality`) of a participant, local or remote, is another."""

    member: Member
    quality: int


@dataclass(frozen=True, slots=True)
class SpeakingChanged:
    """Somebody, local or remote, began or ceased to speak: `member.speaking`."""

    member: Member


@dataclass(frozen=True, slots=True)
class SpeakersChanged:
    """All who speak now, loudest first."""

    speakers: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class TrackPublished:
    """A remote participant publishes one more track."""

    member: Member
    track: TrackEntry


@dataclass(frozen=True, slots=True)
class TrackUnpublished:
    """A track of a remote participant is gone."""

    member: Member
    track: TrackEntry


@dataclass(frozen=True, slots=True)
class TrackMuted:
    """A remote participant muted a track."""

    member: Member
    track: TrackEntry


@dataclass(frozen=True, slots=True)
class TrackUnmuted:
    """A remote participant unmuted a track."""

    member: Member
    track: TrackEntry


@dataclass(frozen=True, slots=True)
class StreamStateChanged:
    """The server paused or resumed a track on its way to us: `track.paused`."""

    member: Member
    track: TrackEntry


@dataclass(frozen=True, slots=True)
class SubscriptionPermissionChanged:
    """The publisher allows us a track now, or no longer: `track.allowed`."""

    member: Member
    track: TrackEntry


@dataclass(frozen=True, slots=True)
class SubscriptionFailed:
    """The server could not give us a track (`error`: `models.SubscriptionError`)."""

    member: Member
    track_sid: str
    error: int


@dataclass(frozen=True, slots=True)
class LocalTrackSubscribed:
    """Somebody receives a track of ours for the first time."""

    track: TrackEntry


@dataclass(frozen=True, slots=True)
class LocalTrackEnded:
    """The server unpublished a track of ours: we may no longer publish it."""

    track: TrackEntry


@dataclass(frozen=True, slots=True)
class LocalTrackMuteAsked:
    """The server asks us to mute, or unmute, a track of ours."""

    track: TrackEntry
    muted: bool


@dataclass(frozen=True, slots=True)
class RoomMetadataChanged:
    """The metadata of the room is another."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class RecordingChanged:
    """The room is recorded now, or no longer."""

    active: bool


@dataclass(frozen=True, slots=True)
class RoomUpdated:
    """Something about the room is different: sid, counts, metadata or recording."""


RosterEvent: TypeAlias = (
    ParticipantConnected
    | ParticipantActive
    | ParticipantDisconnected
    | MetadataChanged
    | NameChanged
    | AttributesChanged
    | PermissionsChanged
    | QualityChanged
    | SpeakingChanged
    | SpeakersChanged
    | TrackPublished
    | TrackUnpublished
    | TrackMuted
    | TrackUnmuted
    | StreamStateChanged
    | SubscriptionPermissionChanged
    | SubscriptionFailed
    | LocalTrackSubscribed
    | LocalTrackEnded
    | LocalTrackMuteAsked
    | RoomMetadataChanged
    | RecordingChanged
    | RoomUpdated
)
