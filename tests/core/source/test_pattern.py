"""The moving test picture as a source."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from lknb.codec.video_decoder import VideoDecoder
from lknb.core.source.pattern import TestPattern
from lknb.errors import MediaError
from tests.codec.content import mean_color
from tests.core.source.media import Recorder
from tests.kit.poll import TIME_FACTOR, wait_until_sync


def test_frames_come_in_real_time_on_the_grid_of_the_frame_rate() -> None:
    source, recorder = TestPattern(width=160, height=90), Recorder()
    source.start(recorder)
    frames = recorder.wait(20)
    source.stop()
    steps = {
        round((later.timestamp_us - earlier.timestamp_us) / 33_333.3) for earlier, later in itertools.pairwise(frames)
    }
    assert min(steps) == 1
    assert frames[0].keyframe
    assert frames[-1].timestamp_us - frames[0].timestamp_us >= 19 * 33_333
    assert recorder.lateness_ms[len(recorder.frames) // 2] < 30 * TIME_FACTOR


def test_layers_follow_the_size() -> None:
    source, recorder = TestPattern(width=960, height=540), Recorder()
    assert source.rids == ("q", "h", "f")
    assert (source.kind, source.codec, source.width, source.height) == ("video", "vp8", 960, 540)
    source.start(recorder)
    wait_until_sync(lambda: len(recorder.layer("f")) >= 4)
    source.stop()
    assert {(frame.rid, frame.width) for frame in recorder.frames} == {("q", 320), ("h", 640), ("f", 960)}


def test_a_single_layer_of_h264() -> None:
    source, recorder = TestPattern(width=640, height=360, simulcast=False, codec="h264"), Recorder()
    assert source.rids == ()
    source.start(recorder)
    frame = recorder.wait(1)[0]
    source.stop()
    assert (frame.codec, frame.rid) == ("h264", "")
    assert VideoDecoder("h264").decode(frame) is not None


def test_a_plain_colour_arrives_as_that_colour() -> None:
    source, recorder = TestPattern(width=64, height=48, color="#20a040"), Recorder()
    source.start(recorder)
    frames = recorder.wait(3)
    source.stop()
    decoder = VideoDecoder("vp8")
    for frame in frames:
        picture = decoder.decode(frame)
        assert picture is not None
        assert mean_color(picture) == pytest.approx((0x20, 0xA0, 0x40), abs=4)


def test_a_key_frame_comes_when_it_is_asked_for() -> None:
    source, recorder = TestPattern(width=160, height=90), Recorder()
    source.start(recorder)
    recorder.wait(3)
    source.request_keyframe()
    wait_until_sync(lambda: sum(frame.keyframe for frame in list(recorder.frames)) == 2)
    source.stop()


def test_muting_stops_frames_and_not_the_clock() -> None:
    source, recorder = TestPattern(width=160, height=90), Recorder()
    source.start(recorder)
    recorder.wait(2)
    source.control("mute", muted=True)
    time.sleep(0.25)  # so long it is muted
    source.control("mute", muted=False)
    wait_until_sync(lambda: sum(frame.keyframe for frame in list(recorder.frames)) == 2)
    source.stop()
    held = [index for index, frame in enumerate(recorder.frames) if frame.keyframe][1]
    before, after = recorder.frames[held - 1], recorder.frames[held]
    assert after.keyframe
    assert after.timestamp_us - before.timestamp_us > 150_000
    grid_us = (after.timestamp_us - recorder.frames[0].timestamp_us) % 33_333.333
    assert min(grid_us, 33_333.333 - grid_us) < 5


def test_layers_can_be_left_out() -> None:
    source, recorder = TestPattern(width=480, height=270), Recorder()
    source.control("layers", rids=["q"])
    source.start(recorder)
    recorder.wait(5)
    source.stop()
    assert {frame.rid for frame in recorder.frames} == {"q"}


def test_stopping_is_quick_final_and_harmless_twice() -> None:
    source, recorder = TestPattern(width=160, height=90), Recorder()
    source.start(recorder)
    recorder.wait(1)
    began = time.monotonic()
    source.stop()
    assert time.monotonic() - began < 1
    source.stop()
    source.start(recorder)
    assert not [thread for thread in threading.enumerate() if thread.name == "lknb-TestPattern"]


def test_a_source_that_was_never_started_can_be_stopped() -> None:
    TestPattern(width=160, height=90).stop()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"fps": 0}, "1 to 60 frames a second, not 0"),
        ({"fps": 1000}, "not 1000"),
        ({"width": 8, "height": 8}, "8x8"),
        ({"width": 9000}, "1 to 4096"),
        ({"color": "blue"}, "#rrggbb"),
        ({"codec": "av1"}, "no encoder"),
    ],
)
def test_what_cannot_be_painted_is_said(parameters: dict[str, object], expected: str) -> None:
    with pytest.raises(MediaError, match=expected):
        TestPattern(**parameters)  # type: ignore[arg-type]


def test_an_unknown_action_is_refused() -> None:
    source = TestPattern(width=160, height=90)
    with pytest.raises(MediaError, match="no action 'rewind'; this source knows mute, bitrate, layers"):
        source.control("rewind")
    with pytest.raises(MediaError, match="parameters of 'mute' are wrong"):
        source.control("mute", loud=True)


def test_a_sink_that_fails_ends_the_source_with_a_reason() -> None:
    source, recorder = TestPattern(width=160, height=90), Recorder()
    source.on_ended = recorder.ends.append

    def broken(_: object) -> None:
        raise RuntimeError("sink")

    source.start(broken)
    assert "sink" in (recorder.wait_end() or "")
    source.stop()
