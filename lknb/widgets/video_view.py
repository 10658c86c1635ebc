"""`VideoView`: live video of a track in a cell."""

from __future__ import annotations

import concurrent.futures
import functools
import logging
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import anywidget
import traitlets
from ipywidgets import Layout

from lknb.core.client import CoreClient
from lknb.errors import DisconnectedError, LknbError, TrackError
from lknb.rtc.enumeration import TrackKind
from lknb.widgets import comm
from lknb.widgets.esm import video_code, video_css, video_esm
from lknb.widgets.label import visible_label
from lknb.widgets.picture import SavedPicture

logger = logging.getLogger(__name__)

ViewState: TypeAlias = Literal["connecting", "waiting", "playing", "muted", "ended", "error"]
STATES: tuple[ViewState, ...] = ("connecting", "waiting", "playing", "muted", "ended", "error")

WIDGET_MIME_TYPE = "application/vnd.jupyter.widget-view+json"
_USUAL_WIDTH_PIXELS = 640
_LEAST_WIDTH_PIXELS = 320
_CLIENT_CHARACTERS = 64
_ORIGIN_CHARACTERS = 512
_ERROR_CHARACTERS = 1_000


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


class VideoView(anywidget.AnyWidget):
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
    muted = traitlets.Bool(False, read_only=True, help="Whether the publisher has muted the track.")
    state = traitlets.Enum(STATES, "connecting", read_only=True, help="What is to be seen, on whatever page sees most.")
    error = traitlets.Unicode(read_only=True, help="Why there is no picture, in state error; else empty.")

    def __init__(self, track: ShownTrack, *, name: str | None = None, **traits: Any) -> None:
        self._track = track
        self._view = f"view-{secrets.token_hex(8)}"
        self._client: CoreClient | None = None
        self._room = 0
        self._picture = SavedPicture(f"lknb-{self._view}", self._bundle)
        if getattr(track, "sid", None) is None or getattr(track, "kind", None) == TrackKind.KIND_AUDIO:
            raise TrackError(f"VideoView shows a video track, not {track!r}")
        width, height = _size_of(track)
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width=f"{_usual_width(width)}px")
        label = visible_label(_name_of(track) if name is None else name)
        self.set_trait("track_sid", track.sid)
        self.set_trait("width", width)
        self.set_trait("height", height)
        self.set_trait("muted", track.muted)
        super().__init__(name=label, **traits)
        self._connect()

    def _connect(self) -> None:
        try:
            self._client, self._room = self._track.client, self._track.room_handle
        except DisconnectedError:
            self._become("ended")
            return
        self._client.listen(("view", self._room, self._view), self._handle_core_event)
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
        opened = self.comm
        if opened is None:
            return
        if self._client is not None:
            self._client.unlisten(("view", self._room, self._view))
            for event, handler in self._track_handlers().items():
                self._track.off(event, handler)
        layout = self.layout
        super().close()
        opened.on_msg(None)
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

    # ------------------------------------------------------------------ the comm, on any thread

    @traitlets.observe("comm")
    def _harden_comm(self, change: Any) -> None:
        if change["new"] is not None:
            comm.harden(change["new"])

    def _send(self, msg: Mapping[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        opened = self.comm
        if opened is not None:
            comm.send(opened, msg, buffers or ())

    def _handle_custom_msg(self, content: Any, buffers: Sequence[Any]) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "hello":
            self._handle_hello(content)
        elif kind == "error":
            self._handle_page_error(content)
        else:
            super()._handle_custom_msg(content, buffers)

    def _handle_hello(self, content: Mapping[str, Any]) -> None:
        """A page displays the view: get it a ticket for a lane. Answered from the link's thread, whatever cells do."""
        client, hello, origin = content.get("client"), content.get("hello"), content.get("origin")
        if not _is_text(client, _CLIENT_CHARACTERS) or not _is_text(origin, _ORIGIN_CHARACTERS):
            return
        if not isinstance(hello, int) or isinstance(hello, bool):
            return
        to = {"client": client, "hello": hello}
        if self._client is None:
            self._refuse(to, DisconnectedError("the track is in no room"))
            return
        request = {"op": "lane_ticket", "room": self._room, "track_sid": self.track_sid, "origin": origin}
        future = self._client.request_threadsafe({**request, "view": self._view})
        future.add_done_callback(functools.partial(self._answer_hello, to))

    def _answer_hello(self, to: Mapping[str, Any], future: concurrent.futures.Future[Any]) -> None:
        try:
            ok, _ = future.result()
        except LknbError as error:
            self._refuse(to, error)
            return
        # the ticket goes to the page and nowhere else: no trait, no log
        self.send({"type": "lane", **to, "port": ok["port"], "ticket": ok["ticket"]})

    def _refuse(self, to: Mapping[str, Any], error: LknbError) -> None:
        reason = str(error).partition("\n")[0]
        if isinstance(error, TrackError):
            self.send({"type": "ended", **to, "detail": ""})
            self._become("ended")
        elif self._client is None or not self._client.alive or isinstance(error, DisconnectedError):
            self.send({"type": "ended", **to, "detail": "The room is not connected any more."})
            self._become("ended")
        else:
            self.send({"type": "refused", **to, "detail": reason})
            self._become("error", reason)

    def _handle_page_error(self, content: Mapping[str, Any]) -> None:
        detail = content.get("detail", "")
        if _is_text(detail, _ERROR_CHARACTERS) and self.state not in ("playing", "waiting", "muted"):
            self._become("error", detail)

    # ------------------------------------------------------------------ events, from the link's thread and the room's

    def _handle_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if header["type"] == "picture":
            self._picture.take(buffers[0], unseen=header["unseen"])
        elif header["type"] == "state":
            self._become(header["state"])

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


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most
