"""Sound of one sample rate -> another."""

from __future__ import annotations

from enum import StrEnum, unique

import numpy as np

from lknb.codec.audio_encoder import Samples
from lknb.codec.resample import Resampler
from lknb.errors import FrameError
from lknb.rtc.audio_frame import AudioFrame


@unique
class AudioResamplerQuality(StrEnum):
    """What `livekit.rtc` offers. lknb resamples in one quality, whatever is chosen: that of FFmpeg's libswresample."""

    QUICK = "quick"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    VERY_HIGH = "very_high"


class AudioResampler:
    """Changes the sample rate of int16 sound, piece by piece; a few milliseconds are held back until `flush`.

    Rates are in Hz, `num_channels` is 1 or 2. Raises `FrameError` for others.
    """

    def __init__(
        self,
        input_rate: int,
        output_rate: int,
        *,
        num_channels: int = 1,
        quality: AudioResamplerQuality = AudioResamplerQuality.MEDIUM,
    ) -> None:
        self._shape = (input_rate, num_channels, output_rate, num_channels)
        self._resampler = Resampler(*self._shape)

    def push(self, data: bytearray | AudioFrame) -> list[AudioFrame]:
        """The sound that a frame, or the bytes of int16 samples, completes: no frame or one.

        Raises `FrameError` for a frame of another rate or other channels, and for half a sample.
        """
        rate_hz, channels, _, _ = self._shape
        if isinstance(data, AudioFrame):
            if (data.sample_rate, data.num_channels) != (rate_hz, channels):
                got = f"{data.sample_rate} Hz and {data.num_channels}"
                raise FrameError(f"expected sound of {rate_hz} Hz and {channels} channels, got {got}")
            samples = data.to_ndarray()
        else:
            if len(data) % (2 * channels):
                raise FrameError(
                    f"expected a whole number of int16 samples in {channels} channels, got {len(data)} bytes"
                )
            samples = np.frombuffer(bytes(data), np.int16).reshape(-1, channels)
        return self._frames(self._resampler.push(samples))

    def flush(self) -> list[AudioFrame]:
        """What is held back: no frame or one. What is pushed next begins anew."""
        rest = self._resampler.flush()
        self._resampler = Resampler(*self._shape)
        return self._frames(rest)

    def _frames(self, samples: Samples) -> list[AudioFrame]:
        _, channels, rate_hz, _ = self._shape
        return [AudioFrame(samples.tobytes(), rate_hz, channels, len(samples))] if len(samples) else []


def combine_audio_frames(buffer: AudioFrame | list[AudioFrame]) -> AudioFrame:
    """Frames one after the other as one frame; a single frame as it is.

    Raises `FrameError` (a ValueError) for an empty list, and for frames of different rates or channels.
    """
    if isinstance(buffer, AudioFrame):
        return buffer
    if not buffer:
        raise FrameError("expected at least one frame, got none")
    kinds = {(frame.sample_rate, frame.num_channels) for frame in buffer}
    if len(kinds) > 1:
        raise FrameError(f"expected frames of one sample rate and number of channels, got {sorted(kinds)}")
    samples = np.concatenate([frame.to_ndarray() for frame in buffer])
    return AudioFrame(samples.tobytes(), buffer[0].sample_rate, buffer[0].num_channels, len(samples))
