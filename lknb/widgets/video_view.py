"""`VideoView`: live video of a track in a cell."""

from __future__ import annotations

import functools
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, get_args

import traitlets
from ipywidgets import Layout

from lknb.core.client import CoreClient
from lknb.errors import DisconnectedError
from lknb.logic.label import visible_label
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.participant import Participant
from lknb.rtc.track_publication import RemoteTrackPublication, TrackPublication
from lknb.widgets import comm
from lknb.widgets.caption import layer_sizes, microphone_state, person_label
from lknb.widgets.esm import video_code, video_css, video_esm
from lknb.widgets.lane_widget import LaneWidget
from lknb.widgets.meter import Flows, Meter
from lknb.widgets.picture import SavedPicture
from lknb.widgets.room_audio import audio_id_of
from lknb.widgets.subject import Subject

ViewState: TypeAlias = Literal[
    "connecting", "waiting", "playing", "muted", "absent", "unsubscribed", "forbidden", "ended", "error"
]
STATES: tuple[ViewState, ...] = get_args(ViewState)

_USUAL_WIDTH_PIXELS = 640
_LEAST_WIDTH_PIXELS = 320
# what pages and the core say of a track that is there does not count while it is not
_STATE_OF: dict[str, ViewState] = {
    "absent": "absent",
    "unsubscribed": "unsubscribed",
    "forbidden": "forbidden",
    "asked": "connecting",
    "ended": "ended",
}


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

    It takes a publication or an item of `room.tracks()` as well, subscribed or not yet: then it offers to subscribe, and
    plays the track as soon as there is one. One view may be displayed many times, and one track may have many views.
    `close()` ends it for good; a track that ends leaves its last picture. Saved notebooks keep the last picture of each
    displayed view.

    `name` is the label on the picture: the publisher's name, unless another is given. The usual width is that of the
    track, from 320 to 640 pixels; `layout` sets another. Also usable without a browser: `state` stays `"connecting"`.
    """

    _esm = video_esm()
    _css = video_css()
    _code = traitlets.Unicode(video_code(), read_only=True).tag(sync=True)

    track_sid = traitlets.Unicode(read_only=True, help="Sid of the track, TR_...; empty without one.").tag(sync=True)
    name = traitlets.Unicode(help="The label on the picture; none when empty.").tag(sync=True)
    width = traitlets.Int(read_only=True, help="Of the track as published, in pixels; 0 when not known.").tag(sync=True)
    height = traitlets.Int(read_only=True, help="Of the track as published, in pixels; 0 when not known.").tag(
        sync=True
    )
    fit = traitlets.Enum(
        ("contain", "cover"), "contain", help="contain: all of the picture; cover: all of the box."
    ).tag(sync=True)
    mirror = traitlets.Bool(False, help="Left and right are exchanged, as in a mirror.").tag(sync=True)
    stats = traitlets.Bool(False, help="Whether bitrate, frames a second, size, loss and lane stand on it.").tag(
        sync=True
    )
    muted = traitlets.Bool(False, read_only=True, help="Whether the publisher has muted the track.")
    state = traitlets.Enum(STATES, "connecting", read_only=True, help="What is to be seen, on whatever page sees most.")
    error = traitlets.Unicode(read_only=True, help="Why there is no picture, in state error; else empty.")

    _audio = traitlets.Unicode(read_only=True).tag(sync=True)
    _turn = traitlets.Int(0, read_only=True, help="Another when the page is to begin anew.").tag(sync=True)
    _about = traitlets.Dict(read_only=True, help="What the page says and draws beside the picture.").tag(sync=True)

    def __init__(self, track: Any, *, name: str | None = None, **traits: Any) -> None:
        self._subject = Subject(track, self._look, self._source)
        self._picture = SavedPicture(f"lknb-{secrets.token_hex(8)}", self._bundle)
        self._joined: Any = None
        self._played: tuple[ViewState, str] = ("connecting", "")
        self._meter: Meter | None = None
        self._own_label = "" if name is None else None
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width=self._usual_width())
        self.set_trait("_audio", audio_id_of(self._core_room()))
        self._take_over()
        super().__init__(name=self.name if name is None else visible_label(name), **traits)
        self._look()

    _source: TrackSource | None = None
    """Which of the tracks of a participant."""

    def _usual_width(self) -> str:
        width, _ = self._subject.size
        return f"{min(max(width or _USUAL_WIDTH_PIXELS, _LEAST_WIDTH_PIXELS), _USUAL_WIDTH_PIXELS)}px"

    @property
    def track(self) -> ShownTrack | None:
        """The track that is shown; None while there is none, or none is subscribed."""
        track: ShownTrack | None = self._subject.track
        return track

    @property
    def publication(self) -> TrackPublication | None:
        """The publication that is shown, where it is known."""
        return self._subject.publication

    @property
    def participant(self) -> Participant | None:
        """Whose it is, where that is known."""
        return self._subject.participant

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
        self._subject.close()
        self._measure(None)
        super().close()
        self._picture.leave(repr(self))

    def __repr__(self) -> str:
        # stable, so that executed notebooks compare equal: no address, no sid, no state
        return f"{type(self).__name__}({self.name!r})"

    def _ipython_display_(self, **_: Any) -> None:
        if self.comm is None:
            super()._ipython_display_()
            return
        comm.publish_display(self._picture.bundle(), self._picture.display_id)
        self._picture.displayed()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._picture.bundle(), {}

    def _bundle(self) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_()[0]
        return bundle

    # ------------------------------------------------------------------ what is shown, on the loop of cells

    def _look(self) -> None:
        """Something about the track may be different."""
        comm.call_on_kernel_loop(self._look_now)

    def _look_now(self) -> None:
        if self.comm is None:
            return
        self._subject.look()
        with self.hold_trait_notifications():
            self._take_over()
        self._connect()
        self._show_state()

    def _take_over(self) -> None:
        """Traits, from what there is now."""
        subject = self._subject
        width, height = subject.size
        sid = subject.track.sid if subject.track is not None else ""
        for name, value in {
            "track_sid": sid,
            "width": width,
            "height": height,
            "muted": subject.muted,
            "_about": self._describe(),
        }.items():
            if getattr(self, name) != value:
                self.set_trait(name, value)
        if self._own_label is not None:
            label = self._label()
            if self.name == self._own_label:
                self.name = label
            self._own_label = label

    def _label(self) -> str:
        """The name on the picture, unless the user gave another."""
        subject = self._subject
        if subject.participant is not None:
            return person_label(subject.participant)
        shown = subject.track or subject.publication
        return visible_label(getattr(shown, "participant_name", "") or getattr(shown, "name", ""))

    def _describe(self) -> dict[str, Any]:
        """For the page, see `Look` in js/face.js."""
        subject = self._subject
        person = subject.participant
        publication = subject.publication
        return {
            "standing": subject.standing,
            "speaking": person.is_speaking if person is not None else False,
            "microphone": microphone_state(person) if person is not None else "",
            "layers": {name: list(size) for name, size in layer_sizes(publication._entry.info).items()}
            if publication is not None
            else {},
        }

    def _connect(self) -> None:
        """Have pages play the track there is now."""
        track = self._subject.track if not self._subject.standing else None
        if track is self._joined:
            return
        self._leave_lanes()
        self._joined, self._client = track, None
        if track is not None:
            try:
                self._join_lanes(track.client, track.room_handle, track.sid)
            except DisconnectedError:
                self._joined = None
                return
            self._played = ("connecting", "")
            self.set_trait("_turn", self._turn + 1)
        self._measure_if_wanted()

    # ------------------------------------------------------------------ what is asked on a page

    def _handle_custom_msg(self, content: Any, buffers: Sequence[Any]) -> None:
        if isinstance(content, dict) and content.get("type") == "act":
            core = self._core_room()
            if core is None:
                comm.call_on_kernel_loop(functools.partial(self._act, content))
            else:
                core.call(self._act, content)
        else:
            super()._handle_custom_msg(content, buffers)

    def _act(self, content: Mapping[str, Any]) -> None:
        """On the room's loop."""
        action, publication = content.get("do"), self._subject.publication
        if self.comm is None:
            return
        if action == "stats":
            self.stats = not self.stats
        elif action == "subscribe" and isinstance(publication, RemoteTrackPublication):
            publication.set_subscribed(True)
            self._look()

    def _core_room(self) -> CoreRoom | None:
        for holder in (self._subject.track, self._subject.publication, self._subject.participant):
            core = getattr(holder, "_core", None)
            if isinstance(core, CoreRoom) and not core.closed:
                return core
        return None

    # ------------------------------------------------------------------ figures

    @traitlets.observe("stats")
    def _stats_wanted(self, _: Any) -> None:
        self._measure_if_wanted()

    def _measure_if_wanted(self) -> None:
        core = self._core_room() if self.stats and self.comm is not None else None
        self._measure(Meter.of(core) if core is not None else None)

    def _measure(self, meter: Meter | None) -> None:
        before, self._meter = self._meter, meter
        if before is not meter:
            if before is not None:
                before.remove(self._take_flows)
            if meter is not None:
                meter.add(self._take_flows)

    def _take_flows(self, flows: Flows) -> None:
        """On the link's thread."""
        flow = flows.get(self.track_sid)
        if flow is not None:
            figures = [round(flow.bitrate_bps), round(flow.frames_per_s, 1), round(flow.lost, 4)]
            self.send({"type": "flow", "figures": figures})

    # ------------------------------------------------------------------ events, from the link's thread and the room's

    def _on_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if header.get("track_sid", self.track_sid) != self.track_sid:
            # the last word of the track before
            return
        if header["type"] == "picture":
            self._picture.take(buffers[0], unseen=header["unseen"])
        elif header["type"] == "state":
            self._become(header["state"])

    def _on_ended(self) -> None:
        if self._client is not None:
            self._become("ended")

    def _on_failed(self, reason: str) -> None:
        # what one page cannot show is no news while another one plays
        if self.state not in ("playing", "waiting", "muted"):
            self._become("error", reason)

    def _become(self, state: ViewState, error: str = "") -> None:
        comm.call_on_kernel_loop(functools.partial(self._set_played, state, error))

    def _set_played(self, state: ViewState, error: str) -> None:
        # pages leave after the end, and that is no news
        if self._played[0] == "ended" and state == "connecting":
            return
        self._played = (state, error)
        self._show_state()

    def _show_state(self) -> None:
        if self.comm is None:
            return
        state, error = self._played
        state = _STATE_OF.get(self._subject.standing, state)
        before = self.state
        with self.hold_trait_notifications():
            self.set_trait("state", state)
            self.set_trait("error", error if state == "error" else "")
        if state == "ended" != before:
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
