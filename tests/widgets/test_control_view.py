"""The views without video, on a room whose core is scripted: what they show, what they do, and that they let go."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import comm
import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances
from livekit.protocol import models, rtc

from lknb.core.client import CoreClient
from lknb.errors import TrackError
from lknb.rtc.enumeration import VideoQuality
from lknb.rtc.room import Room
from lknb.widgets import QualitySelector, SpeakerIndicator, StatsPlot, SubscriptionTable
from tests.kit.poll import wait_until
from tests.rtc.scripted_core import ScriptedCore, person, turn
from tests.widgets.room import SHOWN_HOSTILE, camera, flowing, listeners, microphone, publication, studio

pytestmark = pytest.mark.usefixtures("recorded_comms")

HELLO = {"type": "hello", "viewer": "page-1"}
BYE = {"type": "bye", "viewer": "page-1"}
MAKERS = {
    "table": SubscriptionTable,
    "speakers": SpeakerIndicator,
    "plot": StatsPlot,
    "quality": lambda room: QualitySelector(publication(room)),
}


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ScriptedCore:
    fake = ScriptedCore()
    fake.respond["stats"] = lambda header, buffers: (flowing(TR_v=1_000_000), [])
    monkeypatch.setattr(CoreClient, "shared", lambda: fake)
    return fake


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    made = await studio(core)
    yield made
    await made.disconnect()


def opened(view: Any) -> Any:
    """Shown on a page."""
    view.comm.arrive(HELLO)
    return view


def act(view: Any, **content: Any) -> None:
    view.comm.arrive({"type": "act", **content})


def rows(view: SubscriptionTable) -> dict[str, dict[str, Any]]:
    return {row["sid"]: row for row in view._shown["rows"]}


@pytest.fixture(params=MAKERS)
def view(request: pytest.FixtureRequest, room: Room) -> Any:
    made = MAKERS[request.param](room)
    yield made
    made.close()


class TestEveryView:
    async def test_it_listens_only_while_a_page_shows_it(self, view: Any, room: Room) -> None:
        before = listeners(room)
        opened(view)
        if not isinstance(view, StatsPlot):
            assert listeners(room) > before
        view.comm.arrive({**HELLO, "viewer": "page-2"})
        view.comm.arrive(BYE)
        if not isinstance(view, StatsPlot):
            assert listeners(room) > before, "another page still shows it"
        view.comm.arrive({**BYE, "viewer": "page-2"})
        assert listeners(room) == before

    async def test_pages_that_say_no_goodbye_keep_nobody_out(self, view: Any, room: Room) -> None:
        for number in range(40):
            view.comm.arrive({**HELLO, "viewer": f"reloaded-{number}"})
        assert len(view._viewers) == 32
        assert list(view._viewers)[-1] == "reloaded-39"
        view.close()
        assert not view._viewers

    async def test_junk_from_a_page_is_dropped(self, view: Any, core: ScriptedCore) -> None:
        opened(view)
        sent = len(core.sent("track_setting")) + len(core.sent("track_subscription"))
        shown = view._shown
        for content in (
            None, 7, [], {}, {"type": "hello"}, {"type": "hello", "viewer": "x" * 65}, {"type": ["act"]},
            {"type": "act"}, {"type": "act", "do": "subscribe", "sid": ["TR_v"]}, {"type": "act", "do": {}, "sid": "TR_v"},
            {"type": "act", "do": "quality", "sid": "TR_v", "value": "best"}, {"type": "act", "value": ["low"]},
            {"type": "act", "do": "subscribe", "sid": "TR_none", "value": True},
        ):  # fmt: skip
            view.comm.arrive(content)
        assert len(core.sent("track_setting")) + len(core.sent("track_subscription")) == sent
        assert view._shown == shown

    async def test_no_name_is_markup_or_hides_anything_and_the_repr_is_stable(self, view: Any) -> None:
        opened(view)
        text = json.dumps(view._shown, ensure_ascii=False)
        assert "\u202e" not in text
        assert "\\u0000" not in text
        assert "0x" not in repr(view)
        assert view._repr_mimebundle_()[0]["text/plain"] == repr(view)

    async def test_what_was_left_is_said_with_what_to_do(self, view: Any, room: Room) -> None:
        opened(view)
        await room.disconnect()
        await wait_until(
            lambda: (
                "left" in str(view._shown) or "Not in the room" in str(view._shown) or not view._shown.get("empty", "x")
            )
        )
        act(view, do="subscribe", sid="TR_v", value=True)

    async def test_two_hundred_leave_nothing(self, view: Any, room: Room, core: ScriptedCore) -> None:
        make = MAKERS[next(name for name, maker in MAKERS.items() if name == view._module)]
        gc.collect()
        before = (len(_instances), len(comm.get_comm_manager().comms), listeners(room), threading.active_count())
        gone = []
        for _ in range(200):
            another = opened(make(room))
            gone.append(weakref.ref(another))
            another.close()
            another.close()
        del another
        await turn()
        gc.collect()
        assert [ref for ref in gone if ref() is not None] == []
        after = (len(_instances), len(comm.get_comm_manager().comms), listeners(room), threading.active_count())
        assert after == before


async def test_a_message_on_another_thread_is_handled_on_the_rooms_loop(room: Room, core: ScriptedCore) -> None:
    table = opened(SubscriptionTable(room))
    threads: list[int] = []
    publication(room).on("subscription_status_changed", lambda *_: threads.append(threading.get_ident()))
    await asyncio.to_thread(act, table, do="subscribe", sid="TR_a", value=False)
    await turn()
    (asked,) = core.sent("track_subscription")
    assert (asked["track_sid"], asked["on"]) == ("TR_a", False)
    assert set(threads) <= {threading.get_ident()}
    table.close()


class TestSubscriptionTable:
    async def test_a_row_for_each_track_of_the_others(self, room: Room) -> None:
        table = SubscriptionTable(room)
        assert list(rows(table)) == ["TR_v", "TR_a", "TR_e"]
        row = rows(table)["TR_v"]
        assert (row["who"], row["what"], row["source"], row["quality"]) == ("Bob", "cam", "camera", "auto")
        assert row["layers"] == {"low": [320, 180], "medium": [640, 360], "high": [1280, 720]}
        assert rows(table)["TR_e"]["who"] == SHOWN_HOSTILE
        assert rows(table)["TR_a"]["quality"] == ""
        assert repr(table) == "SubscriptionTable('studio')"
        table.close()

    async def test_the_switches_act_at_once(self, room: Room, core: ScriptedCore) -> None:
        table = opened(SubscriptionTable(room))
        act(table, do="enable", sid="TR_v", value=False)
        assert core.sent("track_setting")[-1]["enabled"] is False
        assert rows(table)["TR_v"]["status"] == "paused"
        act(table, do="enable", sid="TR_v", value=True)
        act(table, do="quality", sid="TR_v", value="low")
        assert core.sent("track_setting")[-1]["quality"] == models.VideoQuality.LOW
        assert rows(table)["TR_v"]["quality"] == "low"
        act(table, do="quality", sid="TR_v", value="auto")
        assert core.sent("track_setting")[-1]["quality"] is None
        assert rows(table)["TR_v"]["quality"] == "auto"
        act(table, do="subscribe", sid="TR_v", value=False)
        assert core.sent("track_subscription")[-1]["on"] is False
        assert rows(table)["TR_v"]["status"] == "not received"
        table.close()

    async def test_it_follows_the_room(self, room: Room, core: ScriptedCore) -> None:
        table = opened(SubscriptionTable(room))
        core.update(person("bob", camera("TR_v", muted=True), name="Bob", version=2))
        await wait_until(lambda: list(rows(table)) == ["TR_v", "TR_e"])
        assert rows(table)["TR_v"]["status"] == "muted by its publisher"
        core.signal(
            subscription_permission_update=rtc.SubscriptionPermissionUpdate(
                participant_sid="PA_bob", track_sid="TR_v", allowed=False
            )
        )
        await wait_until(lambda: rows(table)["TR_v"]["status"] == "not allowed by its publisher")
        core.update(
            person("bob", state=models.ParticipantInfo.State.DISCONNECTED, version=3),
            person("eve", state=models.ParticipantInfo.State.DISCONNECTED, version=3),
        )
        await wait_until(lambda: table._shown["rows"] == [])
        assert table._shown["empty"].startswith("Nobody else is here yet")
        table.close()

    async def test_many_changes_are_few_messages(self, room: Room, core: ScriptedCore) -> None:
        table = opened(SubscriptionTable(room))
        before = len(table.comm.published)
        for version in range(2, 52):
            core.update(
                person("bob", camera("TR_v", muted=version % 2 == 0), microphone("TR_a"), name="Bob", version=version)
            )
        await turn(50)
        assert len(table.comm.published) - before <= 2
        table.close()

    async def test_what_comes_is_told_when_it_changes(self, room: Room, core: ScriptedCore) -> None:
        counts = iter(range(0, 10**9, 60_000))
        core.respond["stats"] = lambda header, buffers: (flowing(TR_v=next(counts)), [])
        table = opened(SubscriptionTable(room))

        def told() -> list[Any]:
            return [message["rows"]["TR_v"] for message in table.comm.custom if message["type"] == "flows"]

        await wait_until(lambda: any(figures[0] > 500_000 for figures in told()), 10)
        assert told()[-1][1:] == [640, 360, "medium"]
        table.close()


class TestQualitySelector:
    async def test_it_asks_for_a_layer_and_shows_the_one_that_comes(self, room: Room, core: ScriptedCore) -> None:
        selector = opened(QualitySelector(publication(room).track))
        assert (selector.asked, selector._shown["status"]) == ("auto", "")
        act(selector, value="high")
        assert publication(room).video_quality == VideoQuality.VIDEO_QUALITY_HIGH
        assert selector.asked == selector._shown["asked"] == "high"
        await wait_until(lambda: selector.received == "medium", 5)
        assert selector.comm.custom[-1]["figures"][1:] == [640, 360, "medium"]
        act(selector, value="auto")
        assert selector.asked == "auto"
        selector.close()

    async def test_what_is_refused_is_said(self, room: Room) -> None:
        selector = opened(QualitySelector(publication(room)))
        act(selector, value="best")
        assert selector.comm.custom[-1] == {
            "type": "refused",
            "detail": "a quality is one of low, medium, high, auto, not 'best'",
        }
        selector.close()

    async def test_it_is_for_videos_of_others(self, room: Room) -> None:
        for other in (publication(room, sid="TR_a"), room, None):
            with pytest.raises(TrackError, match="video of somebody else"):
                QualitySelector(other)


class TestSpeakerIndicator:
    async def test_who_speaks_and_how_loud(self, room: Room, core: ScriptedCore) -> None:
        indicator = opened(SpeakerIndicator(room))
        people = {person["identity"]: person for person in indicator._shown["people"]}
        assert list(people) == ["me", "bob", "eve"]
        assert [people[who]["microphone"] for who in people] == ["none", "on", "on"]
        core.signal(
            speakers_changed=rtc.SpeakersChanged(speakers=[models.SpeakerInfo(sid="PA_bob", level=0.4, active=True)])
        )
        await wait_until(lambda: indicator._shown["people"][1]["speaking"])
        await wait_until(
            lambda: any(m["levels"].get("bob") == 0.4 for m in indicator.comm.custom if m["type"] == "levels")
        )
        assert indicator.levels["bob"] == pytest.approx(0.4)
        indicator.close()

    async def test_one_participant_by_a_track_of_theirs(self, room: Room, core: ScriptedCore) -> None:
        indicator = opened(SpeakerIndicator(publication(room, sid="TR_a")))
        assert [person["name"] for person in indicator._shown["people"]] == ["Bob"]
        core.signal(
            speakers_changed=rtc.SpeakersChanged(speakers=[models.SpeakerInfo(sid="PA_bob", level=0.4, active=True)])
        )
        await wait_until(lambda: indicator._shown["people"][0]["speaking"])
        indicator.close()
        with pytest.raises(TrackError, match="audio track"):
            SpeakerIndicator(publication(room))


class TestStatsPlot:
    async def test_it_measures_without_a_page_and_tells_a_page_the_past(self, room: Room, core: ScriptedCore) -> None:
        counts = iter(range(0, 10**9, 60_000))
        core.respond["stats"] = lambda header, buffers: (flowing(TR_v=next(counts), TR_gone=1), [])
        plot = StatsPlot(room)
        await wait_until(lambda: len(plot.data.get("Bob: camera", {}).get("time_s", ())) >= 3, 10)
        series = plot.data["Bob: camera"]
        assert set(plot.data) == {"Bob: camera"}
        assert 500_000 < series["bitrate_bps"][-1] < 2_000_000
        assert (series["height"][-1], series["lost"][-1]) == (360, 0)
        assert list(series["time_s"]) == sorted(series["time_s"])
        opened(plot)
        (past,) = [message["past"] for message in plot.comm.custom if message["type"] == "past"]
        assert len(past["TR_v"]) >= 3
        await wait_until(lambda: any(message["type"] == "points" for message in plot.comm.custom), 5)
        plot.close()
        kept = len(plot.data["Bob: camera"]["time_s"])
        assert kept >= 3

    async def test_it_begins_when_the_room_is_joined_and_goes_on_when_it_is_joined_again(
        self, core: ScriptedCore
    ) -> None:
        core.join.other_participants.append(person("bob", camera("TR_v"), name="Bob"))
        room = Room()
        plot = StatsPlot(room)
        assert plot.data == {}
        for _ in range(2):
            await room.connect("ws://somewhere", "token")
            points = len(plot.data.get("Bob: camera", {}).get("time_s", ()))
            await wait_until(lambda n=points: len(plot.data.get("Bob: camera", {}).get("time_s", ())) > n, 5)
            await room.disconnect()
        assert "lknb meter" not in [thread.name for thread in threading.enumerate()]
        plot.close()

    async def test_of_one_track_the_data_are_its_series(self, room: Room) -> None:
        plot = StatsPlot(publication(room).track)
        assert set(plot.data) == {"time_s", "bitrate_bps", "height", "frames_per_s", "lost", "level"}
        await wait_until(lambda: len(plot.data["time_s"]) >= 1, 5)
        figure = plot.figure()
        assert [axis.get_ylabel() for axis in figure.axes] == ["bitrate\nkbit/s", "picture\nheight", "loss\n%"]
        assert len(figure.axes[0].lines) == 1
        plot.close()

    async def test_it_is_for_rooms_and_tracks(self) -> None:
        with pytest.raises(TrackError, match="a room or a track"):
            StatsPlot(3)


def test_synced_state_holds_what_is_shown_and_nothing_else() -> None:
    room = Room()
    table = SubscriptionTable(room)
    own = set(table.keys) - set(ipywidgets.DOMWidget().keys) - {"_esm", "_css", "_code", "_anywidget_id"}
    assert own == {"_shown", "_audio"}
    assert table._shown == {"rows": [], "empty": "Not in the room. Join it with: room = await lknb.connect(...)"}
    table.close()
