"""Sample rates, channels and sample formats."""

from __future__ import annotations

from fractions import Fraction
from numbers import Integral
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from lknb.codec.audio_encoder import Samples
from lknb.errors import FrameError, MediaError

MIN_RATE_HZ = 1_000
MAX_RATE_HZ = 384_000

_LAYOUTS = {1: "mono", 2: "stereo"}


def to_samples(array: NDArray[Any], channels: int) -> Samples:
    """Sound as int16 of shape (n, channels).

    Takes int16, and float32 or float64 from -1 to 1 (louder is clipped), in shape (n, channels), (channels, n), and
    (n,) for one channel or interleaved channels. Raises `FrameError`, which names what was expected.
    """
    if not isinstance(array, np.ndarray) or array.dtype not in (np.int16, np.float32, np.float64):
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise FrameError(f"expected a numpy array of int16, or of float32 from -1 to 1, got {got}")
    shaped = _shape(array, channels)
    if array.dtype == np.int16:
        return np.ascontiguousarray(shaped, np.int16)
    if not np.isfinite(shaped).all():
        raise FrameError("expected samples from -1 to 1, got some that are not finite")
    return np.ascontiguousarray(np.rint(np.clip(shaped, -1.0, 1.0) * 32767.0), np.int16)


def _shape(array: NDArray[Any], channels: int) -> NDArray[Any]:
    if array.ndim == 1 and array.size % channels == 0:
        return array.reshape(-1, channels)
    if array.ndim == 2 and array.shape[1] == channels:
        return array
    if array.ndim == 2 and array.shape[0] == channels:
        return array.T
    raise FrameError(f"expected samples of shape (n, {channels}) or ({channels}, n), got {array.shape}")


class Resampler:
    """Converts int16 sound between sample rates, and between one and two channels. For one thread.

    It holds a few milliseconds back, which `flush` gives. Raises `FrameError` for a rate outside 1,000 to 384,000 Hz
    or other channels.
    """

    def __init__(self, from_rate_hz: int, from_channels: int, to_rate_hz: int, to_channels: int) -> None:
        for rate_hz in (from_rate_hz, to_rate_hz):
            if not isinstance(rate_hz, Integral) or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
                raise FrameError(f"expected a sample rate of {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz, got {rate_hz!r}")
        for channels in (from_channels, to_channels):
            if not isinstance(channels, Integral) or channels not in _LAYOUTS:
                raise FrameError(f"expected 1 or 2 channels, got {channels!r}")
        self._from_rate_hz = from_rate_hz
        self._from_channels = from_channels
        self._to_channels = to_channels
        self._position = 0
        self._is_same = (from_rate_hz, from_channels) == (to_rate_hz, to_channels)
        self._frames = FrameResampler(to_rate_hz, to_channels)

    def push(self, samples: Samples) -> Samples:
        """Convert int16 samples of shape (n, channels); the result has another n."""
        if self._is_same or not samples.size:
            return samples.reshape(-1, self._to_channels)
        packed = np.ascontiguousarray(samples).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=_LAYOUTS[self._from_channels])
        frame.sample_rate = self._from_rate_hz
        frame.time_base = Fraction(1, self._from_rate_hz)
        frame.pts = self._position
        self._position += len(samples)
        return self._frames.push(frame)

    def flush(self) -> Samples:
        """What is still held back. Nothing can be pushed after it."""
        return self._frames.flush()


class FrameResampler:
    """Converts decoded sound of any format, rate and layout to int16 of one rate with one or two channels. For one
    thread."""

    def __init__(self, to_rate_hz: int, to_channels: int) -> None:
        self._to_rate_hz = to_rate_hz
        self._to_channels = to_channels
        self._resampler: av.AudioResampler | None = None
        self._input: tuple[str, str, int] | None = None

    def push(self, frame: av.AudioFrame) -> Samples:
        """The samples of a frame, of shape (n, channels). A stream may change its format. Raises `MediaError`."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        held = self.flush() if self._input not in (None, shape) else None
        if self._resampler is None:
            self._resampler = av.AudioResampler("s16", _LAYOUTS[self._to_channels], self._to_rate_hz)
            self._input = shape
        converted = self._resample(self._resampler, frame)
        return converted if held is None else np.concatenate((held, converted))

    def flush(self) -> Samples:
        """What is still held back; the next frame begins anew."""
        resampler, self._resampler, self._input = self._resampler, None, None
        if resampler is None:
            return np.zeros((0, self._to_channels), np.int16)
        return self._resample(resampler, None)

    def _resample(self, resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Samples:
        try:
            pieces = resampler.resample(frame)
        except av.FFmpegError as error:
            raise MediaError(f"resampling failed: {error}") from error
        arrays = [cast(Samples, piece.to_ndarray()).reshape(-1, self._to_channels) for piece in pieces]
        return np.concatenate(arrays) if arrays else np.zeros((0, self._to_channels), np.int16)
