"""The part of the Worker that listens to a room, with a decoder and an audio thread that the test plays."""

import json

import pytest

from tests.widgets.node import node

BENCH = """
import { Listener } from "./listener.js";

const now = { ms: 1000 };
performance.now = () => now.ms;

let sounds = 0;
class FakeSound {
  constructor(timestamp, value) {
    Object.assign(this, { timestamp, numberOfFrames: 960, numberOfChannels: 2, value });
    sounds += 1;
  }
  copyTo(samples) { samples.fill(this.value); }
  close() { sounds -= 1; }
}
class FakeDecoder {
  static made = [];
  constructor(callbacks) {
    Object.assign(this, callbacks, { state: "unconfigured", decodeQueueSize: 0, fed: [], given: 0 });
    FakeDecoder.made.push(this);
  }
  configure(config) { this.state = "configured"; this.config = config; }
  decode(chunk) { if (this.state !== "configured") throw new Error("closed"); this.fed.push(chunk); }
  close() { this.state = "closed"; }
  // like Chromium's, it counts its own time
  give(value = 0.5) { this.fed.shift(); this.output(new FakeSound(20_000 * this.given++, value)); }
  fail(name = "EncodingError") { this.state = "closed"; this.error(Object.assign(new Error("no Opus"), { name })); }
}
globalThis.AudioDecoder = FakeDecoder;
globalThis.EncodedAudioChunk = class { constructor(init) { Object.assign(this, init); } };

const said = [], told = [], played = [];
const listener = new Listener((header) => said.push(header), (event) => told.push(event));
const sink = {
  postMessage: (command) => {
    played.push(command.type === "sound" ? ["sound", command.index, command.position] : Object.values(command));
  },
};
const begin = () => { listener.open(); listener.connect(sink, false); };
const tracks = (...listed) => listener.handle({ type: "tracks", tracks: listed }, []);
let sequence = 0;
const sound = (...packets) => {
  const buffers = packets.map(() => new Uint8Array([1]));
  listener.handle({ type: "sound", sequence: sequence++, packets }, buffers);
};
const A = [0, "TR_a", "PA_a", false], B = [1, "TR_b", "PA_b", false];
const decoder = (at = -1) => FakeDecoder.made.at(at);
const acks = () => said.filter(({ type }) => type === "ack").map((ack) => ack.sequence);
const show = (value) => console.log(JSON.stringify(value));
"""


def play(script):
    return [json.loads(line) for line in node(BENCH + script).splitlines()]


def test_packets_are_decoded_and_keep_their_place_in_the_track():
    config, heard, left, fed = play("""
        begin(); tracks(A);
        sound([0, 0]); sound([0, 20_000]); sound([0, 80_000]);
        for (let n = 0; n < 3; n += 1) decoder().give();
        show(decoder().config); show(played.filter(([type]) => type === "sound")); show(sounds);
        show(FakeDecoder.made.length);
    """)
    assert config == {"codec": "opus", "sampleRate": 48000, "numberOfChannels": 2}
    assert heard == [["sound", 0, 0], ["sound", 0, 960], ["sound", 0, 3840]], "a hole of two packets stays one"
    assert left == 0, "what was decoded is let go of"
    assert fed == 1


def test_each_track_has_a_decoder_and_one_message_may_have_packets_of_all():
    made, heard = play("""
        begin(); tracks(A, B);
        sound([0, 0], [1, 500_000], [0, 20_000]);
        decoder(0).give(); decoder(0).give(); decoder(1).give();
        show(FakeDecoder.made.length); show(played.filter(([type]) => type === "sound"));
    """)
    assert made == 2
    assert heard == [["sound", 0, 0], ["sound", 0, 960], ["sound", 1, 24_000]]


def test_a_muted_track_is_silenced_at_once_and_what_its_decoder_held_is_dropped():
    heard, state, after = play("""
        begin(); tracks(A); sound([0, 0], [0, 20_000]); decoder().give();
        const old = decoder();
        tracks([0, "TR_a", "PA_a", true]);
        old.output(new FakeSound(20_000, 0.5));
        sound([0, 40_000]);
        show(played); show([old.state, sounds]);
        tracks(A); sound([0, 60_000]); decoder().give();
        show(played.at(-1));
    """)
    assert heard == [["gain", 0, 1], ["sound", 0, 0], ["flush", 0]]
    assert state == ["closed", 0]
    assert after == ["sound", 0, 2880]


def test_a_track_that_is_gone_is_dropped():
    heard, state = play("""
        begin(); tracks(A, B); sound([0, 0], [1, 0]);
        tracks(B);
        show(played.slice(2)); show(FakeDecoder.made.map((each) => each.state));
    """)
    assert heard == [["flush", 0], ["drop", 0]]
    assert state == ["closed", "configured"]


def test_a_blocked_page_keeps_nothing_for_later():
    made, states, heard = play("""
        listener.open(); listener.connect(sink, true); tracks(A);
        sound([0, 0]); show(FakeDecoder.made.length);
        listener.connect(null, false); sound([0, 20_000]); decoder().give();
        listener.connect(null, true); listener.connect(null, false);
        show(said.filter(({ type }) => type === "sound").map(({ state }) => state));
        show(played.filter(([type]) => type !== "gain"));
    """)
    assert made == 0
    assert states == ["blocked", "playing", "blocked", "playing"]
    assert heard == [["sound", 0, 960], ["flush", 0]]


def test_the_state_is_said_on_each_lane_anew_and_not_before_there_is_anything_to_play_with():
    before, after = play("""
        listener.open(); tracks(A); show(said);
        listener.connect(sink, false); listener.open(); show(said);
    """)
    assert before == []
    assert after == [{"type": "sound", "state": "playing"}] * 2


def test_gains_are_those_of_participants_also_of_ones_that_come_later():
    (heard,) = play("""
        begin(); listener.setGains({ PA_a: 0.25 }); tracks(A, B); listener.setGains({ PA_b: 0 });
        show(played);
    """)
    assert heard == [["gain", 0, 0.25], ["gain", 1, 1], ["gain", 0, 1], ["gain", 1, 0]]


def test_a_packet_that_is_no_opus_costs_one_decoder_and_no_more():
    made, heard = play("""
        begin(); tracks(A); sound([0, 0]); decoder().fail(); sound([0, 20_000]); decoder().give();
        show(FakeDecoder.made.length); show(played.filter(([type]) => type === "sound"));
    """)
    assert made == 2
    assert heard == [["sound", 0, 960]]


def test_a_browser_without_opus_says_so():
    (events,) = play("""
        begin(); tracks(A); sound([0, 0]); decoder().fail("NotSupportedError");
        show(told.slice(1));
    """)
    assert events == [{"type": "unsupported", "detail": "no Opus"}]


def test_a_decoder_that_is_behind_is_given_nothing():
    (fed,) = play("""
        begin(); tracks(A); sound([0, 0]); decoder().decodeQueueSize = 26; sound([0, 20_000]); sound([0, 40_000]);
        decoder().decodeQueueSize = 0; sound([0, 60_000]);
        show(decoder().fed.map(({ timestamp }) => timestamp));
    """)
    assert fed == [0, 60_000]


def test_acks_are_gathered_but_none_is_forgotten():
    at_once, later, last = play("""
        begin(); tracks(A);
        for (let n = 0; n < 10; n += 1) sound([0, 0]);
        show(acks()); now.ms += 300; sound([0, 0]); show(acks());
        sound([0, 0]);
        await new Promise((resolve) => setTimeout(resolve, 400));
        show(acks());
    """)
    assert at_once == [0]
    assert later == [0, 10]
    assert last == [0, 10, 11]


def test_levels_are_told_ten_times_a_second():
    (levels,) = play("""
        begin(); tracks(A, B);
        for (const value of [0.5, 0.001, 0.1]) { sound([0, 0]); decoder().give(value); now.ms += 60; }
        show(told.filter(({ type }) => type === "levels").map(({ levels }) => levels.TR_a));
    """)
    assert levels == [pytest.approx(0.9, abs=0.01), pytest.approx(2 / 3, abs=0.01)]


def test_packets_of_a_track_nobody_told_of_are_dropped_and_the_end_is_the_end():
    heard, events = play("""
        begin(); sound([7, 0]); tracks(A); sound([0, 0]);
        listener.handle({ type: "ended" }, []);
        show(played.filter(([type]) => type === "sound")); show(told.map(({ type }) => type));
    """)
    assert heard == []
    assert events == ["tracks", "ended"]
