"""The Worker's player, with a websocket and a decoder that the test plays."""

import json

from tests.widgets.node import node

BENCH = """
import { Player } from "./player.js";
import { decodeMessage, encodeMessage } from "./message.js";

const now = { ms: 1000 };
performance.now = () => now.ms;

class FakeSocket {
  static OPEN = 1;
  static last = null;
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, readyState: 0, sent: [], closed: null });
    FakeSocket.last = this;
  }
  send(data) { this.sent.push(decodeMessage(data).header); }
  close(code) { this.closed = code ?? "plain"; }
  open() { this.readyState = 1; this.hear({ type: "open" }); }
  drop() { this.readyState = 3; this.onclose?.(); }
  hear(header, ...buffers) { this.onmessage?.({ data: encodeMessage(header, buffers) }); }
}
globalThis.WebSocket = FakeSocket;

let frames = 0;
class FakeFrame {
  constructor(timestamp) { this.timestamp = timestamp; this.displayWidth = 64; this.displayHeight = 48; frames += 1; }
  close() { frames -= 1; }
}
class FakeDecoder {
  static made = [];
  constructor(callbacks) {
    Object.assign(this, callbacks, { state: "unconfigured", decodeQueueSize: 0, fed: [] });
    FakeDecoder.made.push(this);
  }
  configure(config) { this.state = "configured"; this.config = config; }
  decode(chunk) { if (this.state !== "configured") throw new Error("closed"); this.fed.push(chunk); }
  close() { this.state = "closed"; }
  give() { this.output(new FakeFrame(this.fed.shift().timestamp)); }
  fail(name = "EncodingError") { this.state = "closed"; this.error(Object.assign(new Error("broken"), { name })); }
}
globalThis.VideoDecoder = FakeDecoder;
globalThis.EncodedVideoChunk = class { constructor(init) { Object.assign(this, init); } };

const told = [];
const player = new Player((event) => ["opened", "codec"].includes(event.type) || told.push(event));
player.painter.picture = async () => null;
player.codecs = ["vp8", "h264"];
const WAY = { name: "direct", url: "ws://127.0.0.1:4711/", ticket: "secret" };
const open = () => { player.open(WAY); const socket = FakeSocket.last; socket.open(); return socket; };
const decoder = () => FakeDecoder.made.at(-1);
let sequence = 0;
const chunk = (keyframe, number = sequence) => {
  sequence = number + 1;
  FakeSocket.last.hear({ type: "chunk", sequence: number, timestamp_us: 0, keyframe }, new Uint8Array([1]));
};
const acks = (socket) => socket.sent.filter(({ type }) => type === "ack").map((ack) => ack.sequence);
const asks = (socket) => socket.sent.filter(({ type }) => type === "keyframe").length;
const show = (value) => console.log(JSON.stringify(value));
"""


def play(script: str) -> list[object]:
    return [json.loads(line) for line in node(BENCH + script).splitlines()]


def test_the_ticket_travels_in_the_subprotocols_and_not_in_the_address():
    (shown,) = play("""
        const socket = open();
        show([socket.url, socket.protocols, socket.sent]);
    """)
    visible = {"type": "visible", "width": 0, "height": 0, "dpr": 1, "visible": True}
    assert shown == [
        "ws://127.0.0.1:4711/",
        ["lknb.lane.1", "lknb.ticket.secret"],
        [{"type": "hello", "lane": "direct", "codecs": ["vp8", "h264"]}, visible],
    ]


def test_what_is_decoded_is_painted_acknowledged_and_told_once():
    acknowledged, asked, fed, events, held = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true); chunk(false); chunk(false);
        for (let n = 0; n < 3; n += 1) { decoder().give(); now.ms += 100; }
        show(acks(socket)); show(asks(socket));
        show(decoder().config); show(told); show(frames);
    """)
    assert acknowledged == [0, 1, 2]
    assert asked == 0
    assert fed == {"codec": "vp8", "optimizeForLatency": True}
    states = [event.get("state", event["type"]) for event in events]
    assert states == ["waiting", "size", "playing"]
    assert held == 1, "only the last picture is kept"


def test_acks_are_gathered_but_none_is_forgotten():
    at_once, later = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        for (let n = 0; n < 6; n += 1) chunk(n === 0);
        for (let n = 0; n < 6; n += 1) decoder().give();
        show(acks(socket));
        await new Promise((resolve) => setTimeout(resolve, 80));
        show(acks(socket));
    """)
    assert at_once == [0]
    assert later == [0, 5]


def test_a_gap_is_dropped_acknowledged_and_a_key_frame_asked_for():
    acknowledged, asked, fed = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true); decoder().give(); now.ms += 100;
        chunk(false, 4); now.ms += 100;
        chunk(false, 5); now.ms += 100;
        show(acks(socket)); show(asks(socket));
        chunk(true, 6);
        show(decoder().fed.map((each) => [each.type, each.timestamp]));
    """)
    assert acknowledged == [0, 4, 5]
    assert asked == 1
    assert fed == [["key", 6]]


def test_a_decoder_that_is_behind_gets_no_more_until_a_key_frame():
    fed, asked = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true); decoder().decodeQueueSize = 9; chunk(false); chunk(false);
        decoder().decodeQueueSize = 0; chunk(false); chunk(true);
        show(decoder().fed.map((each) => each.timestamp)); show(asks(socket));
    """)
    assert fed == [0, 4]
    assert asked == 1


def test_a_decoder_that_fails_is_replaced_at_the_next_key_frame():
    acknowledged, asked, made, states = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true); chunk(false); decoder().fail(); now.ms += 100;
        chunk(false); now.ms += 100; chunk(true); decoder().give();
        show(acks(socket)); show(asks(socket)); show(FakeDecoder.made.length);
        show(told.map((event) => event.state));
    """)
    assert acknowledged == [1, 2, 3], "what it swallowed counts as given up"
    assert asked == 1
    assert made == 2
    assert "error" not in states


def test_a_codec_the_browser_cannot_decode_is_told_and_the_lane_closed():
    event, closed = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "h264", width: 64, height: 48 });
        FakeSocket.last.hear({ type: "chunk", sequence: 0, timestamp_us: 0, keyframe: true },
          new Uint8Array([0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 1, 1]));
        decoder().fail("NotSupportedError");
        socket.drop();
        show(told.at(-1)); show(socket.closed);
    """)
    assert event == {
        "type": "state",
        "state": "error",
        "detail": "This browser cannot decode this H264 video: broken",
    }
    assert closed == 1000


def test_a_decoder_that_fails_again_and_again_is_given_up():
    (states,) = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        for (let n = 0; n < 5; n += 1) { chunk(true); decoder().fail(); now.ms += 1000; }
        show(told.map((event) => event.state));
    """)
    assert states == ["waiting", "error"]


def test_after_a_mute_nothing_of_before_is_seen():
    acknowledged, held, states = play("""
        const socket = open();
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true); decoder().give(); chunk(false); now.ms += 100;
        socket.hear({ type: "muted", muted: true });
        decoder().give();
        show(acks(socket)); show(frames);
        socket.hear({ type: "muted", muted: false }); chunk(true); decoder().give();
        show(told.filter((event) => event.type === "state").map((event) => event.state));
    """)
    assert acknowledged == [0, 1], "it counts as handled, or the window would fill"
    assert held == 0
    assert states == ["waiting", "playing", "muted", "waiting", "playing"]


def test_the_end_closes_the_lane_without_a_word_of_trouble():
    closed, events = play("""
        const socket = open();
        socket.hear({ type: "ended" });
        await null; await null; await null;
        show(socket.closed);
        socket.drop();
        show(told);
    """)
    assert closed == 1000
    assert [event.get("state") for event in events] == ["waiting", "ended"]


def test_a_lane_that_is_opened_while_the_last_picture_of_an_ended_one_is_made_stays():
    closed, events = play("""
        let made;
        player.painter.picture = () => new Promise((resolve) => { made = resolve; });
        const ended = open();
        ended.hear({ type: "ended" });
        player.close();
        const next = open();
        made(null);
        await null; await null; await null;
        show([ended.closed, next.closed]);
        show(told);
    """)
    assert closed == [1000, None]
    assert [event.get("state") for event in events] == ["waiting", "ended", "waiting"]


def test_a_lane_that_breaks_is_told_with_whether_it_ever_opened():
    events = play("""
        open().drop();
        player.open({ ...WAY, name: "proxy" }); FakeSocket.last.drop();
        told.filter((event) => event.type === "closed").forEach(show);
    """)
    assert events == [
        {"type": "closed", "name": "direct", "opened": True},
        {"type": "closed", "name": "proxy", "opened": False},
    ]


def test_another_lane_takes_over_without_a_word_to_the_view():
    events, closed, acknowledged, held = play("""
        const old = open();
        old.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        for (let n = 0; n < 5; n += 1) chunk(n === 0);
        for (let n = 0; n < 4; n += 1) { decoder().give(); now.ms += 100; }
        const late = decoder();
        const socket = open();
        old.drop();
        late.output(new FakeFrame(4)); now.ms += 100;
        socket.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true, 0); decoder().give();
        show(told.filter((event) => event.type !== "size").map((event) => event.state ?? event.type));
        show(old.closed); show(acks(socket)); show(frames);
    """)
    assert events == ["waiting", "playing"]
    assert closed == 1000
    assert acknowledged == [0], "numbers begin anew, and a late picture of the old lane has none"
    assert held == 1


def test_the_lane_in_use_stays_until_the_next_one_is_open():
    closed_before, fed, closed_after, states, names = play("""
        const old = open();
        old.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true); decoder().give(); now.ms += 100;
        const opened = [];
        player.tell = (event) => event.type === "opened" ? opened.push(event.name) : event.type === "codec" || told.push(event);
        player.open({ ...WAY, name: "proxy" });
        const failing = FakeSocket.last;
        player.open({ ...WAY, name: "proxy" });
        const next = FakeSocket.last;
        failing.drop();
        show([old.closed, failing.closed]);
        old.hear({ type: "chunk", sequence: 1, timestamp_us: 0, keyframe: false }, new Uint8Array([1]));
        show(decoder().fed.length);
        next.open();
        show([old.closed, next.closed]);
        old.drop();
        show(told.map((event) => event.state ?? event.type)); show(opened);
    """)
    assert closed_before == [None, 1000]
    assert fed == 1
    assert closed_after == [1000, None]
    assert states == ["waiting", "size", "playing"]
    assert names == ["proxy"]


def test_a_view_that_gets_nothing_from_its_new_lane_says_that_it_waits():
    (states,) = play("""
        const old = open();
        old.hear({ type: "config", codec: "vp8", width: 64, height: 48 });
        chunk(true); decoder().give();
        open();
        await new Promise((resolve) => setTimeout(resolve, 2100));
        show(told.map((event) => event.state ?? event.type));
    """)
    assert states == ["waiting", "size", "playing", "waiting"]
