from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lknb.core import reader as reader_module
from lknb.core.reader import KernelReader
from lknb.core.track import RemoteTrack
from lknb.wire.frame import EncodedFrame


class FakeLink:
    def __init__(self) -> None:
        self.has_room = True
        self.sent: list[tuple[dict[str, Any], tuple[bytes, ...]]] = []
        self.callbacks: list[Callable[[], None]] = []
        self.room_for = 10**9

    def send(self, header: dict[str, Any], buffers: tuple[bytes, ...]) -> None:
        self.sent.append((header, buffers))
        self.room_for -= 1
        self.has_room = self.room_for > 0

    def on_room(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def make_room(self, messages: int = 10**9) -> None:
        self.has_room, self.room_for = True, messages
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()

    @property
    def timestamps(self) -> list[int]:
        return [header["timestamp"] for header, _ in self.sent]


def opened(kind: str) -> tuple[FakeLink, RemoteTrack, KernelReader, list[int]]:
    link, asked = FakeLink(), []
    track = RemoteTrack(3, "PA_1", "TR_1", kind, "opus" if kind == "audio" else "vp8")
    track.ask_keyframe = lambda: asked.append(1)
    reader = KernelReader(link, 3, track)  # type: ignore[arg-type]
    reader.open()
    return link, track, reader, asked


def picture(n: int, *, key: bool = False) -> EncodedFrame:
    return EncodedFrame("vp8", b"picture", n, keyframe=key, width=640, height=360)


def sound(n: int) -> EncodedFrame:
    return EncodedFrame("opus", b"sound", n)


def test_frames_travel_with_all_they_say():
    link, track, _, asked = opened("video")
    assert asked == [1]
    track.deliver(picture(7, key=True))
    header, buffers = link.sent[0]
    assert buffers == (b"picture",)
    assert header == {
        "event": "frame",
        "room": 3,
        "track_sid": "TR_1",
        "codec": "vp8",
        "timestamp": 7,
        "keyframe": True,
        "width": 640,
        "height": 360,
    }


def test_video_pauses_on_a_full_link_until_a_key_frame(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(reader_module.time, "monotonic", lambda: now[0])
    link, track, reader, asked = opened("video")
    track.deliver(picture(0, key=True))
    link.has_room = False
    for n in range(1, 5):
        track.deliver(picture(n))
    assert asked == [1]  # a key frame would find no room either
    link.make_room()
    for n in range(5, 8):
        track.deliver(picture(n))
    assert asked == [1, 1]
    now[0] = 1.0
    track.deliver(picture(8))
    assert asked == [1, 1, 1]
    track.deliver(picture(9, key=True))
    track.deliver(picture(10))
    assert link.timestamps == [0, 9, 10]
    assert reader.dropped == 8


def test_sound_keeps_its_newest_second_on_a_full_link():
    link, track, reader, _ = opened("audio")
    track.deliver(sound(0))
    link.has_room = False
    for n in range(1, 101):
        track.deliver(sound(n))
    assert link.timestamps == [0]
    assert reader.dropped == 50
    link.make_room(20)
    assert link.timestamps == [0, *range(51, 71)]
    link.has_room = True
    track.deliver(sound(101))  # behind those that still wait
    assert link.timestamps[-1] == 70
    link.make_room()
    assert link.timestamps == [0, *range(51, 102)]
    track.deliver(sound(102))
    assert link.timestamps[-1] == 102
    assert len(link.callbacks) == 0


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_closed_reader_sends_nothing(kind):
    link, track, reader, _ = opened(kind)
    link.has_room = False
    track.deliver(sound(1))
    reader.close()
    reader.close()
    link.make_room()
    track.deliver(picture(1, key=True) if kind == "video" else sound(2))
    assert link.sent == []
    assert not track.watched


def test_a_muted_track_is_not_asked_for_key_frames():
    _, track, _, asked = opened("video")
    track.muted = True
    track.request_keyframe()
    assert asked == [1]
    track.attach(print)
    assert asked == [1]
