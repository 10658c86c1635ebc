"""The enumerations of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from livekit import rtc as official

from lknb.codec import pixel
from lknb.rtc.video_buffer_type import VideoBufferType, VideoRotation, format_name
from lknb.rtc.video_frame import VideoFrame


def test_names_and_numbers_are_those_of_livekit() -> None:
    assert [(name, int(value)) for name, value in VideoBufferType.items()] == official.VideoBufferType.items()
    assert [(name, int(value)) for name, value in VideoRotation.items()] == official.VideoRotation.items()


def test_they_answer_like_protobuf_enums() -> None:
    assert VideoBufferType.Name(5) == "I420"
    assert VideoBufferType.Value("NV12") == 10
    with pytest.raises(ValueError):
        VideoBufferType.Name(77)


@pytest.mark.parametrize("type", list(VideoBufferType))
def test_every_type_is_a_format_of_the_codec_floor(type: VideoBufferType) -> None:
    assert pixel.buffer_bytes(type.pixel_format, 2, 2) > 0


def test_rotations_in_degrees() -> None:
    assert [rotation.degrees for rotation in VideoRotation] == [0, 90, 180, 270]


def test_formats_are_taken_in_any_case_and_as_types() -> None:
    taken = ("I420", "i420", VideoBufferType.I420, "BGR", "bgr24", "RGB", "GRAY", "NV12", None)
    assert [format_name(it) for it in taken] == ["i420"] * 3 + ["bgr24"] * 2 + ["rgb24", "gray", "nv12", None]


@pytest.mark.parametrize("format", ["BGR", "bgr24", "Bgr"])
def test_frames_are_made_of_arrays_of_such_formats(format: str) -> None:
    blue = np.zeros((48, 64, 3), np.uint8)
    blue[:, :, 0] = 255
    frame = VideoFrame.from_ndarray(blue, format)
    assert frame.to_ndarray()[0, 0].tolist() == [0, 0, 255]
    assert frame.to_ndarray(format)[0, 0].tolist() == [255, 0, 0]
    assert frame.to_ndarray(VideoBufferType.I420).shape == (72, 64)
    again = VideoFrame.from_ndarray(frame.to_ndarray("I420"), VideoBufferType.I420)
    assert again.type == VideoBufferType.I420
