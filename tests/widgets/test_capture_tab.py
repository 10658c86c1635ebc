"""The camera page as the kernel sees it: what it is told, when it is opened, and what the calls say while it is not there."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lknb.core.lane_ticket import OWN_ORIGIN, TAB_VIEW
from lknb.errors import MediaDevicesError
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.room import Room
from lknb.widgets import ControlBar, capture_tab
from lknb.widgets.capture_tab import OPENING_S, CaptureTab, tab_of
from lknb.widgets.page_bridge import WAIT_S, PageBridge
from tests.kit.poll import wait_until
from tests.rtc.scripted_core import ScriptedCore, turn
from tests.widgets.room import studio

pytestmark = pytest.mark.usefixtures("recorded_comms")


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ScriptedCore:
    from lknb.core.client import CoreClient

    fake = ScriptedCore()
    fake.respond["source_open"] = lambda header, buffers: ({"codec": "opus", "layers": []}, [])
    fake.respond["lane_ticket"] = lambda header, buffers: ({"port": 4711, "ticket": "ab" * 16}, [])
    monkeypatch.setattr(CoreClient, "shared", lambda: fake)
    return fake


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    made = await studio(core)
    yield made
    await made.disconnect()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened in a browser of this machine, which is the person's."""
    urls: list[str] = []
    monkeypatch.setattr(capture_tab, "is_own_desktop", lambda: True)
    monkeypatch.setattr(capture_tab.webbrowser, "open", urls.append)
    return urls


def hear(core: ScriptedCore, tab: CaptureTab, **header: Any) -> None:
    """The core tells something about the tab, on the thread of its link."""
    handler = core.listeners["view", tab._core_room, TAB_VIEW]
    thread = threading.Thread(target=handler, args=({"event": "view", **header}, []))
    thread.start()
    thread.join()


def told(core: ScriptedCore, kind: str) -> list[dict[str, Any]]:
    return [header["header"] for header in core.sent("tell_tabs") if header["header"]["type"] == kind]


def obstruct(core: ScriptedCore, bar: ControlBar) -> None:
    """The page of the bar says that it cannot capture."""
    core.listeners["view", bar.core_room, bar._view]({"event": "view", "type": "able", "able": False}, [])


async def test_a_room_has_one_and_its_page_is_told_what_is_published(core: ScriptedCore, room: Room) -> None:
    bar = ControlBar(room)
    tab = tab_of(room)
    assert bar.tab is tab
    assert ControlBar(room).tab is tab
    (parts,) = [buffers for header, buffers in core.requests if header["op"] == "own_page"]
    assert [type(part) for part in parts] == [bytes, bytes]
    off = {"connected": True, "camera": "off", "microphone": "off", "screen": "off", "room": "studio"}
    assert told(core, "shown") == [{"type": "shown", "shown": off}]
    await room.local_participant.set_microphone_enabled(True)
    await wait_until(lambda: told(core, "shown")[-1]["shown"]["microphone"] == "page")
    publication = room.local_participant.get_track_publication(TrackSource.SOURCE_MICROPHONE)
    publication.track.mute()
    await wait_until(lambda: told(core, "shown")[-1]["shown"]["microphone"] == "page_muted")
    await room.disconnect()
    assert told(core, "shown")[-1] == {"type": "shown", "shown": {"connected": False, "room": "studio"}}


async def test_a_room_that_was_left_is_not_kept(core: ScriptedCore) -> None:
    room = await studio(core)
    bar = ControlBar(room)
    await room.disconnect()
    bar.close()
    kept = weakref.ref(room)
    del room, bar
    await turn()
    gc.collect()
    assert kept() is None
    assert not [key for key in core.listeners if TAB_VIEW in key]


async def test_bars_know_when_it_comes_and_goes(core: ScriptedCore, room: Room) -> None:
    bar = ControlBar(room)
    for lane in ("direct", ""):
        hear(core, bar.tab, type="lane", lane=lane)
        await wait_until(lambda lane=lane: bar._shown["tab"] is bool(lane))
    bar.close()
    assert bar not in bar.tab.followers


async def test_its_buttons_act_and_what_fails_is_told_to_it(core: ScriptedCore, room: Room) -> None:
    tab = tab_of(room)
    bar = ControlBar(room)
    click = {"type": "click", "client": "page", "device": "microphone", "device_id": ""}
    hear(core, tab, **click, able=True, action="on")
    await wait_until(lambda: core.sent("source_open"))
    assert core.sent("source_open")[-1]["client"] == "page"

    def refuse(header: Any, buffers: Any) -> Any:
        raise MediaDevicesError("The camera is blocked.", "camera", "denied")

    core.respond["source_open"] = refuse
    hear(core, tab, **{**click, "device": "camera"}, able=True, action="on")
    await wait_until(lambda: told(core, "refused"))
    assert told(core, "refused") == [{"type": "refused", "client": "page", "detail": "The camera is blocked."}]
    # a page that cannot capture speaks for the tab
    listener = core.listeners["view", bar.core_room, bar._view]
    listener({"event": "view", **click, "device": "camera", "able": False, "action": "on"}, [])
    await wait_until(lambda: core.sent("source_open")[-1]["client"] == "")


async def test_a_room_that_is_joined_again_takes_the_tab_along(core: ScriptedCore, room: Room) -> None:
    tab = tab_of(room)
    before = tab._core_room
    hear(core, tab, type="lane", lane="direct")
    await room.disconnect()
    await room.connect("ws://somewhere", "token")
    await turn()
    assert tab._core_room != before
    assert ("view", before, TAB_VIEW) not in core.listeners
    (again,) = [header for header in core.sent("tell_tabs") if header["header"]["type"] == "again"]
    assert again == {"op": "tell_tabs", "room": before, "header": {"type": "again", "ticket": "ab" * 16}}
    assert core.sent("lane_ticket")[-1]["room"] == tab._core_room


class TestCalls:
    async def test_a_page_that_cannot_capture_is_not_asked(self, core: ScriptedCore, room: Room) -> None:
        bar = ControlBar(room)
        obstruct(core, bar)
        with pytest.raises(MediaDevicesError, match="“Open camera page”") as caught:
            await room.local_participant.set_camera_enabled(True)
        assert (caught.value.kind, caught.value.reason) == ("camera", "front_end")
        assert not core.sent("source_open")

    async def test_the_tab_is_once_it_is_there(self, core: ScriptedCore, room: Room) -> None:
        bar = ControlBar(room)
        obstruct(core, bar)
        bar._set_lane("comm")
        hear(core, bar.tab, type="lane", lane="direct")
        choice = PageBridge().choose(core, bar.core_room, "camera")  # type: ignore[arg-type]
        assert (choice.wait_s, choice.able) == (WAIT_S, False)

    async def test_on_the_desktop_of_the_person_the_call_opens_it(
        self, core: ScriptedCore, room: Room, opened: list[str]
    ) -> None:
        obstruct(core, ControlBar(room))
        await room.local_participant.enable_camera_and_microphone()
        await wait_until(lambda: opened, what="it is opened")
        assert opened == [f"http://127.0.0.1:4711/capture#{'ab' * 16}"], "once for both"
        (asked,) = core.sent("lane_ticket")
        assert (asked["kind"], asked["view"], asked["origin"]) == ("capture", TAB_VIEW, OWN_ORIGIN)
        assert [(it["wait_s"], it["able"]) for it in core.sent("source_open")] == [(OPENING_S, True)] * 2

    async def test_one_that_was_closed_is_opened_again(self, core: ScriptedCore, room: Room, opened: list[str]) -> None:
        bar = ControlBar(room)
        obstruct(core, bar)
        bridge = PageBridge()
        bridge.choose(core, bar.core_room, "camera")  # type: ignore[arg-type]
        hear(core, bar.tab, type="lane", lane="direct")
        bridge.choose(core, bar.core_room, "camera")  # type: ignore[arg-type]
        hear(core, bar.tab, type="lane", lane="")
        bridge.choose(core, bar.core_room, "camera")  # type: ignore[arg-type]
        await wait_until(lambda: len(opened) == 2)

    async def test_nothing_is_opened_for_a_room_that_is_gone(
        self, core: ScriptedCore, room: Room, opened: list[str]
    ) -> None:
        def refuse(header: Any, buffers: Any) -> Any:
            raise MediaDevicesError("gone")

        core.respond["lane_ticket"] = refuse
        assert tab_of(room).open_here()
        assert opened == []
