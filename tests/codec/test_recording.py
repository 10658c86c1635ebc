"""Frames -> files, without a room."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, AudioEncoder
from lknb.codec.clock import AUDIO_CLOCK_HZ
from lknb.codec.recording import open_recording
from lknb.wire.frame import EncodedFrame

BEEPS_US = (240_000, 740_000, 1_240_000)
BEEP_US = 100_000
END_US = 1_600_000
OPUS_DELAY_US = 6_500
"""What the encoder looks ahead, it is heard later."""


def beeps(*, dtx: bool = True) -> list[EncodedFrame]:
    """1,000 Hz at `BEEPS_US`, and between them a sender that is silent."""
    encoder, frames = AudioEncoder(1, dtx=dtx), list[EncodedFrame]()
    for begin_us in range(0, END_US, FRAME_US):
        position = np.arange(FRAME_SAMPLES) / AUDIO_CLOCK_HZ
        loud = any(beep <= begin_us < beep + BEEP_US for beep in BEEPS_US)
        wave = np.sin(2 * np.pi * 1000 * position) * (12_000 if loud else 0)
        frame = encoder.encode(wave.astype(np.int16).reshape(-1, 1), begin_us)
        if frame is not None:
            frames.append(frame)
    return frames


def write(path: Path, frames: list[EncodedFrame], late_us: int) -> None:
    """`late_us`: how long after the recording the sound began."""
    recording = open_recording(path, None, 1)
    for frame in frames:
        recording.write(frame, frame.timestamp_us + late_us)
    recording.finish(END_US + late_us)


def sound_of(path: Path) -> NDArray[np.float64]:
    """What a player plays from second 0 on."""
    sound = np.zeros(0)
    with av.open(str(path)) as file:
        resampler = av.AudioResampler("flt", "mono", AUDIO_CLOCK_HZ)
        for frame in file.decode(audio=0):
            start = round(float(frame.time or 0) * AUDIO_CLOCK_HZ)
            pieces = [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
            sound = np.concatenate((sound, np.zeros(max(0, start - len(sound))), *pieces))
    return sound


def beeps_us(sound: NDArray[np.float64]) -> list[float]:
    loud = np.flatnonzero(np.abs(sound) > 0.1)
    starts = loud[np.diff(loud, prepend=-AUDIO_CLOCK_HZ) > AUDIO_CLOCK_HZ // 10]
    return [float(start) * 1e6 / AUDIO_CLOCK_HZ for start in starts]


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".wav"])
@pytest.mark.parametrize("late_us", [0, 3_300, 19_200, 29_000, 112_000])
def test_sound_lies_where_it_was_captured(tmp_path: Path, suffix: str, late_us: int) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, beeps(), late_us)
    heard_us = beeps_us(sound_of(path))
    assert len(heard_us) == len(BEEPS_US)
    # silence of Opus comes in steps of 2.5 ms, times in WebM in steps of 1 ms
    tolerance_us = 100 if suffix == ".wav" else 1_250 + 600
    assert np.subtract(heard_us, BEEPS_US) == pytest.approx(late_us + OPUS_DELAY_US, abs=tolerance_us)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".wav"])
def test_one_packet_that_is_missing_in_silence_moves_nothing(tmp_path: Path, suffix: str) -> None:
    frames = beeps(dtx=False)
    del frames[50], frames[20]
    path = tmp_path / f"a{suffix}"
    write(path, frames, 0)
    heard_us = beeps_us(sound_of(path))
    assert np.diff(heard_us) == pytest.approx(np.diff(BEEPS_US), abs=500)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_what_was_lost_is_silence_and_what_is_no_packet_is_left_out(tmp_path: Path, suffix: str) -> None:
    frames = beeps(dtx=False)
    for index in (20, 30, 31):
        lost = frames[index]
        frames[index] = EncodedFrame("opus", b"", lost.timestamp, timestamp_us=lost.timestamp_us, concealed=True)
    # code 3 with no frames
    frames[33] = EncodedFrame("opus", b"\xfb", frames[33].timestamp, timestamp_us=frames[33].timestamp_us)
    path = tmp_path / f"a{suffix}"
    write(path, frames, 0)
    heard_us = beeps_us(sound_of(path))
    assert np.diff(heard_us) == pytest.approx(np.diff(BEEPS_US), abs=500)
