"""Participants of a room: what is known of each, and their publications."""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from livekit.protocol import models

from lknb.errors import PublishDataError, PublishTrackError, UnpublishTrackError
from lknb.logic.member import Member, TrackEntry
from lknb.rtc.display import display_view
from lknb.rtc.enumeration import (
    ConnectionQuality,
    DisconnectReason,
    ParticipantKind,
    ParticipantKindDetail,
    ParticipantState,
    TrackSource,
    participant_kind,
)
from lknb.rtc.event_emitter import EventEmitter
from lknb.rtc.track_publication import RemoteTrackPublication, TrackPublication

if TYPE_CHECKING:
    from lknb.rtc.core_room import CoreRoom

PublishDTMFError = PublishDataError
PublishTranscriptionError = PublishDataError

ParticipantEvents = Literal[
    "active", "participant_metadata_changed", "participant_name_changed", "attributes_changed",
    "participant_permissions_changed", "connection_quality_changed", "is_speaking_changed", "data_received",
    "track_published", "track_unpublished", "track_subscribed", "track_unsubscribed", "track_subscription_failed",
    "track_subscription_status_changed", "track_subscription_permission_changed", "track_stream_state_changed",
    "track_muted", "track_unmuted", "local_track_published", "local_track_unpublished",
    "media_devices_error",
]  # fmt: skip


class Participant(EventEmitter[ParticipantEvents], ABC):
    """Somebody in a room, ourselves included.

    Its events are those of the room that are about it, without the participant among the arguments, as in livekit-client:
    `participant.on("track_subscribed", lambda track, publication: ...)`.
    """

    def __init__(self, member: Member) -> None:
        super().__init__()
        self._member = member
        self._last_spoke_at: datetime.datetime | None = None

    @property
    @abstractmethod
    def track_publications(self) -> Mapping[str, TrackPublication]:
        """Publications by track sid."""

    @property
    def sid(self) -> str:
        """Participant sid, `PA_...`; another one each time somebody joins."""
        return self._member.info.sid

    @property
    def name(self) -> str:
        """The name to show."""
        return self._member.info.name

    @property
    def identity(self) -> str:
        """What its token says it is; unique in the room."""
        return self._member.info.identity

    @property
    def metadata(self) -> str:
        """Whatever the application put there."""
        return self._member.info.metadata

    @property
    def attributes(self) -> dict[str, str]:
        """Key and value pairs the application put there; a copy."""
        return dict(self._member.info.attributes)

    @property
    def kind(self) -> ParticipantKind:
        """What kind of client it is."""
        return participant_kind(self._member.info.kind)

    @property
    def kind_details(self) -> list[ParticipantKindDetail]:
        """More about the kind."""
        known = {int(detail) for detail in ParticipantKindDetail}
        return [ParticipantKindDetail(detail) for detail in self._member.info.kind_details if int(detail) in known]

    @property
    def state(self) -> ParticipantState:
        """How far it has come: media and data flow once it is active."""
        return ParticipantState.of(self._member.info.state, ParticipantState.PARTICIPANT_STATE_JOINING)

    @property
    def joined_at(self) -> datetime.datetime | None:
        """When it joined, in UTC; None when it has not yet."""
        info = self._member.info
        joined_ms = info.joined_at_ms or info.joined_at * 1000
        return datetime.datetime.fromtimestamp(joined_ms / 1000, datetime.UTC) if joined_ms else None

    @property
    def permissions(self) -> models.ParticipantPermission:
        """What it may do."""
        return self._member.info.permission

    @property
    def connection_quality(self) -> ConnectionQuality:
        """How good its connection is; QUALITY_UNKNOWN until the server has said something."""
        unknown = ConnectionQuality.QUALITY_UNKNOWN
        return unknown if self._member.quality is None else ConnectionQuality.of(self._member.quality, unknown)

    @property
    def disconnect_reason(self) -> DisconnectReason | None:
        """Why it left; None while it is here, and when nobody said why."""
        reason = DisconnectReason.of(self._member.info.disconnect_reason, DisconnectReason.UNKNOWN_REASON)
        return reason or None

    @property
    def is_speaking(self) -> bool:
        """Whether the server hears it speak."""
        return self._member.speaking

    @property
    def audio_level(self) -> float:
        """How loud it speaks, from 0 to 1."""
        return self._member.audio_level

    @property
    def last_spoke_at(self) -> datetime.datetime | None:
        """When it last began to speak, in UTC; None if it never did."""
        return self._last_spoke_at

    @property
    def is_camera_enabled(self) -> bool:
        """Whether it publishes a camera that is not muted (livekit-client: isCameraEnabled)."""
        return self._is_enabled(TrackSource.SOURCE_CAMERA)

    @property
    def is_microphone_enabled(self) -> bool:
        """Whether it publishes a microphone that is not muted."""
        return self._is_enabled(TrackSource.SOURCE_MICROPHONE)

    @property
    def is_screen_share_enabled(self) -> bool:
        """Whether it shares a screen."""
        return self._is_enabled(TrackSource.SOURCE_SCREENSHARE)

    def get_track_publication(self, source: TrackSource | int) -> TrackPublication | None:
        """Its first publication from this source, such as TrackSource.SOURCE_CAMERA (livekit-client)."""
        return next((found for found in self.track_publications.values() if found.source == source), None)

    def _is_enabled(self, source: TrackSource) -> bool:
        publication = self.get_track_publication(source)
        return publication is not None and not publication.muted

    def _ipython_display_(self) -> None:
        display_view("participant", self)

    def _set_spoke(self) -> None:
        if self._member.speaking:
            self._last_spoke_at = datetime.datetime.now(datetime.UTC)

    def _end(self, reason: str) -> None:
        for publication in self.track_publications.values():
            publication._fail_waits(reason)
        self._fail_waits(reason)

    def __repr__(self) -> str:
        return f"rtc.{type(self).__name__}(sid={self.sid}, identity={self.identity}, name={self.name})"


class RemoteParticipant(Participant):
    """Somebody else."""

    def __init__(
        self,
        member: Member,
        core: CoreRoom,
        *,
        auto_subscribe: bool,
        on_wish: Callable[[RemoteParticipant, RemoteTrackPublication], None] = lambda participant, publication: None,
    ) -> None:
        """`on_wish` is called when the user wants one of its publications, or does so no longer."""
        super().__init__(member)
        self._core = core
        self._auto_subscribe = auto_subscribe
        self._on_wish = on_wish
        self._track_publications: dict[str, RemoteTrackPublication] = {}
        for entry in member.tracks.values():
            self._add(entry)

    @property
    def track_publications(self) -> Mapping[str, RemoteTrackPublication]:
        """Publications by track sid."""
        return self._track_publications

    def _add(self, entry: TrackEntry) -> RemoteTrackPublication:
        publication = RemoteTrackPublication(
            entry,
            self._core,
            auto_subscribe=self._auto_subscribe,
            on_wish=lambda publication: self._on_wish(self, publication),
        )
        publication._participant = self
        self._track_publications[entry.sid] = publication
        return publication


__all__ = [
    "Participant",
    "PublishDTMFError",
    "PublishDataError",
    "PublishTrackError",
    "PublishTranscriptionError",
    "RemoteParticipant",
    "UnpublishTrackError",
]
