"""Several sounds, laid out by their capture times."""

from __future__ import annotations

import numpy as np
import pytest

from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, AudioEncoder
from lknb.codec.sound_mix import SoundMix
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame

RATE_HZ = 48_000


def packets(hz: float, count: int, level: float = 0.2) -> list[EncodedFrame]:
    at = np.arange(count * FRAME_SAMPLES) / RATE_HZ
    sound = (32_767 * level * np.sin(2 * np.pi * hz * at)).astype(np.int16).reshape(count, FRAME_SAMPLES, 1)
    encoder = AudioEncoder(1)
    made = [encoder.encode(piece, index * FRAME_US) for index, piece in enumerate(sound)]
    return [frame for frame in made if frame is not None]


def heard(mix: SoundMix, count: int) -> np.ndarray:
    return np.concatenate([mix.pop() for _ in range(count)]).astype(np.float64) / 32_768


def level_at(sound: np.ndarray, hz: float) -> float:
    one = sound[:, 0]
    return float(abs(np.exp(-2j * np.pi * hz * np.arange(len(one)) / RATE_HZ) @ one) * 2 / len(one))


def test_each_is_in_it_from_where_it_was_captured() -> None:
    mix = SoundMix(2)
    for frame in packets(500, 50):
        mix.push("low", frame, frame.timestamp_us)
    for frame in packets(3000, 20):
        mix.push("high", frame, frame.timestamp_us + 300_000)
    sound = heard(mix, 50)
    assert sound.shape == (50 * FRAME_SAMPLES, 2)
    assert (sound[:, 0] == sound[:, 1]).all()
    assert level_at(sound[4800:], 500) == pytest.approx(0.2, abs=0.03)
    quiet, loud, after = sound[: 290 * 48], sound[340 * 48 : 690 * 48], sound[740 * 48 :]
    assert level_at(quiet, 3000) < 0.01
    assert level_at(loud, 3000) == pytest.approx(0.2, abs=0.03)
    assert level_at(after, 3000) < 0.01


def test_one_that_comes_late_in_the_recording_begins_there() -> None:
    mix = SoundMix(1)
    heard(mix, 30)
    for frame in packets(800, 10):
        mix.push("late", frame, frame.timestamp_us + 650_000)
    sound = heard(mix, 15)
    begins_ms = np.flatnonzero(np.abs(sound[:, 0]) > 0.05)[0] / 48
    assert begins_ms == pytest.approx(50, abs=10)


def test_a_hole_is_silence_and_what_has_been_mixed_past_is_dropped() -> None:
    mix = SoundMix(1)
    frames = packets(800, 30)
    for frame in frames[:10]:
        mix.push("alice", frame, frame.timestamp_us)
    first = heard(mix, 15)
    assert np.abs(first[11 * FRAME_SAMPLES :]).max() < 0.05
    # too late by now
    mix.push("alice", frames[10], frames[10].timestamp_us)
    for frame in frames[20:]:
        mix.push("alice", frame, frame.timestamp_us)
    second = heard(mix, 15)
    assert np.abs(second[: 4 * FRAME_SAMPLES]).max() < 0.01
    assert level_at(second[6 * FRAME_SAMPLES :], 800) == pytest.approx(0.2, abs=0.03)


def test_loud_sounds_are_clipped_and_do_not_wrap() -> None:
    mix = SoundMix(1)
    for name in ("one", "two", "three"):
        for frame in packets(400, 20, level=0.6):
            mix.push(name, frame, frame.timestamp_us)
    sound = heard(mix, 20)[4800:, 0]
    assert sound.max() == pytest.approx(1.0, abs=0.001)
    # a wrap would be a step from one end to the other
    assert np.abs(np.diff(sound)).max() < 0.3


def test_who_is_forgotten_is_not_heard_and_a_corrupt_packet_harms_nobody() -> None:
    mix = SoundMix(1)
    for frame in packets(400, 20):
        mix.push("alice", frame, frame.timestamp_us)
        mix.push("bob", frame, frame.timestamp_us)
    with pytest.raises(MediaError):
        mix.push("bob", EncodedFrame(codec="opus", data=b"", timestamp=0), 0)
    mix.forget("bob")
    mix.forget("nobody")
    assert level_at(heard(mix, 20)[4800:], 400) == pytest.approx(0.2, abs=0.03)
