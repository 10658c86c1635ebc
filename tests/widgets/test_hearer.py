"""The page's part of a room's sound, with a page, a kernel and a Worker that the test plays."""

import json

from tests.widgets.node import JS, PAGE, node

BENCH = (
    PAGE
    + """
globalThis.isSecureContext = true;
globalThis.AudioDecoder = class {};
const running = () => FakeWorker.all.filter((worker) => !worker.ended).length;

class FakeParam { constructor() { this.value = 1; } setTargetAtTime(value) { this.value = value; } }
class FakeNode {
  constructor() { this.gain = new FakeParam(); this.to = new Set(); this.port = new FakeWorker(); FakeWorker.all.pop(); }
  connect(other) { this.to.add(other); }
  disconnect() { this.to.clear(); }
}
class FakeContext {
  static all = [];
  constructor(options) {
    Object.assign(this, { options, state: "suspended", destination: new FakeNode(), currentTime: 0 });
    this.audioWorklet = { addModule: async () => {} };
    FakeContext.all.push(this);
  }
  createGain() { return new FakeNode(); }
  async resume() { if (FakeContext.allowed) { this.state = "running"; this.onstatechange?.(); } }
  async close() { this.state = "closed"; }
}
FakeContext.allowed = true;
globalThis.AudioContext = FakeContext;
globalThis.AudioWorkletNode = class extends FakeNode {};

const { Hearer } = await import("HEARER");
const { showRoom, thisPage, playerOf } = await import("PAGE");
const make = (key = "room") => {
  const handlers = {};
  const traits = { _audio: key, volume: 0.5, muted: false, _volumes: {} };
  return {
    sent: [], handlers, traits,
    get: (name) => traits[name],
    on: (name, callback) => (handlers[name] ??= new Set()).add(callback),
    off: (name, callback) => handlers[name].delete(callback),
    send(content) { this.sent.push(content.type); },
    tell: (name, content) => [...handlers[name] ?? []].forEach((callback) => callback(content, [])),
    change(name, value) { traits[name] = value; this.tell(`change:${name}`); },
    count: () => Object.values(handlers).reduce((sum, each) => sum + each.size, 0),
  };
};
const soon = () => new Promise((resolve) => setTimeout(resolve, 5));
const tracks = [{ index: 0, sid: "TR_a", participant: "PA_a", muted: false }];
const opened = async (worker) => {
  worker.say({ type: "opened", name: "direct" });
  worker.say({ type: "tracks", tracks });
  await soon();
};
const view = {};
const show = (value) => console.log(JSON.stringify(value));
const leave = () => process.exit(0);
"""
)


def play(script):
    bench = BENCH.replace("HEARER", f"{JS}/hearer.js").replace("PAGE", f"{JS}/page.js")
    return [json.loads(line) for line in node(bench + script + "\nleave();").splitlines()]


def test_nothing_runs_before_a_view_of_the_room_is_displayed_and_after_it_is_gone():
    before, during, after = play("""
        const model = make();
        const hearer = new Hearer(model);
        show([running(), model.sent, FakeContext.all.length]);
        showRoom("room", view, true);
        await opened(FakeWorker.all[0]);
        show([running(), model.sent, hearer.playing, hearer.status, FakeContext.all[0].options.sampleRate]);
        showRoom("room", view, false);
        await new Promise((resolve) => setTimeout(resolve, 2100));
        show([running(), hearer.status, thisPage().context, FakeContext.all[0].state]);
    """)
    assert before == [0, [], 0]
    assert during == [1, ["hello"], True, "Playing 1 track", 48000]
    assert after == [0, "", None, "closed"]


def test_a_view_that_is_rendered_again_is_no_reason_to_begin_anew():
    (shown,) = play("""
        new Hearer(make());
        showRoom("room", view, true);
        showRoom("room", view, false);
        showRoom("room", {}, true);
        show([running(), FakeWorker.all.length]);
    """)
    assert shown == [1, 1]


def test_several_models_of_one_room_have_one_player_and_another_takes_over():
    shown, gone, none = play("""
        const [one, two] = [new Hearer(make()), new Hearer(make())];
        showRoom("room", view, true);
        show([running(), playerOf("room") === one]);
        one.dispose();
        show([running(), playerOf("room") === two, FakeWorker.all.length]);
        two.dispose();
        show([running(), playerOf("room")]);
    """)
    assert shown == [1, True]
    assert gone == [1, True, 2]
    assert none == [0, None]


def test_a_model_that_is_gone_leaves_nothing_though_views_are_still_there():
    (left,) = play("""
        const model = make();
        showRoom("room", view, true);
        const hearer = new Hearer(model);
        await opened(FakeWorker.all[0]);
        hearer.dispose();
        await soon();
        show([running(), model.count(), thisPage().context, thisPage().outputs, FakeWorker.all.length]);
    """)
    assert left == [0, 0, None, 0, 1]


def test_the_volume_is_that_of_the_model_and_none_when_muted():
    (gains,) = play("""
        const model = make();
        showRoom("room", view, true);
        new Hearer(model);
        await opened(FakeWorker.all[0]);
        const gains = [playerOf("room").mixing.volume.gain.value];
        model.change("volume", 0.25); gains.push(playerOf("room").mixing.volume.gain.value);
        model.change("muted", true); gains.push(playerOf("room").mixing.volume.gain.value);
        model.change("muted", false); gains.push(playerOf("room").mixing.volume.gain.value);
        show(gains);
    """)
    assert gains == [0.5, 0.25, 0, 0.25]


def test_a_room_without_sound_asks_for_no_click():
    (shown,) = play("""
        FakeContext.allowed = false;
        const hearer = new Hearer(make());
        showRoom("room", view, true);
        FakeWorker.all[0].say({ type: "opened", name: "direct" });
        FakeWorker.all[0].say({ type: "tracks", tracks: [] });
        await soon();
        show([hearer.playing, hearer.status, FakeContext.all.length]);
    """)
    assert shown == [False, "Nobody sends sound", 0]


def test_a_blocked_page_says_so_and_plays_after_any_click():
    blocked, worker, playing = play("""
        FakeContext.allowed = false;
        const hearer = new Hearer(make());
        showRoom("room", view, true);
        await opened(FakeWorker.all[0]);
        await new Promise((resolve) => setTimeout(resolve, 450));
        show([hearer.status, thisPage().blocked]);
        FakeContext.allowed = true;
        document.dispatchEvent(new Event("pointerdown"));
        await soon();
        show(FakeWorker.all[0].got.filter(({ type }) => type === "sink").map(({ blocked }) => blocked));
        show([hearer.status, thisPage().blocked]);
    """)
    assert blocked == ["Waiting for a click", True]
    assert worker == [False, True, False]
    assert playing == ["Playing 1 track", False]


def test_the_end_of_the_room_frees_everything_and_the_kernel_can_begin_again():
    ended, again = play("""
        const model = make();
        const hearer = new Hearer(model);
        showRoom("room", view, true);
        await opened(FakeWorker.all[0]);
        FakeWorker.all[0].say({ type: "ended" });
        show([hearer.status, hearer.playing, thisPage().context]);
        model.tell("msg:custom", { type: "again" });
        await opened(FakeWorker.all.at(-1));
        show([hearer.status, running()]);
    """)
    assert ended == ["The room was left", False, None]
    assert again == ["Playing 1 track", 1]


def test_a_fault_is_told_to_the_kernel_and_can_be_tried_again():
    failed, again = play("""
        const model = make();
        const hearer = new Hearer(model);
        showRoom("room", view, true);
        FakeWorker.all[0].say({ type: "unsupported", detail: "no Opus" });
        show([hearer.state, hearer.status, model.sent]);
        hearer.retry();
        await opened(FakeWorker.all.at(-1));
        show([hearer.state, running()]);
    """)
    assert failed == ["error", "This browser cannot decode this sound: no Opus", ["hello", "error"]]
    assert again == ["open", 1]


def test_what_a_worker_tells_after_the_end_begins_nothing():
    (shown,) = play("""
        const model = make();
        const hearer = new Hearer(model);
        showRoom("room", view, true);
        await opened(FakeWorker.all[0]);
        FakeWorker.all[0].say({ type: "unsupported", detail: "no Opus" });
        const [worker] = FakeWorker.all;
        show([hearer.state, worker.ended, hearer.worker]);
    """)
    assert shown == ["error", True, None], "a browser hears nothing more of a Worker that was ended"
