"""What is known of a room itself, and the names of what happens in it.

Events and what they carry, as `livekit.rtc` really emits it; handlers may take less:

    connected, reconnecting, reconnected, room_updated, token_refreshed     nothing
    disconnected                                                            reason
    connection_state_changed                                                state
    room_metadata_changed                                                   old, new
    active_speakers_changed                                                 [participant, ...], loudest first
    participant_connected, participant_active, participant_disconnected     participant
    participant_metadata_changed, participant_name_changed                  participant, old, new
    participant_attributes_changed                                          {changed key: value}, participant
    participant_permissions_changed                                         participant, permissions
    connection_quality_changed                                              participant, quality
    track_published, track_unpublished                                      publication, participant
    track_subscribed, track_unsubscribed                                    track, publication, participant
    track_subscription_failed                                               participant, track sid, error
    track_muted, track_unmuted                                              participant, publication
    local_track_published                                                   publication, track
    local_track_unpublished                                                 publication
    local_track_subscribed                                                  track
    data_received, sip_dtmf_received                                        DataPacket, SipDTMF
    transcription_received                                                  segments, participant, publication

Events that only livekit-client has:

    track_stream_state_changed, track_subscription_status_changed           publication, state or status, participant
    track_subscription_permission_changed                                   publication, allowed, participant
    recording_status_changed                                                whether the room is recorded
    audio_playback_status_changed                                           whether pages that show the room may play it
    media_devices_error                                                     MediaDevicesError
    media_devices_changed                                                   nothing; `lknb.devices()` has those there are
    active_device_changed                                                   "camera", "microphone" or "speaker", device id
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, field
from typing import Literal

from lknb.errors import DisconnectedError
from lknb.logic.roster import Roster
from lknb.rtc import stats
from lknb.rtc.event_emitter import EventEmitter
from lknb.rtc.playback import playback_of
from lknb.rtc.room_sid import RoomSid

RoomEvents = Literal[
    "participant_connected", "participant_disconnected", "participant_active", "local_track_published",
    "local_track_unpublished", "local_track_republished", "local_track_subscribed", "track_published",
    "track_unpublished", "track_subscribed", "track_unsubscribed", "track_subscription_failed", "track_muted",
    "track_unmuted", "active_speakers_changed", "room_metadata_changed", "participant_metadata_changed",
    "participant_name_changed", "participant_attributes_changed", "connection_quality_changed",
    "participant_encryption_status_changed", "participant_permissions_changed", "data_received", "sip_dtmf_received",
    "transcription_received", "e2ee_state_changed", "connection_state_changed", "connected", "disconnected",
    "reconnecting", "reconnected", "room_updated", "moved", "token_refreshed", "data_track_published",
    "data_track_unpublished", "track_stream_state_changed", "track_subscription_status_changed",
    "track_subscription_permission_changed", "recording_status_changed", "audio_playback_status_changed",
    "media_devices_error", "media_devices_changed", "active_device_changed",
]  # fmt: skip


@dataclass
class RtcStats:
    """What was counted of a room, for each of its peer connections: entries of `lknb.rtc.stats`."""

    publisher_stats: list[stats.RtcStats] = field(default_factory=list)
    subscriber_stats: list[stats.RtcStats] = field(default_factory=list)


class RoomInfo(EventEmitter[RoomEvents]):
    """The room as the server describes it."""

    def __init__(self) -> None:
        super().__init__()
        self._roster = Roster()
        self._sid_arrives: asyncio.Future[str] | None = None

    @property
    def sid(self) -> RoomSid:
        """The sid of the room, `RM_...`; `await room.sid` waits for it, in case the server has not told it yet."""
        return RoomSid(self._roster.room.sid, self._sid_arrives)

    @property
    def name(self) -> str:
        """The name of the room."""
        return self._roster.room.name

    @property
    def metadata(self) -> str:
        """Whatever the application put there."""
        return self._roster.room.metadata

    @property
    def num_participants(self) -> int:
        """How many are in the room; the server tells from time to time."""
        return self._roster.room.num_participants

    @property
    def num_publishers(self) -> int:
        """How many publish; the server tells from time to time."""
        return self._roster.room.num_publishers

    @property
    def creation_time(self) -> datetime.datetime:
        """When the room was made, in UTC."""
        info = self._roster.room
        return datetime.datetime.fromtimestamp(
            (info.creation_time_ms or info.creation_time * 1000) / 1000, datetime.UTC
        )

    @property
    def is_recording(self) -> bool:
        """Whether the room is being recorded."""
        return self._roster.room.active_recording

    @property
    def can_playback_audio(self) -> bool:
        """False while a page that shows the room waits for a click before it may play (livekit-client)."""
        playback = playback_of(self)
        return playback is None or playback.can_playback

    async def start_audio(self) -> None:
        """Have the pages that show the room play it, where the browser held that back (livekit-client).

        Raises `MediaError` when the browser still wants a click: no program can do without it.
        """
        playback = playback_of(self)
        if playback is not None:
            await playback.start()

    @property
    def empty_timeout(self) -> float:
        """Seconds the room is kept when nobody joins."""
        return float(self._roster.room.empty_timeout)

    @property
    def departure_timeout(self) -> float:
        """Seconds the room is kept after the last participant left."""
        return float(self._roster.room.departure_timeout)

    def _expect_sid(self) -> None:
        """A join begins; its sid may come now or later."""
        self._sid_arrives = asyncio.get_running_loop().create_future()

    def _resolve_sid(self) -> None:
        sid = self._roster.room.sid
        if sid and self._sid_arrives is not None and not self._sid_arrives.done():
            self._sid_arrives.set_result(sid)

    def _fail_sid(self, reason: str) -> None:
        arrives = self._sid_arrives
        if arrives is not None and not arrives.done():
            arrives.set_exception(DisconnectedError(reason))
            # nobody has to be waiting for it
            arrives.exception()
