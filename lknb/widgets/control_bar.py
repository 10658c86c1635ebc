"""`ControlBar`: camera, microphone, screen, the way out and in again, as buttons of a page that captures.

A room that was left has no lane, so the way in is pressed over the comm:

    page -> kernel   {"type": "join", client}
    kernel -> page   {"type": "again"}                    the room was joined, and has another lane
                     {"type": "refused", client, detail}
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import traitlets
from ipywidgets import Layout

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.room import Room
from lknb.widgets.call_buttons import ROOM_EVENTS, CallButtons
from lknb.widgets.capture_tab import tab_of
from lknb.widgets.esm import bar_code, bar_css, bar_esm
from lknb.widgets.lane_widget import LaneWidget
from lknb.widgets.watch import Watch


class ControlBar(LaneWidget):
    """Buttons for one's own camera, microphone and screen in a room, with menus of devices, the loudspeakers of the page
    among them where its browser lets pages choose; and one to leave, or to join again as before.

        ControlBar(room)

    While a page shows it, `await room.local_participant.set_camera_enabled(True)` and its kin reach the devices of that
    page. Nothing is captured before a button is pressed or such a call is made; opening a saved notebook captures nothing.
    What is live has a red mark, and ends when the page is closed. Where the page cannot capture, as in VS Code, it has a link
    to one that can: a tab of the browser, which these calls reach from then on.
    """

    _esm = bar_esm()
    _css = bar_css()
    _code = traitlets.Unicode(bar_code(), read_only=True).tag(sync=True)
    _shown = traitlets.Dict(read_only=True).tag(sync=True)
    _lane_kind: ClassVar[str] = "capture"

    def __init__(self, room: Room, **traits: Any) -> None:
        if not isinstance(room, Room):
            raise TrackError(f"ControlBar is for a room, not {room!r}")
        self._in_room = room
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width="100%")
        self._buttons = CallButtons(room, self._tell_refusal)
        self.tab = tab_of(room)
        """The camera page of the room, for pages that cannot capture."""
        self.able = True
        """Whether a page of this widget can capture, as far as is known."""
        self.hears_while_busy = False
        """Whether pages are heard while a cell runs: on a subshell of the kernel."""
        self.set_trait("_shown", self._describe())
        super().__init__(**traits)
        _bars.add(self)
        self.tab.followers.add(self)
        self._watch = Watch(self._changed)
        self._watch.follow([(room, ROOM_EVENTS)])
        self._follow_room()

    @property
    def room(self) -> Room:
        """The room."""
        return self._in_room

    @property
    def core_room(self) -> int:
        """The room in the core, as its pages know it."""
        return self._room

    def close(self) -> None:
        """Take the buttons out of all pages; what their pages capture ends. Harmless twice."""
        if self.comm is None:
            return
        self._watch.close()
        _bars.discard(self)
        self.tab.followers.discard(self)
        super().close()

    def __repr__(self) -> str:
        # stable, so that executed notebooks compare equal
        return f"ControlBar({visible_label(self._in_room.name)!r})"

    # ------------------------------------------------------------------ the room, on its loop

    def _follow_room(self) -> bool:
        """Whether the room was joined since: pages get lanes to that now."""
        core = self._in_room._core
        # another core process counts its rooms from the first again
        if core is None or (core.client, core.handle) == (self._client, self._room):
            return False
        self._leave_lanes()
        self.able = True
        self._join_lanes(core.client, core.handle)
        return True

    def _changed(self) -> None:
        if self._follow_room():
            # pages still have lanes to the room that was left, or were told that there is none
            self.send({"type": "again"})
        shown = self._describe()
        if self.comm is not None and shown != self._shown:
            self.set_trait("_shown", shown)

    def _describe(self) -> dict[str, Any]:
        shown = {**self._buttons.describe(), "tab": self.tab.connected}
        if not shown["connected"]:
            shown["can_join"] = self._in_room._way_in is not None
        return shown

    def follow_tab(self) -> None:
        """The camera page has come, or gone."""
        self._changed()

    # ------------------------------------------------------------------ what pages and the core say, on any thread

    def _handle_custom_msg(self, content: Any, buffers: Sequence[Any]) -> None:
        self.hears_while_busy = threading.current_thread() is not threading.main_thread()
        super()._handle_custom_msg(content, buffers)

    def _handle_join(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        self._buttons.press_join(content["client"])

    _page_messages: ClassVar = {**LaneWidget._page_messages, "join": _handle_join}

    def _on_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if header["type"] == "click":
            self._buttons.press(header)
        elif header["type"] == "devices_changed":
            self._buttons.follow_devices()
        elif header["type"] == "speaker":
            self._buttons.follow_speaker(header["device_id"])
        elif header["type"] == "able":
            self.able = header["able"]

    def _tell_refusal(self, client: str, detail: str) -> None:
        self.send({"type": "refused", "client": client, "detail": detail})


_bars: weakref.WeakSet[ControlBar] = weakref.WeakSet()


def bars_of(room: int | None) -> list[ControlBar]:
    """The bars there are, those of one room of the core or all."""
    return [bar for bar in list(_bars) if bar.comm is not None and room in (None, bar.core_room)]
