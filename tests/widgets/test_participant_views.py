"""`VideoView` of what is not a track yet, tiles, grids and panels, on a room whose core is scripted."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import comm
import pytest
from ipywidgets.widgets.widget import _instances
from livekit.protocol import models, rtc

from lknb.core.client import CoreClient
from lknb.core.lane_ticket import Grant
from lknb.core.lane_video import VideoLanes
from lknb.errors import TrackError
from lknb.rtc import display
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.room import Room
from lknb.widgets import (
    CallPanel,
    CameraPreview,
    ControlBar,
    DevicePicker,
    ParticipantGrid,
    ParticipantTile,
    PublishPanel,
    RoomAudio,
    RoomPanel,
    VideoView,
)
from lknb.widgets.participant_tile import participant_tile_of
from lknb.widgets.room_panel import room_panel_of
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until
from tests.rtc.scripted_core import ScriptedCore, person, turn, video
from tests.widgets.room import SHOWN_HOSTILE, camera, listeners, microphone, publication, studio

pytestmark = pytest.mark.usefixtures("recorded_comms")

HELLO = {"type": "hello", "client": "page-1", "hello": 1, "origin": "http://127.0.0.1:8888"}
GONE = models.ParticipantInfo.State.DISCONNECTED
MAKERS = {
    "view": lambda room: VideoView(publication(room)),
    "tile": lambda room: ParticipantTile(room.remote_participants["bob"]),
    "grid": ParticipantGrid,
    "panel": lambda room: RoomPanel(room, sections=["subscriptions", "speakers", "stats"]),
    "bar": ControlBar,
    "call": CallPanel,
    "publish": PublishPanel,
    "preview": lambda room: CameraPreview(),
    "picker": lambda room: DevicePicker(),
    "sound": RoomAudio,
}


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ScriptedCore:
    fake = ScriptedCore()
    fake.respond["stats"] = lambda header, buffers: ({"received": {}, "sent": {}}, [])
    monkeypatch.setattr(CoreClient, "shared", lambda: fake)
    return fake


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    made = await studio(core)
    yield made
    await made.disconnect()


def screen(sid: str) -> models.TrackInfo:
    return video(sid, name="screen", source=models.TrackSource.SCREEN_SHARE)


def tickets(core: ScriptedCore) -> list[str]:
    return [header["track_sid"] for header in core.sent("lane_ticket")]


class SentTrack:
    """What the core has of bob's camera."""

    kind, codec, muted = "video", "vp8", False

    def __init__(self) -> None:
        self._sinks: list[Callable[[EncodedFrame], None]] = []

    def attach(self, sink: Callable[[EncodedFrame], None], *, keyframe: bool = True) -> None:
        self._sinks.append(sink)

    def detach(self, sink: Callable[[EncodedFrame], None]) -> None:
        self._sinks.remove(sink)

    def request_keyframe(self) -> None:
        pass

    def send(self) -> None:
        for sink in self._sinks:
            sink(EncodedFrame("vp8", b"frame", 0, True, timestamp_us=0, width=640, height=360))


class SilentPort:
    """A way to a page that shows what comes."""

    name, waiting_bytes, page_left = "direct", 0, False

    def send(self, header: Any, buffers: Any = ()) -> None:
        pass


class TestVideoViewOfAPublication:
    async def test_one_that_is_not_received_offers_to_subscribe(self, room: Room, core: ScriptedCore) -> None:
        view = VideoView(publication(room))
        turns = view._turn
        assert (view.state, view.track_sid, view.name) == ("connecting", "TR_v", "Bob")
        publication(room).set_subscribed(False)
        core.tell("track_unsubscribed", track_sid="TR_v")
        await wait_until(lambda: view.state == "unsubscribed" and view.track is None)
        assert view._about["standing"] == "unsubscribed"
        view.comm.arrive(HELLO)
        assert tickets(core) == []
        view.comm.arrive({"type": "act", "do": "subscribe"})
        assert core.sent("track_subscription")[-1]["on"] is True
        assert (view.state, view._about["standing"]) == ("connecting", "asked")
        core.tell("track_subscribed", track_sid="TR_v")
        await wait_until(lambda: view.track is not None)
        assert view._about["standing"] == ""
        assert view._turn > turns, "pages begin anew"
        view.comm.arrive({**HELLO, "hello": 2})
        assert tickets(core) == ["TR_v"]
        view.close()

    async def test_one_that_is_not_shared_with_us_says_so(self, room: Room, core: ScriptedCore) -> None:
        view = VideoView(publication(room))
        update = rtc.SubscriptionPermissionUpdate(participant_sid="PA_bob", track_sid="TR_v", allowed=False)
        core.signal(subscription_permission_update=update)
        await wait_until(lambda: view.state == "forbidden")
        view.close()

    async def test_a_reference_without_a_publication_waits_for_one(self, room: Room, core: ScriptedCore) -> None:
        (reference,) = [it for it in room.tracks(TrackSource.SOURCE_CAMERA) if it.participant.identity == "bob"]
        view = VideoView(reference)
        assert view.track is publication(room).track
        core.update(person("bob", microphone("TR_a"), name="Bob", version=2))
        await wait_until(lambda: view.state == "absent")
        core.update(person("bob", microphone("TR_a"), camera("TR_w"), name="Bob", version=3))
        await wait_until(lambda: view.publication is not None and view.publication.sid == "TR_w")
        core.tell("track_subscribed", track_sid="TR_w")
        await wait_until(lambda: view.track_sid == "TR_w")
        view.close()

    async def test_a_publication_that_ends_leaves_the_view_ended(self, room: Room, core: ScriptedCore) -> None:
        views = [VideoView(publication(room)), VideoView(publication(room).track)]
        core.update(person("bob", microphone("TR_a"), name="Bob", version=2))
        await wait_until(lambda: [view.state for view in views] == ["ended", "ended"])
        for view in views:
            view.close()

    async def test_the_last_word_of_the_track_before_is_not_of_this_one(self, room: Room, core: ScriptedCore) -> None:
        view = VideoView(publication(room))
        view._on_core_event({"type": "state", "state": "playing", "track_sid": "TR_before"}, [])
        assert view.state == "connecting"
        view._on_core_event({"type": "state", "state": "playing", "track_sid": "TR_v"}, [])
        assert view.state == "playing"
        view.close()

    async def test_a_page_that_is_late_to_leave_the_track_of_before_hides_nothing_of_this_one(
        self, room: Room, core: ScriptedCore
    ) -> None:
        """Both tracks have one sid, and the lane of before goes over to the new one."""
        view = VideoView(publication(room))

        def tell(grant: Grant, header: dict[str, Any], buffers: list[bytes]) -> None:
            heard = core.listeners.get(("view", 1, grant.view))
            if heard is not None:
                heard({"event": "view", "track_sid": grant.track_sid, **header}, buffers)

        track = SentTrack()
        lanes = VideoLanes(lambda room, sid: track, tell=tell, on_views=lambda room, sid: None, clock=time.monotonic)

        def play() -> None:
            page = lanes.open(Grant(1, "video", "TR_v", view._view, "http://127.0.0.1:8888"), SilentPort())
            track.send()
            page.handle({"type": "ack", "sequence": 0}, [])

        play()
        core.listeners["view", 1, view._view]({"event": "view", "type": "lane", "lane": "direct"}, [])
        assert (view.state, view.lane) == ("playing", "direct")
        publication(room).set_subscribed(False)
        core.tell("track_unsubscribed", track_sid="TR_v")
        await wait_until(lambda: view.state == "unsubscribed")
        publication(room).set_subscribed(True)
        core.tell("track_subscribed", track_sid="TR_v")
        await wait_until(lambda: view.state == "connecting" and view.track is not None)
        assert view.lane == "", "there is none to this track yet"
        play()
        assert view.state == "playing"
        view.close()

    async def test_who_speaks_and_whose_microphone_is_off(self, room: Room, core: ScriptedCore) -> None:
        view = VideoView(publication(room).track)
        assert (view._about["speaking"], view._about["microphone"]) == (False, "on")
        assert view._about["layers"] == {"low": [320, 180], "medium": [640, 360], "high": [1280, 720]}
        speaker = models.SpeakerInfo(sid="PA_bob", level=0.4, active=True)
        core.signal(speakers_changed=rtc.SpeakersChanged(speakers=[speaker]))
        await wait_until(lambda: view._about["speaking"])
        core.update(person("bob", camera("TR_v"), microphone("TR_a", muted=True), name="Bob", version=2))
        await wait_until(lambda: view._about["microphone"] == "muted")
        view.close()

    async def test_the_name_follows_the_participant_unless_it_was_given(self, room: Room, core: ScriptedCore) -> None:
        view, named = VideoView(publication(room)), VideoView(publication(room), name="Left")
        core.update(person("bob", camera("TR_v"), microphone("TR_a"), name="Robert", version=2))
        await wait_until(lambda: view.name == "Robert")
        assert named.name == "Left"
        view.name = "Mine"
        core.update(person("bob", camera("TR_v"), microphone("TR_a"), name="Bobby", version=3))
        await turn()
        assert view.name == "Mine"
        view.close()
        named.close()

    async def test_figures_are_measured_while_they_are_shown(self, room: Room, core: ScriptedCore) -> None:
        stream = {
            "bytes_received": 1, "frames_received": 1, "packets_received": 1, "packets_lost": 0, "width": 1, "height": 1,
        }  # fmt: skip
        core.respond["stats"] = lambda header, buffers: ({"received": {"TR_v": stream}, "sent": {}}, [])
        view = VideoView(publication(room))
        assert "lknb meter" not in [thread.name for thread in threading.enumerate()]
        view.comm.arrive({"type": "act", "do": "stats"})
        assert view.stats
        await wait_until(lambda: {"type": "flow", "figures": [0, 0.0, 0.0]} in view.comm.custom)
        view.comm.arrive({"type": "act", "do": "stats"})
        assert "lknb meter" not in [thread.name for thread in threading.enumerate()]
        view.close()

    async def test_it_is_for_videos(self, room: Room) -> None:
        for wrong in (publication(room, sid="TR_a"), 3, None):
            with pytest.raises(TrackError, match="VideoView shows a video track"):
                VideoView(wrong)


class TestParticipantTile:
    async def test_it_follows_the_camera_of_a_participant(self, room: Room, core: ScriptedCore) -> None:
        tile = ParticipantTile(room.remote_participants["bob"])
        assert (tile.track_sid, tile.name, tile.fit, tile.mirror) == ("TR_v", "Bob", "cover", False)
        assert (tile._about["initials"], tile._about["microphone"], tile._about["shape"]) == ("B", "on", [16, 9])
        core.update(person("bob", microphone("TR_a"), name="Bob", version=2))
        await wait_until(lambda: tile.state == "absent")
        core.update(person("bob", microphone("TR_a"), camera("TR_w"), name="Bob", version=3))
        core.tell("track_subscribed", track_sid="TR_w")
        await wait_until(lambda: tile.track_sid == "TR_w")
        quality = rtc.ConnectionQualityInfo(participant_sid="PA_bob", quality=models.ConnectionQuality.POOR)
        core.signal(connection_quality=rtc.ConnectionQualityUpdate(updates=[quality]))
        await wait_until(lambda: tile._about["connection"] == "poor")
        assert repr(tile) == "ParticipantTile('Bob')"
        tile.close()

    async def test_ourselves_are_mirrored(self, room: Room) -> None:
        tile = ParticipantTile(room.local_participant)
        assert (tile.name, tile.mirror, tile.state) == ("me (you)", True, "absent")
        tile.close()

    async def test_a_hostile_name_is_text(self, room: Room) -> None:
        tile = ParticipantTile(room.remote_participants["eve"])
        assert (tile.name, tile._about["initials"]) == (SHOWN_HOSTILE, "EO")
        tile.close()

    async def test_it_is_for_participants(self, room: Room) -> None:
        with pytest.raises(TrackError, match="ParticipantTile shows a participant"):
            ParticipantTile(room)  # type: ignore[arg-type]


class TestParticipantGrid:
    async def test_a_tile_for_everybody_in_the_order_they_came(self, room: Room, core: ScriptedCore) -> None:
        grid = ParticipantGrid(room)
        assert [tile.name for tile in grid.tiles] == ["me (you)", "Bob", SHOWN_HOSTILE]
        bob = grid.tiles[1]
        core.update(person("ann", name="Ann"), person("eve", state=GONE, version=2))
        await wait_until(lambda: [tile.name for tile in grid.tiles] == ["me (you)", "Bob", "Ann"])
        assert grid.tiles[1] is bob
        assert grid.children == tuple(grid.tiles)
        grid.close()

    async def test_a_click_puts_a_tile_large_and_another_puts_it_back(self, room: Room, core: ScriptedCore) -> None:
        grid = ParticipantGrid(room)
        grid.tiles[1].comm.arrive({"type": "act", "do": "focus"})
        assert grid.focused == "bob"
        assert [tile._about["focus"] for tile in grid.tiles] == ["off", "on", "off"]
        assert "lknb-grid-focus" in grid._dom_classes
        grid.tiles[1].comm.arrive({"type": "act", "do": "focus"})
        assert (grid.focused, grid.tiles[1]._about["focus"]) == ("", "off")
        grid.focused = "eve"
        assert grid.tiles[2]._about["focus"] == "on"
        core.update(person("eve", state=GONE, version=2))
        await wait_until(lambda: grid.focused == "")
        grid.close()

    async def test_a_shared_screen_is_put_large_by_itself(self, room: Room, core: ScriptedCore) -> None:
        grid = ParticipantGrid(room)
        core.update(person("bob", camera("TR_v"), microphone("TR_a"), screen("TR_s"), name="Bob", version=2))
        await wait_until(lambda: grid.focused == "bob/screen")
        tile = grid.tiles[-1]
        assert (tile.name, tile.fit, tile.publication.sid) == ("Bob: screen", "contain", "TR_s")
        assert tile._about["focus"] == "on"
        core.update(person("bob", camera("TR_v"), microphone("TR_a"), name="Bob", version=3))
        await wait_until(lambda: grid.focused == "" and len(grid.tiles) == 3)
        grid.close()

    async def test_nobody_hides_a_screen_by_an_identity_like_its_name(self, room: Room, core: ScriptedCore) -> None:
        grid = ParticipantGrid(room)
        core.update(person("bob", camera("TR_v"), microphone("TR_a"), screen("TR_s"), name="Bob", version=2))
        core.update(person("bob/screen"))
        await wait_until(lambda: len(grid.tiles) == 5)
        assert [tile for tile in grid.tiles if tile not in grid.children] == []
        assert sum(tile._about["focus"] == "on" for tile in grid.tiles) == 1
        grid.close()

    async def test_alone_one_is_told_how_somebody_comes(self, core: ScriptedCore) -> None:
        core.join.room.name = 'a "b"\u202e'
        room = Room()
        await room.connect("ws://somewhere", "token")
        grid = ParticipantGrid(room)
        note = grid.children[-1]
        assert note._shown["text"] == "Nobody else is here yet. Join from another cell:"
        assert note._shown["code"] == 'guest = await lknb.connect("a \\"b\\"\\ufffd", identity="guest")'
        core.update(person("bob"))
        await wait_until(lambda: note not in grid.children)
        assert len(grid.children) == 2
        await room.disconnect()
        await wait_until(lambda: grid.children == (note,))
        assert note._shown["text"] == "Not in the room."
        grid.close()


class TestRoomPanel:
    async def test_sections_exist_while_they_are_open(self, room: Room) -> None:
        panel = RoomPanel(room)
        header = panel.children[0]
        assert [type(child).__name__ for child in panel.children] == ["RoomHeader", "ParticipantGrid", "RoomAudio"]
        assert (header._shown["name"], header._shown["state"], header._shown["people"]) == ("studio", "connected", 3)
        header.comm.arrive({"type": "act", "do": "toggle", "section": "stats"})
        header.comm.arrive({"type": "act", "do": "toggle", "section": "subscriptions"})
        header.comm.arrive({"type": "act", "do": "toggle", "section": "nonsense"})
        assert panel.sections == ("subscriptions", "stats")
        assert [type(child).__name__ for child in panel.children[3:]] == ["SubscriptionTable", "StatsPlot"]
        assert [section["open"] for section in header._shown["sections"]] == [True, False, True]
        plot = panel.children[-1]
        panel.sections = ()
        assert plot.comm is None
        assert [type(child).__name__ for child in panel.children] == ["RoomHeader", "ParticipantGrid", "RoomAudio"]
        with pytest.raises(ValueError, match="sections are subscriptions, speakers, stats"):
            panel.sections = ("chat",)
        assert repr(panel) == "RoomPanel('studio')"
        panel.close()

    async def test_the_lane_is_named(self, room: Room) -> None:
        panel = RoomPanel(room)
        panel.grid.tiles[1]._set_lane("direct")
        assert panel.children[0]._shown["lane"] == "direct"
        panel.grid.tiles[2]._set_lane("comm")
        assert panel.children[0]._shown["lane"] == "comm"
        panel.close()

    async def test_a_room_that_is_not_joined_yet_says_what_to_do(self, core: ScriptedCore) -> None:
        room = Room()
        panel = RoomPanel(room, sections=["subscriptions", "speakers", "stats"])
        assert (panel.children[0]._shown["state"], panel.children[0]._shown["people"]) == ("disconnected", 0)
        assert [note._shown["text"] for note in panel.grid.children] == ["Not in the room."]
        await room.connect("ws://somewhere", "token")
        await turn()
        assert [tile.name for tile in panel.grid.tiles] == ["me (you)"]
        panel.close()
        await room.disconnect()

    async def test_it_is_for_rooms(self) -> None:
        with pytest.raises(TrackError, match="RoomPanel shows a room"):
            RoomPanel(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", MAKERS)
async def test_two_hundred_leave_nothing(kind: str, room: Room, core: ScriptedCore) -> None:
    make = MAKERS[kind]
    make(room).close()
    gc.collect()
    before = (
        len(_instances), len(comm.get_comm_manager().comms), listeners(room), len(core.listeners), threading.active_count()
    )  # fmt: skip
    gone = []
    for _ in range(200):
        view = make(room)
        gone.append(weakref.ref(view))
        view.close()
        view.close()
    del view
    await turn()
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == []
    after = (
        len(_instances), len(comm.get_comm_manager().comms), listeners(room), len(core.listeners), threading.active_count()
    )  # fmt: skip
    assert after == before


@pytest.mark.parametrize("kind", MAKERS)
async def test_no_state_that_is_saved_hides_anything_or_holds_a_secret(kind: str, room: Room) -> None:
    view = MAKERS[kind](room)
    text = json.dumps(view.get_manager_state(), ensure_ascii=False)
    assert "\u202e" not in text
    assert '"token"' not in text
    assert "0x" not in repr(view)
    assert view._repr_mimebundle_()[0]["text/plain"] == repr(view)
    view.close()


async def test_evaluated_again_it_is_the_same_view(room: Room) -> None:
    bob = room.remote_participants["bob"]
    for make, thing, kind in ((room_panel_of, room, "room"), (participant_tile_of, bob, "participant")):
        first = make(thing)
        before = listeners(room)
        assert make(thing) is first
        assert listeners(room) == before
        assert display._factories[kind] is make
        first.close()
        second = make(thing)
        assert second is not first
        second.close()
