"""Publications: what a participant has announced, whether it is received or not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from livekit.protocol import models, rtc

from lknb.errors import DisconnectedError
from lknb.logic.member import TrackEntry
from lknb.logic.track_setting import Dimensions, TrackSetting, is_simulcast
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.enumeration import EncryptionType, TrackKind, TrackSource, VideoQuality, track_kind
from lknb.rtc.event_emitter import EventEmitter

if TYPE_CHECKING:
    from lknb.rtc.participant import Participant
    from lknb.rtc.track import LocalTrack, RemoteTrack, Track

logger = logging.getLogger(__name__)

PublicationEvents = Literal[
    "muted", "unmuted", "subscribed", "unsubscribed", "ended", "subscription_status_changed",
    "subscription_permission_changed", "stream_state_changed",
]  # fmt: skip


SubscriptionStatus = Literal["desired", "subscribed", "unsubscribed"]


class TrackPublication(EventEmitter[PublicationEvents]):
    """A published track as the server describes it. `track` is there once its media flow."""

    def __init__(self, entry: TrackEntry) -> None:
        super().__init__()
        self._entry = entry
        self._track: Track | None = None
        self._participant: Participant | None = None

    @property
    def participant(self) -> Participant | None:
        """Who publishes it."""
        return self._participant

    @property
    def track(self) -> Track | None:
        """The track, None while it is not subscribed or no longer published."""
        return self._track

    @property
    def sid(self) -> str:
        """Track sid, `TR_...`."""
        return self._entry.info.sid

    @property
    def name(self) -> str:
        """The name the publisher gave it."""
        return self._entry.info.name

    @property
    def kind(self) -> TrackKind:
        """Sound or picture."""
        return track_kind(self._entry.info.type)

    @property
    def source(self) -> TrackSource:
        """Camera, microphone, screen, or unknown."""
        return TrackSource.of(self._entry.info.source, TrackSource.SOURCE_UNKNOWN)

    @property
    def simulcasted(self) -> bool:
        """Whether there is more than one layer to choose from."""
        return is_simulcast(self._entry.info)

    @property
    def width(self) -> int:
        """Width in pixels, as announced; 0 for sound."""
        return self._entry.info.width

    @property
    def height(self) -> int:
        """Height in pixels, as announced; 0 for sound."""
        return self._entry.info.height

    @property
    def mime_type(self) -> str:
        """Such as `video/VP8`; empty until the publisher's media have come."""
        return self._entry.info.mime_type

    @property
    def muted(self) -> bool:
        """Whether the publisher has muted it."""
        return self._entry.info.muted

    @property
    def encryption_type(self) -> EncryptionType:
        """How its frames are encrypted end to end."""
        return EncryptionType.of(self._entry.info.encryption, EncryptionType.NONE)

    @property
    def audio_features(self) -> list[int]:
        """`livekit.protocol.models.AudioTrackFeature` values."""
        return list(self._entry.info.audio_features)

    def __repr__(self) -> str:
        return (
            f"rtc.{type(self).__name__}(sid={self.sid}, name={self.name}, "
            f"kind={self.kind.name}, source={self.source.name})"
        )


class LocalTrackPublication(TrackPublication):
    """A track of ours."""

    def __init__(self, entry: TrackEntry) -> None:
        super().__init__(entry)
        self._subscribed = False

    @property
    def track(self) -> LocalTrack | None:
        """The track that was published; None once it is unpublished."""
        return self._track  # type: ignore[return-value]

    async def wait_for_subscription(self) -> None:
        """Wait until somebody receives it for the first time. Raises DisconnectedError when that cannot happen any more."""
        if self._subscribed:
            return
        if self._track is None:
            raise DisconnectedError("the track is not published any more")
        await self.wait_for("subscribed", timeout=None)

    def _set_subscribed(self) -> None:
        self._subscribed = True
        self._tell("subscribed")


class RemoteTrackPublication(TrackPublication):
    """A track of somebody else: what we want of it, and the track when we have it.

    What the setters ask for is remembered and merged as in livekit-client: `lknb.logic.track_setting`. None of them
    negotiates anything; the server acts within a fraction of a second.
    """

    def __init__(self, entry: TrackEntry, participant_sid: str, core: CoreRoom, *, auto_subscribe: bool) -> None:
        super().__init__(entry)
        self._core = core
        self._participant_sid = participant_sid
        self._auto_subscribe = auto_subscribe
        self._wish: bool | None = None
        self._setting = TrackSetting()

    @property
    def track(self) -> RemoteTrack | None:
        """The track while it is subscribed."""
        return self._track  # type: ignore[return-value]

    @property
    def subscribed(self) -> bool:
        """Whether its media are received (livekit-client: isSubscribed)."""
        return self._track is not None

    @property
    def desired(self) -> bool:
        """Whether we want it: what `set_subscribed` said last, else whether it is subscribed automatically or is here."""
        return self._wish if self._wish is not None else self._auto_subscribe or self._track is not None

    @property
    def subscription_status(self) -> SubscriptionStatus:
        """`"unsubscribed"` when we do not want it, `"desired"` until it comes, `"subscribed"` (livekit-client)."""
        if not self.desired:
            return "unsubscribed"
        return "desired" if self._track is None else "subscribed"

    @property
    def allowed(self) -> bool:
        """Whether the publisher's permissions let us have it."""
        return self._entry.allowed

    @property
    def enabled(self) -> bool:
        """Whether the server is asked to send it."""
        return self._setting.is_enabled

    @property
    def video_quality(self) -> VideoQuality:
        """The layer asked for; HIGH when none was."""
        quality = self._setting.quality
        high = VideoQuality.VIDEO_QUALITY_HIGH
        return high if quality is None else VideoQuality.of(quality, high)

    def set_subscribed(self, subscribed: bool) -> None:
        """Ask for the track, or for it no longer; `track_subscribed` or `track_unsubscribed` follows."""
        self._wish = subscribed
        tracks = models.ParticipantTracks(participant_sid=self._participant_sid, track_sids=[self.sid])
        update = rtc.UpdateSubscription(track_sids=[self.sid], subscribe=subscribed, participant_tracks=[tracks])
        self._core.send_signal(rtc.SignalRequest(subscription=update))

    def set_enabled(self, enabled: bool) -> None:
        """Have the server pause or continue the track without unsubscribing; beats what adaptive stream sees."""
        self._set(lambda setting: setting.set_enabled(enabled))

    def set_video_quality(self, quality: VideoQuality | int | None) -> None:
        """Ask for a simulcast layer, and forget a size asked for before. None asks for no layer in particular any more.

        Raises ValueError when it is no video, or not published in layers.
        """
        self._require_video("set_video_quality")
        if not self.simulcasted:
            raise ValueError(f"set_video_quality needs a track published in layers (simulcast), {self.sid} has one")
        asked = None if quality is None else VideoQuality(quality)
        self._set(lambda setting: setting.set_quality(asked))

    def set_video_dimensions(self, width: int, height: int) -> None:
        """Ask for the layer that fits this size in pixels, and forget a quality asked for before.

        Raises ValueError when it is no video, or the size is not positive.
        """
        self._require_video("set_video_dimensions")
        if width <= 0 or height <= 0:
            raise ValueError(f"a size of {width}x{height} pixels cannot be asked for")
        self._set(lambda setting: setting.set_dimensions(Dimensions(width, height)))

    def set_video_fps(self, fps: int) -> None:
        """Ask for at most `fps` frames a second. Raises ValueError when it is no video, or `fps` is not positive."""
        self._require_video("set_video_fps")
        if fps <= 0:
            raise ValueError(f"{fps} frames a second cannot be asked for")
        self._set(lambda setting: setting.set_fps(fps))

    def _set(self, change: Callable[[TrackSetting], bool]) -> None:
        if not self.desired:
            logger.warning("%s is unsubscribed: what was asked of it has no effect", self.sid)
            return
        if change(self._setting):
            request = self._setting.request(self._entry.info)
            self._core.send_signal(rtc.SignalRequest(track_setting=request))

    def _set_shown(self, width: float, height: float, *, visible: bool) -> None:
        """What adaptive stream sees of it: the largest place it is shown in, in device pixels."""
        shown = Dimensions(width, height) if visible else None
        if self.desired:
            self._set(lambda setting: setting.set_shown(shown, visible=visible))

    def _require_video(self, method: str) -> None:
        if self.kind != TrackKind.KIND_VIDEO:
            raise ValueError(f"{method} is for video, {self.sid} is {self.kind.name}")
