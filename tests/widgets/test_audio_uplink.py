"""What a page sends of its microphone: packets that say when they were captured, whatever the encoder makes of them."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.widgets.node import node

BENCH = """
import { AudioUplink } from "./audio_uplink.js";
let nowMs = 1_000_000;
Object.defineProperty(performance, "now", { value: () => nowMs - performance.timeOrigin });
globalThis.AudioData = class {
  constructor(init) { Object.assign(this, init); }
  close() {}
};
// as Chromium's: of silence it gives nothing if it may, and it numbers what it gives, from the first it was given
globalThis.AudioEncoder = class {
  constructor({ output }) { this.output = output; this.state = "unconfigured"; this.quiet = 0; this.lag = LAG; this.ready = []; }
  configure({ opus }) { this.state = "configured"; this.opus = opus; }
  close() { this.state = "closed"; }
  encode({ timestamp, data }) {
    this.nextUs ??= timestamp;
    this.quiet = data.some((sample) => sample) ? 0 : this.quiet + 1;
    if (this.opus.usedtx && this.quiet > 10 && this.quiet % 20) return;
    this.ready.push({ timestamp: this.nextUs, byteLength: 3, copyTo: (to) => to.set([0x7b, data[0] * 100, 1]) });
    this.nextUs += 20_000;
    if (this.ready.length > this.lag) this.output(this.ready.shift());
  }
};
const sent = [];
const batch = { channel: {}, add: (header, data) => sent.push([header.timestamp_us, header.audio_level, [...data]]) };
const uplink = new AudioUplink(1, batch, () => {});
uplink.encode({ bitrate_bps: 24_000, dtx: DTX });
// 20 ms of sound, that has come when they are over and `lateMs` later
const play = (packets, level, lateMs = 0) => {
  for (let index = 0; index < packets; index += 1) {
    nowMs += 20;
    const before = nowMs;
    nowMs += lateMs;
    uplink.take(new Float32Array(960).fill(level));
    nowMs = before;
  }
};
"""


def play(script: str, *, dtx: bool = True, lag: int = 0) -> list[Any]:
    """What is sent: (captured at, in ms from the first packet that was taken; level; bytes)."""
    bench = BENCH.replace("LAG", str(lag)).replace("DTX", json.dumps(dtx))
    sent = json.loads(node(f"{bench}{script}\nconsole.log(JSON.stringify(sent));"))
    return [((at_us - 1_000_000_000) / 1000, level, data) for at_us, level, data in sent]


def test_sound_is_stamped_with_its_beginning_and_not_before_it_is_known_how_late_it_comes() -> None:
    sent = play("play(5, 0.5, 3); play(10, 0.5, 7)")
    assert [at_ms for at_ms, _, _ in sent] == [3 + 20 * number for number in range(9, 15)]
    assert {level for _, level, _ in sent} == {6}


def test_what_comes_after_a_silence_has_its_own_time() -> None:
    for lag in (0, 2):
        sent = play("play(20, 0.5); play(65, 0); play(20, 0.5)", lag=lag)
        loud = [at_ms for at_ms, _, data in sent if data[1:] == [50, 1]]
        before, after = list(range(180, 400, 20)), list(range(1700, 2100, 20))
        assert loud == [*before, *after][: len(loud)]
        assert len(loud) == len(before) + len(after) - lag


def test_silence_is_200_ms_and_then_two_packets_each_400_ms_of_which_one_announces_the_pause() -> None:
    sent = play("play(20, 0.5); play(65, 0)")
    silent = [(at_ms - 400, len(data)) for at_ms, level, data in sent if level == 127]
    assert silent[:10] == [(20 * number, 3) for number in range(10)]
    assert silent[10:] == [(200, 1), (580, 3), (600, 1), (980, 3), (1000, 1)]
    assert {data[0] for _, _, data in sent if len(data) == 1} == {0x78}


def test_silence_is_sent_where_that_is_asked_for() -> None:
    sent = play("play(20, 0.5); play(65, 0)", dtx=False)
    assert [at_ms for at_ms, _, _ in sent] == [20 * number for number in range(9, 85)]


def test_sound_that_a_device_lost_is_a_gap_and_what_was_thought_late_is_not_laid_over_another() -> None:
    sent = play("play(15, 0.5); nowMs += 300; play(110, 0.5); play(7, 0.5, -100)")
    times = [at_ms for at_ms, _, _ in sent]
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert max(steps) == 320
    assert min(steps) >= 10
    assert times[-1] == 300 + 131 * 20 - 100


def test_an_encoder_that_gives_nothing_is_replaced() -> None:
    assert len(play("play(20, 0.5); uplink.encoder.output = () => {}; play(120, 0.5)")) > 11 + 60
