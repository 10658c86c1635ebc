"""Pictures and sound to encode: something that moves, and is neither flat nor noise."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from lknb.codec import pixel
from lknb.codec.audio_encoder import FRAME_SAMPLES
from lknb.codec.clock import AUDIO_CLOCK_HZ


def pictures(count: int, width: int = 320, height: int = 180, seed: int = 1) -> list[av.VideoFrame]:
    """A smooth random texture that moves by some pixels from picture to picture, with a little noise, as i420."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (height // 20 + 2, width // 20 + 2), np.uint8)
    texture = np.kron(coarse, np.ones((20, 20), np.uint8))[:height, :width]
    noise = random.integers(0, 6, (height, width), np.uint8)
    made = []
    for index in range(count):
        luma = np.roll(texture, (index, 3 * index), (0, 1)) // 2 + np.roll(noise, index * 7, 1) + 40
        made.append(pixel.from_array(np.repeat(luma[:, :, np.newaxis], 3, axis=2).astype(np.uint8)))
    return [pixel.convert(picture, "i420") for picture in made]


def sine(frames: int = 1, *, hz: float = 440.0, amplitude: float = 8000.0, channels: int = 1) -> NDArray[np.int16]:
    """`frames` times 20 ms at 48 kHz, shape (n, channels)."""
    time_s = np.arange(frames * FRAME_SAMPLES) / AUDIO_CLOCK_HZ
    wave = (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.int16)
    return np.repeat(wave[:, np.newaxis], channels, axis=1)


def frequency_hz(samples: NDArray[np.int16], rate_hz: int = AUDIO_CLOCK_HZ) -> float:
    """The loudest frequency in the first channel."""
    mono = samples.reshape(len(samples), -1)[:, 0].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    return float(np.argmax(spectrum) * rate_hz / len(mono))


def mean_color(picture: av.VideoFrame) -> tuple[int, int, int]:
    """(r, g, b), averaged over the picture."""
    red, green, blue = (round(value) for value in pixel.to_array(picture).reshape(-1, 3).mean(axis=0))
    return red, green, blue
