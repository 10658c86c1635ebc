"""The pages that can capture for the rooms of this kernel, and what the kernel asks of them.

capture_page.py      one page, its devices, across its lanes
lane_capture.py      one lane; capture_message.py what is said on it
source/page.py       one device as a source of media
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lknb.core.capture_message import Click, Hello
from lknb.core.capture_page import CapturePage, Wish
from lknb.core.lane_capture import CaptureSession
from lknb.core.source.page import PageSource
from lknb.errors import MediaDevicesError, TrackError, WireError

if TYPE_CHECKING:
    from lknb.core.lane_port import LanePort
    from lknb.core.lane_ticket import Grant

PAGES = 64
WAIT_MAX_S = 30.0

_WISHES = ("device", "device_id", "codec", "simulcast", "max_bitrate_bps", "max_fps", "dtx", "constraints")


class Captures:
    """All capturing pages of one kernel. `on_event(header, buffers)` gets what the kernel is to know:

        {"event": "view", "room", "track_sid", "view", "type": "click", "client", "device", "action", "device_id"}
        {"event": "source_fault", "source", "kind", "reason", "message"}

    Everything runs on the event loop.
    """

    def __init__(
        self,
        has_room: Callable[[int], bool],
        on_event: Callable[[dict[str, Any], list[bytes]], None],
        on_click: Callable[[int, PageSource, bool], bool],
    ) -> None:
        """`on_click(room, source, on)` mutes or unmutes what is published of a source, and says whether there is such a
        track: a kernel at work has no time for buttons."""
        self._has_room = has_room
        self._on_event = on_event
        self._on_click = on_click
        self._pages: dict[tuple[int, str, str], CapturePage] = {}
        self._arrived = asyncio.Event()

    # ------------------------------------------------------------------ lanes

    def join(self, session: CaptureSession, hello: Hello) -> CapturePage:
        """The page of a new lane: one that is known, or another one."""
        grant = session.grant
        key = (grant.room, grant.view, hello.client)
        page = self._pages.pop(key, None)
        if page is None:
            if len(self._pages) >= PAGES:
                raise WireError("too many pages capture")
            page = CapturePage(
                hello.client,
                tell_click=lambda click: self._tell_click(grant, hello.client, click),
                tell_fault=self._tell_fault,
                on_gone=lambda: self._forget(key),
            )
        # the newest comes last
        self._pages[key] = page
        page.connect(session, hello)
        self._arrived.set()
        self._arrived.clear()
        return page

    def check(self, grant: Grant) -> None:
        """See `LaneKind`."""
        if not self._has_room(grant.room):
            raise TrackError("the room is not connected")

    def open(self, grant: Grant, port: LanePort) -> CaptureSession:
        """See `LaneKind`."""
        return CaptureSession(grant, port, self)

    def forget_room(self, room: int) -> None:
        """The room was left: its pages let go of their devices."""
        for key, page in list(self._pages.items()):
            if key[0] == room:
                for capture in list(page.sources):
                    page.release(capture)

    def close(self) -> None:
        """The core ends."""
        for page in list(self._pages.values()):
            page.close()

    # ------------------------------------------------------------------ what the kernel asks for

    async def open_source(self, capture: int, header: Mapping[str, Any]) -> PageSource:
        """A source of a device of a page. `header` is the request `source_open`: room, device, and what `Wish` has; with
        `client` of this page only; `wait_s` for a page that is about to come. Raises `MediaDevicesError`."""
        wish = Wish(**{name: header[name] for name in _WISHES if header.get(name) is not None})
        page = await self._find(header.get("room"), header.get("client"), float(header.get("wait_s") or 0), wish.device)
        return await page.open(capture, wish)

    async def devices(self, header: Mapping[str, Any]) -> list[dict[str, str]]:
        """The devices of a page: `kind` camera, microphone or speaker, `device_id`, `label`. Raises
        `MediaDevicesError`."""
        page = await self._find(header.get("room"), header.get("client"), float(header.get("wait_s") or 0), "devices")
        done = await page.ask({"type": "devices"})
        return [asdict(device) for device in done.devices]

    async def _find(self, room: Any, client: str | None, wait_s: float, device: str) -> CapturePage:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, WAIT_MAX_S)):
                while (page := self._page(room, client)) is None:
                    await self._arrived.wait()
                return page
        page = self._page(room, client)
        if page is None:
            raise MediaDevicesError(
                "no page of this notebook is connected to the room: run `lknb.CallPanel(room)` (or `lknb.ControlBar(room)`) "
                "in a cell of its own, so that its page can be asked, or publish a source of the kernel (VideoSource, MediaFile)",
                device,
                "no_page",
            )
        return page

    def _page(self, room: Any, client: str | None) -> CapturePage | None:
        """The newest page that is connected; one that holds a device already comes before."""
        found = [
            page
            for (of_room, _, of_client), page in self._pages.items()
            if page.present and room in (None, of_room) and client in (None, "", of_client)
        ]
        return max(reversed(found), key=lambda page: bool(page.sources), default=None)

    def _forget(self, key: tuple[int, str, str]) -> None:
        self._pages.pop(key, None)

    def _tell_click(self, grant: Grant, client: str, click: Click) -> None:
        page = self._pages.get((grant.room, grant.view, client))
        source = page.source_of(click.device) if page is not None else None
        muting = source is not None and click.action in ("on", "off") and click.device in ("camera", "microphone")
        if muting and source is not None and self._on_click(grant.room, source, click.action == "on"):
            return
        event = {"event": "view", "room": grant.room, "track_sid": grant.track_sid, "view": grant.view}
        self._on_event({**event, "type": "click", "client": client, **asdict(click)}, [])

    def _tell_fault(self, capture: int, error: MediaDevicesError) -> None:
        about = {"kind": error.kind, "reason": error.reason, "message": error.message}
        self._on_event({"event": "source_fault", "source": capture, **about}, [])
