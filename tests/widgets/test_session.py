"""The page's part of a video widget, with a page, a kernel and a Worker that the test plays."""

import json

from tests.widgets.node import JS, PAGE, node

BENCH = (
    PAGE
    + """
globalThis.OffscreenCanvas = class {};
globalThis.devicePixelRatio = 1;
const opens = (worker) => worker.got.filter(({ type }) => type === "open");
// what a Worker says of the lane it was told to open last, or of an earlier one
const say = (worker, data, turn = opens(worker).at(-1).turn) => worker.say({ ...data, turn });

const { Session } = await import("SESSION");
const handlers = {};
const model = {
  sent: [],
  on: (name, callback) => { handlers[name] = callback; },
  off() {},
  send(content) { this.sent.push(content); },
};
const session = new Session(model);
const tile = {
  width: 1, height: 1, isDisconnected: () => false, isLeft: () => false, isSeen: () => true,
  update() {}, hang() {}, takeDown: () => null,
};
// the kernel answers the newest hello
const answer = (content) => {
  const { client, hello } = model.sent.findLast(({ type }) => type === "hello");
  handlers["msg:custom"]({ client, hello, ...content }, []);
};
const grant = () => answer({ type: "ticket", port: 4711, ticket: "t" });
const worker = () => FakeWorker.all.at(-1);
const show = (value) => console.log(JSON.stringify(value));
session.attach(tile);
grant();
"""
)


def play(script):
    bench = BENCH.replace("SESSION", f"{JS}/session.js")
    return [json.loads(line) for line in node(bench + script + "\nprocess.exit(0);").splitlines()]


def test_a_lane_of_before_that_is_told_of_late_is_not_taken_for_the_new_one():
    """The Worker has opened it, and the page hears of another track before it hears of that."""
    opened, shown = play("""
        session.again();
        say(worker(), { type: "opened", name: "direct" });
        say(worker(), { type: "state", state: "waiting", detail: "" });
        grant();
        show(worker().got.map(({ type }) => type).filter((type) => type !== "visible"));
        say(worker(), { type: "opened", name: "direct" });
        say(worker(), { type: "state", state: "playing", detail: "" });
        show([session.lane, session.state, session.hasPicture]);
    """)
    assert opened == ["open", "close", "open"]
    assert shown == ["direct", "playing", True]


def test_a_fault_or_an_end_of_before_does_not_end_what_has_begun_anew():
    (shown,) = play("""
        say(worker(), { type: "opened", name: "direct" });
        session.again();
        say(worker(), { type: "state", state: "error", detail: "no such codec" }, 1);
        say(worker(), { type: "state", state: "ended", detail: "" }, 1);
        show([session.state, model.sent.map(({ type }) => type)]);
    """)
    assert shown == ["connecting", ["hello", "hello"]]


def test_what_comes_of_a_lane_after_a_fault_ended_it_is_too_late():
    (shown,) = play("""
        say(worker(), { type: "opened", name: "direct" });
        say(worker(), { type: "state", state: "error", detail: "no such codec" });
        say(worker(), { type: "state", state: "playing", detail: "" }, 1);
        show([session.state, session.detail, session.lane]);
    """)
    assert shown == ["error", "no such codec", ""]


def test_who_tries_again_after_a_worker_failed_gets_another_one():
    failed, again = play("""
        worker().onerror({ message: "not allowed" });
        show([session.state, session.detail]);
        session.start();
        grant();
        say(worker(), { type: "opened", name: "direct" });
        say(worker(), { type: "state", state: "playing", detail: "" });
        show([session.state, FakeWorker.all.map(({ ended }) => ended)]);
    """)
    assert failed == ["error", "not allowed"]
    assert again == ["playing", [True, False]]
