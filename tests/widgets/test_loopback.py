"""The way round that lets Chromium cancel the echo, with connections that the test plays."""

from __future__ import annotations

import json
from typing import Any

from tests.widgets.node import node

BENCH = """
import { Loopback } from "./loopback.js";
class Connection {
  static all = [];
  constructor() { this.connectionState = "new"; this.closed = false; Connection.all.push(this); }
  addTrack() {}
  async createOffer() { return { type: "offer", sdp: "" }; }
  async createAnswer() { return { type: "answer", sdp: "" }; }
  async setLocalDescription() {}
  async setRemoteDescription() {}
  async addIceCandidate() {}
  close() { this.closed = true; }
  become(state) { this.connectionState = state; this.onconnectionstatechange?.(); }
}
globalThis.RTCPeerConnection = Connection;
globalThis.Audio = class { pause() {} async play() {} };
const to = new Set();
const output = { connect: (node) => to.add(node), disconnect: (node) => (node ? to.delete(node) : to.clear()) };
const destination = "loudspeaker";
const entry = { stream: { getTracks: () => [] } };
const context = { destination, createMediaStreamDestination: () => entry };
const loopback = new Loopback(context, output);
const [near, far] = Connection.all;
const heard = () => [...to].map((node) => (node === entry ? "round" : node));
const told = [];
const note = () => told.push(heard());
"""


def play(script: str) -> Any:
    return json.loads(node(BENCH + script + "\nconsole.log(JSON.stringify(told)); process.exit(0);"))


def test_until_it_stands_the_sound_goes_straight_out() -> None:
    assert play("note(); near.become('connecting'); note(); near.become('connected'); note();") == [
        ["loudspeaker"],
        ["loudspeaker"],
        ["round"],
    ]


def test_when_it_breaks_the_sound_goes_straight_out_again() -> None:
    script = """
        near.become("connected");
        near.become("disconnected");
        note();
        near.become("failed");
        note();
        told.push([near.closed, far.closed]);
        near.become("connected");
        note();
    """
    assert play(script) == [["round"], ["loudspeaker"], [True, True], ["loudspeaker"]]
