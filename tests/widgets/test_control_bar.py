"""The widgets of one's own devices without a page: what they show, and what their messages do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lknb.errors import ConnectError, MediaDevicesError, MediaError, TrackError
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.media_file import MediaFile
from lknb.rtc.option import RoomOptions, TrackPublishOptions
from lknb.rtc.room import Room
from lknb.rtc.video_source import VideoSource
from lknb.widgets import CallPanel, CameraPreview, ControlBar, DevicePicker, ParticipantGrid, PublishPanel, comm
from lknb.widgets.control_bar import bars_of
from lknb.widgets.page_bridge import WAIT_S, PageBridge
from tests.kit.poll import wait_until
from tests.rtc.fake_source import FakeSource
from tests.rtc.scripted_core import ScriptedCore
from tests.widgets.room import studio

pytestmark = pytest.mark.usefixtures("recorded_comms")


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ScriptedCore:
    from lknb.core.client import CoreClient

    fake = ScriptedCore()
    monkeypatch.setattr(CoreClient, "shared", lambda: fake)
    return fake


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    made = await studio(core)
    yield made
    await made.disconnect()


def press(
    core: ScriptedCore, bar: ControlBar, device: str, action: str, device_id: str = "", client: str = "page"
) -> None:
    click = {"event": "view", "type": "click", "client": client, "able": True, "device": device, "action": action}
    core.listeners["view", bar.core_room, bar._view]({**click, "device_id": device_id}, [])


def opened(core: ScriptedCore) -> list[dict[str, Any]]:
    return [header for header, _ in core.requests if header["op"] == "source_open"]


class TestControlBar:
    async def test_it_shows_what_is_published(self, core: ScriptedCore, room: Room) -> None:
        bar = ControlBar(room)
        assert bar._shown == {"connected": True, "tab": False, "camera": "off", "microphone": "off", "screen": "off"}
        options = TrackPublishOptions(source=TrackSource.SOURCE_CAMERA)
        publication = await room.local_participant.publish_track(FakeSource(), options)
        assert bar._shown["camera"] == "on"
        publication.track.mute()
        assert bar._shown["camera"] == "muted"
        await room.disconnect()
        assert bar._shown == {"connected": False, "tab": False, "can_join": True}
        assert repr(bar) == "ControlBar('studio')"

    async def test_buttons(self, core: ScriptedCore, room: Room) -> None:
        core.respond["source_open"] = lambda header, buffers: ({"codec": "opus", "layers": []}, [])
        bar = ControlBar(room)
        press(core, bar, "microphone", "switch", "second")
        press(core, bar, "microphone", "on")
        await wait_until(lambda: bar._shown["microphone"] == "page")
        (asked,) = opened(core)
        assert (asked["device"], asked["client"], asked["device_id"]) == ("microphone", "page", "second")
        publication = room.local_participant.get_track_publication(TrackSource.SOURCE_MICROPHONE)
        press(core, bar, "microphone", "off")
        await wait_until(lambda: publication.muted)
        press(core, bar, "microphone", "on")
        await wait_until(lambda: not publication.muted)
        # the button of another page: the device is handed over
        press(core, bar, "microphone", "on", client="another")
        await wait_until(lambda: len(opened(core)) == 2)
        assert opened(core)[1]["client"] == "another"
        await wait_until(lambda: len(room.local_participant.track_publications) == 1)
        assert publication.sid not in room.local_participant.track_publications
        press(core, bar, "room", "leave")
        await wait_until(lambda: not room.isconnected())

    async def test_another_core_may_give_the_room_the_same_number(
        self, core: ScriptedCore, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from lknb.core.client import CoreClient

        bar = ControlBar(room)
        await room.disconnect()
        after = ScriptedCore()
        monkeypatch.setattr(CoreClient, "shared", lambda: after)
        await room.connect("ws://somewhere", "token")
        assert ("view", bar.core_room, bar._view) in after.listeners
        assert ("view", bar.core_room, bar._view) not in core.listeners

    async def test_a_refusal_is_told_to_the_page_that_asked(self, core: ScriptedCore, room: Room) -> None:
        def refuse(header: Any, buffers: Any) -> Any:
            raise MediaDevicesError("The camera is blocked.", "camera", "denied")

        core.respond["source_open"] = refuse
        bar = ControlBar(room)
        press(core, bar, "camera", "on")
        told = {"type": "refused", "client": "page", "detail": "The camera is blocked."}
        await wait_until(lambda: told in bar.comm.custom)

    async def test_closed_it_is_no_page_any_more(self, core: ScriptedCore, room: Room) -> None:
        bar = ControlBar(room)
        handle = bar.core_room
        assert PageBridge().choose(core, handle, "camera").wait_s == WAIT_S  # type: ignore[arg-type]
        bar.close()
        bar.close()
        with pytest.raises(MediaDevicesError, match=r"CallPanel\(room\)"):
            PageBridge().choose(core, handle, "camera")  # type: ignore[arg-type]

    async def test_a_cell_is_not_left_waiting_for_a_page_it_cannot_hear(
        self, core: ScriptedCore, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bar = ControlBar(room)
        bar._set_lane("comm")
        bridge = PageBridge()
        assert bridge.choose(core, bar.core_room, "camera")  # type: ignore[arg-type]
        monkeypatch.setattr(comm._cells, "running", True)
        with pytest.raises(MediaDevicesError, match="Turn camera on") as caught:
            bridge.choose(core, bar.core_room, "camera")  # type: ignore[arg-type]
        assert caught.value.reason == "needs_click"
        bar.hears_while_busy = True
        assert bridge.choose(core, bar.core_room, "camera")  # type: ignore[arg-type]

    async def test_a_speaker_is_that_of_the_notebook_whether_it_may_capture_or_not(
        self, core: ScriptedCore, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bar = ControlBar(room)
        core.listeners["view", bar.core_room, bar._view]({"event": "view", "type": "speaker", "device_id": "x"}, [])
        await wait_until(lambda: room.get_active_device("speaker") == "x")
        bridge = PageBridge()
        bar.able = False
        bar.tab.connected = True
        assert not bridge.choose(core, bar.core_room, "speaker").able  # type: ignore[arg-type]
        bar._set_lane("comm")
        monkeypatch.setattr(comm._cells, "running", True)
        with pytest.raises(MediaDevicesError, match="Choose a speaker") as caught:
            bridge.choose(core, bar.core_room, "speaker")  # type: ignore[arg-type]
        assert (caught.value.kind, caught.value.reason) == ("speaker", "needs_click")

    async def test_a_room_that_is_joined_again(self, core: ScriptedCore, room: Room) -> None:
        bar = ControlBar(room)
        before = bar.core_room
        await room.disconnect()
        await room.connect("ws://somewhere", "token")
        await wait_until(lambda: bar._shown["connected"])
        assert bar.core_room != before
        assert {"type": "again"} in bar.comm.custom

    async def test_join_joins_as_before(self, core: ScriptedCore, room: Room) -> None:
        panel = CallPanel(room)
        bar = panel.bar
        options = RoomOptions(auto_subscribe=False)
        await room.disconnect()
        await room.connect("ws://elsewhere", "another token", options)
        for _ in range(2):
            press(core, bar, "room", "leave")
            await wait_until(lambda: not room.isconnected() and not bar._shown["connected"])
            assert panel.grid.tiles == []
            bar.comm.arrive({"type": "join", "client": "page"})
            # one that comes while the first is under way, and one that is too late
            bar.comm.arrive({"type": "join", "client": "another page"})
            await wait_until(lambda: bar._shown["connected"])
            bar.comm.arrive({"type": "join", "client": "page"})
            header = core.sent("connect")[-1]
            assert (header["url"], header["token"]) == ("ws://elsewhere", "another token")
            assert not header["options"]["auto_subscribe"]
            await wait_until(lambda: bool(panel.grid.tiles))
            people = {tile.participant for tile in panel.grid.tiles}
            assert people == {room.local_participant, *room.remote_participants.values()}
        assert len(core.sent("connect")) == 4
        assert not [said for said in bar.comm.custom if said["type"] == "refused"]
        panel.close()

    async def test_why_it_cannot_join_is_told_to_the_page(self, core: ScriptedCore, room: Room) -> None:
        def refuse(header: Any, buffers: Any) -> Any:
            raise ConnectError("nobody listens there", "unreachable")

        bar = ControlBar(room)
        await room.disconnect()
        answer, core.respond["connect"] = core.respond["connect"], refuse
        bar.comm.arrive({"type": "join", "client": "page"})
        told = {"type": "refused", "client": "page", "detail": "nobody listens there"}
        await wait_until(lambda: told in bar.comm.custom)
        assert bar._shown["can_join"], "and it can be tried again"
        core.respond["connect"] = answer
        bar.comm.arrive({"type": "join", "client": "page"})
        await wait_until(lambda: bar._shown["connected"])

    async def test_a_room_that_was_never_joined(self, core: ScriptedCore) -> None:
        room = Room()
        bar = ControlBar(room)
        assert bar._shown == {"connected": False, "tab": False, "can_join": False}
        bar.comm.arrive({"type": "join", "client": "page"})
        await room.connect("ws://somewhere", "token")
        # its pages were told that there is no room
        assert {"type": "again"} in bar.comm.custom
        assert len(core.sent("connect")) == 1
        await room.disconnect()

    async def test_what_lets_somebody_in_is_shown_nowhere(self, core: ScriptedCore) -> None:
        room = Room()
        await room.connect("ws://somewhere", "a secret token")
        bar = ControlBar(room)
        await room.disconnect()
        texts = [repr(room), repr(room._way_in), repr(vars(room)), repr(bar.get_state()), repr(bar.comm.custom)]
        assert not [text for text in texts if "secret" in text]

    async def test_it_is_for_a_room(self) -> None:
        for widget in (ControlBar, CallPanel, PublishPanel):
            with pytest.raises(TrackError):
                widget("studio")  # type: ignore[arg-type]


async def test_a_call_panel_is_grid_and_bar(core: ScriptedCore, room: Room) -> None:
    panel = CallPanel(room)
    assert panel.children == (panel.grid, panel.bar)
    assert repr(panel) == "CallPanel('studio')"
    panel.close()
    assert panel.bar.comm is None
    assert panel.grid.comm is None


async def test_what_is_picked_is_used_by_the_room(core: ScriptedCore, room: Room) -> None:
    core.respond["source_open"] = lambda header, buffers: ({"codec": "opus", "layers": []}, [])
    ControlBar(room)
    picker = DevicePicker(room)
    picker.microphone = "third"
    await wait_until(lambda: not picker._tasks)
    await room.local_participant.set_microphone_enabled(True)
    assert opened(core)[0]["device_id"] == "third"
    preview = CameraPreview()
    assert (preview._picture, picker._picture) == (True, False)
    assert repr(preview) == "CameraPreview()"


class TestPublishPanel:
    async def test_rows_and_buttons(self, core: ScriptedCore, room: Room) -> None:
        core.respond["source_open"] = lambda header, buffers: ({"codec": "opus", "layers": []}, [])
        panel = PublishPanel(room)
        panel.comm.arrive({"type": "hello", "viewer": "page"})
        panel.comm.arrive({"type": "act", "do": "tone"})
        await wait_until(lambda: panel._shown["rows"])
        (row,) = panel._shown["rows"]
        assert (row["name"], row["about"], row["muted"]) == ("tone", "microphone", False)
        panel.comm.arrive({"type": "act", "do": "mute", "sid": row["sid"]})
        await wait_until(lambda: panel._shown["rows"][0]["muted"])
        panel.comm.arrive({"type": "act", "do": "unmute", "sid": row["sid"]})
        await wait_until(lambda: not panel._shown["rows"][0]["muted"])
        panel.comm.arrive({"type": "act", "do": "unpublish", "sid": row["sid"]})
        await wait_until(lambda: not panel._shown["rows"])
        panel.close()

    async def test_a_source_of_ones_own(self, core: ScriptedCore, room: Room) -> None:
        panel = PublishPanel(room, {"edges": FakeSource()})
        assert panel._shown["sources"] == ["edges"]
        for source in (TrackSource.SOURCE_CAMERA, TrackSource.SOURCE_UNKNOWN):
            panel.comm.arrive({"type": "act", "do": "source", "index": 0})
            await wait_until(lambda: not panel._shown["pending"] and not panel._tasks)
            *_, newest = room.local_participant.track_publications.values()
            assert (newest.name, newest.source) == ("edges", source), "the second is not a second camera"
        panel.close()
        with pytest.raises(MediaError, match=r"not 'edges\.mp4'"):
            PublishPanel(room, {"edges": "edges.mp4"})  # type: ignore[dict-item]

    async def test_a_file_is_published_whole_or_not_at_all(self, core: ScriptedCore, room: Room) -> None:
        def refuse_sound(header: Any, buffers: Any) -> Any:
            if header["kind"] == "audio":
                raise MediaError("its sound is broken")
            return {"codec": "vp8", "width": 64, "height": 64, "layers": []}, []

        core.respond["source_open"] = refuse_sound
        panel = PublishPanel(room, {"film": MediaFile("film.mp4")})
        panel.comm.arrive({"type": "act", "do": "source", "index": 0})
        await wait_until(lambda: {"type": "refused", "detail": "its sound is broken"} in panel.comm.custom)
        assert panel._shown["rows"] == []
        panel.close()

    @pytest.mark.parametrize(
        "act", [{"do": "file", "path": " "}, {"do": "mute", "sid": "TR_x"}, {"do": "source", "index": 1}]
    )
    async def test_what_cannot_be_done_is_said(self, core: ScriptedCore, room: Room, act: dict[str, Any]) -> None:
        panel = PublishPanel(room)
        panel.comm.arrive({"type": "act", **act})
        await wait_until(lambda: any(said["type"] == "refused" for said in panel.comm.custom))
        panel.close()

    async def test_a_file_that_is_not_there(self, core: ScriptedCore, room: Room) -> None:
        def refuse(header: Any, buffers: Any) -> Any:
            raise MediaError("there is no 'film.mp4'")

        core.respond["source_open"] = refuse
        panel = PublishPanel(room)
        panel.comm.arrive({"type": "act", "do": "file", "path": "film.mp4"})
        await wait_until(lambda: {"type": "refused", "detail": "there is no 'film.mp4'"} in panel.comm.custom)
        assert panel._shown["rows"] == []
        panel.close()
        await asyncio.sleep(0)


WRONG: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda room: CallPanel(5), TrackError, "CallPanel shows a room, not 5"),  # type: ignore[arg-type]
    (lambda room: ControlBar(5), TrackError, "ControlBar is for a room, not 5"),  # type: ignore[arg-type]
    (lambda room: ParticipantGrid(5), TrackError, "ParticipantGrid shows a room, not 5"),  # type: ignore[arg-type]
    (lambda room: PublishPanel(5), TrackError, "PublishPanel is for a room, not 5"),  # type: ignore[arg-type]
    (lambda room: DevicePicker(5), TrackError, "DevicePicker is for a room, or for none, not 5"),  # type: ignore[arg-type]
    (lambda room: CameraPreview("x"), TrackError, "CameraPreview is for a room, or for none, not 'x'"),  # type: ignore[arg-type]
    (lambda room: CallPanel(room, widht=5), TypeError, "CallPanel takes no 'widht'"),
    (lambda room: ControlBar(room, camera="x"), TypeError, "ControlBar takes no 'camera'"),
    (lambda room: CameraPreview(picture=False), TypeError, "CameraPreview takes no 'picture'"),
    (
        lambda room: PublishPanel(room, [FakeSource()]),  # type: ignore[arg-type]
        MediaError,
        'PublishPanel takes sources under their names, as {"voice": source}, not [',
    ),
    (lambda room: PublishPanel(room, {"a": 5}), MediaError, "Tone), not 5"),  # type: ignore[dict-item]
    (lambda room: PublishPanel(room, {"a": VideoSource}), MediaError, "Tone), not <class"),  # type: ignore[dict-item]
]


@pytest.mark.parametrize(("make", "error", "words"), WRONG, ids=[words for _, _, words in WRONG])
async def test_what_a_view_cannot_show_is_told(
    core: ScriptedCore, room: Room, make: Callable[[Any], Any], error: type[Exception], words: str
) -> None:
    before = set(bars_of(None))
    with pytest.raises(error, match=re.escape(words)):
        make(room)
    assert set(bars_of(None)) == before
