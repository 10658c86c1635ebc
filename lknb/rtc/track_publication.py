"""Publications: what a participant has announced, whether it is received or not."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

from livekit.protocol import models

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

_SIDE_PIXELS_MAX = 0xFFFFFFFF
"""What the protocol can say; more than any track has is no error."""


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
        """Such as `video/VP8`; of a picture empty until the publisher's media have come. Sound is always Opus."""
        info = self._entry.info
        return info.mime_type or ("audio/opus" if info.type == models.TrackType.AUDIO else "")

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

    def __init__(self, entry: TrackEntry, set_muted: Callable[[LocalTrackPublication, bool], Awaitable[None]]) -> None:
        super().__init__(entry)
        self._set_muted = set_muted
        self._subscribed = False

    @property
    def track(self) -> LocalTrack | None:
        """The track that was published; None once it is unpublished."""
        return self._track  # type: ignore[return-value]

    def mute(self) -> Awaitable[None]:
        """Send no more of it; every participant gets `track_muted`. The page lets go of its camera (livekit-client).

        It begins when it is called on the loop of the room, awaited or not, and does nothing once it is unpublished. From
        other threads there is `track.mute()`.
        """
        return self._set_muted(self, True)

    def unmute(self) -> Awaitable[None]:
        """Send it again; every participant gets `track_unmuted`. As `mute`; what comes of the page is taken again first,
        and awaiting raises `MediaDevicesError`, which is also told by `media_devices_error`, when it cannot be had."""
        return self._set_muted(self, False)

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

    def __init__(
        self,
        entry: TrackEntry,
        core: CoreRoom,
        *,
        auto_subscribe: bool,
        on_wish: Callable[[RemoteTrackPublication], None],
    ) -> None:
        super().__init__(entry)
        self._core = core
        self._auto_subscribe = auto_subscribe
        self._on_wish = on_wish
        self._wish: bool | None = None
        # the core merges what is asked with what it sees; this copy answers here
        self._setting = TrackSetting()
        self._told = (self.subscription_status, self.allowed)

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
        """Whether the server is asked to send it; what adaptive stream sees counts while it is subscribed."""
        return self._setting.is_enabled if self._track is not None else self._setting.enabled is not False

    @property
    def video_quality(self) -> VideoQuality:
        """The layer asked for; HIGH when none was."""
        quality = self._setting.quality
        high = VideoQuality.VIDEO_QUALITY_HIGH
        return high if quality is None else VideoQuality.of(quality, high)

    def set_subscribed(self, subscribed: bool) -> None:
        """Ask for the track, or for it no longer; `track_subscribed` or `track_unsubscribed` follows."""
        self._wish = bool(subscribed)
        if subscribed:
            # the server says so again when it is not
            self._entry.allowed = True
        self._core.send("track_subscription", {"track_sid": self.sid, "on": self._wish})
        self._core.call(self._on_wish, self)

    def set_enabled(self, enabled: bool) -> None:
        """Have the server pause or continue the track without unsubscribing; beats what adaptive stream sees."""
        enabled = bool(enabled)
        self._set(lambda setting: setting.set_enabled(enabled), enabled=enabled)

    def set_video_quality(self, quality: VideoQuality | int | None) -> None:
        """Ask for a simulcast layer, and forget a size asked for before. None asks for no layer in particular any more.

        Raises ValueError when it is no video, or not published in layers.
        """
        self._require_video("set_video_quality")
        if not self.simulcasted:
            raise ValueError(f"set_video_quality needs a track published in layers (simulcast), {self.sid} has one")
        asked = None if quality is None else VideoQuality(quality)
        self._set(lambda setting: setting.set_quality(asked), quality=None if asked is None else int(asked))

    def set_video_dimensions(self, width: float, height: float) -> None:
        """Ask for the layer that fits this size in pixels, and forget a quality asked for before.

        Raises ValueError when it is no video, or the size is not positive.
        """
        self._require_video("set_video_dimensions")
        if not (_is_positive(width) and _is_positive(height)):
            raise ValueError(f"a size of {width}x{height} pixels cannot be asked for")
        size = Dimensions(min(width, _SIDE_PIXELS_MAX), min(height, _SIDE_PIXELS_MAX))
        self._set(lambda setting: setting.set_dimensions(size), width=size.width, height=size.height)

    def set_video_fps(self, fps: float) -> None:
        """Ask for at most `fps` frames a second. Raises ValueError when it is no video, or `fps` is not positive."""
        self._require_video("set_video_fps")
        if not _is_positive(fps):
            raise ValueError(f"{fps} frames a second cannot be asked for")
        whole = min(math.ceil(fps), _SIDE_PIXELS_MAX)
        self._set(lambda setting: setting.set_fps(whole), fps=whole)

    def _set(self, change: Callable[[TrackSetting], bool], **asked: Any) -> None:
        if not self.desired:
            logger.warning("%s is unsubscribed: what was asked of it has no effect", self.sid)
        elif change(self._setting):
            self._core.send("track_setting", {"track_sid": self.sid, **asked})

    def _news(self) -> tuple[SubscriptionStatus | None, bool | None]:
        """Status and permission, each None unless it is another than at the last call."""
        before, self._told = self._told, (self.subscription_status, self.allowed)
        status, allowed = self._told
        return (status if status != before[0] else None, allowed if allowed != before[1] else None)

    def _require_video(self, method: str) -> None:
        if self.kind != TrackKind.KIND_VIDEO:
            raise ValueError(f"{method} is for video, {self.sid} is {self.kind.name}")


def _is_positive(number: float) -> bool:
    # not NaN, which is neither above nor below 0, and not infinite
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 < number < math.inf
