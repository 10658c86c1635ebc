"""The page's choice of lanes, and its messages over the comm, in Node."""

import json

from tests.widgets.node import node

BENCH = """
const listeners = {};
const at = { ms: 100_000 };
performance.now = () => at.ms;
globalThis.document = { getElementById: () => null, body: { dataset: {} }, hidden: false };
globalThis.window = { addEventListener: (name, call) => { listeners[name] = call; }, removeEventListener() {} };
globalThis.location = {
  protocol: "http:", hostname: "localhost", host: "localhost:8888", pathname: "/lab", origin: "http://localhost:8888",
};
const timers = new Map();
let ids = 0;
globalThis.setTimeout = (call, ms) => { timers.set(++ids, { call, at: at.ms + ms }); return ids; };
globalThis.clearTimeout = (id) => timers.delete(id);
const pass = (ms) => {
  const end = at.ms + ms;
  for (;;) {
    const due = [...timers].filter(([, { at: time }]) => time <= end).sort((a, b) => a[1].at - b[1].at)[0];
    if (!due) break;
    timers.delete(due[0]);
    at.ms = Math.max(at.ms, due[1].at);
    due[1].call();
  }
  at.ms = end;
};
const show = (value) => console.log(JSON.stringify(value));
const { Dialer } = await import(DIALER);
const { Uplink } = await import(UPLINK);
class Model {
  constructor() { this.sent = []; this.handlers = {}; }
  on(name, call) { this.handlers[name] = call; }
  off(name) { delete this.handlers[name]; }
  send(content, _, buffers = []) { if (this.dead) throw new Error("dead"); this.sent.push(content); this.buffers = buffers; }
  hear(content, buffers = []) { this.handlers["msg:custom"](content, buffers); }
}
const model = new Model();
const told = [];
const dialer = new Dialer(model, {
  open: (way) => told.push(way.name === "comm" ? "comm" : `${way.name} ${way.url}`),
  wait: (detail) => told.push(`wait ${detail}`.trim()),
  end: (detail) => told.push(`end ${detail}`),
  fail: ({ detail }) => told.push(`fail ${detail}`),
  lose: () => told.push("lose"),
});
const answer = (about) => {
  const hello = model.sent.filter(({ type }) => type === "hello").at(-1);
  model.hear({ client: dialer.client, hello: hello.hello, ...about });
};
const ticket = (port = 4711) => answer({ type: "ticket", port, ticket: "t" });
const comm = (lane = "c1") => answer({ type: "comm", lane, kernel: "k" });
const hellos = () => model.sent.filter(({ type }) => type === "hello").map(({ lane }) => lane ?? "ticket");
"""


def play(script):
    source = BENCH.replace("await import(DIALER)", "__dialer").replace("await import(UPLINK)", "__uplink")
    head = 'import * as __dialer from "./dialer.js";\nimport * as __uplink from "./uplink.js";\n'
    # an open port would keep Node alive
    told = node(head + source + script + "\nprocess.exit(0);\n")
    return [json.loads(line) for line in told.splitlines()]


def test_ways_are_tried_best_first_each_with_a_ticket_of_its_own():
    told, hellos = play("""
        dialer.start();
        ticket(); dialer.closed("direct", false);
        ticket(); dialer.closed("proxy", false);
        ticket(); comm(); dialer.opened("comm");
        show(told); show(hellos());
    """)
    assert told == ["wait", "direct ws://127.0.0.1:4711/", "proxy ws://localhost:8888/proxy/4711/", "comm"]
    assert hellos == ["ticket", "ticket", "ticket", "comm"]


def test_a_page_without_http_asks_for_the_comm_at_once():
    told, hellos = play("""
        location.protocol = "vscode-webview:"; location.hostname = location.host = "1a2b";
        dialer.start(); comm(); dialer.opened("comm"); pass(3_600_000);
        show(told); show(hellos());
    """)
    assert told == ["wait", "comm"]
    assert hellos == ["comm"]


def test_a_better_way_that_is_refused_ends_nothing():
    waited, told, hellos = play("""
        dialer.start();
        ticket(); dialer.closed("direct", false); ticket(); dialer.closed("proxy", false);
        ticket(); comm(); dialer.opened("comm");
        told.splice(0);
        const better = () => { const { length } = hellos(); while (hellos().length === length) pass(1_000); };
        better();
        answer({ type: "refused", detail: "no port" });
        const before = at.ms;
        better();
        answer({ type: "ended", detail: "" });
        show(at.ms - before);
        better();
        ticket();
        show(told);
        show(hellos().length);
    """)
    assert waited >= 30_000
    assert told == ["direct ws://127.0.0.1:4711/"]
    assert hellos == 7


def test_a_lane_that_dies_is_opened_again_and_given_up_when_it_never_lasts():
    first, last = play("""
        dialer.start(); ticket(); dialer.opened("direct");
        pass(60_000); dialer.closed("direct", true); ticket();
        show(told.splice(0));
        for (let n = 0; n < 3; n += 1) { dialer.opened("direct"); pass(100); dialer.closed("direct", true); ticket(); }
        show(told);
    """)
    direct = "direct ws://127.0.0.1:4711/"
    assert first == ["wait", direct, direct]
    assert last == [direct, direct, "proxy ws://localhost:8888/proxy/4711/"]


def test_a_better_way_is_tried_again_after_half_a_minute_and_then_more_and_more_seldom():
    early, later, much_later, taken = play("""
        dialer.start();
        ticket(); dialer.closed("direct", false); ticket(); dialer.closed("proxy", false);
        ticket(); comm(); dialer.opened("comm");
        told.splice(0);
        pass(29_000); show(hellos().length);
        pass(2_000); ticket(); show(told.splice(0));
        dialer.closed("direct", false);
        const next = () => { const before = hellos().length; while (hellos().length === before) pass(1_000); ticket(); };
        let tries = 0;
        for (const end = at.ms + 1_200_000; at.ms < end; ) {
          next();
          const way = told.pop();
          if (way) { tries += 1; dialer.closed(way.split(" ")[0], false); }
        }
        show(tries);
        while (!told.length) next();
        dialer.opened(told.at(-1).split(" ")[0]);
        show([model.sent.at(-1).type, told.length > 0, told.includes("wait")]);
    """)
    assert early == 4
    assert later == ["direct ws://127.0.0.1:4711/"]
    assert 4 <= much_later <= 12, "in twenty minutes, of two ways"
    assert taken == ["bye", True, False], "the comm lane is left once the better one is open"


def test_a_hello_without_answer_is_said_again_and_a_late_answer_opens_nothing():
    told, byes = play("""
        dialer.start(); pass(40_000);
        show([told, hellos().length]);
        model.hear({ client: dialer.client, hello: 1, type: "comm", lane: "late", kernel: "k" });
        show(model.sent.filter(({ type }) => type === "bye").map(({ lane }) => lane));
    """)
    assert told[0][0] == "wait"
    assert told[0].count("wait The kernel is busy; it answers when it can.") == 1
    assert 4 <= told[1] <= 7
    assert byes == ["late"]


def test_the_answers_for_other_pages_are_not_ours():
    (told,) = play("""
        dialer.start();
        model.hear({ client: "another", hello: 2, type: "ticket", port: 1, ticket: "t" });
        model.hear(null); model.hear("x"); model.hear({ client: dialer.client, type: "down", lane: "c9" });
        show(told);
    """)
    assert told == ["wait"]


def test_a_kernel_that_was_restarted_and_an_end_and_a_refusal():
    (told,) = play("""
        dialer.start(); answer({ type: "ended", detail: "gone" });
        dialer.start(); answer({ type: "refused", detail: "full" });
        model.dead = true; dialer.start();
        show(told);
    """)
    assert told == ["wait", "end gone", "wait", "fail full", "wait", "lose"]


def uplink(script):
    return play(
        "const out = []; const via = (content, buffers) => out.push([at.ms, content.lanes, buffers.length]);"
        "const up = new Uplink(); const byte = () => new ArrayBuffer(1);" + script + "show(out);"
    )[-1]


def test_acknowledgements_of_all_lanes_go_together_five_times_a_second():
    out = uplink("""
        for (let n = 0; n < 100; n += 1) { for (const lane of ["a", "b", "c", "d"]) up.send(lane, byte(), true, via); pass(10); }
    """)
    assert 5 <= len(out) <= 7, "in one second"
    assert all(sorted(lanes) == ["a", "b", "c", "d"] for _, lanes, _ in out[1:])


def test_what_cannot_wait_goes_at_most_fifteen_times_a_second_in_its_order():
    out = uplink("""
        for (let n = 0; n < 100; n += 1) { up.send("lane" + n, byte(), false, via); pass(10); }
    """)
    assert 13 <= len(out) <= 16
    assert [lane for _, lanes, _ in out for lane in lanes] == [
        f"lane{n}" for n in range(sum(count for *_, count in out))
    ]


def test_an_urgent_word_takes_waiting_acknowledgements_along():
    out = uplink("""
        up.send("a", byte(), true, via); pass(10);
        up.send("a", byte(), true, via); pass(10);
        up.send("b", byte(), false, via); pass(60);
    """)
    assert [(lanes, count) for _, lanes, count in out] == [(["a"], 1), (["b", "a"], 2)]


def test_the_first_word_goes_at_once_and_a_flush_waits_for_nothing():
    out = uplink("""
        up.send("a", byte(), false, via); up.send("b", byte(), false, via); up.flush(); up.flush();
    """)
    assert [lanes for _, lanes, _ in out] == [["a"], ["b"]]


def test_more_than_the_kernel_takes_in_one_message_go_in_several():
    out = uplink("""
        for (let n = 0; n < 150; n += 1) up.send("a", byte(), false, via); pass(300);
    """)
    assert [count for *_, count in out] == [1, 64, 64, 21]
