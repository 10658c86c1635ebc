"""`CameraPreview` and `DevicePicker`: which camera and microphone, before a call or in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import traitlets
from ipywidgets import Layout

from lknb.errors import TrackError
from lknb.rtc.room import Room
from lknb.widgets.esm import bar_css, preview_code, preview_esm
from lknb.widgets.hardened import HardenedWidget

logger = logging.getLogger(__name__)

_WIDTH = "520px"


class DevicePicker(HardenedWidget):
    """Menus of the page's cameras, microphones and loudspeakers, and a level meter to try the microphone with.

        picker = DevicePicker(room)      # what is chosen is used by the room, at once and for the next call
        picker = DevicePicker()          # picker.camera and picker.microphone are ids for the capture options

    A speaker that is chosen is that of the whole page, at once; the menu is there where the browser lets pages choose. Browsers
    tell the names of devices once the page was allowed to use one of the kind. Raises `TrackError` for what is no room.
    """

    _esm = preview_esm()
    _css = bar_css()
    _code = traitlets.Unicode(preview_code(), read_only=True).tag(sync=True)
    _picture = traitlets.Bool(False, read_only=True).tag(sync=True)

    camera = traitlets.Unicode(help="Id of the camera that was chosen; empty for the browser's choice.").tag(sync=True)
    microphone = traitlets.Unicode(help="Id of the microphone that was chosen; empty for the browser's choice.").tag(
        sync=True
    )

    def __init__(self, room: Room | None = None, **traits: Any) -> None:
        if room is not None and not isinstance(room, Room):
            raise TrackError(f"{type(self).__name__} is for a room, or for none, not {room!r}")
        self._in_room = room
        self._tasks: set[asyncio.Task[None]] = set()
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width=_WIDTH, max_width="100%")
        super().__init__(**traits)

    @traitlets.observe("camera", "microphone")
    def _chosen(self, change: Any) -> None:
        core = self._in_room._core if self._in_room is not None else None
        if core is not None:
            core.call(self._switch, change["name"], change["new"])

    def _handle_custom_msg(self, content: Any, buffers: Sequence[Any]) -> None:
        if isinstance(content, dict) and content.get("type") == "alive":
            # a page that hears nothing of its kernel lets go of the devices
            self.send({"type": "alive"})
        else:
            super()._handle_custom_msg(content, buffers)

    def _switch(self, kind: str, device_id: str) -> None:
        assert self._in_room is not None
        task = asyncio.ensure_future(self._in_room.local_participant.switch_active_device(kind, device_id))
        self._tasks.add(task)
        task.add_done_callback(self._switched)

    def _switched(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # the room tells of it as media_devices_error, and its buttons show it
            logger.info("%s: %s", self, task.exception())

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class CameraPreview(DevicePicker):
    """One's own camera as in a mirror, before a call; nothing of it leaves the page.

        preview = CameraPreview()
        ...
        await me.set_camera_enabled(True, rtc.VideoCaptureOptions(device_id=preview.camera))

    It begins when its cell is run, or at a click; a notebook that is opened again shows nothing by itself.
    """

    def __init__(self, room: Room | None = None, **traits: Any) -> None:
        self.set_trait("_picture", True)
        super().__init__(room, **traits)

    def _ipython_display_(self, **options: Any) -> None:
        super()._ipython_display_(**options)
        # a message is not repeated when a page is loaded again, as a trait would be
        self.send({"type": "start"})
