"""Sample rates, channels and sample formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lknb.codec.resample import Resampler, to_samples
from lknb.errors import FrameError
from tests.codec.content import frequency_hz


def tone(rate_hz: int, seconds: float = 1.0, channels: int = 1) -> np.ndarray[Any, np.dtype[np.int16]]:
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.int16)
    return np.repeat(wave[:, np.newaxis], channels, axis=1)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_tone_keeps_its_pitch_and_its_length(rate_hz: int, direction: str) -> None:
    from_hz, to_hz = (rate_hz, 48_000) if direction == "up" else (48_000, rate_hz)
    resampler = Resampler(from_hz, 1, to_hz, 1)
    sound = tone(from_hz)
    pieces = [resampler.push(piece) for piece in np.array_split(sound, 50)]
    result = np.concatenate([*pieces, resampler.flush()])
    assert result.dtype == np.int16
    assert len(result) == pytest.approx(to_hz, abs=to_hz * 0.002 + 40)
    assert frequency_hz(result, to_hz) == pytest.approx(440, abs=2)


def test_little_is_held_back() -> None:
    resampler = Resampler(44_100, 1, 48_000, 1)
    given = sum(len(resampler.push(tone(44_100, 0.01))) for _ in range(100))
    assert 48_000 - given < 480


def test_mono_becomes_stereo_and_back() -> None:
    stereo = Resampler(48_000, 1, 48_000, 2).push(tone(48_000, 0.1))
    assert stereo.shape == (4800, 2)
    assert (stereo[:, 0] == stereo[:, 1]).all()
    mono = Resampler(48_000, 2, 48_000, 1).push(stereo)
    assert mono.shape == (4800, 1)
    assert frequency_hz(mono) == pytest.approx(440, abs=10)


def test_the_same_format_passes_through() -> None:
    sound = tone(48_000, 0.1, 2)
    resampler = Resampler(48_000, 2, 48_000, 2)
    assert (resampler.push(sound) == sound).all()
    assert resampler.flush().shape == (0, 2)


def test_nothing_in_nothing_out() -> None:
    resampler = Resampler(44_100, 1, 48_000, 2)
    assert resampler.push(np.zeros((0, 1), np.int16)).shape == (0, 2)
    assert resampler.flush().shape == (0, 2)


@pytest.mark.parametrize(
    ("array", "channels", "shape"),
    [
        (np.zeros(10, np.int16), 1, (10, 1)),
        (np.zeros(10, np.int16), 2, (5, 2)),
        (np.zeros((10, 1), np.float32), 1, (10, 1)),
        (np.zeros((1, 10), np.float64), 1, (10, 1)),
        (np.zeros((2, 10), np.float32), 2, (10, 2)),
        (np.zeros((10, 2), np.int16)[::2], 2, (5, 2)),
    ],
)
def test_shapes_that_are_taken(array: np.ndarray, channels: int, shape: tuple[int, int]) -> None:
    samples = to_samples(array, channels)
    assert samples.shape == shape
    assert samples.dtype == np.int16
    assert samples.flags.c_contiguous


def test_floats_span_from_minus_one_to_one_and_are_clipped() -> None:
    values = np.array([0.0, 1.0, -1.0, 0.5, 3.0, -7.0], np.float32)
    assert to_samples(values, 1)[:, 0].tolist() == [0, 32767, -32767, 16384, 32767, -32767]


@pytest.mark.parametrize(
    ("array", "channels", "expected"),
    [
        (np.zeros((10, 3), np.int16), 2, r"shape \(n, 2\) or \(2, n\), got \(10, 3\)"),
        (np.zeros((2, 2, 2), np.int16), 2, r"got \(2, 2, 2\)"),
        (np.zeros(9, np.int16), 2, r"got \(9,\)"),
        (np.zeros(9, np.int32), 1, "int16, or of float32 from -1 to 1, got int32"),
        ([0, 1], 1, "got list"),
        (np.array([0.0, np.nan], np.float32), 1, "not finite"),
        (np.array([0.0, np.inf], np.float64), 1, "not finite"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(array: Any, channels: int, expected: str) -> None:
    with pytest.raises(FrameError, match=expected):
        to_samples(array, channels)


def test_rates_and_channels_that_cannot_be_had_are_refused() -> None:
    with pytest.raises(FrameError, match="1000 to 384000 Hz, got 10"):
        Resampler(10, 1, 48_000, 1)
    with pytest.raises(FrameError, match="got 0"):
        Resampler(48_000, 1, 0, 1)
    with pytest.raises(FrameError, match="1 or 2 channels, got 6"):
        Resampler(48_000, 6, 48_000, 2)


@pytest.mark.parametrize("rate_hz", ["48000", 48_000.5, None, 0])
def test_what_is_no_rate_is_refused(rate_hz: Any) -> None:
    with pytest.raises(FrameError, match=f"1000 to 384000 Hz, got {rate_hz!r}"):
        Resampler(rate_hz, 1, 48_000, 1)
