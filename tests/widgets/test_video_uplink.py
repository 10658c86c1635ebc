"""What a page sends of its camera when its encoders are slow."""

from __future__ import annotations

import json
from typing import Any

from tests.widgets.node import node

BENCH = """
import { VideoUplink } from "./video_uplink.js";
let nowMs = 0;
Object.defineProperty(performance, "now", { value: () => nowMs - performance.timeOrigin });
globalThis.VideoFrame = class {
  constructor(from, { timestamp }) { Object.assign(this, { displayWidth: 640, displayHeight: 360, timestamp }); }
  close() {}
};
// as Chromium's: what it has begun it does not count, and a picture may be left out
const given = [];
globalThis.VideoEncoder = class {
  constructor({ output }) { this.output = output; this.state = "configured"; this.encodeQueueSize = 0; }
  configure() {}
  encode({ timestamp }) { given.push(timestamp); }
  give(timestamp) { this.output({ timestamp, type: "key", byteLength: 1, copyTo: (to) => to.set([1]) }); }
};
const sent = [];
const uplink = new VideoUplink(1, { isBehind: () => false, add: ({ timestamp_us }) => sent.push(timestamp_us) });
uplink.encode({ codec: "vp8", layers: [{ rid: "f", width: 640, height: 360, fps: 30, bitrate_bps: 500_000 }] });
const look = (pictures) => {
  for (let index = 0; index < pictures; index += 1) {
    nowMs += 34;
    uplink.take({ timestamp: nowMs * 1000, close: () => {} });
  }
};
const encoder = () => uplink.layers[0].encoder;
"""


def play(script: str) -> Any:
    return json.loads(node(f"{BENCH}{script}"))


def test_an_encoder_has_four_pictures_at_most_whatever_it_says_of_its_queue() -> None:
    assert play("look(10); console.log(given.length)") == 4
    # the second one was left out by the encoder, and counts no more when the third one comes
    script = "look(10); encoder().give(given[0]); encoder().give(given[2]); look(10); console.log(given.length)"
    assert play(script) == 7


def test_an_encoder_that_leaves_everything_out_gets_pictures_again() -> None:
    assert play("look(10); look(40); console.log(given.length)") == 8
