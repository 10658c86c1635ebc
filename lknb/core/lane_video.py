"""All lanes of video tracks: what the kernel is told of them, and what they say about how large a track is seen."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lknb.core.lane_message import Picture, Visible
from lknb.core.lane_port import LanePort
from lknb.core.lane_session import VideoSession
from lknb.core.lane_ticket import Grant
from lknb.errors import TrackError

if TYPE_CHECKING:
    from lknb.core.track import EncodedTrack

# from what says least about a view to what says most; a view shown by two pages says what the luckier one has
_STATES = ("connecting", "ended", "waiting", "muted", "playing")


class VideoLanes:
    """The `LaneKind` "video".

    `tracks(room handle, track sid)` gives the track as it is now, or None. `tell(grant, header, buffers)` gets what the
    kernel is to know about a view:

        {"type": "state", "state"}           connecting (no page has a lane), waiting, playing, muted, ended
        {"type": "size", "width", "height"}  of what is received, in pixels
        {"type": "picture", "width", "height", "unseen"} [png]

    `on_views(room handle, track sid)` is called when `views` of that track gives something else.
    """

    def __init__(
        self,
        tracks: Callable[[int, str], EncodedTrack | None],
        *,
        tell: Callable[[Grant, dict[str, Any], list[bytes]], None],
        on_views: Callable[[int, str], None],
        clock: Callable[[], float],
    ) -> None:
        self._tracks = tracks
        self._tell = tell
        self._on_views = on_views
        self._clock = clock
        self._sessions: list[VideoSession] = []
        self._told: dict[tuple[int, str], tuple[str, tuple[int, int] | None]] = {}

    def check(self, grant: Grant) -> None:
        track = self._tracks(grant.room, grant.track_sid)
        if track is None or track.kind != "video":
            raise TrackError("this video track is not there: it has ended, or is not subscribed")

    def open(self, grant: Grant, port: LanePort) -> VideoSession:
        session = VideoSession(
            grant,
            port,
            functools.partial(self._tracks, grant.room, grant.track_sid),
            clock=self._clock,
            on_change=lambda: self._tell_change(grant),
            on_visible=lambda: self._on_views(grant.room, grant.track_sid),
            on_picture=lambda picture: self._tell_picture(grant, picture),
            on_closed=self._forget,
        )
        self._sessions.append(session)
        self._tell_change(grant)
        self._on_views(grant.room, grant.track_sid)
        session.refresh()
        return session

    def views(self, room: int, track_sid: str) -> list[Visible]:
        """How large each page shows this track now; for adaptive stream."""
        return [it.visible for it in self._sessions if (it.grant.room, it.grant.track_sid) == (room, track_sid)]

    def _forget(self, session: VideoSession) -> None:
        self._sessions.remove(session)
        self._tell_change(session.grant)
        self._on_views(session.grant.room, session.grant.track_sid)

    def _of_view(self, grant: Grant) -> Iterable[VideoSession]:
        return (it for it in self._sessions if (it.grant.room, it.grant.view) == (grant.room, grant.view))

    def _tell_change(self, grant: Grant) -> None:
        sessions = list(self._of_view(grant))
        state = max((it.state for it in sessions), key=_STATES.index, default="connecting")
        sizes = [it.size for it in sessions if it.size is not None]
        size = max(sizes, default=None)
        view = (grant.room, grant.view)
        told_state, told_size = self._told.get(view, ("connecting", None))
        if sessions:
            self._told[view] = state, size
        else:
            self._told.pop(view, None)
        if state != told_state:
            self._tell(grant, {"type": "state", "state": state}, [])
        if size is not None and size != told_size:
            self._tell(grant, {"type": "size", "width": size[0], "height": size[1]}, [])

    def _tell_picture(self, grant: Grant, picture: Picture) -> None:
        about = {"width": picture.width, "height": picture.height, "unseen": picture.unseen}
        self._tell(grant, {"type": "picture", **about}, [picture.png])
