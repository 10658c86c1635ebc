"""The widgets' JavaScript in Node, for what needs no browser."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from lknb.widgets import esm

JS = Path(esm.__file__).parent / "js"

PAGE = """
globalThis.window = new EventTarget();
globalThis.document = Object.assign(new EventTarget(), {
  hidden: false, getElementById: () => null, body: null,
  createElement: () => ({ setAttribute() {}, remove() {}, transferControlToOffscreen: () => ({}) }),
});
const host = "localhost";
globalThis.location = { origin: "http://localhost", pathname: "/lab", protocol: "http:", hostname: host, host };
URL.createObjectURL = () => "blob:text";
URL.revokeObjectURL = () => {};

class FakeWorker {
  static all = [];
  constructor() { this.got = []; this.ended = false; FakeWorker.all.push(this); }
  postMessage(message) { this.got.push(message); }
  terminate() { this.ended = true; }
  say(data) { this.onmessage({ data }); }
}
globalThis.Worker = FakeWorker;
"""
"""A page on http://localhost, whose Workers say what the test has them say."""


def node(source: str, *arguments: str) -> str:
    """Run an ES module that may import from the widgets' folder; its output. AssertionError when it fails."""
    source = re.sub(r'from "\./(\w+)\.js"', lambda match: f"from {json.dumps(str(JS / match[1]) + '.js')}", source)
    command = ["node", "--input-type=module", "--eval", source, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
