"""Sample rates and joined frames."""

from __future__ import annotations

import numpy as np
import pytest

from lknb.errors import FrameError
from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.audio_resampler import AudioResampler, AudioResamplerQuality, combine_audio_frames
from tests.codec.content import frequency_hz


def tone(rate_hz: int, seconds: float = 0.5, channels: int = 1) -> AudioFrame:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)
    return AudioFrame.from_ndarray(np.repeat(wave[:, np.newaxis], channels, axis=1), rate_hz, channels)


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "channels"), [(44_100, 48_000, 1), (48_000, 16_000, 2), (8_000, 24_000, 1)]
)
def test_the_frequency_and_the_length_stay(from_hz: int, to_hz: int, channels: int) -> None:
    resampler = AudioResampler(from_hz, to_hz, num_channels=channels, quality=AudioResamplerQuality.HIGH)
    frames = [*resampler.push(tone(from_hz, channels=channels)), *resampler.flush()]
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(to_hz, channels)}
    whole = combine_audio_frames(frames)
    assert whole.duration == pytest.approx(0.5, abs=0.005)
    assert frequency_hz(whole.to_ndarray(), to_hz) == pytest.approx(440, abs=3)


def test_bytes_are_taken_and_it_can_be_used_again_after_a_flush() -> None:
    resampler = AudioResampler(16_000, 48_000)
    for _ in range(2):
        data = bytearray(tone(16_000).data.tobytes())
        assert combine_audio_frames([*resampler.push(data), *resampler.flush()]).duration == pytest.approx(
            0.5, abs=0.005
        )
    assert resampler.push(bytearray()) == []


def test_what_does_not_fit_is_refused() -> None:
    resampler = AudioResampler(16_000, 48_000)
    with pytest.raises(FrameError, match="expected sound of 16000 Hz and 1 channels, got 8000 Hz and 1"):
        resampler.push(tone(8_000))
    with pytest.raises(FrameError, match="got 3 bytes"):
        resampler.push(bytearray(3))
    with pytest.raises(FrameError, match="1 or 2 channels"):
        AudioResampler(16_000, 48_000, num_channels=6)


def test_frames_are_joined_in_order() -> None:
    first, second = AudioFrame(b"\1\0\2\0", 48_000, 2, 1), AudioFrame(b"\3\0\4\0", 48_000, 2, 1)
    joined = combine_audio_frames([first, second])
    assert joined.to_ndarray().tolist() == [[1, 2], [3, 4]]
    assert combine_audio_frames(first) is first
    with pytest.raises(FrameError, match="at least one"):
        combine_audio_frames([])
    with pytest.raises(FrameError, match="one sample rate"):
        combine_audio_frames([first, AudioFrame(b"\3\0", 48_000, 1, 1)])
