"""How the camera page finds its lane, and what it says when it finds none; and who offers it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.widgets.node import node

TICKET = "0123456789abcdef" * 2
BENCH = """
import { TabDialer } from "./tab_dialer.js";
const [hash, kept] = process.argv.slice(1);
const stored = new Map(kept ? [["lknb.ticket", kept]] : []);
globalThis.location = { host: "127.0.0.1:4711", pathname: "/capture", hash };
globalThis.sessionStorage = {
  getItem: (key) => stored.get(key) ?? null,
  setItem: (key, value) => stored.set(key, value),
  removeItem: (key) => stored.delete(key),
};
const addresses = [];
globalThis.history = { replaceState: (state, _, url) => addresses.push(url) };
let isThere = true;
globalThis.fetch = async () => { if (!isThere) throw new TypeError("refused"); };
const timers = [];
globalThis.setTimeout = (callback) => timers.push(callback);
globalThis.clearTimeout = () => timers.splice(0);
const told = [];
const dialer = new TabDialer({
  open: (way) => told.push(["open", way.url, way.ticket]),
  wait: (detail) => told.push(["wait", detail]),
  fail: ({ title, detail }) => told.push(["fail", title, detail]),
});
const turn = async () => { for (let n = 0; n < 5; n += 1) await null; };
const gone = () => { isThere = false; };
"""
SHOW = "\nconsole.log(JSON.stringify({ told, addresses, stored: [...stored.values()] }));"


def play(script: str, *, fragment: str = "#" + TICKET, kept: str = "") -> Any:
    return json.loads(node(BENCH + script + SHOW, fragment, kept))


def test_the_ticket_leaves_the_address_at_once():
    played = play("")
    assert played == {"told": [], "addresses": ["/capture"], "stored": []}


def test_it_opens_a_lane_to_where_the_page_came_from():
    assert play("dialer.start();")["told"] == [["wait", ""], ["open", "ws://127.0.0.1:4711/", TICKET]]


@pytest.mark.parametrize("fragment", ["", "#", "#" + TICKET[1:], "#" + TICKET.upper(), "#<b>" + TICKET])
def test_a_page_without_a_ticket_says_where_there_is_one(fragment):
    (_, fail) = play("dialer.start();", fragment=fragment)["told"]
    assert fail == ["fail", "This page has no room", "Press “Open camera page” in the notebook."]


def test_what_the_core_sends_in_time_outlives_a_reload_and_is_used_once():
    played = play("dialer.start(); dialer.opened('direct'); dialer.keep('f'.repeat(32));")
    assert played["stored"] == ["f" * 32]
    again = play("dialer.start();", fragment="", kept="f" * 32)
    assert again["told"][-1] == ["open", "ws://127.0.0.1:4711/", "f" * 32]
    assert again["stored"] == []


def test_a_lane_that_breaks_is_opened_again_with_the_next_ticket():
    script = """
        dialer.start(); dialer.opened("direct"); dialer.keep("f".repeat(32));
        dialer.closed("direct", true); timers.shift()();
    """
    assert play(script)["told"][-2:] == [
        ["wait", "The notebook does not answer; trying again…"],
        ["open", "ws://127.0.0.1:4711/", "f" * 32],
    ]


def test_a_ticket_that_is_not_taken_is_told_from_a_core_that_is_not_there():
    told = play("dialer.start(); dialer.closed('direct', false); await turn();")["told"]
    assert told[-1][:2] == ["fail", "This link was used before, or is too old"]
    script = """
        gone();
        dialer.start();
        for (let n = 0; n < 20; n += 1) { dialer.closed("direct", false); await turn(); timers.shift()?.(); }
    """
    told = play(script)["told"]
    assert [kind for kind, *_ in told].count("open") == 10
    assert told[-1][:2] == ["fail", "The kernel of the notebook is gone"]
    assert "Run the notebook again" in told[-1][2]


def test_an_answer_that_comes_too_late_is_nobodys():
    told = play("dialer.start(); dialer.closed('direct', false); dialer.stop(); await turn();")["told"]
    assert [kind for kind, *_ in told] == ["wait", "open"]


@pytest.mark.parametrize(
    ("change", "reason", "tab", "words"),
    [
        ({}, None, None, ""),
        ({"protocol": "vscode-webview:"}, "front_end", True, "VS Code"),
        ({"allowed": False}, "front_end", True, "Permissions-Policy"),
        ({"mediaDevices": False}, "front_end", True, "Open camera page"),
        ({"allowed": False, "local": False}, "front_end", False, "Ask who runs it"),
        ({"secure": False, "mediaDevices": False}, "insecure", None, "ssh -L"),
        ({"webcodecs": False}, "unsupported", None, "WebCodecs"),
    ],
)
def test_who_offers_the_camera_page(change, reason, tab, words):
    page = {
        "protocol": "http:",
        "local": True,
        "secure": True,
        "allowed": True,
        "mediaDevices": True,
        "webcodecs": True,
    }
    told = node(
        'import { findCaptureObstacle } from "./device_fault.js";'
        "console.log(JSON.stringify(findCaptureObstacle(JSON.parse(process.argv[1]))));",
        json.dumps({**page, **change}),
    )
    found = json.loads(told)
    if reason is None:
        assert found is None
        return
    assert (found["reason"], found.get("tab")) == (reason, tab)
    assert words in found["title"] + found["detail"]


def test_what_another_page_captures_is_shown_by_who_speaks_for_it():
    told = node(
        """
        import { stateElsewhere } from "./control_bar.js";
        for (const helped of [false, true]) {
          console.log(["page", "page_muted", "on", "muted", "off", undefined].map((told) => stateElsewhere(told, helped)).join());
        }
        """
    )
    assert told.split() == ["page,page,on,muted,off,off", "on,muted,on,muted,off,off"]


def test_the_document_ends_where_it_should_and_its_script_is_one_module():
    from lknb.widgets import esm

    assert "</script" not in esm.tab_esm().lower()
    assert "<!--" not in esm.tab_esm()
    assert "</style" not in esm.tab_css().lower()
    assert esm.tab_esm().isascii()
    node("import vm from 'node:vm'; new vm.Script(process.argv[1])", esm.tab_esm())
