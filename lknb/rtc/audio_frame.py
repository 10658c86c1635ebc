"""A piece of sound, as `livekit.rtc` has it, and as a numpy array."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lknb.codec.resample import to_samples
from lknb.errors import FrameError

_SAMPLE_BYTES = 2


class AudioFrame:
    """Sound in int16, channels interleaved.

    `data` is not copied; it may hold more than `num_channels * samples_per_channel` samples. Raises `FrameError` (a
    ValueError) when it holds fewer, or half a sample; TypeError when it is no buffer.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        sample_rate: int,
        num_channels: int,
        samples_per_channel: int,
        *,
        userdata: dict[str, Any] | None = None,
    ) -> None:
        flat = memoryview(data)
        if not flat.c_contiguous:
            raise FrameError("expected contiguous data, got a strided memoryview")
        flat = flat.cast("B")
        if sample_rate <= 0 or num_channels <= 0 or samples_per_channel < 0:
            shape = f"{sample_rate} Hz, {num_channels} channels, {samples_per_channel} samples"
            raise FrameError(f"expected a sample rate, channels and samples above 0, got {shape}")
        needed = num_channels * samples_per_channel * _SAMPLE_BYTES
        if len(flat) < needed or len(flat) % _SAMPLE_BYTES:
            raise FrameError(f"expected at least {needed} bytes, and a whole number of int16, got {len(flat)}")
        self._data = flat
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._samples_per_channel = samples_per_channel
        self._userdata = {} if userdata is None else userdata

    @staticmethod
    def create(sample_rate: int, num_channels: int, samples_per_channel: int) -> AudioFrame:
        """A frame of silence, whose `data` can be written to."""
        data = bytearray(num_channels * samples_per_channel * _SAMPLE_BYTES)
        return AudioFrame(data, sample_rate, num_channels, samples_per_channel)

    @classmethod
    def from_ndarray(cls, array: NDArray[Any], sample_rate: int, num_channels: int | None = None) -> AudioFrame:
        """A frame with a copy of an array of int16, or of float32 or float64 from -1 to 1.

        Shapes are (n, channels), (channels, n) and (n,); `num_channels` is needed only where (n,) holds more than one
        channel, or where the shape is ambiguous. Raises `FrameError`, which says what was expected.
        """
        if num_channels is None:
            num_channels = 1 if np.ndim(array) != 2 else int(min(np.shape(array)))
        samples = to_samples(array, max(1, num_channels))
        return cls(samples.tobytes(), sample_rate, samples.shape[1], samples.shape[0])

    @property
    def userdata(self) -> dict[str, Any]:
        """Whatever the application puts there; it is not sent."""
        return self._userdata

    @property
    def data(self) -> memoryview:
        """The samples, as int16."""
        return self._data.cast("h")

    @property
    def sample_rate(self) -> int:
        """Samples of one channel in a second."""
        return self._sample_rate

    @property
    def num_channels(self) -> int:
        """1 for mono, 2 for stereo."""
        return self._num_channels

    @property
    def samples_per_channel(self) -> int:
        """Samples of one channel in this frame."""
        return self._samples_per_channel

    @property
    def duration(self) -> float:
        """Seconds."""
        return self._samples_per_channel / self._sample_rate

    def to_ndarray(self) -> NDArray[np.int16]:
        """The samples as a new array of int16, of shape (samples_per_channel, num_channels)."""
        count = self._samples_per_channel * self._num_channels
        return np.frombuffer(self._data, np.int16, count).reshape(-1, self._num_channels).copy()

    def to_wav_bytes(self) -> bytes:
        """The sound as a WAV file."""
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(self._num_channels)
            file.setsampwidth(_SAMPLE_BYTES)
            file.setframerate(self._sample_rate)
            file.writeframes(self._data[: self._samples_per_channel * self._num_channels * _SAMPLE_BYTES])
        return buffer.getvalue()

    def __repr__(self) -> str:
        return (
            f"rtc.AudioFrame(sample_rate={self._sample_rate}, num_channels={self._num_channels}, "
            f"samples_per_channel={self._samples_per_channel}, duration={self.duration:.3f})"
        )
