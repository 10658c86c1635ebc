"""`ControlBar`: camera, microphone, screen and the way out, as buttons of a page that captures."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, ClassVar

import traitlets
from ipywidgets import Layout

from lknb.errors import LknbError, TrackError
from lknb.rtc.local_device import SOURCES
from lknb.rtc.page_source import Device, ScreenShareCaptureOptions
from lknb.rtc.room import Room
from lknb.widgets.esm import bar_code, bar_css, bar_esm
from lknb.widgets.label import visible_label
from lknb.widgets.lane_widget import LaneWidget
from lknb.widgets.watch import Watch

logger = logging.getLogger(__name__)

_ROOM_EVENTS = (
    "connected", "disconnected", "connection_state_changed", "local_track_published", "local_track_unpublished",
    "track_muted", "track_unmuted",
)  # fmt: skip
_BUTTONS: tuple[Device, ...] = ("camera", "microphone", "screen")


class ControlBar(LaneWidget):
    """Buttons for one's own camera, microphone and screen in a room, with menus of devices, and one to leave.

        ControlBar(room)

    While a page shows it, `await room.local_participant.set_camera_enabled(True)` and its kin reach the devices of that
    page. Nothing is captured before a button is pressed or such a call is made; opening a saved notebook captures nothing.
    What is live has a red mark, and ends when the page is closed.
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
        self._tasks: set[asyncio.Task[None]] = set()
        self.hears_while_busy = False
        """Whether pages are heard while a cell runs: on a subshell of the kernel."""
        self.set_trait("_shown", self._describe())
        super().__init__(**traits)
        _bars.add(self)
        self._watch = Watch(self._changed)
        self._watch.follow([(room, _ROOM_EVENTS)])
        self._join()

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
        super().close()

    def __repr__(self) -> str:
        # stable, so that executed notebooks compare equal
        return f"ControlBar({visible_label(self._in_room.name)!r})"

    # ------------------------------------------------------------------ the room, on its loop

    def _join(self) -> None:
        core = self._in_room._core
        # another core process counts its rooms from the first again
        if core is not None and (core.client, core.handle) != (self._client, self._room):
            self._leave_lanes()
            joined_before = self._client is not None
            self._join_lanes(core.client, core.handle)
            if joined_before:
                # pages still have lanes to the room that was left
                self.send({"type": "again"})

    def _changed(self) -> None:
        self._join()
        shown = self._describe()
        if self.comm is not None and shown != self._shown:
            self.set_trait("_shown", shown)

    def _describe(self) -> dict[str, Any]:
        room = self._in_room
        shown: dict[str, Any] = {"connected": room.isconnected()}
        if room.isconnected():
            for device in _BUTTONS:
                shown[device] = self._state_of(device)
        return shown

    def _state_of(self, device: Device) -> str:
        """off, on, muted; or page: the page that captures it knows better, and for others it is elsewhere."""
        participant = self._in_room.local_participant
        publication = participant.get_track_publication(SOURCES[device])
        if publication is None:
            return "off"
        if participant._devices.is_of_page(device):
            return "page"
        return "muted" if publication.muted else "on"

    async def _act(self, device: str, action: str, client: str, device_id: str) -> None:
        participant = self._in_room.local_participant
        if action == "leave":
            await self._in_room.disconnect()
        elif device not in SOURCES:
            return
        elif action == "switch":
            await participant._devices.switch(device, device_id)
        elif action == "off":
            if device == "screen":
                await participant._devices.disable("screen_audio")
            await participant._devices.disable(device)
        elif device == "screen":
            await participant._devices.share_screen(ScreenShareCaptureOptions(audio=True), None, client=client)
        else:
            await participant._devices.enable(device, client=client)

    # ------------------------------------------------------------------ what pages and the core say, on any thread

    def _handle_custom_msg(self, content: Any, buffers: Sequence[Any]) -> None:
        self.hears_while_busy = threading.current_thread() is not threading.main_thread()
        super()._handle_custom_msg(content, buffers)

    def _on_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        core = self._in_room._core
        if header["type"] == "click" and core is not None:
            click = (header["device"], header["action"], header["client"], header["device_id"])
            core.call(lambda: self._start(header["client"], self._act(*click)))

    def _start(self, client: str, acting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._say_refusal(client, acting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say_refusal(self, client: str, acting: Coroutine[Any, Any, None]) -> None:
        try:
            await acting
        except LknbError as error:
            # a fault of a device is in the page already, where it was seen first
            logger.info("%s: %s", self, error)
            self.send({"type": "refused", "client": client, "detail": str(error).partition("\n")[0]})


_bars: weakref.WeakSet[ControlBar] = weakref.WeakSet()


def bars_of(room: int | None) -> list[ControlBar]:
    """The bars there are, those of one room of the core or all."""
    return [bar for bar in list(_bars) if bar.comm is not None and room in (None, bar.core_room)]
