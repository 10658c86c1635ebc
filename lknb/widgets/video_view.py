"""`VideoView`: live video of a track in a cell."""

from __future__ import annotations

import functools
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import traitlets
from ipywidgets import Layout

from lknb.core.client import CoreClient
from lknb.errors import DisconnectedError, TrackError
from lknb.rtc.enumeration import TrackKind
from lknb.widgets import comm
from lknb.widgets.esm import video_code, video_css, video_esm
from lknb.widgets.label import visible_label
from lknb.widgets.lane_widget import LaneWidget
from lknb.widgets.picture import SavedPicture
from lknb.widgets.room_audio import audio_id_of

ViewState: TypeAlias = Literal["connecting", "waiting", "playing", "muted", "ended", "error"]
STATES: tuple[ViewState, ...] = ("connecting", "waiting", "playing", "muted", "ended", "error")

WIDGET_MIME_TYPE = "application/vnd.jupyter.widget-view+json"
_USUAL_WIDTH_PIXELS = 640
_LEAST_WIDTH_PIXELS = 320


class ShownTrack(Protocol):
    """What a view needs of a video track."""

    @property
    def sid(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def participant_name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def muted(self) -> bool: ...
    @property
    def room_handle(self) -> int: ...
    @property
    def client(self) -> CoreClient: ...
    def on(self, event: Any, callback: Callable[..., Any]) -> Any: ...
    def off(self, event: Any, callback: Callable[..., Any]) -> Any: ...


class VideoView(LaneWidget):
    """Live video of a track. It plays past the kernel, so a busy cell does not stop it.

        view = VideoView(track)      # or just `track`, as the last line of a cell
        HBox([view, VideoView(other, fit="cover", layout={"width": "240px"})])

    One view may be displayed many times, and one track may have many views. `close()` ends it for good; a track that
    ends leaves its last picture. Saved notebooks keep the last picture of each displayed view.

    `name` is the label on the picture: the publisher's name, unless another is given. The usual width is that of the
    track, from 320 to 640 pixels; `layout` sets another. Also usable without a browser: `state` stays `"connecting"`.
    """

    _esm = video_esm()
    _css = video_css()
    _code = traitlets.Unicode(video_code(), read_only=True).tag(sync=True)

    track_sid = traitlets.Unicode(read_only=True, help="Sid of the track, TR_...").tag(sync=True)
    name = traitlets.Unicode(help="The label on the picture; none when empty.").tag(sync=True)
    width = traitlets.Int(read_only=True, help="Of the track as published, in pixels; 0 when not known.").tag(sync=True)
    height = traitlets.Int(read_only=True, help="Of the track as published, in pixels; 0 when not known.").tag(
        sync=True
    )
    fit = traitlets.Enum(
        ("contain", "cover"), "contain", help="contain: all of the picture; cover: all of the box."
    ).tag(sync=True)
    mirror = traitlets.Bool(False, help="Left and right are exchanged, as in a mirror.").tag(sync=True)
    _audio = traitlets.Unicode(read_only=True).tag(sync=True)
    muted = traitlets.Bool(False, read_only=True, help="Whether the publisher has muted the track.")
    state = traitlets.Enum(STATES, "connecting", read_only=True, help="What is to be seen, on whatever page sees most.")
    error = traitlets.Unicode(read_only=True, help="Why there is no picture, in state error; else empty.")

    def __init__(self, track: ShownTrack, *, name: str | None = None, **traits: Any) -> None:
        self._track = track
        self._picture = SavedPicture(f"lknb-{secrets.token_hex(8)}", self._bundle)
        if getattr(track, "sid", None) is None or getattr(track, "kind", None) == TrackKind.KIND_AUDIO:
            raise TrackError(f"VideoView shows a video track, not {track!r}")
        width, height = _size_of(track)
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width=f"{_usual_width(width)}px")
        label = visible_label(_name_of(track) if name is None else name)
        self.set_trait("track_sid", track.sid)
        self.set_trait("_audio", audio_id_of(track))
        self.set_trait("width", width)
        self.set_trait("height", height)
        self.set_trait("muted", track.muted)
        super().__init__(name=label, **traits)
        self._connect()

    def _connect(self) -> None:
        try:
            self._join_lanes(self._track.client, self._track.room_handle, self.track_sid)
        except DisconnectedError:
            self._become("ended")
            return
        for event, handler in self._track_handlers().items():
            self._track.on(event, handler)

    def _track_handlers(self) -> dict[str, Callable[[], None]]:
        return {"ended": self._track_ended, "muted": self._track_muted, "unmuted": self._track_muted}

    @property
    def track(self) -> ShownTrack:
        """The track that is shown."""
        return self._track

    @property
    def last_picture(self) -> bytes:
        """The last picture the page reported, as PNG of at most 480 pixels a side; at most 10 s old while it plays.

        Empty before the first. For pictures to compute with there is `track.snapshot()`.
        """
        return self._picture.png

    def close(self) -> None:
        """Take the view out of all pages; where it was displayed its last picture stays. Harmless twice."""
        if self.comm is None:
            return
        if self._client is not None:
            for event, handler in self._track_handlers().items():
                self._track.off(event, handler)
        layout = self.layout
        super().close()
        if self._own_layout:
            layout.close()
        self._picture.leave(repr(self))

    def __repr__(self) -> str:
        # stable, so that executed notebooks compare equal: no address, no sid, no state
        return f"VideoView({self.name!r})"

    def _ipython_display_(self, **_: Any) -> None:
        if self.comm is None:
            comm.publish_display({"text/plain": repr(self)})
            return
        comm.publish_display(self._picture.bundle(), self._picture.display_id)
        self._picture.displayed()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._picture.bundle(), {}

    def _bundle(self) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {"text/plain": repr(self), WIDGET_MIME_TYPE: view}

    # ------------------------------------------------------------------ events, from the link's thread and the room's

    def _on_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if header["type"] == "picture":
            self._picture.take(buffers[0], unseen=header["unseen"])
        elif header["type"] == "state":
            self._become(header["state"])

    def _on_ended(self) -> None:
        self._become("ended")

    def _on_failed(self, reason: str) -> None:
        # what one page cannot show is no news while another one plays
        if self.state not in ("playing", "waiting", "muted"):
            self._become("error", reason)

    def _track_ended(self) -> None:
        self._become("ended")

    def _track_muted(self) -> None:
        comm.call_on_kernel_loop(lambda: self.set_trait("muted", self._track.muted))

    def _become(self, state: ViewState, error: str = "") -> None:
        comm.call_on_kernel_loop(functools.partial(self._set_state, state, error))

    def _set_state(self, state: ViewState, error: str) -> None:
        # pages leave after the end, and that is no news
        if self.comm is None or (self.state == "ended" and state == "connecting"):
            return
        with self.hold_trait_notifications():
            self.set_trait("state", state)
            self.set_trait("error", error)
        if state == "ended":
            self._picture.replace()


_views: weakref.WeakKeyDictionary[Any, weakref.ref[VideoView]] = weakref.WeakKeyDictionary()


def video_view_of(track: Any) -> VideoView:
    """The view a track shows itself with: one for all cells, so that running a cell again makes no second one."""
    known = _views.get(track)
    view = known() if known is not None else None
    if view is None or view.comm is None:
        view = VideoView(track)
        _views[track] = weakref.ref(view)
    return view


def _name_of(track: ShownTrack) -> str:
    return track.participant_name or track.name


def _size_of(track: ShownTrack) -> tuple[int, int]:
    return (track.width, track.height) if track.width > 0 and track.height > 0 else (0, 0)


def _usual_width(width: int) -> int:
    return min(max(width or _USUAL_WIDTH_PIXELS, _LEAST_WIDTH_PIXELS), _USUAL_WIDTH_PIXELS)
