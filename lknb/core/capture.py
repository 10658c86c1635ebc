"""The pages that can capture for the rooms of this kernel, and what the kernel asks of them.

capture_page.py      one page, its devices, across its lanes
lane_capture.py      one lane; capture_message.py what is said on it
lane_page.py         the page we serve ourselves, a tab of the browser, for those that are not able to capture
source/page.py       one device as a source of media
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lknb.core.capture_message import DEFAULT_SPEAKER, Click, Hello
from lknb.core.capture_page import CapturePage, Wish
from lknb.core.lane_capture import CaptureSession
from lknb.core.lane_ticket import TAB_VIEW
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

        {"event": "view", "room", "track_sid", "view", "type": "click", "client", "able", "device", "action", "device_id"}
        {"event": "view", "room", "track_sid", "view", "type": "able", "able"}      whether a page of this view can capture
        {"event": "view", "room", "track_sid", "view", "type": "devices_changed"}
        {"event": "view", "room", "track_sid", "view", "type": "speaker", "device_id"}
        {"event": "source_fault", "source", "kind", "reason", "message"}
        {"event": "source_device", "source", "device_id"}

    Everything runs on the event loop.
    """

    def __init__(
        self,
        has_room: Callable[[int], bool],
        on_event: Callable[[dict[str, Any], list[bytes]], None],
        on_switch: Callable[[int, PageSource, bool], bool],
        make_link: Callable[[int, str], tuple[int, str] | None] = lambda room, view: None,
    ) -> None:
        """`on_switch(room, source, on)` mutes or unmutes what is published of a source, and says whether there is such a
        track: a kernel at work has no time for buttons, nor for what is unplugged. `make_link(room, view)` is
        `LaneServer.link`."""
        self._has_room = has_room
        self._on_event = on_event
        self._on_switch = on_switch
        self._make_link = make_link
        self._sessions: set[CaptureSession] = set()
        self._able: dict[tuple[int, str], bool] = {}
        self._speakers: dict[int, str] = {}
        self._shown: dict[int, Mapping[str, Any]] = {}
        self._pages: dict[tuple[int, str, str], CapturePage] = {}
        self._arrived = asyncio.Event()
        self._turning: dict[PageSource, asyncio.Task[None]] = {}

    # ------------------------------------------------------------------ lanes

    def join(self, session: CaptureSession, hello: Hello) -> CapturePage:
        """The page of a new lane: one that is known, or another one."""
        grant = session.grant
        key = _key(grant, hello.client)
        page = self._pages.pop(key, None)
        if page is None:
            if len(self._pages) >= PAGES:
                raise WireError("too many pages capture")
            page = CapturePage(hello.client, grant, self)
        # the newest comes last
        self._pages[key] = page
        page.connect(session, hello)
        self._sessions.add(session)
        self._tell_able(grant)
        if grant.view == TAB_VIEW:
            if grant.room in self._shown:
                page.tell(self._shown[grant.room])
            for other in self._sessions:
                # the link that brought this page is used up
                other.renew_link()
        self._arrived.set()
        self._arrived.clear()
        return page

    def leave(self, session: CaptureSession) -> None:
        """The lane is closed."""
        self._sessions.discard(session)

    def link(self, room: int) -> tuple[int, str] | None:
        """`(port, ticket)` of our own page for a room, None when there is none just now."""
        return self._make_link(room, TAB_VIEW) if self._has_room(room) else None

    def tell_tabs(self, room: int, header: Mapping[str, Any]) -> None:
        """The kernel says something to our own pages of a room; what is "shown" also to those that come later."""
        if header.get("type") == "shown" and self._has_room(room):
            self._shown[room] = header
        for (of_room, view, _), page in self._pages.items():
            if (of_room, view) == (room, TAB_VIEW):
                page.tell(header)

    def check(self, grant: Grant) -> None:
        """See `LaneKind`."""
        if not self._has_room(grant.room):
            raise TrackError("the room is not connected")

    def open(self, grant: Grant, port: LanePort) -> CaptureSession:
        """See `LaneKind`."""
        return CaptureSession(grant, port, self)

    def forget_room(self, room: int) -> None:
        """The room was left: its pages let go of their devices."""
        self._shown.pop(room, None)
        self._speakers.pop(room, None)
        self._able = {view: able for view, able in self._able.items() if view[0] != room}
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
        `client` of this page only; `wait_s` for a page that is about to come, or with `able` for one that can capture. Raises
        `MediaDevicesError`."""
        wish = Wish(**{name: header[name] for name in _WISHES if header.get(name) is not None})
        page = await self._find(header, wish.device)
        return await page.open(capture, wish)

    async def devices(self, header: Mapping[str, Any]) -> list[dict[str, str]]:
        """The devices of a page: `kind` camera, microphone or speaker, `device_id`, `label`; the speakers are those of the
        page that plays, when that is another one. Raises `MediaDevicesError`."""
        page = await self._find(header, "devices")
        found = list((await page.ask({"type": "devices"})).devices)
        player = self._page(header.get("room"), None, "speaker")
        if player is not page:
            found = [device for device in found if device.kind != "speaker"]
            # one that may use no devices cannot choose among speakers either
            with contextlib.suppress(MediaDevicesError):
                heard = (await player.ask({"type": "devices"})).devices if player is not None else ()
                found += [device for device in heard if device.kind == "speaker"]
        return [asdict(device) for device in found]

    async def switch_speaker(self, header: Mapping[str, Any]) -> dict[str, str]:
        """Have a page that plays the room be heard on another loudspeaker: `device_id` and `label` of the one it is then.
        Raises `MediaDevicesError`, and all goes on as before."""
        page = await self._find(header, "speaker")
        done = await page.ask({"type": "speaker", "device": "speaker", "device_id": header["device_id"]})
        return {"device_id": done.device_id, "label": done.label}

    async def _find(self, header: Mapping[str, Any], device: str) -> CapturePage:
        room, client, able = header.get("room"), header.get("client"), bool(header.get("able"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(float(header.get("wait_s") or 0), WAIT_MAX_S)):
                while (page := self._page(room, client, device)) is None or page.able < able:
                    await self._arrived.wait()
                return page
        page = self._page(room, client, device)
        if able and (page is None or not page.able):
            raise MediaDevicesError(
                "the camera page has not come: press “Open camera page” in the room's buttons, then run this again",
                device,
                "front_end",
            )
        if page is None:
            raise MediaDevicesError.no_page(device)
        return page

    def _page(self, room: Any, client: str | None, device: str) -> CapturePage | None:
        """The newest page that is connected; one that can capture comes before, and one that does first of all. Our own page
        plays nothing."""
        found = [
            page
            for (of_room, view, of_client), page in self._pages.items()
            if page.present and room in (None, of_room) and client in (None, "", of_client)
            if device != "speaker" or view != TAB_VIEW
        ]
        return max(reversed(found), key=lambda page: (page.able, bool(page.sources)), default=None)

    # ------------------------------------------------------------------ what pages tell, see `PageListener`

    def clicked(self, page: CapturePage, click: Click) -> None:
        source = page.source_of(click.device)
        if source is None or click.device not in ("camera", "microphone") or click.action not in ("on", "off"):
            self._tell_click(page, click)
        elif click.action == "on":
            if source not in self._turning:
                turning = asyncio.create_task(self._turn_on(page, source, click), name="a button of a page")
                self._turning[source] = turning
                turning.add_done_callback(lambda _: self._turning.pop(source))
        else:
            if source in self._turning:
                self._turning[source].cancel()
            if not self._on_switch(page.grant.room, source, False):
                self._tell_click(page, click)

    async def _turn_on(self, page: CapturePage, source: PageSource, click: Click) -> None:
        try:
            # nobody is to hear of an unmute before there is something to be seen
            await source.acquire()
        except MediaDevicesError as error:
            if error.reason != "closed":
                self.failed(page, source, error)
            return
        if not self._on_switch(page.grant.room, source, True):
            self._tell_click(page, click)

    def failed(self, page: CapturePage, source: PageSource, error: MediaDevicesError) -> None:
        # muted at once: nobody is to look at a picture that stands still
        self._on_switch(page.grant.room, source, False)
        about = {"kind": error.kind, "reason": error.reason, "message": error.message}
        self._on_event({"event": "source_fault", "source": source.capture, **about}, [])

    def uses(self, capture: int, device_id: str) -> None:
        self._on_event({"event": "source_device", "source": capture, "device_id": device_id}, [])

    def devices_changed(self, page: CapturePage) -> None:
        # of several pages of a room the one that would be asked for them
        if page is self._page(page.grant.room, None, "devices"):
            self._tell_view(page.grant, {"type": "devices_changed"})

    def speaker_changed(self, page: CapturePage) -> None:
        room = page.grant.room
        if page is self._page(room, None, "speaker") and page.speaker != self._speakers.get(room, DEFAULT_SPEAKER):
            self._speakers[room] = page.speaker
            self._tell_view(page.grant, {"type": "speaker", "device_id": page.speaker})

    def gone(self, page: CapturePage) -> None:
        self._pages.pop(_key(page.grant, page.client), None)

    def _tell_able(self, grant: Grant) -> None:
        view = (grant.room, grant.view)
        able = any(page.able for (*of_view, _), page in self._pages.items() if tuple(of_view) == view)
        if able != self._able.get(view, True):
            self._able[view] = able
            self._tell_view(grant, {"type": "able", "able": able})

    def _tell_click(self, page: CapturePage, click: Click) -> None:
        self._tell_view(page.grant, {"type": "click", "client": page.client, "able": page.able, **asdict(click)})

    def _tell_view(self, grant: Grant, header: Mapping[str, Any]) -> None:
        event = {"event": "view", "room": grant.room, "track_sid": grant.track_sid, "view": grant.view}
        self._on_event({**event, **header}, [])


def _key(grant: Grant, client: str) -> tuple[int, str, str]:
    return grant.room, grant.view, client
