"""The enumerations of pictures."""

from __future__ import annotations

import pytest
from livekit import rtc as official

from lknb.codec import pixel
from lknb.rtc.video_buffer_type import VideoBufferType, VideoRotation


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
