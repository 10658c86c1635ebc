"""A capturing widget in one page, with a dialer and a Worker that the test plays."""

from __future__ import annotations

import json
from typing import Any

from tests.widgets.node import JS, node

BENCH = """
globalThis.isSecureContext = true;
globalThis.location = { protocol: "http:", hostname: "localhost" };
globalThis.document = {};
Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
URL.createObjectURL = () => "blob:text";
URL.revokeObjectURL = () => {};
globalThis.Worker = class {
  static all = [];
  constructor() { this.got = []; Worker.all.push(this); }
  postMessage(message) { this.got.push(message); }
  terminate() {}
};
const { CaptureSession } = await import("SESSION");
const handlers = {};
const sent = [];
const model = {
  get: () => ({}), on: (name, call) => { handlers[name] = call; }, off() {}, send: (content) => sent.push(content),
};
let listener;
const dial = (its) => {
  listener = its;
  return { client: "page", start() {}, stop() {}, dispose() {}, opened() {}, closed() {} };
};
const session = new CaptureSession(model, dial);
session.attach({ update() {}, refreshDevices() {}, hearLevel() {}, isDisconnected: () => false });
const open = () => listener.open({ name: "direct", url: "", ticket: "" }, []);
const hear = (content) => handlers["msg:custom"](content);
const named = () => Worker.all.flatMap(({ got }) => got.filter(({ type }) => type === "lane").map(({ client }) => client));
"""


def play(script: str) -> Any:
    told = node(BENCH.replace("SESSION", f"{JS}/capture_session.js") + script + "\nprocess.exit(0);\n")
    return [json.loads(line) for line in told.splitlines()]


def test_each_start_is_another_page_for_the_core() -> None:
    """What it hears late of a lane of before, an answer or a hello, would else be about devices that were let go of."""
    (names,) = play("""
        open();
        open();
        hear({ type: "again" });
        open();
        console.log(JSON.stringify(named()));
    """)
    first, better, again = names
    assert first == better
    assert again != first


def test_what_the_kernel_refuses_is_shown_where_it_was_asked() -> None:
    told = play("""
        session.join();
        const { client } = sent.at(-1);
        hear({ type: "refused", client: "another", detail: "no" });
        console.log(JSON.stringify(session.refusal));
        hear({ type: "refused", client, detail: "The room is full." });
        console.log(JSON.stringify(session.refusal));
    """)
    assert told == ["", "The room is full."]
