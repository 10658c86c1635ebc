"""The ring between the arrival of sound and its turn to be heard, with a clock that the test turns."""

import json

import numpy as np
import pytest

from tests.widgets.node import node

BENCH = """
import { Ring } from "./ring.js";

const [packets, blocks] = JSON.parse(process.argv[1]);
const ring = new Ring();
const heard = [];
const waits = [];
let next = 0;
for (let block = 0; block < blocks; block += 1) {
  const now = block * 128;
  for (; next < packets.length && packets[next].at <= now; next += 1) {
    const { position, hz, volume, length, flush } = packets[next];
    if (flush) {
      ring.flush();
      continue;
    }
    const samples = Float32Array.from({ length }, (_, n) => volume * Math.sin((2 * Math.PI * hz * (position + n)) / 48000));
    ring.push(position, [samples], now);
  }
  const output = [new Float32Array(128), new Float32Array(128)];
  ring.mix(output, now, 1, 1);
  if (output[0].some((sample, n) => sample !== output[1][n])) throw new Error("mono is the same on both sides");
  heard.push(...output[0]);
  waits.push(ring.playing ? ring.depth : -1);
}
console.log(JSON.stringify({ heard: heard.map((sample) => Math.round(sample * 10000)), waits, wait: ring.wait }));
"""
MS = 48
PACKET = 20 * MS
STEP = 2 * np.pi * 440 / 48000 * 0.5
"""The largest step between two samples of the tone."""


def tone(count, *, start=0, late=lambda index: 0, position=lambda index: index * PACKET, volume=0.5, hz=440):
    return [
        {
            "at": start + index * PACKET + late(index),
            "position": position(index),
            "hz": hz,
            "volume": volume,
            "length": PACKET,
        }
        for index in range(count)
    ]


def play(packets, ms):
    ordered = sorted(packets, key=lambda packet: packet["at"])
    told = json.loads(node(BENCH, json.dumps([ordered, ms * MS // 128])))
    return np.array(told["heard"]) / 10000, np.array(told["waits"]), told["wait"]


def loud(sound):
    """Begin and end in ms of what is above -46 dB."""
    at = np.flatnonzero(np.abs(sound) > 0.005)
    return (at[0] / MS, at[-1] / MS) if len(at) else (0.0, 0.0)


def frequency(sound):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return np.argmax(spectrum) * 48000 / len(sound)


def level(sound):
    return float(np.sqrt(np.mean(sound**2)))


def test_a_steady_track_is_heard_whole_after_the_least_wait():
    sound, _, wait = play(tone(100), 2200)
    begin, end = loud(sound)
    assert 39 < begin < 46
    assert wait == 40 * MS
    assert abs(frequency(sound[200 * MS : 1900 * MS]) - 440) < 1
    assert level(sound[200 * MS : 1900 * MS]) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert np.abs(np.diff(sound)).max() < 1.3 * STEP, "no click"
    assert end < 2000 + 40 + 45, "the last moment fades out"


def test_the_wait_follows_what_comes_late():
    rng = np.random.default_rng(1)
    arrival = np.maximum.accumulate(np.arange(500) * PACKET + rng.uniform(0, 100 * MS, 500))
    late = arrival.astype(int) - np.arange(500) * PACKET
    sound, _, wait = play(tone(500, late=lambda index: int(late[index])), 10_000)
    assert 100 * MS < wait < 125 * MS
    # what was heard in the first second was to learn from; after it the tone is whole
    whole = sound[4000 * MS : 9900 * MS]
    assert abs(frequency(whole) - 440) < 1
    assert np.min([level(whole[n : n + 20 * MS]) for n in range(0, len(whole) - 20 * MS, 20 * MS)]) > 0.3


def test_sound_that_comes_in_threes_is_whole():
    sound, _, wait = play(tone(300, late=lambda index: (2 - index % 3) * PACKET), 6000)
    assert 55 * MS <= wait <= 85 * MS
    whole = sound[1000 * MS : 5900 * MS]
    assert np.abs(np.diff(whole)).max() < 1.3 * STEP


def test_a_stall_is_over_when_it_is_over():
    """Three seconds come at once: what is old is not heard, and the wait is small again soon after."""

    def late(index):
        return max(0, 200 - index) * PACKET if 50 <= index < 200 else 0

    sound, waits, _ = play(tone(800, late=late), 16_000)
    silence = sound[1100 * MS : 3950 * MS]
    assert level(silence) < 0.001
    assert abs(frequency(sound[5000 * MS : 15_000 * MS]) - 440) < 1
    assert waits[4500 * MS // 128] < 520 * MS, "at once below half a second"
    assert waits[-400:].max() < 260 * MS
    assert np.abs(np.diff(sound)).max() < 2.5 * STEP, "cut without a click"


def test_a_wait_that_is_too_long_shrinks_in_silence():
    def late(index):
        return 250 * MS if index < 5 else 0

    speech = tone(300, late=late)
    for packet in speech[30::2]:
        packet["volume"] = 0
    _, waits, wait = play(speech, 6500)
    assert wait < 300 * MS
    assert waits[5500 * MS // 128 :].max() <= wait + 60 * MS


def test_a_lost_packet_is_concealed_without_a_click():
    packets = tone(100)
    del packets[50]
    sound, _, _ = play(packets, 2100)
    at = 50 * 20 + 40
    assert level(sound[at * MS : (at + 20) * MS]) > 0.15
    assert np.abs(np.diff(sound[200 * MS : 1900 * MS])).max() < 3 * STEP
    # the time after it is where it was
    assert loud(sound)[1] == pytest.approx(2080, abs=10)


def test_a_pause_is_silence_and_not_a_loss():
    first, second = tone(50), tone(50, start=3000 * MS, position=lambda index: 3000 * MS + index * PACKET)
    sound, _, _ = play(first + second, 4200)
    assert level(sound[1100 * MS : 3030 * MS]) < 0.001
    assert loud(sound[2000 * MS :])[0] == pytest.approx(1040, abs=8)


def test_a_track_that_ends_leaves_no_tail():
    packets = [*tone(50), {"at": 1000 * MS, "flush": True}]
    sound, _, _ = play(packets, 1500)
    assert loud(sound)[1] < 1008
    assert np.abs(np.diff(sound)).max() < 3 * STEP


def test_a_track_that_was_silenced_goes_on():
    later = tone(50, start=1500 * MS, position=lambda index: 1500 * MS + index * PACKET)
    sound, _, _ = play([*tone(50), {"at": 1000 * MS, "flush": True}, *later], 2700)
    assert loud(sound[1100 * MS :])[0] == pytest.approx(440, abs=8)


def test_another_publishers_clock_is_no_delay():
    """The timestamps leap, as when a publisher came back; a clock that runs a little faster does not add up either."""
    leapt = tone(100, start=2000 * MS, position=lambda index: 10**9 + index * PACKET)
    sound, waits, wait = play(tone(100) + leapt, 4200)
    assert wait == 40 * MS
    assert level(sound[2200 * MS : 3900 * MS]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    fast = [{**packet, "at": int(packet["at"] * 0.99)} for packet in tone(1500)]
    _, waits, _ = play(fast, 29_000)
    assert waits.max() < 360 * MS


def test_packets_of_two_channels_stay_apart():
    told = node(
        """
        import { Ring } from "./ring.js";
        const ring = new Ring();
        ring.push(0, [new Float32Array(4800).fill(0.5), new Float32Array(4800).fill(-0.25)], 0);
        const output = [new Float32Array(128), new Float32Array(128)];
        for (let now = 0; now < 4000; now += 128) { output[0].fill(0); output[1].fill(0); ring.mix(output, now, 1, 1); }
        console.log(output[0][127], output[1][127]);
        """
    )
    assert told.split() == ["0.5", "-0.25"]
