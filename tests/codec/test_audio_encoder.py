"""20 ms of samples in, one Opus packet out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lknb.codec.audio_encoder import FRAME_SAMPLES, AudioEncoder, audio_level
from lknb.codec.opus import is_stereo, packet_duration_us
from lknb.errors import FrameError, MediaError
from lknb.wire.frame import EncodedFrame
from tests.codec.content import sine

SILENCE = np.zeros((FRAME_SAMPLES, 1), np.int16)


def encode(encoder: AudioEncoder, pieces: list[np.ndarray], start: int = 0) -> list[EncodedFrame | None]:
    return [encoder.encode(piece, (start + index) * 20_000) for index, piece in enumerate(pieces)]


@pytest.mark.parametrize("channels", [1, 2])
def test_every_piece_gives_a_packet_of_20_ms(channels: int) -> None:
    frames = encode(AudioEncoder(channels), [sine(channels=channels)] * 5)
    for index, frame in enumerate(frames):
        assert frame is not None
        assert frame.codec == "opus"
        assert frame.timestamp == index * 960
        assert frame.timestamp_us == index * 20_000
        assert packet_duration_us(frame.data) == 20_000
        assert is_stereo(frame.data) == (channels == 2)


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        (np.full(960, 32767, np.int16), 0),
        (np.full(960, -32768, np.int16), 0),
        (np.zeros(960, np.int16), 127),
        (np.full(960, 3277, np.int16), 20),
        (np.full(960, 1, np.int16), 90),
        (sine(amplitude=32767), 3),
        (np.zeros(0, np.int16), 127),
    ],
)
def test_levels_are_those_of_rfc_6464(samples: np.ndarray, level: int) -> None:
    assert audio_level(samples) == level


def test_the_level_goes_with_the_packet() -> None:
    frame = AudioEncoder().encode(sine(amplitude=3277 * math.sqrt(2)), 0)
    assert frame is not None
    assert frame.audio_level == 20


def test_the_bitrate_is_kept() -> None:
    noise = np.random.default_rng(1).normal(0, 3000, (100, FRAME_SAMPLES, 1)).astype(np.int16)
    frames = encode(AudioEncoder(bitrate_bps=32_000), list(noise))
    assert sum(len(frame.data) for frame in frames if frame) * 8 / 2 == pytest.approx(32_000, rel=0.15)


def test_silence_is_sent_without_dtx() -> None:
    assert all(encode(AudioEncoder(), [SILENCE] * 60))


def test_with_dtx_silence_ends_after_200_ms_but_for_a_packet_each_400_ms_and_pauses_are_announced() -> None:
    encoder = AudioEncoder(dtx=True)
    encode(encoder, [sine()] * 5)
    sent = [(index, len(frame.data)) for index, frame in enumerate(encode(encoder, [SILENCE] * 60, 5)) if frame]
    assert [index for index, size in sent if size > 1] == [*range(10), 29, 49]
    assert [index for index, size in sent if size == 1] == [10, 30, 50]


def test_with_dtx_sound_is_sent_from_its_first_piece() -> None:
    encoder = AudioEncoder(dtx=True)
    encode(encoder, [SILENCE] * 30)
    assert all(encode(encoder, [sine(), sine(amplitude=40), sine(amplitude=100)], 30))


def test_pieces_of_another_shape_or_type_are_refused() -> None:
    with pytest.raises(FrameError, match=r"int16 samples of shape \(960, 1\), got int16 \(480, 1\)"):
        AudioEncoder().encode(np.zeros((480, 1), np.int16), 0)
    with pytest.raises(FrameError, match="got float32"):
        AudioEncoder().encode(np.zeros((960, 1), np.float32), 0)  # type: ignore[arg-type]
    with pytest.raises(FrameError, match=r"shape \(960, 2\)"):
        AudioEncoder(2).encode(SILENCE, 0)
    with pytest.raises(MediaError, match="1 or 2 channels, not 6"):
        AudioEncoder(6)
