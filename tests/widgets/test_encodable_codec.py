"""What a page says that its browser encodes."""

from __future__ import annotations

import json

from tests.widgets.node import node

BENCH = """
import { encodableCodecs } from "./video_uplink.js";
globalThis.AudioEncoder = { isConfigSupported: async () => ({ supported: true }) };
globalThis.VideoFrame = class { close() {} };
const behaviour = (codec) => globalThis.behaviours[codec.startsWith("avc1") ? "h264" : codec];
globalThis.VideoEncoder = class {
  static async isConfigSupported({ codec }) { return { supported: behaviour(codec) !== "absent" }; }
  constructor({ output, error }) { Object.assign(this, { output, error, state: "configured", encodeQueueSize: 0 }); }
  configure({ codec }) { this.behaviour = behaviour(codec); }
  encode() {
    if (this.behaviour === "prompt") setTimeout(this.output);
    else if (this.behaviour === "failing") setTimeout(this.error);
    else if (this.behaviour === "starved") this.encodeQueueSize += 1;
  }
  close() { this.state = "closed"; }
};
const told = [];
for (const h264 of ["prompt", "gathering", "failing", "starved", "absent"]) {
  globalThis.behaviours = { h264, vp8: "prompt" };
  told.push(await encodableCodecs());
}
console.log(JSON.stringify(told));
"""


def test_an_encoder_that_gathers_pictures_or_fails_is_none() -> None:
    both, rest = ["h264", "vp8", "opus"], ["vp8", "opus"]
    # one that has not got to the pictures yet is believed
    assert json.loads(node(BENCH)) == [both, rest, rest, both, rest]
