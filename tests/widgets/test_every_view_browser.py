"""Every view of the package in one page: names of strangers are text, and views that are closed leave nothing that runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync

SET_UP = r"""
import asyncio, comm, lknb
from IPython.display import display
from lknb import rtc, widgets
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\u202e'
room = await lknb.connect("room " + HOSTILE, identity="me")
other = await lknb.connect("room " + HOSTILE, identity="eve " + HOSTILE, name=HOSTILE + "x" * 150)
named = rtc.LocalVideoTrack.create_video_track(HOSTILE + "y" * 150, rtc.VideoSource(64, 64))
await other.local_participant.publish_track(named)
await other.local_participant.publish_track(lknb.Tone(440))
await room.local_participant.publish_track(
    rtc.LocalVideoTrack.create_video_track(HOSTILE + "z" * 150, rtc.VideoSource(64, 64)))
eve = other.local_participant.identity
await room.wait_until(lambda: eve in room.remote_participants and all(
    it.track for it in room.remote_participants[eve].track_publications.values())
    and len(room.remote_participants[eve].track_publications) == 2)
person = room.remote_participants[eve]
video, sound = sorted((it.track for it in person.track_publications.values()), key=lambda it: it.kind, reverse=True)
MAKERS = {
    "VideoView": lambda: widgets.VideoView(video), "AudioView": lambda: widgets.AudioView(sound),
    "ParticipantTile": lambda: widgets.ParticipantTile(person), "ParticipantGrid": lambda: widgets.ParticipantGrid(room),
    "RoomPanel": lambda: widgets.RoomPanel(room, sections=["subscriptions", "speakers", "stats"]),
    "CallPanel": lambda: widgets.CallPanel(room), "ControlBar": lambda: widgets.ControlBar(room),
    "PublishPanel": lambda: widgets.PublishPanel(room), "QualitySelector": lambda: widgets.QualitySelector(video),
    "SubscriptionTable": lambda: widgets.SubscriptionTable(room), "StatsPlot": lambda: widgets.StatsPlot(room),
    "SpeakerIndicator": lambda: widgets.SpeakerIndicator(room), "RoomAudio": lambda: widgets.RoomAudio(room),
    "CameraPreview": lambda: widgets.CameraPreview(room), "DevicePicker": lambda: widgets.DevicePicker(room),
}
missing = set(widgets.__all__) - set(MAKERS) - {"room_audio_of"}
views = []
"""
SHOW = "views = [make() for make in MAKERS.values()]\ndisplay(*views)"
ROOTS = "[class^='lknb-'], [class*=' lknb-']"
FOUND = f"""() => {{
  const roots = [...document.querySelectorAll("{ROOTS}")];
  const hosts = roots.filter((it) => /lknb-(video|control|bar|audio)-host/.test(it.className));
  const text = roots.map((it) => it.textContent + it.title + (it.getAttribute('aria-label') ?? '')).join('');
  return {{
    hit: window.hit ?? null,
    markup: roots.flatMap((it) => [...it.querySelectorAll('img, script')]).length,
    hides: text.includes('\\u202e'),
    told: text.includes('<img src=x onerror'),
    wide: hosts.filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.className),
    hosts: hosts.length,
  }};
}}"""
LEFT = f"[document.querySelectorAll(\"{ROOTS}\").length, globalThis[Symbol.for('lknb.page')]?.rooms.size ?? 0]"


@pytest.fixture
def notebook(lab: JupyterLab) -> Iterator[Notebook]:
    made = lab.open(["pass"] * 4)
    made.run(0, SET_UP)
    yield made
    made.run(3, "await other.disconnect(); await room.disconnect(); lknb.DevServer.current().close()")
    errors = made.errors
    made.close()
    assert errors == []


def settled_hosts(notebook: Notebook) -> int:
    """How many views the page has, 0 when there were others a moment ago."""
    before = notebook.page.evaluate(FOUND)["hosts"]
    notebook.page.wait_for_timeout(500)
    return int(before) if notebook.page.evaluate(FOUND)["hosts"] == before else 0


def test_names_are_text_and_nothing_stays(notebook: Notebook) -> None:
    assert notebook.value(2, "sorted(missing)") == [], "a view that is not looked at here"
    # the room's own sound, a lane's threads and the like are made with the first views, and stay
    comms = "len(comm.get_comm_manager().comms)"
    notebook.run(1, SHOW)
    wait_until_sync(lambda: notebook.page.evaluate(FOUND)["hosts"] >= 15, 20, what="all views are in the page")
    notebook.page.wait_for_function("[...document.querySelectorAll('.lknb-table-what')].length > 1")
    wait_until_sync(lambda: notebook.page.evaluate(FOUND)["wide"] == [], what=lambda: notebook.page.evaluate(FOUND))
    found = notebook.page.evaluate(FOUND)
    assert found["told"], "no name is shown at all"
    assert (found["hit"], found["markup"], found["hides"], found["wide"]) == (None, 0, False, [])
    assert notebook.workers()
    # what is closed while a page still makes it is an error of anywidget's
    all_hosts = wait_until_sync(lambda: settled_hosts(notebook), 20, what="no more views come")
    counts = []
    for _ in range(6):
        notebook.run(2, "for view in views: view.close()")
        notebook.activate(1)
        notebook.command("notebook:clear-cell-output")
        wait_until_sync(lambda: notebook.page.evaluate(LEFT) == [0, 0], 20, what="no view and no room in the page")
        wait_until_sync(lambda: notebook.workers() == [], 20, what="no Worker")
        counts.append(notebook.value(2, comms))
        notebook.run(1, SHOW)
        wait_until_sync(
            lambda: notebook.page.evaluate(FOUND)["hosts"] == all_hosts, 20, what="all views are in the page again"
        )
    assert len(set(counts)) == 1, f"comms {counts}"
    notebook.run(2, "for view in views: view.close()")
