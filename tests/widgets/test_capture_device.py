"""What a page does with cameras, microphones and screens that nobody wants any more when the person has answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.widgets.node import node

BENCH = """
import { DeviceSet } from "./capture_device.js";
globalThis.isSecureContext = true;
globalThis.VideoEncoder = globalThis.AudioEncoder = class {};
globalThis.location = { protocol: "http:", hostname: "localhost" };
globalThis.document = {};
globalThis.MediaStreamTrackProcessor = class { readable = {} };
const tracks = [];
// the id of the next device, when it is not a new one
let next = "";
class Track {
  constructor(kind) {
    this.kind = kind;
    this.readyState = "live";
    this.id = next || `${kind}-${tracks.length}`;
    this.label = this.id;
    tracks.push(this);
  }
  stop() { this.readyState = "ended"; }
  getSettings() { return { width: 640, height: 480, deviceId: this.id }; }
}
globalThis.MediaStream = class {
  constructor(made) { this.made = made; }
  of(kind) { return this.made.filter((track) => track.kind === kind); }
  getTracks() { return this.made; }
  getVideoTracks() { return this.of("video"); }
  getAudioTracks() { return this.of("audio"); }
};
const make = (asked) => {
  return new MediaStream([...(asked.video ? [new Track("video")] : []), ...(asked.audio ? [new Track("audio")] : [])]);
};
const questions = [];
const asks = [];
const ask = (asked) => {
  asks.push(asked);
  return new Promise((resolve, reject) => questions.push((fault) => {
    if (fault) reject(new DOMException("stub", fault));
    else resolve(make(asked));
  }));
};
let permission = "granted";
const statuses = new Set();
const permissions = {
  query: async () => {
    const status = { state: permission, onchange: null };
    statuses.add(status);
    return status;
  },
};
const takeBack = async () => {
  permission = "denied";
  statuses.forEach((status) => {
    status.state = permission;
    status.onchange?.();
  });
  await soon();
};
const mediaDevices = { getUserMedia: ask, getDisplayMedia: ask };
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices, permissions } });
// minutes of a person are seconds here
const wait = setTimeout;
globalThis.setTimeout = (run, ms) => wait(run, ms >= 60_000 ? 50 : ms);
const told = [];
const devices = new DeviceSet((command) => { if (command.type === "say") told.push(command.header); }, () => {});
const soon = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));
const take = (capture, device, constraints = {}) => {
  devices.handle({ type: "take", request: capture, capture, device, device_id: "", constraints });
};
const mute = (request, muted) => devices.handle({ type: "mute", request, capture: 1, muted });
const asked = async () => { while (!questions.length) await soon(); };
const answer = async (fault) => { await asked(); questions.shift()(fault); await soon(); };
const unplug = async () => {
  const track = tracks.findLast((it) => it.readyState === "live");
  track.readyState = "ended";
  track.onended?.();
  await soon();
};
const live = () => tracks.filter((track) => track.readyState === "live").map((track) => track.kind);
const words = () => told.filter(({ type }) => type !== "using").map(({ type, reason }) => reason ?? type);
const used = () => told.filter(({ type }) => type === "using").map(({ device_id: id }) => id);
const show = () => console.log(JSON.stringify([live(), words()]));
"""


def play(script: str) -> Any:
    return json.loads(node(BENCH + script + "\nshow();\nprocess.exit(0);"))


def test_both_are_one_question():
    assert play("take(1, 'camera'); take(2, 'microphone'); await answer();") == [["video", "audio"], ["done", "done"]]


def test_one_that_is_closed_during_the_question_is_let_go_of():
    script = "take(1, 'camera'); take(2, 'microphone'); await asked(); devices.close(1); await answer();"
    live, words = play(script)
    assert live == ["audio"]
    assert sorted(words) == ["closed", "done"]
    assert play("take(1, 'camera'); await asked(); devices.close(1); await answer();") == [[], ["closed"]]


def test_nothing_is_taken_when_the_view_or_the_lane_went_during_the_question():
    for end in ("closeAll", "giveUp"):
        assert play(f"take(1, 'camera'); await asked(); devices.{end}(); await answer();") == [[], ["closed"]]
    assert play("take(1, 'camera'); devices.close(1); await soon(60);") == [[], ["closed"]]


def test_a_camera_that_is_closed_while_another_one_is_chosen():
    script = """
        take(1, "camera");
        await answer();
        devices.handle({ type: "switch", request: 2, capture: 1, device_id: "other" });
        await asked();
        devices.close(1);
        await answer();
    """
    assert play(script) == [[], ["done", "closed"]]


def test_of_two_screens_that_were_chosen_only_the_last_is_held():
    live, words = play("""
        devices.clickScreen();
        await answer();
        // the kernel is busy, and has not asked for it
        devices.clickScreen();
        await answer();
        if (tracks.slice(0, 2).some((track) => track.readyState === "live")) throw new Error("the first is still shared");
        take(1, "screen", { audio: true });
        await soon(50);
        take(2, "screen_audio");
        await soon(50);
    """)
    assert live == ["video", "audio"]
    assert words == ["done", "done"]


def test_a_camera_that_is_muted_while_it_is_asked_for_is_not_told_as_taken():
    script = """
        take(1, "camera");
        await answer();
        mute(2, true);
        mute(3, false);
        mute(4, true);
        await answer();
    """
    live, words = play(script)
    assert live == []
    assert words == ["done", "done", "done", "closed"]


def test_two_unmutes_are_one_camera():
    script = """
        take(1, "camera");
        await answer();
        mute(2, true);
        mute(3, false);
        mute(4, false);
        await answer();
        await answer();
    """
    live, words = play(script)
    assert live == ["video"]
    assert words == ["done"] * 4


def test_the_sound_of_a_screen_ends_with_the_screen_when_nobody_asked_for_it():
    script = """
        take(1, "screen", { audio: true });
        await answer();
        devices.close(1);
    """
    assert play(script) == [[], ["done"]]


def test_a_device_that_is_unplugged_is_followed_by_another_one():
    script = """
        take(1, "camera");
        await answer();
        await unplug();
        await answer();
        console.error(devices.fault.title, devices.fault.detail);
        console.log(JSON.stringify(used()));
        process.exit(0);
    """
    assert play(script) == ["video-0", "video-1"]


def test_one_that_is_there_all_the_same_goes_on_and_nothing_is_said():
    # Chromium ends both of one question when one of them is taken back
    script = """
        take(1, "camera");
        await answer();
        await unplug();
        await asked();
        const [{ video }] = asks.slice(-1);
        next = video.deviceId.exact;
        await answer();
        console.log(JSON.stringify([live(), words(), used(), devices.fault, devices.find("camera").deviceId]));
        process.exit(0);
    """
    assert play(script) == [["video"], ["done"], ["video-0"], None, ""]


def test_one_that_was_chosen_is_not_followed_by_another_and_a_chosen_microphone_is():
    script = """
        take(1, "%s");
        await answer();
        devices.handle({ type: "switch", request: 2, capture: 1, device_id: "chosen" });
        await answer();
        await unplug();
        // the same one is not there
        await answer("OverconstrainedError");
        await asked();
        const asked_for = asks.slice(-2).map((it) => Object.values(it)[0].deviceId?.exact ?? null);
        console.log(JSON.stringify(asked_for));
        process.exit(0);
    """
    assert play(script % "camera") == ["video-1", "chosen"]
    assert play(script % "microphone") == ["audio-1", None]


@pytest.mark.parametrize("device", ["camera", "microphone"])
def test_without_another_one_it_is_muted_until_somebody_takes_it_again(device: str):
    script = f"""
        take(1, "{device}");
        await answer();
        await unplug();
        await answer("OverconstrainedError");
        await answer("NotFoundError");
        const muted = devices.find("{device}").muted;
        mute(3, true);
        await soon();
        if (!devices.fault) throw new Error("the mute has wiped out what is wrong");
        mute(4, false);
        await answer("NotFoundError");
        const still = devices.find("{device}").muted;
        mute(5, false);
        await answer();
        console.log(JSON.stringify([muted, still, devices.find("{device}").muted, words(), live()]));
        process.exit(0);
    """
    kind = {"camera": "video", "microphone": "audio"}[device]
    assert play(script) == [True, True, False, ["done", "ended", "done", "not_found", "done"], [kind]]


def test_one_that_was_forbidden_is_not_asked_for_again():
    script = """
        take(1, "camera");
        await answer();
        permission = "denied";
        await unplug();
        console.log(JSON.stringify([words(), questions.length, asks.length]));
        process.exit(0);
    """
    assert play(script) == [["done", "denied"], 0, 1]


@pytest.mark.parametrize("device", ["camera", "microphone"])
def test_one_whose_permission_is_taken_back_is_let_go_of_though_the_browser_leaves_it_live(device: str):
    told = [[], ["done", "denied"]]
    assert play(f"take(1, '{device}'); await answer(); await takeBack();") == told
    # while it is being taken again, of which Chromium makes a device that is live and forbidden
    again = f"take(1, '{device}'); await answer(); await unplug(); await asked(); await takeBack(); "
    assert play(again + "await answer();") == told
    assert (
        play(again + "await answer('NotAllowedError'); if (questions.length) throw new Error('asked twice');") == told
    )


class TestClickForAScreen:
    """The browser wants a click, and a call of a cell waits for it."""

    BEGIN = 'take(1, "screen", { audio: true }); await answer("InvalidStateError");'

    def test_it_is_waited_for(self) -> None:
        script = """
            const before = [!!devices.screen.wanted, words()];
            const clicking = devices.clickScreen();
            await answer();
            console.log(JSON.stringify([before, await clicking, words(), live()]));
            process.exit(0);
        """
        assert play(self.BEGIN + script) == [[True, []], False, ["done"], ["video", "audio"]]

    def test_it_is_refused(self) -> None:
        assert play(self.BEGIN + "devices.screen.refuse(); await soon();") == [[], ["denied"]]
        assert play(self.BEGIN + 'devices.clickScreen(); await answer("NotAllowedError");') == [[], ["denied"]]

    def test_it_does_not_come(self) -> None:
        assert play(self.BEGIN + "await soon(80);") == [[], ["needs_click"]]

    def test_nobody_waits_any_more(self) -> None:
        for end in ("close(1)", "closeAll()", "giveUp()"):
            assert play(self.BEGIN + f"devices.{end}; await soon(80);") == [[], ["closed"]]
