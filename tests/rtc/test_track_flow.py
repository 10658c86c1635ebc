"""Encoded frames of one track in this process: asked for once, however many read them."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from lknb.errors import DisconnectedError, TrackError
from lknb.rtc import track_flow
from lknb.rtc.track_flow import TrackFlow
from lknb.wire.frame import EncodedFrame
from tests.rtc.fake_track import FakeTrack
from tests.rtc.scripted_core import ScriptedCore

FRAME = EncodedFrame("vp8", b"x", 5, keyframe=True)


def test_the_core_is_asked_for_the_first_reader_and_told_after_the_last(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    first: list[EncodedFrame] = []
    second: list[EncodedFrame] = []
    flow = TrackFlow.attach(track, first.append)
    assert TrackFlow.attach(track, second.append) is flow
    assert track.read_requests == [True]
    track.send(FRAME)
    flow.detach(first.append)
    track.send(FRAME)
    assert (len(first), len(second)) == (1, 2)
    assert track.read_requests == [True]
    flow.detach(second.append)
    flow.detach(second.append)
    assert track.read_requests == [True, False]
    assert not track.flowing


def test_who_joins_asks_for_a_key_frame_and_not_too_often(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    readers: list[list[EncodedFrame]] = [[] for _ in range(5)]
    flows = [TrackFlow.attach(track, reader.append) for reader in readers]
    assert core.sent("keyframe") == [{"op": "keyframe", "room": 1, "track_sid": "TR_1"}]
    for flow, reader in zip(flows, readers, strict=True):
        flow.detach(reader.append)


def test_after_the_last_reader_it_begins_anew(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    frames: list[EncodedFrame] = []
    old = TrackFlow.attach(track, frames.append)
    old.detach(frames.append)
    new = TrackFlow.attach(track, frames.append)
    old.detach(frames.append)
    assert track.read_requests == [True, False, True]
    track.send(FRAME)
    assert frames == [FRAME]
    new.detach(frames.append)


def test_a_track_that_is_received_again_is_read_anew_though_somebody_still_reads_the_one_before(
    core: ScriptedCore,
) -> None:
    before, after = FakeTrack(core), FakeTrack(core)
    frames: list[EncodedFrame] = []
    # a recorder reads on until it is stopped
    old = TrackFlow.attach(before, print)
    new = TrackFlow.attach(after, frames.append)
    assert after.read_requests == [True, True], "the core reads the track there is now"
    old.detach(print)
    after.send(FRAME)
    assert frames == [FRAME]
    new.detach(frames.append)
    assert after.read_requests == [True, True, False]


def test_tracks_are_kept_apart(core: ScriptedCore) -> None:
    one, other = FakeTrack(core, sid="TR_1"), FakeTrack(core, sid="TR_2")
    frames: list[EncodedFrame] = []
    flows = [TrackFlow.attach(track, frames.append) for track in (one, other)]
    other.send(FRAME)
    assert len(frames) == 1
    for flow in flows:
        flow.detach(frames.append)


def test_a_frame_that_cannot_be_read_disturbs_nobody(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    frames: list[EncodedFrame] = []
    flow = TrackFlow.attach(track, frames.append)
    core.listeners["track", 1, "TR_1"]({"event": "frame", "codec": "mp3"}, [b""])
    core.listeners["track", 1, "TR_1"]({"event": "frame", "codec": "vp8", "timestamp": 1}, [])
    assert len(frames) == 1
    flow.detach(frames.append)


def test_a_refusal_of_the_core_is_told_to_everybody_who_waits(core: ScriptedCore) -> None:
    def refuse(header: Any, buffers: Any) -> Any:
        if header["on"]:
            raise TrackError("track TR_1 is not subscribed")
        return {}, []

    core.respond["read"] = refuse
    track = FakeTrack(core)
    frames: list[EncodedFrame] = []
    flow = TrackFlow.attach(track, frames.append)
    with pytest.raises(TrackError, match="not subscribed"):
        flow.opened.result(1)
    flow.detach(frames.append)


def test_a_track_without_a_room_cannot_be_read(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    track.end()
    with pytest.raises(DisconnectedError):
        TrackFlow.attach(track, print)


def test_nothing_is_kept_of_a_core_that_is_gone() -> None:
    core = ScriptedCore()
    track = FakeTrack(core)
    before = len(track_flow._flows)
    flow = TrackFlow.attach(track, print)
    flow.detach(print)
    del flow, track, core
    gc.collect()
    assert len(track_flow._flows) <= before
