"""Pictures as livekit.rtc has them, and as arrays."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from livekit import rtc as official
from PIL import Image

from lknb.codec import pixel
from lknb.errors import FrameError
from lknb.rtc.video_buffer_type import VideoBufferType
from lknb.rtc.video_frame import VideoFrame

RED = np.full((4, 6, 3), (200, 10, 30), np.uint8)


def test_it_holds_what_it_is_given_without_a_copy() -> None:
    data = bytearray(6 * 4 * 4)
    frame = VideoFrame(6, 4, VideoBufferType.RGBA, data)
    assert (frame.width, frame.height, frame.type) == (6, 4, VideoBufferType.RGBA)
    data[5] = 77
    assert frame.data[5] == 77
    assert isinstance(frame.data, memoryview)


def test_its_repr_is_that_of_livekit() -> None:
    arguments = (6, 4, 5, bytes(36))
    assert repr(VideoFrame(*arguments)) == repr(official.VideoFrame(*arguments))


@pytest.mark.parametrize("type", list(VideoBufferType))
@pytest.mark.parametrize(("width", "height"), [(6, 4), (7, 5)])
def test_planes_are_those_of_livekit(type: VideoBufferType, width: int, height: int) -> None:
    data = bytes(index % 251 for index in range(pixel.buffer_bytes(type.pixel_format, width, height)))
    ours, theirs = VideoFrame(width, height, type, data), official.VideoFrame(width, height, int(type), data)
    for plane in range(5):
        expected, got = theirs.get_plane(plane), ours.get_plane(plane)
        assert (got is None) == (expected is None)
        if got is not None and expected is not None:
            assert bytes(got) == bytes(expected)


def test_every_type_converts_into_every_other() -> None:
    original = VideoFrame.from_ndarray(RED)
    for first in VideoBufferType:
        frame = original.convert(first)
        assert frame.type == first
        for second in VideoBufferType:
            color = frame.convert(second).to_ndarray()[1, 1].astype(int)
            assert np.abs(color - (200, 10, 30)).max() <= 6, (first, second)


def test_a_conversion_can_turn_the_picture_upside_down() -> None:
    rows = np.arange(12, dtype=np.uint8).repeat(24).reshape(12, 8, 3) * 10
    flipped = VideoFrame.from_ndarray(rows).convert(VideoBufferType.RGBA, flip_y=True)
    assert (flipped.to_ndarray("rgb24") == rows[::-1]).all()


@pytest.mark.parametrize(
    ("array", "format", "type"),
    [
        (RED, None, VideoBufferType.RGB24),
        (RED[:, :, ::-1], "bgr24", VideoBufferType.RGB24),
        (np.dstack((RED, np.full((4, 6), 255, np.uint8))), None, VideoBufferType.RGBA),
        (np.zeros((4, 6), np.uint8), None, VideoBufferType.I420),
        (np.zeros((6, 6), np.uint8), "i420", VideoBufferType.I420),
        (np.zeros((6, 6), np.uint8), "nv12", VideoBufferType.NV12),
    ],
)
def test_arrays_become_frames(array: np.ndarray, format: str | None, type: VideoBufferType) -> None:
    frame = VideoFrame.from_ndarray(array, format)
    assert (frame.width, frame.height, frame.type) == (6, 4, type)
    assert len(frame.data) == pixel.buffer_bytes(type.pixel_format, 6, 4)
    if array.ndim == 3:
        assert (frame.to_ndarray()[0, 0] == (200, 10, 30)).all()


def test_an_array_is_a_copy_both_ways() -> None:
    array = RED.copy()
    frame = VideoFrame.from_ndarray(array)
    array[:] = 0
    frame.to_ndarray()[:] = 0
    assert (frame.to_ndarray() == RED).all()


@pytest.mark.parametrize("type", list(VideoBufferType))
def test_two_frames_of_one_picture_have_nothing_in_common(type: VideoBufferType) -> None:
    picture = pixel.convert(pixel.from_array(np.full((32, 64, 3), 90, np.uint8)), "i420")
    one, other = VideoFrame._from_picture(picture, type), VideoFrame._from_picture(picture, type)
    kept = bytes(other.data)
    one.data[:] = bytes(one.data.nbytes)
    assert bytes(other.data) == kept
    assert bytes(VideoFrame._from_picture(picture, type).data) == kept


def test_what_is_written_into_the_data_is_seen() -> None:
    frame = VideoFrame.from_ndarray(RED)
    frame.data[:3] = b"\1\2\3"
    assert frame.to_ndarray()[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((6, 4, VideoBufferType.RGBA, bytes(95)), "at least 96 bytes for RGBA of 6x4, got 95"),
        ((6, 4, 99, bytes(96)), "expected a VideoBufferType, got 99"),
        ((0, 4, VideoBufferType.RGBA, b""), "1 to 4096 pixels, got 0x4"),
        ((6, 4, VideoBufferType.RGB24, memoryview(bytes(200))[::2]), "contiguous"),
    ],
)
def test_what_is_wrong_is_said_with_an_error_that_is_a_value_error(arguments: Any, expected: str) -> None:
    with pytest.raises(FrameError, match=expected) as caught:
        VideoFrame(*arguments)
    assert isinstance(caught.value, ValueError)


def test_data_that_is_no_buffer_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        VideoFrame(6, 4, VideoBufferType.RGBA, [1, 2, 3])  # type: ignore[arg-type]


def test_a_notebook_shows_it_as_a_picture() -> None:
    image = Image.open(io.BytesIO(VideoFrame.from_ndarray(RED)._repr_png_()))
    assert (np.asarray(image) == RED).all()


def test_conversions_agree_with_livekit() -> None:
    random = np.random.default_rng(3)
    smooth = np.kron(random.integers(0, 255, (3, 4, 4), np.uint8), np.ones((8, 8, 1), np.uint8)).tobytes()
    ours = VideoFrame(32, 24, VideoBufferType.RGBA, smooth).convert(VideoBufferType.I420)
    # in a process of its own: the engine of livekit.rtc stays for the life of the process it once began in
    convert = (
        "import sys; from livekit import rtc; data = sys.stdin.buffer.read();"
        "frame = rtc.VideoFrame(32, 24, rtc.VideoBufferType.RGBA, data).convert(rtc.VideoBufferType.I420);"
        "sys.stdout.buffer.write(frame.data); sys.stdout.flush(); import os; os._exit(0)"
    )
    run = subprocess.run([sys.executable, "-c", convert], input=smooth, capture_output=True, check=True, timeout=60)
    theirs = np.frombuffer(run.stdout, np.uint8).astype(int)
    assert np.abs(np.frombuffer(ours.data, np.uint8) - theirs).mean() < 2
