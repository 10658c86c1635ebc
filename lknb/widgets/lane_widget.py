"""`LaneWidget`: what every widget with a lane to the room core has in common.

A page says hello over the comm, and gets what it needs to open a lane: a ticket for the websocket, or a lane over the comm
itself. It chooses, and says hello again when it has to try another way.

    page -> kernel   {"type": "hello", client, hello, origin}             a ticket, please
                     {"type": "hello", client, hello, origin, "lane": "comm"}
                     {"type": "up", lanes} [messages]                     see `comm_lane.bring_up`
                     {"type": "bye", client, lane}
                     {"type": "error", client, detail}
    kernel -> page   {"type": "ticket", client, hello, port, ticket}
                     {"type": "comm", client, hello, lane, kernel}
                     {"type": "down", client, lane} [messages]
                     {"type": "closed", client, lane}
                     {"type": "ended" | "refused", client, hello, detail}

`client` is the page's own name for itself, since all of them hear everything; `hello` numbers its tries.
"""

from __future__ import annotations

import concurrent.futures
import functools
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import traitlets

from lknb.core.client import CoreClient
from lknb.errors import DisconnectedError, LknbError, TrackError
from lknb.widgets import comm
from lknb.widgets.comm_lane import KERNEL, CommLane, bring_up, open_lane
from lknb.widgets.hardened import HardenedWidget

_CLIENT_CHARACTERS = 64
_ORIGIN_CHARACTERS = 512
_ERROR_CHARACTERS = 1_000


class LaneWidget(HardenedWidget):
    """A widget whose pages have lanes to the room core. Subclasses say what for, and hear what the core tells.

    `_join_lanes(client, room, track_sid)` is called once there is a room; everything `_on_...` may be called on any thread.
    """

    lane = traitlets.Enum(
        ("", "direct", "proxy", "comm"),
        "",
        read_only=True,
        help="How the best page reaches the room core: a websocket, one through the notebook's server, the widget's comm.",
    )

    _lane_kind: ClassVar[str] = "video"

    def __init__(self, **traits: Any) -> None:
        self._view = ""
        self._client: CoreClient | None = None
        self._room = 0
        self._lane_track_sid = ""
        self._comm_lanes: set[CommLane] = set()
        super().__init__(**traits)

    def _join_lanes(self, client: CoreClient, room: int, track_sid: str = "") -> None:
        """From now on pages get lanes to this room, or track of it."""
        # what the core tells of lanes of before, which pages may be late to close, is of another view
        self._view = f"view-{secrets.token_hex(8)}"
        self._client, self._room, self._lane_track_sid = client, room, track_sid
        client.listen(("view", room, self._view), self._handle_core_event)

    def _leave_lanes(self) -> None:
        """No page gets a lane any more; those over the comm are closed."""
        if self._client is not None:
            self._client.unlisten(("view", self._room, self._view))
            comm.call_on_kernel_loop(functools.partial(self._set_lane, ""))
        self._close_comm_lanes()

    def _close_comm_lanes(self) -> None:
        for lane in list(self._comm_lanes):
            self._comm_lanes.discard(lane)
            lane.close()

    # ------------------------------------------------------------------ for subclasses

    def _on_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """The core tells something about this view that is not about its lanes."""

    def _on_ended(self) -> None:
        """A page asked for what is not there any more."""

    def _on_failed(self, reason: str) -> None:
        """A page gets no lane, or cannot use it."""

    def close(self) -> None:
        """Take the widget out of all pages. Harmless twice."""
        if self.comm is not None:
            self._leave_lanes()
            super().close()

    # ------------------------------------------------------------------ the comm, on any thread

    def _handle_custom_msg(self, content: Any, buffers: Sequence[Any]) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        handle = self._page_messages.get(kind) if isinstance(kind, str) else None
        if handle is None:
            super()._handle_custom_msg(content, buffers)
        elif _is_text(content.get("client"), _CLIENT_CHARACTERS):
            handle(self, content, buffers)

    def _handle_up(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        for lane in bring_up(content.get("lanes"), buffers):
            self.send({"type": "closed", "client": content["client"], "lane": lane})

    def _handle_bye(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        lane = open_lane(content.get("lane"))
        if lane is not None and lane in self._comm_lanes:
            self._comm_lanes.discard(lane)
            lane.close()

    def _handle_page_error(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if _is_text(content.get("detail"), _ERROR_CHARACTERS):
            self._on_failed(content["detail"])

    def _handle_hello(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """A page displays the widget. Answered from the link's thread, whatever cells do."""
        hello, origin = content.get("hello"), content.get("origin")
        if not _is_text(origin, _ORIGIN_CHARACTERS) or not isinstance(hello, int) or isinstance(hello, bool):
            return
        to = {"client": content["client"], "hello": hello}
        if self._client is None:
            self._refuse(to, DisconnectedError("there is no room"))
            return
        request: dict[str, Any] = {
            "room": self._room, "kind": self._lane_kind, "track_sid": self._lane_track_sid, "view": self._view,
        }  # fmt: skip
        if content.get("lane") == "comm":
            request["op"] = "lane_open"
        else:
            request |= {"op": "lane_ticket", "origin": origin}
        self._client.request_threadsafe(request).add_done_callback(functools.partial(self._answer_hello, to))

    _page_messages: ClassVar = {
        "hello": _handle_hello,
        "up": _handle_up,
        "bye": _handle_bye,
        "error": _handle_page_error,
    }

    def _answer_hello(self, to: Mapping[str, Any], future: concurrent.futures.Future[Any]) -> None:
        try:
            ok, _ = future.result()
        except LknbError as error:
            self._refuse(to, error)
            return
        if "lane" not in ok:
            # the ticket goes to the page and nowhere else: no trait, no log
            self.send({"type": "ticket", **to, "port": ok["port"], "ticket": ok["ticket"]})
        elif self._client is not None:
            self._comm_lanes.add(CommLane(self, self._client, ok["lane"], to["client"]))
            self.send({"type": "comm", **to, "lane": ok["lane"], "kernel": KERNEL})
            if self.comm is None:
                # closed while the core was asked
                self._close_comm_lanes()

    def _refuse(self, to: Mapping[str, Any], error: LknbError) -> None:
        reason = str(error).partition("\n")[0]
        if isinstance(error, TrackError):
            self.send({"type": "ended", **to, "detail": ""})
            self._on_ended()
        elif self._client is None or not self._client.alive or isinstance(error, DisconnectedError):
            self.send({"type": "ended", **to, "detail": "The room is not connected any more."})
            self._on_ended()
        else:
            self.send({"type": "refused", **to, "detail": reason})
            self._on_failed(reason)

    # ------------------------------------------------------------------ events, from the link's thread

    def _handle_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if header["event"] == "lane_closed":
            lane = open_lane(header["lane"])
            if lane is not None:
                lane.lose()
                self._comm_lanes.discard(lane)
        elif header["type"] == "lane":
            comm.call_on_kernel_loop(functools.partial(self._set_lane, header["lane"]))
        else:
            self._on_core_event(header, buffers)

    def _set_lane(self, lane: str) -> None:
        if self.comm is not None:
            self.set_trait("lane", lane)


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most
