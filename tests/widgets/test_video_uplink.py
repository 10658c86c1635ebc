"""What a page sends of its camera when its encoders are slow or fail, and of a screen that stands still."""

from __future__ import annotations

import json
from typing import Any

from tests.widgets.node import node

BENCH = """
import { VideoUplink } from "./video_uplink.js";
let nowMs = 0;
Object.defineProperty(performance, "now", { value: () => nowMs - performance.timeOrigin });
const timers = new Map();
let timerNumber = 0;
globalThis.setTimeout = (run, ms) => timers.set(++timerNumber, { run, atMs: nowMs + ms }) && timerNumber;
globalThis.clearTimeout = (number) => timers.delete(number);
const pass = (ms) => {
  const endMs = nowMs + ms;
  for (;;) {
    const [next] = [...timers].filter(([, { atMs }]) => atMs <= endMs).sort(([, a], [, b]) => a.atMs - b.atMs);
    if (!next) break;
    timers.delete(next[0]);
    nowMs = next[1].atMs;
    next[1].run();
  }
  nowMs = endMs;
};
let open = 0;
globalThis.VideoFrame = class {
  constructor(from, { timestamp }) {
    if (from.closed) throw new Error("a frame that is closed");
    Object.assign(this, { displayWidth: 640, displayHeight: 360, timestamp });
    open += 1;
  }
  close() { open -= this.closed ? 0 : 1; this.closed = true; }
};
// as Chromium's: what it has begun it does not count, and a picture may be left out
const given = [];
globalThis.VideoEncoder = class {
  constructor({ output, error }) {
    Object.assign(this, { output, failed: error, state: "configured", encodeQueueSize: 0 });
  }
  configure() {}
  close() { this.state = "closed"; }
  encode({ timestamp }) { given.push(timestamp); }
  give(timestamp) { this.output({ timestamp, type: "key", byteLength: 1, copyTo: (to) => to.set([1]) }); }
};
const sent = [];
const ended = [];
const batch = { isBehind: () => false, add: ({ timestamp_us }) => sent.push(timestamp_us) };
const uplink = new VideoUplink(1, batch, (codec) => ended.push(codec));
const look = (pictures) => {
  for (let index = 0; index < pictures; index += 1) {
    pass(34);
    uplink.take({ timestamp: nowMs * 1000, close: () => {} });
  }
};
"""
CAMERA = """
uplink.encode({ codec: "vp8", layers: [{ rid: "f", width: 640, height: 360, fps: 30, bitrate_bps: 500_000 }] });
const encoder = () => uplink.layers[0].encoder;
"""


def play(script: str) -> Any:
    return json.loads(node(f"{BENCH}{script}"))


def test_an_encoder_that_says_nothing_gets_four_pictures_at_most_whatever_it_says_of_its_queue() -> None:
    assert play(f"{CAMERA}look(29); console.log(given.length)") == 4
    # the second one was left out by the encoder, and counts no more when the third one comes
    script = (
        f"{CAMERA}look(29); encoder().give(given[0]); encoder().give(given[2]); look(29); console.log(given.length)"
    )
    assert play(script) > 4


def test_an_encoder_that_leaves_everything_out_gets_pictures_again() -> None:
    assert play(f"{CAMERA}look(29); look(29); console.log(given.length)") > 4


# a stub: an encoder that takes one picture after the other, each for so long
SLOW = """
const late = [];
let takesMs = 0;
globalThis.VideoEncoder = class {
  constructor({ output }) { Object.assign(this, { output, state: "configured", waiting: [] }); }
  configure() {}
  close() { this.state = "closed"; }
  encode({ timestamp }) {
    given.push(timestamp);
    if (this.waiting.push(timestamp) === 1) this.begin();
  }
  begin() {
    setTimeout(() => {
      const timestamp = this.waiting.shift();
      late.push(nowMs - timestamp / 1000);
      if (this.waiting.length) this.begin();
      this.output({ timestamp, type: "delta", byteLength: 1, copyTo: () => {} });
    }, takesMs);
  }
};
const worst = () => Math.round(Math.max(...late.splice(0)));
"""


def test_no_queue_grows_in_an_encoder_that_is_too_slow_and_it_is_never_idle() -> None:
    # 150 ms each: the newest picture of a camera, at most 34 ms old, and its own encoding
    script = f"{CAMERA}{SLOW} takesMs = 150; look(60); worst(); given.length = 0; look(150);"
    latest, pictures = play(f"{script} console.log(JSON.stringify([worst(), given.length]))")
    assert latest <= 150 + 34
    assert pictures >= 33


def test_an_encoder_that_becomes_slow_has_a_queue_for_a_moment_only_and_is_trusted_again() -> None:
    quick = f"{CAMERA}{SLOW} takesMs = 5; look(60); given.length = 0; look(30); const all = given.length; worst();"
    slow = "takesMs = 150; look(30); worst(); look(60); const latest = worst();"
    again = "takesMs = 5; look(30); worst(); given.length = 0; look(30);"
    script = f"{quick}{slow}{again} console.log(JSON.stringify([all, latest, given.length, worst()]))"
    all_of_them, latest, all_again, soon = play(script)
    assert (all_of_them, all_again, soon) == (30, 30, 5)
    assert latest <= 150 + 34


def test_an_encoder_that_leaves_every_other_picture_out_gets_all_of_them() -> None:
    left_out = """
        const encode = VideoEncoder.prototype.encode;
        let turn = 0;
        VideoEncoder.prototype.encode = function (frame) {
          if ((turn += 1) % 2) encode.call(this, frame);
          else given.push(frame.timestamp);
        };
    """
    script = f"{CAMERA}{SLOW} {left_out} takesMs = 5; look(60); given.length = 0; look(30); console.log(given.length)"
    assert play(script) == 30


def test_an_encoder_that_gives_a_picture_back_when_it_has_the_next_gets_all_of_them() -> None:
    held = """
        const encode = VideoEncoder.prototype.encode;
        let last;
        VideoEncoder.prototype.encode = function (frame) {
          if (last) encode.call(this, last);
          else given.push(frame.timestamp);
          last = frame;
        };
    """
    script = f"{CAMERA}{SLOW} {held} takesMs = 5; look(90); given.length = 0; look(30); console.log(given.length)"
    assert play(script) == 30


STILL = """
const drawn = [];
const kinds = (of) => of.splice(0).map(({ width, keyFrame }) => `${width}${keyFrame ? "k" : ""}`).join(" ");
globalThis.VideoEncoder = class {
  constructor(given) { Object.assign(this, given, { state: "configured" }); }
  configure({ width }) { this.width = width; }
  encode({ timestamp }, { keyFrame }) {
    drawn.push({ width: this.width, keyFrame, timestamp });
    this.output({ timestamp, type: "key", byteLength: 1, copyTo: () => {} });
  }
  close() { this.state = "closed"; }
};
const layer = (rid, width, height) => ({ rid, width, height, fps: 15, bitrate_bps: 1e5 });
const screen = { codec: "vp8", layers: [layer("q", 160, 90), layer("f", 640, 360)] };
const on = (...rids) => uplink.want(rids.map((rid) => ({ rid, bitrate_bps: 1e5 })));
"""


def still(script: str) -> Any:
    return play(f"{STILL}{script}")


def test_a_picture_that_nothing_follows_is_encoded_again_for_each_layer_that_needs_a_key_frame() -> None:
    # the one picture came before the core said how to encode it
    begin = (
        "look(1); uplink.encode(screen); pass(199); const early = kinds(drawn); pass(1); const first = kinds(drawn);"
    )
    asked = 'pass(5000); uplink.refresh("f"); pass(99); uplink.refresh("f"); pass(5000); const full = kinds(drawn);'
    turned_on = 'on("f"); pass(5000); const none = kinds(drawn); on("q", "f"); pass(5000);'
    script = f"{begin}{asked}{turned_on} console.log(JSON.stringify([early, first, full, none, kinds(drawn), open]))"
    assert still(script) == ["", "160k 640k", "640k", "", "160k", 1]


def test_an_answer_that_moves_needs_no_picture_again_and_times_rise() -> None:
    moving = (
        'uplink.encode(screen); look(1); pass(9000); const was = drawn.length; uplink.refresh(""); look(1); pass(9000);'
    )
    times = 'uplink.refresh(""); pass(9000); look(9); const us = drawn.map((it) => it.timestamp);'
    rise = "us.every((it, n) => n < 2 || it > us[n - 2])"
    assert still(
        f"{moving} const again = drawn.length - was; {times} console.log(JSON.stringify([again, {rise}]))"
    ) == [2, True]


def test_the_last_of_some_quick_pictures_is_shown_and_one_that_came_while_the_lane_was_behind() -> None:
    # 34 ms apart, which is too quick for 15 a second from the third on
    script = 'uplink.encode(screen); on("f"); look(3); const two = kinds(drawn); pass(200); const last = kinds(drawn);'
    behind = "uplink.batch.isBehind = () => true; look(1); pass(1000); const held = kinds(drawn);"
    free = "uplink.batch.isBehind = () => false; pass(200);"
    script = f"{script}{behind}{free} console.log(JSON.stringify([two, last, held, kinds(drawn)]))"
    assert still(script) == ["640k 640", "640", "", "640"]


def test_what_a_muted_or_another_device_showed_is_not_sent_again() -> None:
    muted = 'uplink.encode(screen); look(1); kinds(drawn); uplink.pause(true); uplink.refresh(""); look(1); pass(1000);'
    shown = "const hidden = kinds(drawn); uplink.pause(false); pass(200); const back = kinds(drawn);"
    gone = 'uplink.restart(); uplink.refresh(""); pass(1000); const after = kinds(drawn);'
    script = f"{muted}{shown}{gone} console.log(JSON.stringify([hidden, back, after, open, timers.size]))"
    assert still(script) == ["", "160k 640k", "", 0, 0]


# a stub: encoders that fail when they are told to
FAILING = """
let made = 0;
const fail = (pictures) => {
  for (let index = 0; index < pictures; index += 1) {
    const before = uplink.layers[0]?.encoder;
    look(1);
    const now = uplink.layers[0]?.encoder;
    if (!now || now === before) continue;
    made += 1;
    now.state = "closed";
    now.failed();
  }
};
"""


def test_an_encoder_that_fails_is_replaced_and_given_up_after_three_without_a_picture() -> None:
    # at 29 pictures a second: the second at once, the third after a second
    assert play(f"{CAMERA}{FAILING} fail(2); console.log(JSON.stringify([made, ended]))") == [2, []]
    assert play(f"{CAMERA}{FAILING} fail(25); console.log(JSON.stringify([made, ended]))") == [2, []]
    assert play(f"{CAMERA}{FAILING} fail(90); console.log(JSON.stringify([made, ended]))") == [3, ["vp8"]]


def test_a_picture_between_makes_an_encoder_new_again() -> None:
    picture = "look(31); encoder().give(given.at(-1));"
    script = f"{CAMERA}{FAILING} fail(2); {picture} encoder().state = 'closed'; encoder().failed(); fail(1); {picture}"
    assert play(f"{script} console.log(JSON.stringify([made, ended, uplink.layers.length]))") == [3, [], 1]


def test_a_picture_that_stands_still_is_encoded_again_when_its_encoder_failed() -> None:
    fail = "const failed = uplink.layers[1].encoder; failed.state = 'closed'; failed.error();"
    script = f"uplink.encode(screen); look(1); pass(5000); kinds(drawn); {fail} pass(5000);"
    assert still(f"{script} console.log(JSON.stringify(kinds(drawn)))") == "640k"
