"""Sound as livekit.rtc has it, and as arrays."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest
from livekit import rtc as official

from lknb.errors import FrameError
from lknb.rtc.audio_frame import AudioFrame


def test_it_is_what_livekit_has() -> None:
    data = np.arange(960, dtype=np.int16).tobytes()
    ours, theirs = AudioFrame(data, 48_000, 2, 480), official.AudioFrame(data, 48_000, 2, 480)
    assert repr(ours) == repr(theirs)
    for name in ("sample_rate", "num_channels", "samples_per_channel", "duration", "userdata"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.data == theirs.data
    assert ours.data.format == "h"
    assert ours.to_wav_bytes() == theirs.to_wav_bytes()


def test_a_new_frame_is_silent_and_can_be_written_to() -> None:
    frame = AudioFrame.create(24_000, 1, 240)
    assert not any(frame.data)
    frame.data[0] = -5
    assert frame.to_ndarray()[0, 0] == -5
    assert frame.duration == 0.01


def test_userdata_is_kept() -> None:
    assert AudioFrame(b"", 48_000, 1, 0, userdata={"a": 1}).userdata == {"a": 1}


def test_an_array_holds_one_column_for_each_channel() -> None:
    frame = AudioFrame(np.array([1, -1, 2, -2, 3, -3], np.int16).tobytes(), 48_000, 2, 3)
    assert frame.to_ndarray().tolist() == [[1, -1], [2, -2], [3, -3]]
    longer = AudioFrame(np.arange(10, dtype=np.int16).tobytes(), 48_000, 1, 3)
    assert longer.to_ndarray().tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("array", "channels", "shape"),
    [
        (np.zeros(480, np.int16), None, (480, 1)),
        (np.zeros(480, np.float32), 2, (240, 2)),
        (np.zeros((480, 2), np.float32), None, (480, 2)),
        (np.zeros((2, 480), np.float64), None, (480, 2)),
        (np.zeros((480, 1), np.int16), None, (480, 1)),
    ],
)
def test_arrays_become_frames(array: np.ndarray, channels: int | None, shape: tuple[int, int]) -> None:
    frame = AudioFrame.from_ndarray(array, 48_000, channels)
    assert (frame.samples_per_channel, frame.num_channels) == shape
    assert frame.to_ndarray().shape == shape


def test_floats_become_int16() -> None:
    frame = AudioFrame.from_ndarray(np.array([0.5, -1.0, 2.0], np.float32), 8000)
    assert frame.to_ndarray()[:, 0].tolist() == [16384, -32767, 32767]


def test_a_wav_file_holds_the_sound_and_nothing_beyond() -> None:
    frame = AudioFrame(np.arange(100, dtype=np.int16).tobytes(), 16_000, 1, 50)
    with wave.open(io.BytesIO(frame.to_wav_bytes())) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth(), file.getnframes()) == (1, 16_000, 2, 50)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((bytes(10), 48_000, 1, 6), "at least 12 bytes"),
        ((bytes(13), 48_000, 1, 6), "whole number of int16"),
        ((bytes(12), 0, 1, 6), "above 0"),
        ((bytes(12), 48_000, 0, 6), "above 0"),
        ((memoryview(bytes(100))[::2], 48_000, 1, 6), "contiguous"),
    ],
)
def test_what_is_wrong_is_said_with_an_error_that_is_a_value_error(arguments: Any, expected: str) -> None:
    with pytest.raises(FrameError, match=expected) as caught:
        AudioFrame(*arguments)
    assert isinstance(caught.value, ValueError)


def test_data_that_is_no_buffer_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        AudioFrame([1, 2], 48_000, 1, 1)  # type: ignore[arg-type]
