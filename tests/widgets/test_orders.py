"""In whatever order things come, a view plays in the end: page, Worker, kernel and core, each late as chance has it.

The page's and the Worker's code is the real one; a page sees a track come and go, sometimes sooner than anybody can follow, and
is left with one that stays. Time is the test's, so a minute of it takes a few milliseconds.
"""

import json

import pytest

from tests.widgets.node import JS, node

RUNS = 120
SETTLES_MS = 45_000

BENCH = """
// -- time, chance, and ways that keep the order of what they carry
const turn = setImmediate;
const at = { ms: 1_000_000 };
let timers = new Map();
let ids = 0;
let loading = Promise.resolve();
performance.now = () => at.ms;
globalThis.setTimeout = (call, ms = 0) => { timers.set(++ids, { call, at: at.ms + ms, id: ids }); return ids; };
globalThis.clearTimeout = (id) => timers.delete(id);
const every = (ms, call) => setTimeout(() => { every(ms, call); call(); }, ms);
const drain = async () => { await loading; await new Promise((resolve) => turn(resolve)); };
const pass = async (ms) => {
  const end = at.ms + ms;
  for (;;) {
    let due = null;
    for (const timer of timers.values()) {
      if (timer.at <= end && (!due || timer.at < due.at || (timer.at === due.at && timer.id < due.id))) due = timer;
    }
    if (!due) break;
    timers.delete(due.id);
    at.ms = Math.max(at.ms, due.at);
    due.call();
    await drain();
  }
  at.ms = end;
};
let seed = 1;
const chance = () => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return seed / 2 ** 32; };
const one = (...choices) => choices[Math.floor(chance() * choices.length)];
// mostly soon, now and then a second late
const late = (ms) => chance() * ms * one(1, 1, 1, 1, 1, 1, 1, 8, 8, 60);
const way = (ms, deliver) => {
  let last = 0;
  return (item) => {
    last = Math.max(last + 0.001, at.ms + late(ms));
    setTimeout(() => deliver(item), last - at.ms);
  };
};

// -- a browser
const isComm = CARRIER === "comm";
const host = isComm ? "1a2b" : "localhost";
globalThis.window = new EventTarget();
globalThis.document = Object.assign(new EventTarget(), { hidden: false, getElementById: () => null, body: null });
const protocol = isComm ? "vscode-webview:" : "http:";
globalThis.location = { origin: `http://${host}`, pathname: "/lab", protocol, hostname: host, host };
globalThis.devicePixelRatio = 1;
URL.createObjectURL = () => "blob:text";
URL.revokeObjectURL = () => {};
globalThis.OffscreenCanvas = class {
  getContext() { return { drawImage() {} }; }
  async convertToBlob() { await new Promise((resolve) => setTimeout(resolve, late(40))); return new Blob(["png"]); }
};
class FakeFrame { constructor(timestamp) { Object.assign(this, { timestamp, displayWidth: 64, displayHeight: 48 }); } close() {} }
globalThis.VideoDecoder = class {
  static async isConfigSupported() { await new Promise((resolve) => setTimeout(resolve, late(60))); return { supported: true }; }
  constructor({ output }) { Object.assign(this, { output, state: "configured", decodeQueueSize: 0 }); }
  configure() {}
  decode({ timestamp }) { setTimeout(() => this.state !== "closed" && this.output(new FakeFrame(timestamp)), late(3)); }
  close() { this.state = "closed"; }
};
globalThis.EncodedVideoChunk = class { constructor(init) { Object.assign(this, init); } };
globalThis.MessageChannel = class {
  constructor() {
    this.port1 = {};
    this.port2 = {};
    for (const [from, to] of [[this.port1, this.port2], [this.port2, this.port1]]) {
      from.postMessage = way(2, (data) => to.onmessage?.({ data }));
      from.close = () => {};
    }
  }
};
let workers = 0;
globalThis.Worker = class {
  constructor() {
    const scope = { postMessage: way(3, (data) => this.ended || this.onmessage({ data })) };
    this.postMessage = way(3, (data) => this.ended || scope.onmessage({ data }));
    loading = loading.then(() => { globalThis.self = scope; return import(`WORKER?${++workers}`); });
  }
  terminate() { this.ended = true; }
};
globalThis.WebSocket = class {
  constructor() {
    this.bufferedAmount = 0;
    const down = way(3, (data) => {
      if (this.closed) return;
      if (data) this.onmessage({ data });
      else { this.closed = true; this.onclose(); }
    });
    this.up = way(3, (data) => (data ? this.lane?.hear(data) : this.lane?.end()));
    if (chance() < world.refuses) setTimeout(() => down(null), late(20));
    else setTimeout(() => this.#accept(down), late(10));
  }
  #accept(down) {
    if (this.closed) return;
    this.lane = new Lane(down);
    if (chance() < world.breaks) setTimeout(() => { this.lane.end(); down(null); }, chance() * 3000);
  }
  send(data) { this.up(data); }
  close() { this.closed = true; this.up(null); }
};
const { decodeMessage, encodeMessage } = await import("MESSAGE");
const { Session } = await import("SESSION");

// -- the core
class Lane {
  constructor(send, isHeard = true) {
    Object.assign(this, { send, isHeard, track: world.track, waiting: [], sequence: 0, needsKeyframe: true });
    world.lanes.add(this);
    this.say({ type: "open" });
    // what is gone since the ticket was issued
    if (!this.track) this.close();
  }
  say(header, ...buffers) {
    const data = encodeMessage(header, buffers);
    if (this.isHeard) this.send(data);
    else this.waiting.push(data);
  }
  hear(data) {
    this.isHeard = true;
    this.waiting.splice(0).forEach(this.send);
    if (decodeMessage(data).header.type === "keyframe") this.needsKeyframe = true;
  }
  refresh() {
    if (this.hasEnded || this.track === world.track) return;
    this.track = world.track;
    this.needsKeyframe = true;
    if (this.track) return;
    this.hasEnded = true;
    this.say({ type: "ended" });
    setTimeout(() => this.close(), 2000);
  }
  play() {
    if (this.hasEnded || !world.track || !this.isHeard) return;
    if (!this.sequence) this.say({ type: "config", codec: "vp8", width: 64, height: 48 });
    this.say({ type: "chunk", sequence: this.sequence++, timestamp_us: 0, keyframe: this.needsKeyframe }, Uint8Array.of(1));
    this.needsKeyframe = false;
  }
  close() { this.end(); this.send(null); }
  end() { world.lanes.delete(this); }
}

// -- the kernel, which hears of a track later than the core
class World {
  constructor() {
    Object.assign(this, { track: 1, tracks: 1, known: 1, named: 0, lanes: new Set(), comms: new Map() });
    this.refuses = isComm ? 0 : one(0, 0, 0.2);
    this.breaks = one(0, 0, 0.3);
    this.tellKernel = way(3, (track) => this.follow(track));
    this.turnPage = way(6, () => this.session.again());
    this.tellPage = way(4, ([content, buffers = []]) => this.hear(content, buffers));
    this.send = way(4, ([content, buffers]) => this.handle(content, buffers));
    this.askCore = way(2, (call) => call());
    every(100, () => [...this.lanes].forEach((lane) => lane.refresh()));
    every(60, () => [...this.lanes].forEach((lane) => lane.play()));
  }
  change() {
    this.track = this.track ? 0 : ++this.tracks;
    this.tellKernel(this.track);
    if (chance() < 0.5) [...this.lanes].forEach((lane) => lane.refresh());
  }
  follow(track) {
    this.known = track;
    [...this.comms.keys()].forEach((name) => this.bye(name));
    if (track) this.turnPage();
  }
  bye(name) {
    const lane = this.comms.get(name);
    this.comms.delete(name);
    if (lane) this.askCore(() => lane.end());
  }
  handle({ type, client, hello, lane, lanes }, buffers) {
    if (type === "bye") this.bye(lane);
    else if (type === "up") lanes.forEach((name, index) => this.pass(client, name, buffers[index]));
    else if (type === "hello" && !this.known) this.tellPage([{ type: "ended", client, hello, detail: "" }]);
    else if (type === "hello") this.askCore(() => this.answer(lane === "comm", { client, hello }));
  }
  pass(client, name, data) {
    const lane = this.comms.get(name);
    if (lane) this.askCore(() => lane.hear(data));
    else this.tellPage([{ type: "closed", client, lane: name }]);
  }
  answer(byComm, to) {
    if (!this.track) this.tellPage([{ type: "ended", ...to, detail: "" }]);
    else if (!byComm) this.tellPage([{ type: "ticket", ...to, port: 4711, ticket: "t" }]);
    else this.open(`comm-${++this.named}`, to);
  }
  open(lane, to) {
    const down = (data) => {
      if (!this.comms.has(lane)) return;
      if (data) this.tellPage([{ type: "down", client: to.client, lane }, [new DataView(data)]]);
      else this.tellPage([{ type: "closed", client: to.client, lane }]);
      if (!data) this.comms.delete(lane);
    };
    this.comms.set(lane, new Lane(down, false));
    this.tellPage([{ type: "comm", ...to, lane, kernel: "k" }]);
  }
}
let world;
const run = async (number) => {
  timers = new Map();
  seed = number * 7919;
  world = new World();
  const model = {
    get: () => 0,
    on: (name, call) => { if (name === "msg:custom") world.hear = call; },
    off() {},
    send: (content, _, buffers) => world.send([content, buffers]),
  };
  const session = (world.session = new Session(model));
  session.attach({
    width: 640, height: 360, isDisconnected: () => false, isSeen: () => true, isLeft: () => false,
    update() {}, hang() {}, takeDown: () => null,
  });
  for (let left = Math.floor(chance() * 16); left > 0 || !world.track; left -= 1) {
    await pass(one(late(30), chance() * 600, chance() * 60));
    world.change();
  }
  await pass(SETTLES_MS);
  const { lane, trying } = session.dialer;
  if (session.state !== "playing" || world.lanes.size !== 1) {
    console.log(JSON.stringify({ number, state: session.state, lane, trying, lanes: world.lanes.size }));
  }
  session.dispose();
};
for (let number = 1; number <= RUNS; number += 1) await run(number);
process.exit(0);
"""


@pytest.mark.parametrize("carrier", ["websocket", "comm"])
def test_it_plays_in_the_end(carrier: str) -> None:
    bench = (
        BENCH.replace("CARRIER", json.dumps(carrier)).replace("SETTLES_MS", str(SETTLES_MS)).replace("RUNS", str(RUNS))
    )
    for name in ("worker", "message", "session"):
        bench = bench.replace(name.upper(), f"{JS}/{name}.js")
    stuck = [json.loads(line) for line in node(bench).splitlines()]
    assert stuck == []
