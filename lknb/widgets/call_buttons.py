"""What the buttons of a call show and do, whatever page they are in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from lknb.errors import LknbError
from lknb.rtc.local_device import SOURCES
from lknb.rtc.page_source import Device, ScreenShareCaptureOptions
from lknb.rtc.room import Room
from lknb.rtc.way_in import join_again

logger = logging.getLogger(__name__)

ROOM_EVENTS = (
    "connected", "disconnected", "connection_state_changed", "local_track_published", "local_track_unpublished",
    "track_muted", "track_unmuted",
)  # fmt: skip
"""After these they show something else."""
_BUTTONS: tuple[Device, ...] = ("camera", "microphone", "screen")


class CallButtons:
    """Of one room. `refuse(client, detail)` is told what could not be done for the page `client`."""

    def __init__(self, room: Room, refuse: Callable[[str, str], None]) -> None:
        self._room = room
        self._refuse = refuse
        self._tasks: set[asyncio.Task[None]] = set()

    def describe(self) -> dict[str, Any]:
        """`connected`, and the state of each device."""
        shown: dict[str, Any] = {"connected": self._room.isconnected()}
        if self._room.isconnected():
            for device in _BUTTONS:
                shown[device] = self._state_of(device)
        return shown

    def press(self, header: Mapping[str, Any]) -> None:
        """A button was pressed, as the core tells it; on any thread."""
        core = self._room._core
        if core is not None:
            # a page that cannot capture speaks for the one that can
            client = header["client"] if header["able"] else ""
            click = (header["device"], header["action"], client, header["device_id"])
            core.call(lambda: self._start(header["client"], self._act(*click)))

    def press_join(self, client: str) -> None:
        """Join was pressed in the page `client`; on any thread."""
        way = self._room._way_in
        if way is None:
            return
        try:
            way.loop.call_soon_threadsafe(lambda: self._start(client, join_again(self._room)))
        except RuntimeError:
            self._refuse(client, "What joined the room has ended. Join it in a cell: await lknb.connect(...)")

    def follow_devices(self) -> None:
        """The page has other devices than before, as the core tells it; on any thread."""
        core = self._room._core
        if core is not None:
            core.call(self._room._tell, "media_devices_changed")

    def follow_speaker(self, device_id: str) -> None:
        """The page is heard on another loudspeaker, as the core tells it; on any thread."""
        core = self._room._core
        if core is not None:
            core.call(self._room.local_participant._devices.follow_speaker, device_id)

    # ------------------------------------------------------------------ the room, on its loop

    def _state_of(self, device: Device) -> str:
        """off, on, muted; or page, page_muted: the page that captures it knows better, and for others it is elsewhere."""
        participant = self._room.local_participant
        publication = participant.get_track_publication(SOURCES[device])
        if publication is None:
            return "off"
        if participant._devices.is_of_page(device):
            return "page_muted" if publication.muted else "page"
        return "muted" if publication.muted else "on"

    async def _act(self, device: str, action: str, client: str, device_id: str) -> None:
        participant = self._room.local_participant
        if action == "leave":
            await self._room.disconnect()
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

    def _start(self, client: str, acting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._say_refusal(client, acting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say_refusal(self, client: str, acting: Coroutine[Any, Any, None]) -> None:
        try:
            await acting
        except LknbError as error:
            # a fault of a device is in the page already, where it was seen first
            logger.info("a button of %s: %s", self._room, error)
            self._refuse(client, str(error).partition("\n")[0])
