"""Frames of a track to its sinks, and what a sink that comes late is given at once."""

from __future__ import annotations

from lknb.core.track import RECENT_FRAMES, RemoteTrack
from lknb.wire.frame import EncodedFrame


def video(number: int, *, keyframe: bool = False) -> EncodedFrame:
    return EncodedFrame("vp8", b"x", number * 3000, keyframe)


def track(kind: str = "video") -> tuple[RemoteTrack, list[str]]:
    made, asked = RemoteTrack(1, "PA_1", "TR_1", kind, "vp8"), []
    made.ask_keyframe = lambda: asked.append("key frame")
    return made, asked


def test_a_sink_begins_with_a_key_frame_which_is_asked_for() -> None:
    made, asked = track()
    got: list[EncodedFrame] = []
    made.attach(got.append)
    assert asked == ["key frame"]
    for frame in (video(1), video(2, keyframe=True), video(3)):
        made.deliver(frame)
    assert [frame.timestamp for frame in got] == [6000, 9000]


def test_who_comes_right_after_a_key_frame_is_served_at_once() -> None:
    made, asked = track()
    for frame in (video(1, keyframe=True), video(2)):
        made.deliver(frame)
    got: list[EncodedFrame] = []
    made.attach(got.append)
    assert asked == []
    made.deliver(video(3))
    assert [frame.timestamp for frame in got] == [3000, 6000, 9000]


def test_a_long_run_is_not_hurried_through() -> None:
    made, asked = track()
    made.deliver(video(0, keyframe=True))
    for number in range(1, RECENT_FRAMES + 1):
        made.deliver(video(number))
    got: list[EncodedFrame] = []
    made.attach(got.append)
    assert (asked, got) == (["key frame"], [])


def test_nothing_from_before_a_mute_is_shown_after_it() -> None:
    made, _ = track()
    made.deliver(video(1, keyframe=True))
    made.muted = True
    made.muted = False
    got: list[EncodedFrame] = []
    made.attach(got.append)
    assert got == []


def test_a_reader_of_sound_gets_only_what_comes() -> None:
    made, asked = track("audio")
    made.deliver(EncodedFrame("opus", b"x", 960))
    got: list[EncodedFrame] = []
    made.attach(got.append)
    made.deliver(EncodedFrame("opus", b"x", 1920))
    assert ([frame.timestamp for frame in got], asked) == ([1920], [])


def test_a_failing_sink_ends_nothing_and_a_detached_one_hears_nothing() -> None:
    made, _ = track()
    got: list[EncodedFrame] = []

    def broken(frame: EncodedFrame) -> None:
        raise RuntimeError("broken")

    sink = got.append
    made.attach(broken)
    made.attach(sink)
    assert made.watched
    made.deliver(video(1, keyframe=True))
    made.detach(broken)
    made.detach(sink)
    made.deliver(video(2))
    assert len(got) == 1
    assert not made.watched
