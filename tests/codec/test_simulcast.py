"""Layers: sizes, frame rates, key frames, and what a lower bitrate leaves of them."""

from __future__ import annotations

import pytest

from lknb.codec.layer import plan_layers
from lknb.codec.simulcast import LayerEncoder
from lknb.codec.video_decoder import VideoDecoder
from lknb.wire.frame import EncodedFrame
from tests.codec.content import pictures

PERIOD_US = 33_333


def encode(
    target: LayerEncoder, count: int, *, start: int = 0, width: int = 960, height: int = 540
) -> list[EncodedFrame]:
    content = pictures(min(count, 4), width, height)
    return [
        frame
        for index in range(count)
        for frame in target.encode(content[index % len(content)], (start + index) * PERIOD_US)
    ]


def by_rid(frames: list[EncodedFrame]) -> dict[str, list[EncodedFrame]]:
    found: dict[str, list[EncodedFrame]] = {}
    for frame in frames:
        found.setdefault(frame.rid, []).append(frame)
    return found


def three_layers(codec: str = "vp8") -> LayerEncoder:
    return LayerEncoder(codec, plan_layers(960, 540))


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_one_picture_gives_a_frame_of_every_layer_smallest_first(codec: str) -> None:
    frames = encode(three_layers(codec), 1)
    assert [(frame.rid, frame.width, frame.height) for frame in frames] == [
        ("q", 320, 180),
        ("h", 640, 360),
        ("f", 960, 540),
    ]
    assert len({frame.timestamp for frame in frames}) == 1
    for frame in frames:
        picture = VideoDecoder(codec).decode(frame)
        assert picture is not None
        assert (picture.width, picture.height) == (frame.width, frame.height)


def test_lower_layers_have_20_frames_a_second_of_30() -> None:
    found = by_rid(encode(three_layers(), 31))
    assert {rid: len(frames) for rid, frames in found.items()} == {"q": 21, "h": 21, "f": 31}


def test_pictures_with_jitter_are_not_lost() -> None:
    target = LayerEncoder("vp8", plan_layers(320, 180))
    content = pictures(1)
    sent = [target.encode(content[0], index * PERIOD_US + (index * 2617) % 4000) for index in range(60)]
    assert sum(len(frames) for frames in sent) == 60


def test_60_pictures_a_second_become_30() -> None:
    target = LayerEncoder("vp8", plan_layers(160, 90))
    content = pictures(1, 160, 90)
    assert sum(len(target.encode(content[0], index * 16_667)) for index in range(60)) == 30


def test_a_picture_that_comes_too_soon_for_every_layer_is_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    target = LayerEncoder("vp8", plan_layers(160, 90))
    content = pictures(1, 160, 90)
    converted: list[str] = []
    monkeypatch.setattr("lknb.codec.simulcast.convert", lambda frame, to: converted.append(to) or frame)
    for index in range(60):
        target.encode(content[0], index * 16_667)
    assert len(converted) == 30


def test_a_key_frame_is_made_of_the_layer_it_is_asked_of_and_does_not_leak_into_others() -> None:
    target = three_layers()
    encode(target, 3)
    target.request_keyframe("f")
    keys = [(frame.rid, frame.keyframe) for frame in encode(target, 2, start=3)]
    assert ("f", True) in keys
    assert not any(keyframe for rid, keyframe in keys if rid != "f")
    target.request_keyframe("q")
    frames = encode(target, 1, start=5)
    assert {frame.rid for frame in frames if frame.keyframe} == {"q"}


def test_a_key_frame_of_all_layers() -> None:
    target = three_layers()
    encode(target, 2)
    target.request_keyframe()
    assert [(frame.rid, frame.keyframe) for frame in encode(target, 1, start=2)] == [
        ("q", True),
        ("h", True),
        ("f", True),
    ]


def test_layers_nobody_watches_are_not_encoded_and_come_back_with_a_key_frame() -> None:
    target = three_layers()
    encode(target, 2)
    target.set_active(["q"])
    assert set(by_rid(encode(target, 6, start=2))) == {"q"}
    target.set_active([])
    assert encode(target, 3, start=8) == []
    target.set_active(["q", "h", "f"])
    first = {rid: frames[0].keyframe for rid, frames in by_rid(encode(target, 3, start=11)).items()}
    assert first == {"q": True, "h": True, "f": True}


def test_each_layer_follows_its_bitrate_and_none_goes_beyond_its_own() -> None:
    target = three_layers()
    encode(target, 2)
    target.set_bitrates({"q": 80_000, "f": 9_000_000, "x": 5})
    encode(target, 3, start=2)
    bitrates = {state.layer.rid: state.encoder.bitrate_bps for state in target._layers}
    assert bitrates == {"q": 80_000, "h": 450_000, "f": 800_000}
    target.set_bitrates({"q": 0})
    encode(target, 3, start=5)
    assert target._layers[0].encoder.bitrate_bps == 30_000


def test_layers_follow_the_size_of_the_pictures() -> None:
    target = three_layers()
    encode(target, 1)
    frames = encode(target, 2, start=1, width=480, height=640)
    sizes = {(frame.rid, frame.width, frame.height) for frame in frames}
    assert sizes == {("q", 160, 214), ("h", 320, 426), ("f", 480, 640)}
    assert all(found[0].keyframe for found in by_rid(frames).values())


def test_one_layer_without_rid() -> None:
    target = LayerEncoder("vp8", plan_layers(160, 90))
    assert target.rids == ("",)
    assert [frame.rid for frame in encode(target, 2, width=160, height=90)] == ["", ""]
