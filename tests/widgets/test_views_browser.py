"""Every control of every view clicked in JupyterLab; the effect seen at the server, and the media an official client's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync
from tests.kit.token import make_token, tokens_in
from tests.widgets.outside import ROOM, CountedServer, OutsidePeer

RED, BLUE = (200, 40, 40), (30, 60, 200)
HOSTILE = "<img src=x onerror=alert(1)>\u202eeve"
SHOWN_HOSTILE = "<img src=x onerror=alert(1)>\N{REPLACEMENT CHARACTER}eve"

JOIN = """
import gc, lknb
from lknb import rtc
from lknb.widgets import *
from lknb.widgets.room_panel import room_panel_of
room = await lknb.connect({room!r}, url={url!r}, token={token!r}, adaptive_stream={adaptive}, auto_subscribe={auto})
def tracks(identity):
    return room.remote_participants[identity].track_publications
def listeners():
    people = [room.local_participant, *room.remote_participants.values()]
    return sum(len(each) for it in (room, *people) for each in it._events.values())
"""

ANEW = """
publication = tracks("alice")[{sid!r}]
publication.set_subscribed(False)
await room.wait_until(lambda: publication.track is None)
publication.set_subscribed(True)
await room.wait_until(lambda: publication.track is not None)
"""

SEEN = """
import weakref
from asyncio import sleep, timeout
from IPython.display import display, clear_output
from ipywidgets.widgets.widget import _instances

def count():
    return [len(_instances), listeners()]

def is_seen(view):
    # ipywidgets and anywidget report errors for what is closed while a page is still making it
    parts = getattr(view, "children", None)
    if parts is not None:
        return all(map(is_seen, parts))
    return getattr(view, "state", "absent") in ("playing", "absent") and getattr(view, "_viewers", True)

async def make_and_close(make, times):
    gone = []
    for number in range(times):
        view = make()
        gone.append(weakref.ref(view))
        if number % (times // 5) == 0:
            display(view)
            async with timeout(60):
                while not is_seen(view):
                    await sleep(0.05)
            await sleep(0.3)
        view.close()
    clear_output()
    return gone
"""

MIDDLE = """(canvas) => {
  if (!canvas || !canvas.width) return null;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  copy.drawImage(canvas, 0, 0);
  return [canvas.height, ...copy.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data.slice(0, 3)];
}"""


@dataclass
class Call:
    """A notebook in a room with alice, who publishes a red camera, and eve, who has a bad name; both outside."""

    server: CountedServer
    alice: OutsidePeer
    eve: OutsidePeer
    camera: str
    notebook: Notebook
    tolerated: str = "nothing"
    """What errors of the page may say."""

    def join(self, *, adaptive: bool = False, auto: bool = True) -> None:
        token = make_token("me", ROOM)
        source = JOIN.format(room=ROOM, url=self.server.url, token=token, adaptive=adaptive, auto=auto)
        self.notebook.run(0, source)
        self.notebook.run(0, "await room.wait_until(lambda: len(room.remote_participants) == 2); None")

    def show(self, source: str, cell: int = 1) -> Locator:
        """What a cell shows, run with this source."""
        self.notebook.run(cell, source)
        return self.notebook.cell(cell).locator(".jp-OutputArea-output")

    def middle(self, tile: Locator) -> tuple[int, tuple[int, int, int]] | None:
        """Height of the picture in a tile, and the colour in its middle."""
        canvas = tile.locator("canvas").first
        seen = canvas.evaluate(MIDDLE) if canvas.count() else None
        return None if seen is None else (seen[0], tuple(seen[1:]))

    def shows(self, tile: Locator, colour: tuple[int, int, int]) -> bool:
        seen = self.middle(tile)
        return seen is not None and all(abs(a - b) < 40 for a, b in zip(seen[1], colour, strict=True))


@pytest.fixture
def call(lab: JupyterLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    server = CountedServer(monkeypatch)
    alice, eve = OutsidePeer(server, "alice", name="Alice"), OutsidePeer(server, "eve", name=HOSTILE)
    try:
        camera = alice.publish(RED)
        notebook = lab.open(["pass"] * 8)
        try:
            made = Call(server, alice, eve, camera, notebook)
            yield made
            assert [error for error in notebook.errors if made.tolerated not in error] == []
        finally:
            notebook.close()
    finally:
        alice.close()
        eve.close()
        server.close()


def wait_text(locator: Locator, *parts: str, deadline_s: float = 15.0) -> None:
    wait_until_sync(
        lambda: all(part in locator.inner_text() for part in parts),
        deadline_s,
        what=lambda: f"{parts} in {locator.inner_text()!r}",
    )


def test_the_table_says_what_comes_and_its_switches_act(call: Call) -> None:
    call.join()
    sid, server = call.camera, call.server
    voice = call.eve.call("publish_audio", frequency_hz=440)
    table = call.show("SubscriptionTable(room)")
    rows = table.locator("tbody tr")
    wait_until_sync(lambda: rows.count() == 2)
    camera, sound = rows.nth(0), rows.nth(1)
    wait_text(camera, "Alice", "camera", "960 × 540 · high", "bit/s")
    assert sound.locator("th").inner_text() == SHOWN_HOSTILE
    assert table.locator("img").count() == 0
    assert camera.locator("select option").all_inner_texts() == ["Auto", "Low 180p", "Medium 360p", "High 540p"]
    receive, play = camera.get_by_role("switch", name="Receive"), camera.get_by_role("switch", name="Play")
    quality = camera.get_by_role("combobox", name="Layer of camera of Alice")

    quality.select_option("low")
    wait_text(camera, "320 × 180 · low")
    assert call.notebook.value(2, f"(await tracks('alice')[{sid!r}].track.snapshot()).shape") == [180, 320, 3]
    quality.select_option("auto")
    wait_text(camera, "960 × 540 · high")

    server.wait_flows("me", sid, flows=True)
    play.click()
    server.wait_flows("me", sid, flows=False)
    wait_text(camera, "Paused")
    assert not play.is_checked()
    assert call.notebook.value(2, f"tracks('alice')[{sid!r}].subscribed")
    play.press("Space")
    server.wait_flows("me", sid, flows=True)

    receive.click()
    server.wait_flows("me", sid, flows=False)
    wait_text(camera, "Not received")
    wait_until_sync(play.is_disabled)
    wait_until_sync(lambda: not call.notebook.value(2, f"tracks('alice')[{sid!r}].subscribed"))
    receive.click()
    server.wait_flows("me", sid, flows=True)
    wait_text(camera, "960 × 540")

    server.wait_flows("me", voice, flows=True)
    sound.get_by_role("switch", name="Play").click()
    server.wait_flows("me", voice, flows=False)

    call.alice.call("set_track_permissions", everybody=False, tracks={})
    wait_text(camera, "Not allowed by its publisher")
    server.wait_flows("me", sid, flows=False)
    call.alice.call("set_track_permissions", everybody=True, tracks={})
    wait_text(camera, "960 × 540")
    call.alice.call("set_muted", track_sid=sid, muted=True)
    wait_text(camera, "Muted by its publisher")
    call.alice.call("unpublish", track_sid=sid)
    wait_until_sync(lambda: rows.count() == 1)
    assert "Alice" not in table.inner_text()


def test_the_selector_asks_with_keys_and_shows_the_layer_that_comes(call: Call) -> None:
    call.join()
    track = f"tracks('alice')[{call.camera!r}]"
    selector = call.show(f"selector = QualitySelector({track}); selector")
    wait_text(selector, "Receiving high, 960 × 540")
    group = selector.get_by_role("radiogroup", name="Layer of camera")
    assert group.get_by_role("radio").count() == 4
    group.get_by_role("radio", name="Auto").focus()
    call.notebook.page.keyboard.press("ArrowRight")
    wait_text(selector, "Receiving low, 320 × 180")
    assert group.get_by_role("radio", name="Low").is_checked()
    assert call.notebook.value(2, "[selector.asked, selector.received]") == ["low", "low"]
    assert call.notebook.value(2, f"(await {track}.track.snapshot()).shape") == [180, 320, 3]
    group.get_by_text("Medium").click()
    wait_text(selector, "Receiving medium, 640 × 360")
    call.alice.call("set_muted", track_sid=call.camera, muted=True)
    wait_text(selector, "Nothing comes: muted by its publisher")


def test_a_view_subscribes_and_tells_its_figures(call: Call) -> None:
    call.join(auto=False)
    sid = call.camera
    tile = call.show(f"view = VideoView(tracks('alice')[{sid!r}]); view").locator(".lknb-video")
    wait_text(tile, "Not received", "Subscribe", "Alice")
    assert call.server.size["me", sid] == 0
    tile.get_by_role("button", name="Subscribe").click()
    wait_until_sync(lambda: call.shows(tile, RED), 20, what=lambda: f"red, not {call.middle(tile)}")
    call.server.wait_flows("me", sid, flows=True)
    tile.hover()
    wait_text(tile, "540p")
    tile.get_by_role("button", name="Figures on the picture").click()
    wait_text(tile, "960 × 540 · high", "bit/s", "fps", "0.0 % lost", "direct lane")
    wait_until_sync(lambda: call.notebook.value(2, "[view.stats, view.state]") == [True, "playing"])
    call.alice.call("set_colour", track_sid=sid, colour=BLUE)
    wait_until_sync(lambda: call.shows(tile, BLUE))

    call.notebook.run(2, f"tracks('alice')[{sid!r}].set_subscribed(False)")
    wait_text(tile, "Not received")
    tile.get_by_role("button", name="Subscribe").press("Enter")
    wait_until_sync(lambda: tile.get_attribute("data-state") == "playing", 20, what=lambda: tile.inner_text())
    wait_until_sync(lambda: call.shows(tile, BLUE))
    # sooner than the core has noticed that the track of the lane is gone
    for _ in range(4):
        call.notebook.run(2, ANEW.format(sid=sid))
        wait_until_sync(lambda: tile.get_attribute("data-state") == "playing", 20, what=lambda: tile.inner_text())
    wait_until_sync(lambda: call.notebook.value(3, "view.state") == "playing")
    call.alice.call("unpublish", track_sid=sid)
    wait_text(tile, "The video has ended")


def test_everybody_in_the_panel_of_a_room(call: Call) -> None:
    call.join(adaptive=True)
    page, notebook, sid = call.notebook.page, call.notebook, call.camera
    panel = call.show("room")
    tiles = panel.locator(".lknb-video")
    wait_until_sync(lambda: tiles.count() == 3)
    by_name = {name: panel.get_by_role("group", name=name, exact=True) for name in ("me (you)", "Alice", SHOWN_HOSTILE)}
    alice = tiles.filter(has_text="Alice")
    wait_until_sync(lambda: [tile.count() for tile in by_name.values()] == [1, 1, 1], what="each has a name")
    assert panel.locator("img").count() == 0
    wait_until_sync(lambda: call.shows(alice, RED), 20, what=lambda: f"red, not {call.middle(alice)}")
    wait_text(panel, "studio", "Connected", "3 participants", "direct lane")

    # large: adaptive stream follows, as the server shows
    small = alice.bounding_box()
    assert small is not None
    alice.get_by_role("button", name="Enlarge Alice").click()
    wait_until_sync(lambda: alice.bounding_box()["width"] > 1.5 * small["width"])  # type: ignore[index]
    assert notebook.value(2, "room_panel_of(room).grid.focused") == "alice"
    focus = by_name[SHOWN_HOSTILE].get_by_role("button", name="Enlarge")
    focus.press("Enter")
    wait_until_sync(lambda: alice.bounding_box()["width"] < small["width"])  # type: ignore[index]
    wait_until_sync(lambda: (call.middle(alice) or (0,))[0] == 180, 15, what="the low layer in a small tile")
    focus.press("Enter")
    wait_until_sync(lambda: alice.bounding_box()["width"] == small["width"])  # type: ignore[index]

    call.alice.call("set_muted", track_sid=sid, muted=True)
    wait_until_sync(lambda: alice.get_attribute("data-state") == "muted")
    wait_until_sync(lambda: alice.locator(".lknb-video-initials").inner_text() == "A")
    call.alice.call("set_muted", track_sid=sid, muted=False)
    wait_until_sync(lambda: alice.get_attribute("data-state") == "playing", 20)
    call.alice.call("publish_audio", frequency_hz=440)
    speaks = ["true", "Alice, speaking"]
    wait_until_sync(lambda: [alice.get_attribute(it) for it in ("data-speaking", "aria-label")] == speaks, 20)

    for name, part in (("Subscriptions", ".lknb-table"), ("Speakers", ".lknb-speakers"), ("Statistics", ".lknb-plot")):
        button = panel.get_by_role("button", name=name)
        button.click()
        wait_until_sync(lambda part=part: panel.locator(part).count() == 1, what=part)
        wait_until_sync(lambda button=button: button.get_attribute("aria-expanded") == "true")
    voices = panel.locator(".lknb-speakers")
    wait_until_sync(lambda: voices.locator("[data-speaking=true]").count() == 1)
    wait_text(voices.locator("[data-speaking=true]"), "Alice", "speaking")
    level = voices.get_by_role("meter", name="Voice of Alice")
    wait_until_sync(lambda: int(level.get_attribute("aria-valuenow") or 0) > 30)
    plot = panel.get_by_role("img", name="Statistics over time")
    wait_until_sync(lambda: "Alice: camera:" in (plot.get_attribute("aria-label") or ""))
    drawn = "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((x) => x)"
    wait_until_sync(lambda: plot.evaluate(drawn), what="the plot is drawn")
    panel.get_by_role("button", name="Speakers").click()
    wait_until_sync(lambda: voices.count() == 0)

    # run again: the same panel, and not a listener more
    heard = notebook.value(3, "listeners()")
    notebook.run(1)
    wait_until_sync(lambda: tiles.count() == 3)
    wait_until_sync(lambda: notebook.value(3, "listeners()") == heard)

    # out of sight: nothing is sent any more
    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').style.display = 'none'")
    call.server.wait_flows("me", sid, flows=False)
    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').style.display = ''")
    call.server.wait_flows("me", sid, flows=True)

    call.eve.call("disconnect")
    wait_until_sync(lambda: tiles.count() == 2)
    saved = json.dumps(notebook.save())
    assert tokens_in(saved) == []
    notebook.run(3, "await room.disconnect()")
    wait_text(panel, "Not in the room")


def test_two_hundred_of_each_leave_nothing_in_the_page(call: Call) -> None:
    call.join()
    call.notebook.run(0, f"publication = tracks('alice')[{call.camera!r}]; alice = room.remote_participants['alice']")
    makers = {
        "VideoView": "VideoView(publication)",
        "ParticipantTile": "ParticipantTile(alice)",
        "ParticipantGrid": "ParticipantGrid(room)",
        "QualitySelector": "QualitySelector(publication)",
        "SubscriptionTable": "SubscriptionTable(room)",
        "SpeakerIndicator": "SpeakerIndicator(room)",
        "StatsPlot": "StatsPlot(room)",
        "RoomPanel": "RoomPanel(room, sections=['subscriptions'])",
    }
    page = call.notebook.page
    # what anywidget says, two seconds later, of every widget that was closed before the page had made it
    call.tolerated = "[anywidget] Failed to initialize model."
    call.notebook.run(0, SEEN)
    # the sound of the room outlives its views
    call.notebook.run(2, "RoomAudio(room); VideoView(publication).close(); gc.collect(); before = count()")
    for name, make in makers.items():
        # those with many widgets in them have had their share sooner
        times = 50 if name in ("RoomPanel", "ParticipantGrid") else 200
        call.notebook.run(1, f"gone = await make_and_close(lambda: {make}, {times})")
        left = call.notebook.value(2, "[gc.collect() * 0, count(), before, sum(ref() is not None for ref in gone)]")
        assert left == [0, left[2], left[2], 0], name
        shown = ".lknb-video:not([hidden]), .lknb-control"
        wait_until_sync(
            lambda shown=shown: page.locator(f".jp-OutputArea-output :is({shown})").count() == 0, what=f"{name} is gone"
        )
    wait_until_sync(lambda: len(call.notebook.workers()) <= 1, what="no Worker of a video is left")
