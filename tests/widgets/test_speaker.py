"""The loudspeaker of a page in Node: what makes sound follows it, what it cannot be leaves all as it was."""

from __future__ import annotations

import json
from typing import Any

from tests.widgets.node import node

BENCH = """
import { DeviceSet } from "./capture_device.js";
import { thisPage } from "./page.js";
import { followSpeaker, unfollowSpeaker } from "./speaker.js";
import { chooseSpeaker, currentSpeaker, watchSpeaker } from "./speaker_choice.js";
globalThis.AudioContext = class { setSinkId() {} };
const there = new Set(["default", "first", "second"]);
const mediaDevices = new EventTarget();
mediaDevices.enumerateDevices = async () => [
  { kind: "videoinput", deviceId: "camera", label: "Camera" },
  ...[...there].map((id) => ({ kind: "audiooutput", deviceId: id, label: id.toUpperCase() })),
];
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices } });
// what makes sound: each change takes its time, and what it cannot be it refuses
class Sound {
  constructor(refused = "none") { this.refused = refused; this.id = ""; this.resumed = 0; followSpeaker(this); }
  async setSinkId(id) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (id === this.refused) throw new DOMException("stub", this.reason ?? "AbortError");
    this.id = id;
  }
  async resume() { this.resumed += 1; }
}
const told = [];
thisPage().changes.addEventListener("speaker", () => told.push([thisPage().speaker, thisPage().isSpeakerLost]));
const choose = (id) => chooseSpeaker(id).then(({ label }) => label, ({ fault }) => fault.reason);
const soon = (ms = 30) => new Promise((resolve) => setTimeout(resolve, ms));
const unplug = async (id) => { there.delete(id); mediaDevices.dispatchEvent(new Event("devicechange")); await soon(); };
const show = (...values) => { console.log(JSON.stringify(values)); process.exit(0); };
"""


def play(script: str) -> Any:
    return json.loads(node(BENCH + script))


def test_all_sound_follows_also_what_is_made_later():
    script = """
        const early = new Sound();
        const chosen = await choose("first");
        const late = new Sound();
        const gone = new Sound();
        unfollowSpeaker(gone);
        await soon();
        await choose("second");
        show(chosen, early.id, late.id, gone.id, early.resumed > 0, thisPage().sinks.size, told);
    """
    assert play(script) == ["FIRST", "second", "second", "first", True, 2, [["first", False], ["second", False]]]


def test_the_browsers_choice_has_two_names():
    script = """
        const sound = new Sound();
        await choose("first");
        const names = [await choose("default"), sound.id];
        await choose("first");
        show(...names, await choose(""), sound.id);
    """
    assert play(script) == ["DEFAULT", "", "DEFAULT", ""]


def test_the_last_of_several_choices_counts():
    script = """
        const sound = new Sound();
        const said = await Promise.all(["first", "nonsense", "second", "first", "second"].map(choose));
        show(sound.id, thisPage().speaker, said[1]);
    """
    assert play(script) == ["second", "second", "not_found"]


def test_what_one_sound_refuses_none_gets():
    script = """
        const [one, two] = [new Sound(), new Sound("second")];
        await choose("first");
        const said = [await choose("second"), await choose("camera")];
        await soon();
        show(said, one.id, two.id, thisPage().speaker, told.length);
    """
    assert play(script) == [["in_use", "not_found"], "first", "first", "first", 1]


def test_what_was_closed_meanwhile_does_not_count():
    script = """
        const [one, two] = [new Sound(), new Sound("second")];
        const choosing = choose("second");
        await soon(2);
        unfollowSpeaker(two);
        show(await choosing, one.id);
    """
    assert play(script) == ["SECOND", "second"]


def test_one_that_is_unplugged_is_followed_by_the_browsers_choice_and_that_is_said():
    script = """
        const sound = new Sound();
        await choose("first");
        await unplug("second");
        const still = sound.id;
        await unplug("first");
        show(still, sound.id, told.at(-1), await choose("first"), sound.id);
    """
    assert play(script) == ["first", "", ["", True], "not_found", ""]


def test_a_sound_made_later_that_cannot_be_heard_on_it_ends_the_choice():
    script = """
        await choose("first");
        const sound = new Sound("first");
        await soon();
        show(sound.id, thisPage().speaker, told.at(-1));
    """
    assert play(script) == ["", "", ["", True]]


def test_a_page_that_is_loaded_again_is_heard_where_it_was():
    script = """
        const stored = new Map();
        const getItem = (key) => stored.get(key) ?? null;
        globalThis.sessionStorage = { getItem, setItem: (key, value) => stored.set(key, value) };
        const load = () => {
          delete globalThis[Symbol.for("lknb.page")];
          watchSpeaker();
        };
        await choose("first");
        load();
        const sound = new Sound();
        await soon();
        const before = [sound.id, currentSpeaker()];
        await choose("default");
        load();
        const after = [new Sound().id, currentSpeaker()];
        await choose("second");
        load();
        thisPage().changes.addEventListener("speaker", () => told.push([thisPage().speaker, thisPage().isSpeakerLost]));
        there.delete("second");
        const lost = new Sound("second");
        await soon();
        show(before, after, lost.id, told.at(-1), stored.get("lknb.speaker"));
    """
    assert play(script) == [["first", "first"], ["", "default"], "", ["", True], ""]


def test_a_browser_that_lets_no_page_choose():
    script = """
        delete AudioContext.prototype.setSinkId;
        const sound = new Sound();
        show(await choose("first"), await choose(""), sound.id, told);
    """
    assert play(script) == ["unsupported", "unsupported", "", []]


def test_the_kernel_is_answered():
    script = """
        const said = [];
        const devices = new DeviceSet(({ type, header }) => said.push(header), () => {});
        const ask = async (request, id) => {
          devices.handle({ type: "speaker", device: "speaker", request, device_id: id });
          await soon();
        };
        await ask(1, "first");
        await ask(2, "nonsense");
        const fault = devices.fault.device;
        await ask(3, "second");
        show(said.map(({ detail, ...header }) => header), fault, devices.fault);
    """
    said, fault, after = play(script)
    assert said == [
        {"type": "done", "request": 1, "device_id": "first", "label": "FIRST"},
        {"type": "failed", "request": 2, "reason": "not_found"},
        {"type": "done", "request": 3, "device_id": "second", "label": "SECOND"},
    ]
    assert (fault, after) == ("speaker", None)
