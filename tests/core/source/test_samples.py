"""Sound handed over ahead of time, as a source."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.clock import now_us
from lknb.codec.opus import is_stereo
from lknb.core.source import samples
from lknb.core.source.samples import SampleSource
from lknb.errors import MediaError
from lknb.wire.frame import AUDIO_LEVEL_SILENT, EncodedFrame
from tests.codec.content import frequency_hz
from tests.core.source.media import Recorder
from tests.kit.poll import TIME_FACTOR, wait_until_sync

MS = 48
"""Samples."""
RATE_HZ = 48_000
LEVEL = 15
"""Of a tone, in -dBov."""
MARK_LEVEL = 35


def tone(milliseconds: float, channels: int = 1, *, level: int = LEVEL) -> bytes:
    wave = 8000 * 10 ** ((LEVEL - level) / 20) * np.sin(2 * np.pi * 440 * np.arange(round(milliseconds * MS)) / RATE_HZ)
    return np.repeat(wave.astype(np.int16), channels).tobytes()


def gaps(frames: list[EncodedFrame]) -> list[int]:
    """What lies between packets, in microseconds."""
    return [later.timestamp_us - earlier.timestamp_us for earlier, later in itertools.pairwise(frames)]


class Playing:
    """A source that runs, and what it sends."""

    def __init__(self, **parameters: Any) -> None:
        self.source = SampleSource(**{"channels": 1, **parameters})
        self.channels = 2 if self.source.stereo else 1
        self.end_us = 0
        self.recorder = Recorder()
        self.source.start(self.recorder)

    def wait(self, count: int) -> list[EncodedFrame]:
        return self.recorder.wait(count)

    @property
    def frames(self) -> list[EncodedFrame]:
        return list(self.recorder.frames)

    def push(self, data: bytes, due_us: int) -> None:
        self.source.push(data, due_us)
        self.end_us = max(self.end_us, due_us) + len(data) // (2 * self.channels) * 1_000_000 // RATE_HZ

    def settle(self) -> list[EncodedFrame]:
        """All that came of what was pushed: other sound is pushed behind it, and waited for."""
        # so much that some of it is in time on any machine
        self.source.push(tone(2000, self.channels, level=MARK_LEVEL), max(now_us(), self.end_us) + 10_000)
        levels: list[int] = []

        def has_come() -> bool:
            levels[:] = [frame.audio_level for frame in self.frames]
            return MARK_LEVEL in levels

        wait_until_sync(has_come, what=lambda: f"the mark, but {levels}", interval_s=0.005)
        return self.frames[: levels.index(MARK_LEVEL)]


@pytest.fixture
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the machine is, nothing is left out."""
    monkeypatch.setattr(samples, "_LATE_US", 20_000_000)


@pytest.fixture
def playing() -> Iterator[Playing]:
    made = Playing()
    yield made
    made.source.stop()


@pytest.mark.usefixtures("no_hurry")
def test_each_packet_is_sent_when_it_is_due(playing: Playing) -> None:
    due_us = now_us() + 30_000
    playing.push(tone(400), due_us)
    frames = playing.wait(20)
    assert [frame.timestamp_us for frame in frames] == [due_us + 20_000 * index for index in range(20)]
    assert {later.timestamp - earlier.timestamp for earlier, later in itertools.pairwise(frames)} == {960}
    assert playing.recorder.lateness_ms[0] >= 0
    assert playing.recorder.lateness_ms[10] < 15 * TIME_FACTOR
    decoder = AudioDecoder()
    sound = np.concatenate([decoder.decode(frame) for frame in frames])
    assert frequency_hz(sound[4800:]) == pytest.approx(440, abs=5)
    assert frames[5].audio_level == LEVEL


@pytest.mark.usefixtures("no_hurry")
def test_pieces_of_any_size_make_one_sound(playing: Playing) -> None:
    whole = tone(300)
    # it waits until all is pushed
    due_us, begin = now_us() + 200_000, 0
    # 441 samples are no whole number of microseconds
    for size in itertools.cycle((441, 37, 1200)):
        if begin >= len(whole) // 2:
            break
        playing.push(whole[2 * begin : 2 * (begin + size)], due_us + begin * 1_000_000 // RATE_HZ)
        begin += size
    frames = playing.wait(15)
    assert set(gaps(frames)) == {20_000}
    assert {frame.audio_level for frame in frames} == {LEVEL}


@pytest.mark.usefixtures("no_hurry")
def test_sound_after_a_pause_has_the_time_it_is_due(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    # whoever would wait for a rest would still wait when the pause is over
    monkeypatch.setattr(samples, "_REST_US", 10_000_000)
    due_us = now_us()
    playing.push(tone(50), due_us)
    playing.push(tone(40), due_us + 1_000_000)
    frames = playing.wait(5)
    # what is followed by a pause is filled up with silence, and waits for nothing
    assert [frame.timestamp_us - due_us for frame in frames] == [0, 20_000, 40_000, 1_000_000, 1_020_000]
    assert playing.recorder.times_us[2] < due_us + 1_000_000


@pytest.mark.usefixtures("no_hurry")
def test_less_than_a_packet_waits_for_the_rest(playing: Playing, monkeypatch: pytest.MonkeyPatch) -> None:
    # as long as it takes this machine to push it
    monkeypatch.setattr(samples, "_REST_US", 10_000_000)
    due_us = now_us()
    playing.push(tone(10), due_us)
    wait_until_sync(lambda: now_us() > due_us + 30_000)
    assert not playing.frames
    playing.push(tone(10), due_us + 10_000)
    assert playing.wait(1)[0].audio_level == LEVEL
    assert len(playing.settle()) == 1


@pytest.mark.usefixtures("no_hurry")
def test_a_rest_that_does_not_come_is_silence(playing: Playing) -> None:
    due_us = now_us()
    playing.push(tone(10), due_us)
    # half the power is 3 dB
    assert playing.wait(1)[0].audio_level == LEVEL + 3
    assert playing.recorder.times_us[0] >= due_us + 80_000
    # what belongs to it all the same comes after it
    playing.push(tone(20), due_us + 10_000)
    assert gaps(playing.wait(2)) == [20_000]


def test_what_is_too_late_is_left_out(playing: Playing) -> None:
    pushed_us = now_us()
    due_us = pushed_us - 700_000
    playing.push(tone(2000), due_us)
    frames = playing.wait(10)
    assert pushed_us - 20_000 < frames[0].timestamp_us <= playing.recorder.times_us[0]
    assert (frames[0].timestamp_us - due_us) % 20_000 == 0
    assert set(gaps(frames)) == {20_000}


def test_what_was_due_before_the_start_is_not_sent() -> None:
    source, recorder = SampleSource(channels=1), Recorder()
    began = now_us()
    # past altogether, then half of it
    source.push(tone(20), began - 300_000)
    source.push(tone(1000), began - 150_000)
    source.start(recorder)
    frames = recorder.wait(5)
    source.stop()
    assert frames[0].timestamp_us > began - 20_000


def test_clearing_leaves_silence_at_once(playing: Playing) -> None:
    playing.push(tone(500), now_us())
    playing.push(tone(500), now_us() + 600_000)
    playing.wait(2)
    playing.source.clear()
    before = playing.frames
    # what comes then never has a time that was sent already, and of what was cleared no more than the packet under way
    playing.end_us = 0
    playing.push(tone(500, level=LEVEL + 6), before[-1].timestamp_us)
    frames = playing.settle()
    old = [frame for frame in frames if frame.audio_level == LEVEL]
    assert len(before) <= len(old) <= len(before) + 1
    assert {frame.audio_level for frame in frames[len(old) :]} == {LEVEL + 6}
    assert min(gaps(frames)) == 20_000


def test_muting_stops_packets_and_not_the_clock(playing: Playing) -> None:
    playing.push(tone(1000), now_us())
    playing.wait(3)
    playing.source.control("mute", muted=True)
    time.sleep(0.4)  # so long that of what was due meanwhile most is left out, however late the thread is
    held = len(playing.frames)
    playing.source.control("mute", muted=False)
    gap = gaps(playing.wait(held + 3))[held - 1]
    assert gap >= 5 * 20_000
    assert gap % 20_000 == 0


@pytest.mark.usefixtures("no_hurry")
def test_silence_is_a_pause_with_dtx_in_one_channel_only() -> None:
    for channels, expected in ((1, 10 + 1), (2, 20)):
        playing = Playing(channels=channels, dtx=True)
        playing.push(bytes(400 * MS * 2 * channels), now_us())
        frames = playing.wait(expected)
        assert is_stereo(frames[0].data) == playing.source.stereo == (channels == 2)
        assert {frame.audio_level for frame in frames} == {AUDIO_LEVEL_SILENT}
        assert len(playing.settle()) == expected
        playing.source.stop()


@pytest.mark.usefixtures("no_hurry")
@pytest.mark.parametrize(
    ("data", "due_us"), [(b"", 0), (b"123", 0), (b"12", 0), (bytes(8), None), (bytes(8), 1.5), (bytes(8), True)]
)
def test_what_is_no_sound_is_refused_and_nothing_lost(data: bytes, due_us: Any) -> None:
    playing = Playing(channels=2)
    begin_us = now_us() + 20_000
    playing.push(tone(40, 2), begin_us)
    with pytest.raises(MediaError, match="2 channels"):
        playing.push(data, due_us)
    playing.push(tone(40, 2), begin_us + 40_000)
    assert set(gaps(playing.wait(4))) == {20_000}
    playing.source.stop()


@pytest.mark.parametrize("parameters", [{"channels": 3}, {"channels": "mono"}])
def test_other_channels_cannot_be_had(parameters: dict[str, Any]) -> None:
    with pytest.raises(MediaError):
        SampleSource(**parameters)


def test_it_stops_with_sound_in_the_queue(playing: Playing) -> None:
    playing.push(tone(5000), now_us())
    playing.wait(1)
    began = time.monotonic()
    playing.source.stop()
    assert time.monotonic() - began < 0.5 * TIME_FACTOR
    assert not any(thread.name == "lknb-SampleSource" for thread in threading.enumerate())
    sent = len(playing.frames)
    playing.push(tone(40), now_us())
    assert len(playing.frames) == sent
