"""Tracks: media that flow, ours or somebody else's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from livekit.protocol import models

from lknb.core.client import CoreClient
from lknb.errors import DisconnectedError, TrackError
from lknb.logic.member import Member, TrackEntry
from lknb.rtc.argument import check_text
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.display import display_view
from lknb.rtc.enumeration import StreamState, TrackKind, track_kind
from lknb.rtc.event_emitter import EventEmitter
from lknb.rtc.track_publication import RemoteTrackPublication

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lknb.rtc.room import Room
    from lknb.rtc.source import MediaSource
    from lknb.rtc.stats import RtcStats
    from lknb.rtc.track_publication import TrackPublication

TrackEvents = Literal["muted", "unmuted", "ended", "stream_state_changed"]

_SNAPSHOT_TIMEOUT_S = 5.0


class Track(EventEmitter[TrackEvents]):
    """Media of one participant: a picture or a sound."""

    def __init__(self, entry: TrackEntry, core: CoreRoom | None = None, member: Member | None = None) -> None:
        super().__init__()
        self._entry = entry
        self._core = core
        self._member = member
        self._publication: TrackPublication | None = None

    @property
    def publication(self) -> TrackPublication | None:
        """As what it is published; None for a track of ours before that."""
        return self._publication

    @property
    def sid(self) -> str:
        """Track sid, `TR_...`; empty until it is published."""
        return self._entry.info.sid

    @property
    def name(self) -> str:
        """The name it was made or published with."""
        return self._entry.info.name

    @property
    def kind(self) -> TrackKind:
        """Sound or picture."""
        return track_kind(self._entry.info.type)

    @property
    def width(self) -> int:
        """Width in pixels, as announced; 0 for sound, and until it is published."""
        return self._entry.info.width

    @property
    def height(self) -> int:
        """Height in pixels, as announced; 0 for sound, and until it is published."""
        return self._entry.info.height

    @property
    def participant_name(self) -> str:
        """Whose it is: the name to show, or the identity of somebody without; empty until it is published."""
        return self._member.info.name or self._member.identity if self._member is not None else ""

    @property
    def participant_identity(self) -> str:
        """Whose it is; empty until it is published."""
        return self._member.identity if self._member is not None else ""

    @property
    def muted(self) -> bool:
        """Whether its publisher has muted it."""
        return self._entry.info.muted

    @property
    def stream_state(self) -> StreamState:
        """Whether the server lets it through to us; a track of ours is always active."""
        return StreamState.STATE_PAUSED if self._entry.paused else StreamState.STATE_ACTIVE

    @property
    def room(self) -> Room | None:
        """The room it is in; None when it is in none."""
        return self._core.room if self._core is not None and not self._core.closed else None

    @property
    def room_handle(self) -> int:
        """The room in the core. Raises DisconnectedError when the track is in none."""
        return self._require_core().handle

    @property
    def client(self) -> CoreClient:
        """The link to the core. Raises DisconnectedError when the track is in no room."""
        return self._require_core().client

    async def get_stats(self) -> list[RtcStats]:
        """What was counted of this track, in the form of `livekit.rtc`: `lknb.rtc.stats` says what is in it.

        Raises DisconnectedError when the track is in no room, TrackError when its media do not flow.
        """
        from lknb.rtc.stats_report import report_received, report_sent

        ok, _ = await self._require_core().request("stats", {"track_sid": self.sid})
        if isinstance(self, LocalTrackBase):
            return report_sent(self.sid, ok["streams"])
        return report_received(self.sid, ok["streams"][0])

    def __repr__(self) -> str:
        return f"rtc.{type(self).__name__}(sid={self.sid}, name={self.name})"

    def _ipython_display_(self) -> None:
        display_view("video" if self.kind == TrackKind.KIND_VIDEO else "audio", self)

    def _require_core(self) -> CoreRoom:
        if self._core is None or self._core.closed:
            raise DisconnectedError(f"track {self.name or self.sid!r} is in no room")
        return self._core

    def _end(self) -> None:
        self._core = None
        self._tell("ended")
        self._fail_waits("the track has ended")


class PictureTrack(Track):
    """A track with pictures."""

    async def snapshot(
        self, timeout: float = _SNAPSHOT_TIMEOUT_S, *, size: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """The next picture: shape (height, width, 3), dtype uint8, RGB.

        Waits up to `timeout` seconds for one. `size` is the (width, height) in pixels that is enough: with adaptive stream a
        smaller layer may be read then. Raises TrackError when none comes, as while the track is muted.
        """
        from lknb.rtc.snapshot import take_snapshot

        return await take_snapshot(self, timeout, size=size, expected=self._expected(size))

    def _expected(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """The size its pictures will soon have, if that is known."""
        return None


class LocalTrackBase(Track):
    """A track of ours, made from a source."""

    def __init__(self, name: str, kind: models.TrackType, source: MediaSource) -> None:
        super().__init__(TrackEntry(models.TrackInfo(name=name, type=kind)))
        self._source = source
        self._tell_server: Callable[[bool], None] | None = None

    def mute(self) -> None:
        """Send no more of it; every participant gets `track_muted`. From any thread, before or after it is published."""
        self._set_muted(True)

    def unmute(self) -> None:
        """Send it again; every participant gets `track_unmuted`."""
        self._set_muted(False)

    def _set_muted(self, muted: bool) -> None:
        if self._entry.info.muted == muted:
            return
        self._entry.info.muted = muted
        if self._tell_server is not None:
            self._tell_server(muted)
        else:
            self._tell("muted" if muted else "unmuted")

    def _publish(self, entry: TrackEntry, core: CoreRoom, member: Member, tell_server: Callable[[bool], None]) -> None:
        # mute() may have been called while the server was asked
        muted = self._entry.info.muted
        told = entry.info.muted
        entry.info.muted = muted
        self._entry, self._core, self._member, self._tell_server = entry, core, member, tell_server
        if muted != told:
            tell_server(muted)

    def _end(self) -> None:
        entry = TrackEntry.of(self._entry.info)
        entry.info.sid = ""
        self._entry, self._tell_server, self._publication = entry, None, None
        super()._end()


class LocalVideoTrack(LocalTrackBase, PictureTrack):
    """A picture of ours."""

    @staticmethod
    def create_video_track(name: str, source: MediaSource) -> LocalVideoTrack:
        """A track that sends what `source` gives, once it is published. Raises TrackError when it is no video source."""
        check_text("the name of a track", name)
        if getattr(source, "kind", None) != "video":
            raise TrackError(f"a video track needs a video source, not {source!r}")
        return LocalVideoTrack(name, models.TrackType.VIDEO, source)


class LocalAudioTrack(LocalTrackBase):
    """A sound of ours."""

    @staticmethod
    def create_audio_track(name: str, source: MediaSource) -> LocalAudioTrack:
        """A track that sends what `source` gives, once it is published. Raises TrackError when it is no audio source."""
        check_text("the name of a track", name)
        if getattr(source, "kind", None) != "audio":
            raise TrackError(f"an audio track needs an audio source, not {source!r}")
        return LocalAudioTrack(name, models.TrackType.AUDIO, source)

    def _ipython_display_(self) -> None:
        # nobody wants to hear themselves
        display_view("own_audio", self)


class RemoteAudioTrack(Track):
    """A sound of somebody else. Read it with `AudioStream`; as the last line of a cell its room is heard."""


class TrackView(Protocol):
    """Something of your own that shows a track: `RemoteVideoTrack.attach`."""

    @property
    def visible(self) -> bool:
        """Whether anybody can see it now."""

    @property
    def size(self) -> tuple[float, float] | None:
        """Width and height in device pixels; None for the size of the track."""


class RemoteVideoTrack(PictureTrack):
    """A picture of somebody else. Read it with `VideoStream` or `snapshot()`; as the last line of a cell it is shown."""

    def __init__(self, entry: TrackEntry, core: CoreRoom | None = None, member: Member | None = None) -> None:
        super().__init__(entry, core, member)
        self._views: list[TrackView] = []

    def attach(self, view: TrackView) -> None:
        """Count a view of your own among those adaptive stream goes by; again after it was resized, shown or hidden.

        Views of `lknb.widgets`, `VideoStream` and `snapshot()` count by themselves. Raises DisconnectedError when the track
        is in no room, ValueError for a size below 0.
        """
        header: dict[str, Any] = {"view": id(view), "on": True, "visible": bool(view.visible)}
        if view.size is not None:
            width, height = view.size
            if not (0 <= width < math.inf and 0 <= height < math.inf):
                raise ValueError(f"a view of {width}x{height} pixels")
            header["width"], header["height"] = width, height
        self._require_core().send("attach", {"track_sid": self.sid, **header})
        if not any(view is other for other in self._views):
            # kept, as its id stands for it in the core
            self._views.append(view)

    def detach(self, view: TrackView | None = None) -> None:
        """Count a view no longer, or none of them. Harmless when it was not attached, or the track is gone."""
        gone = [other for other in self._views if view is None or other is view]
        self._views = [other for other in self._views if not any(other is each for each in gone)]
        for each in gone:
            if self._core is not None:
                self._core.send("attach", {"track_sid": self.sid, "view": id(each), "on": False})

    def _expected(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        setting = self._publication._setting if isinstance(self._publication, RemoteTrackPublication) else None
        if setting is None or setting.visible is None or setting.quality is not None or setting.dimensions is not None:
            # adaptive stream does not decide, or not alone
            return None
        announced = (self.width, self.height)
        return min(size or announced, announced, key=lambda it: it[0] * it[1])

    def _end(self) -> None:
        self.detach()
        super()._end()


LocalTrack: TypeAlias = LocalVideoTrack | LocalAudioTrack
RemoteTrack: TypeAlias = RemoteVideoTrack | RemoteAudioTrack
AudioTrack: TypeAlias = LocalAudioTrack | RemoteAudioTrack
VideoTrack: TypeAlias = LocalVideoTrack | RemoteVideoTrack
