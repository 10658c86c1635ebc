"""How cameras, microphones and screens of the page are reached, without this floor knowing a single widget.

The page captures for a room while it shows one of the room's widgets with buttons. Importing `lknb.widgets` registers the
bridge that knows which of them are shown; without it there is no page to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from lknb.core.client import CoreClient
from lknb.errors import MediaDevicesError

DeviceKind: TypeAlias = Literal["camera", "microphone", "speaker"]


@dataclass(frozen=True, slots=True)
class MediaDevice:
    """A device of the page. Browsers tell no `label` before a page was allowed to use one of its kind."""

    kind: DeviceKind
    device_id: str
    label: str


@dataclass(frozen=True, slots=True)
class PageChoice:
    """Whom to ask: a page of the room `room` (of any room when None), which may need `wait_s` seconds to be there. With
    `able` one that can capture is on its way, and no other will do."""

    room: int | None
    wait_s: float
    able: bool = False


class DeviceBridge(Protocol):
    """Knows the widgets that capture."""

    def choose(self, client: CoreClient, room: int | None, device: str) -> PageChoice:
        """Whether a page can be asked now. Raises `MediaDevicesError`, which says what to do."""


_bridges: list[DeviceBridge] = []


def register_bridge(bridge: DeviceBridge) -> None:
    """Reach pages by this bridge from now on."""
    _bridges[:] = [bridge]


def choose_page(client: CoreClient, room: int | None, device: str) -> PageChoice:
    """See `DeviceBridge.choose`."""
    if not _bridges:
        raise MediaDevicesError.no_page(device)
    return _bridges[0].choose(client, room, device)


async def switch_speaker(client: CoreClient, room: int, device_id: str) -> None:
    """Have the page that shows the buttons of a room be heard on another loudspeaker. Raises `MediaDevicesError`."""
    choice = choose_page(client, room, "speaker")
    await client.request({"op": "speaker", "room": choice.room, "wait_s": choice.wait_s, "device_id": device_id})


async def devices() -> list[MediaDevice]:
    """Cameras, microphones and loudspeakers of the page that shows a `CallPanel` or `ControlBar`. Raises
    `MediaDevicesError` when none does."""
    client = CoreClient._shared
    if client is None or not client.alive:
        raise MediaDevicesError.no_page("devices")
    choice = choose_page(client, None, "devices")
    found, _ = await client.request(
        {"op": "devices", "room": choice.room, "wait_s": choice.wait_s, "able": choice.able}
    )
    return [_device(device) for device in found["devices"]]


def _device(device: Mapping[str, Any]) -> MediaDevice:
    return MediaDevice(device["kind"], device["device_id"], device["label"])
