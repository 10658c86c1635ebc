"""The loudspeaker of a page in JupyterLab in Chromium, whose fake devices are two of them and one that is the default."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.jupyterlab import JupyterLab
from tests.kit.poll import wait_until_sync
from tests.widgets.test_sound import LEVEL, SET_UP, Hall

SHOW = """
me = room.local_participant
heard = []
room.on("active_device_changed", lambda kind, device_id: heard.append([kind, device_id]))
room.on("media_devices_error", lambda error: heard.append([error.kind, error.reason]))
async def choose(device_id):
    try:
        await asyncio.wait_for(room.switch_active_device("audiooutput", device_id), 20)
    except lknb.errors.MediaDevicesError as error:
        return [error.kind, error.reason]
    return [room.get_active_device("speaker")]
bar = lknb.ControlBar(room)
bar
"""
SPEAKERS = "[it.device_id for it in await lknb.devices() if it.kind == 'speaker']"
PAGE = "globalThis[Symbol.for('lknb.page')]"
# whatever the page makes sound with: its context, and the element of the loopback
SINKS = f"[...{PAGE}.sinks].map(({{ sinkId }}) => sinkId)"
# root mean square of what an element plays, in a context of its own
LOOPED = f"""async () => {{
  const element = [...{PAGE}.sinks].find((it) => it instanceof Audio);
  if (!element?.srcObject || element.paused) return 0;
  const context = new AudioContext();
  const tap = new AnalyserNode(context, {{ fftSize: 16384 }});
  context.createMediaStreamSource(element.srcObject).connect(tap);
  await new Promise((resolve) => setTimeout(resolve, 600));
  const samples = new Float32Array(tap.fftSize);
  tap.getFloatTimeDomainData(samples);
  await context.close();
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}}"""
# a stub: what the browser does when a loudspeaker is unplugged
UNPLUG = """(gone) => {
  const devices = navigator.mediaDevices;
  const list = devices.enumerateDevices.bind(devices);
  devices.enumerateDevices = async () => (await list()).filter(({ deviceId }) => deviceId !== gone);
  devices.dispatchEvent(new Event("devicechange"));
}"""


class Ear(Hall):
    """A page that plays a room and has its buttons."""

    def choose(self, device_id: str) -> Any:
        return self.value(f"await choose({device_id!r})")

    def sinks(self) -> Any:
        return self.page.evaluate(SINKS)

    def hears(self) -> None:
        # the way out is laid anew for a loopback, and the ear with it
        self.page.evaluate("void (lknbEar.taps = new WeakMap())")
        self.wait_for_level(LEVEL)


@pytest.fixture
def ear(lab: JupyterLab) -> Iterator[Ear]:
    notebook = lab.open(["pass"] * 6)
    made = Ear(notebook)
    made.run(SET_UP, 0)
    made.run(SHOW, 1)
    made.run("shown.append(RoomAudio(room)); shown[-1]", 2)
    made.hears()
    yield made
    errors = notebook.errors
    notebook.close()
    assert errors == []


def test_a_room_is_heard_on_the_speaker_that_is_chosen(ear: Ear) -> None:
    default, first, second = ear.value(SPEAKERS)
    assert (default, ear.sinks(), ear.value("room.get_active_device('audiooutput')")) == ("default", [""], "default")
    assert ear.choose(first) == [first]
    assert ear.sinks() == [first]
    assert ear.page.evaluate(f"{PAGE}.context.sinkId") == first
    ear.hears()
    wait_until_sync(lambda: ear.value("[heard, RoomAudio(room).blocked]") == [[["speaker", first]], False])
    # one that is none leaves all as it was
    assert ear.choose("nonsense") == ["speaker", "not_found"]
    assert ear.page.locator(".lknb-bar-fault").inner_text().startswith("There is no such speaker")
    assert (ear.sinks(), ear.value("room.get_active_device('speaker')")) == ([first], first)
    ear.hears()
    # what is made later: the loopback of a page that captures
    microphone = ear.value("(await asyncio.wait_for(me.set_microphone_enabled(True), 20)).sid")
    wait_until_sync(lambda: ear.sinks() == [first, first], what="the loopback follows")
    wait_until_sync(lambda: abs(ear.page.evaluate(LOOPED) - LEVEL) < 0.1 * LEVEL, what="and is heard")
    assert ear.choose(second) == [second]
    assert ear.sinks() == [second, second]
    wait_until_sync(lambda: abs(ear.page.evaluate(LOOPED) - LEVEL) < 0.1 * LEVEL, what="also on another one")
    assert ear.choose("nonsense") == ["speaker", "not_found"]
    assert ear.sinks() == [second, second]
    ear.run(f"await me.unpublish_track({microphone!r})", 4)
    wait_until_sync(lambda: ear.sinks() == [second], what="without the loopback")
    ear.hears()
    # and another context
    ear.run("while shown: shown.pop().close()", 4)
    wait_until_sync(lambda: ear.sinks() == [], what="nothing is heard")
    ear.run("shown.append(RoomAudio(room)); shown[-1]", 2)
    ear.hears()
    assert ear.sinks() == [second]
    assert ear.choose("") == ["default"]
    assert ear.sinks() == [""]
    ear.hears()


def test_a_page_that_is_loaded_again_is_heard_where_it_was(ear: Ear) -> None:
    _, first, _ = ear.value(SPEAKERS)
    assert ear.choose(first) == [first]
    ear.notebook.save()
    ear.notebook.load()
    wait_until_sync(
        lambda: ear.page.evaluate(f"{PAGE} ? {SINKS} : []") == [first], 20, what="the page plays, and where"
    )
    menu = ear.page.get_by_role("combobox", name="Choose a speaker")
    wait_until_sync(lambda: menu.count() == 1 and menu.input_value() == first, 20)
    assert ear.value("room.get_active_device('speaker')") == first
    assert ear.value("heard") == [["speaker", first]]
    assert ear.page.locator(".lknb-bar-fault").is_hidden()


def test_the_person_chooses_in_the_menu_and_one_that_is_unplugged_is_told(ear: Ear) -> None:
    default, first, second = ear.value(SPEAKERS)
    menu = ear.page.get_by_role("combobox", name="Choose a speaker")
    wait_until_sync(lambda: menu.input_value() == default)
    ear.notebook.run(4, "picker = lknb.DevicePicker()\npicker")
    wait_until_sync(lambda: menu.count() == 2, what="another menu of the page")
    menu.first.select_option(first)
    wait_until_sync(lambda: ear.sinks() == [first])
    wait_until_sync(lambda: ear.value("heard") == [["speaker", first]], what="the kernel is told")
    wait_until_sync(lambda: menu.last.input_value() == first)
    menu.last.select_option(second)
    wait_until_sync(lambda: ear.value("room.get_active_device('speaker')") == second, what="and of the other menu")
    wait_until_sync(lambda: (menu.first.input_value(), ear.sinks()) == (second, [second]))
    ear.page.evaluate(UNPLUG, second)
    wait_until_sync(lambda: ear.value("heard[2:]") == [["speaker", "default"]], what="the browser's choice is in use")
    wait_until_sync(lambda: (ear.sinks(), menu.first.input_value()) == ([""], default))
    fault = ear.page.locator(".lknb-bar-fault").first
    wait_until_sync(lambda: fault.inner_text().startswith("The speaker is gone"))
    ear.hears()
    assert ear.choose(second) == ["speaker", "not_found"]
    assert ear.choose(first) == [first]
    wait_until_sync(fault.is_hidden)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_looks_right_in_both_themes(ear: Ear, theme: str, tmp_path: Path) -> None:
    ear.notebook.set_theme(f"JupyterLab {theme}")
    ear.notebook.run(
        4,
        "import ipywidgets\nnarrow = lknb.ControlBar(room, layout={'width': '420px'})\ndisplay(narrow, lknb.DevicePicker())",
    )
    menu = ear.page.get_by_role("combobox", name="Choose a speaker")
    wait_until_sync(lambda: menu.count() == 3)
    ear.page.locator(".lknb-preview-choice").last.scroll_into_view_if_needed()
    folder = Path(os.environ.get("LKNB_TEST_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"speaker_{theme.lower()}.png").write_bytes(ear.page.screenshot())
    ear.notebook.set_theme("JupyterLab Light")
