"""What a page does with cameras, microphones and screens that nobody wants any more when the person has answered."""

from __future__ import annotations

import json
from typing import Any

from tests.widgets.node import node

BENCH = """
import { DeviceSet } from "./capture_device.js";
globalThis.isSecureContext = true;
globalThis.VideoEncoder = globalThis.AudioEncoder = class {};
globalThis.location = { protocol: "http:", hostname: "localhost" };
globalThis.document = {};
globalThis.MediaStreamTrackProcessor = class { readable = {} };
const tracks = [];
class Track {
  constructor(kind) { this.kind = kind; this.readyState = "live"; tracks.push(this); }
  stop() { this.readyState = "ended"; }
  getSettings() { return { width: 640, height: 480 }; }
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
const ask = (asked) => new Promise((resolve) => questions.push(() => resolve(make(asked))));
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: { getUserMedia: ask, getDisplayMedia: ask } } });
const told = [];
const devices = new DeviceSet((command) => { if (command.type === "say") told.push(command.header); }, () => {});
const soon = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));
const take = (capture, device, constraints = {}) => {
  devices.handle({ type: "take", request: capture, capture, device, device_id: "", constraints });
};
const asked = async () => { while (!questions.length) await soon(); };
const answer = async () => { await asked(); questions.shift()(); await soon(); };
const live = () => tracks.filter((track) => track.readyState === "live").map((track) => track.kind);
const words = () => told.map(({ type, reason }) => reason ?? type);
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


def test_two_unmutes_are_one_camera():
    script = """
        take(1, "camera");
        await answer();
        const mute = (request, muted) => devices.handle({ type: "mute", request, capture: 1, muted });
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
