"""Frames of the kernel: their form on the link, and the source that hands them through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.codec.layer import plan_layers
from lknb.core.message import decode_message, encode_message
from lknb.core.source.frames import FrameSource, frame_from_header, frame_header
from lknb.errors import MediaError, WireError
from lknb.wire.frame import EncodedFrame
from tests.core.source.media import Recorder


@given(
    st.builds(
        EncodedFrame,
        codec=st.sampled_from(["vp8", "h264", "opus"]),
        data=st.binary(max_size=50),
        timestamp=st.integers(0, 2**60),
        keyframe=st.booleans(),
        timestamp_us=st.integers(0, 2**60),
        width=st.integers(0, 4096),
        height=st.integers(0, 4096),
        rid=st.sampled_from(["", "q", "h", "f"]),
        audio_level=st.integers(0, 127),
        concealed=st.booleans(),
    )
)
def test_every_frame_survives_the_link(frame: EncodedFrame) -> None:
    header, buffers = decode_message(encode_message({"op": "frame", "source": 3, **frame_header(frame)}, [frame.data]))
    assert frame_from_header(header, buffers[0]) == frame


def test_what_has_its_default_does_not_travel() -> None:
    assert frame_header(EncodedFrame("opus", b"x", 5)) == {"codec": "opus", "timestamp": 5}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"codec": "av1", "timestamp": 1},
        {"codec": "vp8"},
        {"codec": "vp8", "timestamp": "1"},
        {"codec": "vp8", "timestamp": 1, "keyframe": 1},
        {"codec": "vp8", "timestamp": 1, "width": None},
        {"codec": "vp8", "timestamp": True},
    ],
)
def test_a_header_that_is_none_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        frame_from_header(header, b"")


def test_frames_go_through_between_start_and_stop_unless_muted() -> None:
    source, recorder = FrameSource("vp8"), Recorder()
    frames = [EncodedFrame("vp8", b"x", index) for index in range(6)]
    source.push(frames[0])
    source.start(recorder)
    source.push(frames[1])
    source.control("mute", muted=True)
    source.push(frames[2])
    source.control("mute", muted=False)
    source.push(frames[3])
    source.stop()
    source.push(frames[4])
    assert recorder.frames == [frames[1], frames[3]]


def test_wishes_find_their_way_to_the_encoder() -> None:
    layers = plan_layers(1280, 720)
    source = FrameSource("vp8", width=1280, height=720, layers=layers)
    assert source.rids == ("q", "h", "f")
    asked: list[str] = []
    told: list[tuple[str, dict[str, Any]]] = []
    source.on_keyframe_request = asked.append
    source.on_control = lambda action, parameters: told.append((action, parameters))
    source.start(Recorder())
    source.request_keyframe("h")
    source.control("layers", rids=["q"])
    source.control("mute", muted=True)
    source.control("mute", muted=False)
    assert asked == ["", "h", ""]
    assert told == [("layers", {"rids": ["q"]}), ("mute", {"muted": True}), ("mute", {"muted": False})]
    with pytest.raises(MediaError, match="no action 'seek'"):
        source.control("seek", position_s=1)


def test_a_source_nobody_listens_to_takes_wishes_all_the_same() -> None:
    source = FrameSource("vp8")
    source.start(Recorder())
    source.request_keyframe()
    source.control("layers", rids=[])
