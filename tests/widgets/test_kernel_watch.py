"""Whether a page notices that its kernel is gone, in Node; with a real kernel see `test_capture_end`."""

from __future__ import annotations

import json
from typing import Any

from tests.widgets.node import node

BENCH = """
import { KernelWatch } from "./kernel_watch.js";
const at = { ms: 0 };
performance.now = () => at.ms;
let tick = null;
globalThis.setInterval = (run, ms) => { tick = { run, ms }; return 1; };
globalThis.clearInterval = () => { tick = null; };
const pass = (ms, each = () => {}) => {
  for (const end = at.ms + ms; tick && at.ms < end;) { at.ms += tick.ms; tick.run(); each(); }
};
class Signal {
  constructor() { this.slots = new Set(); }
  connect(slot) { this.slots.add(slot); }
  disconnect(slot) { this.slots.delete(slot); }
  emit(value) { this.slots.forEach((slot) => slot(this, value)); }
}
const hear = new Set();
const model = {
  sent: 0,
  on: (_, call) => hear.add(call),
  off: (_, call) => hear.delete(call),
  send() { if (this.closed) throw new Error("Cannot send"); this.sent += 1; },
};
const answer = () => hear.forEach((call) => call({ type: "alive" }));
const jupyter = () => { model.widget_manager = { kernel: { statusChanged: new Signal(), disposed: new Signal() } }; };
let lost = 0;
let found = 0;
const watch = () => new KernelWatch(model, () => { lost += 1; }, () => { found += 1; });
const show = (...values) => console.log(JSON.stringify(values));
"""


def play(script: str) -> Any:
    return json.loads(node(BENCH + script))


def test_what_jupyter_says_counts_and_nothing_is_asked() -> None:
    for end in (
        'statusChanged.emit("restarting")',
        'statusChanged.emit("autorestarting")',
        'statusChanged.emit("dead")',
        "disposed.emit()",
    ):
        script = f"""
            jupyter();
            const {{ kernel }} = model.widget_manager;
            watch().start();
            kernel.statusChanged.emit("busy");
            pass(60_000);
            const before = lost;
            kernel.{end};
            show(before, lost, model.sent);
        """
        assert play(script) == [0, 1, 0]


def test_where_nobody_says_it_the_kernel_is_asked_and_has_ten_seconds() -> None:
    script = """
        const one = watch();
        pass(60_000);
        one.start();
        pass(60_000, answer);
        const asked = model.sent;
        pass(9_000);
        const before = lost;
        pass(9_000);
        show(asked, before, lost, tick);
    """
    assert play(script) == [21, 0, 1, None]


def test_one_that_was_only_busy_is_found_again() -> None:
    script = """
        const one = watch();
        one.start();
        pass(60_000);
        const before = [lost, found];
        // it takes up what has waited for it
        answer();
        answer();
        one.start();
        pass(30_000, answer);
        show(before, lost, found);
    """
    assert play(script) == [[1, 0], 1, 1]


def test_a_comm_that_refuses_needs_no_ten_seconds() -> None:
    assert play("watch().start(); model.closed = true; pass(3_000); show(lost);") == [1]


def test_afterwards_it_hears_nothing() -> None:
    script = """
        jupyter();
        const { kernel } = model.widget_manager;
        const one = watch();
        one.start();
        one.dispose();
        kernel.statusChanged.emit("restarting");
        kernel.disposed.emit();
        show(lost, hear.size, tick);
    """
    assert play(script) == [0, 0, None]
