"""Sound of the notebook on its way to the core."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.clock import now_us
from lknb.codec.opus import is_stereo
from lknb.core.source import samples
from lknb.errors import FrameError
from lknb.rtc import audio_source
from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.audio_source import AudioSource
from lknb.rtc.source import Encoding
from lknb.wire.frame import EncodedFrame
from tests.codec.content import frequency_hz, sine
from tests.kit.poll import TIME_FACTOR, wait_until
from tests.rtc.sounding_core import SoundingCore


class Published:
    """A source that is open in the core, and what arrives there."""

    def __init__(self, core: SoundingCore, source: AudioSource) -> None:
        self.core = core
        self.source = source
        self.handle = 0

    async def open(self, **encoding: Any) -> Published:
        opened = await self.source.open(self.core, Encoding("opus", **encoding))  # type: ignore[arg-type]
        self.handle = opened.handle
        return self

    @property
    def frames(self) -> list[EncodedFrame]:
        return self.core.sound(self.handle)

    async def wait(self, count: int) -> list[EncodedFrame]:
        await wait_until(lambda: len(self.frames) >= count, what=lambda: f"{count} packets, not {len(self.frames)}")
        return self.frames

    async def close(self) -> None:
        await self.source.release(self.handle)
        await self.source.aclose()


@pytest_asyncio.fixture
async def published(sounding_core: SoundingCore) -> AsyncIterator[Published]:
    made = await Published(sounding_core, AudioSource(48_000, 1)).open()
    yield made
    await made.close()


@pytest.fixture
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the machine is, it leaves nothing out, and what comes late is no new beginning."""
    monkeypatch.setattr(samples, "_LATE_US", 20_000_000)
    for module, name in ((samples, "_REST_US"), (audio_source, "PAUSE_US")):
        monkeypatch.setattr(module, name, 10_000_000)


def decoded(frames: list[EncodedFrame], channels: int = 1) -> np.ndarray:
    decoder = AudioDecoder(channels)
    return np.concatenate([decoder.decode(frame) for frame in frames])


def sound(seconds: float, rate_hz: int = 48_000, channels: int = 1) -> AudioFrame:
    wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)
    return AudioFrame.from_ndarray(np.repeat(wave.astype(np.int16), channels), rate_hz, channels)


async def test_opening_tells_the_core_what_will_come(sounding_core: SoundingCore) -> None:
    published = await Published(sounding_core, AudioSource(24_000, 2)).open()
    (request,) = sounding_core.sent("source_open")
    assert (request["kind"], request["type"], request["channels"], request["dtx"]) == ("audio", "samples", 2, True)
    await published.close()
    assert sounding_core.sent("source_close") == [{"op": "source_close", "source": published.handle}]


@pytest.mark.usefixtures("no_hurry")
async def test_sound_is_sent_in_real_time_in_packets_of_20_ms(published: Published) -> None:
    began = time.monotonic()
    await published.source.capture_frame(sound(0.4))
    frames = await published.wait(20)
    assert time.monotonic() - began >= 0.375
    assert {later.timestamp - earlier.timestamp for earlier, later in pairwise(frames)} == {960}
    assert {later.timestamp_us - earlier.timestamp_us for earlier, later in pairwise(frames)} == {20_000}
    assert frequency_hz(decoded(frames)[4800:]) == pytest.approx(440, abs=5)
    assert frames[5].audio_level == 15


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (24_000, 1), (44_100, 2), (11_025, 1)])
async def test_any_rate_and_both_channel_counts(
    sounding_core: SoundingCore, rate_hz: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_LATE_US", 20_000_000)
    published = await Published(sounding_core, AudioSource(rate_hz, channels)).open()
    await published.source.capture_frame(sound(0.3, rate_hz, channels))
    frames = await published.wait(15)
    assert is_stereo(frames[0].data) == (channels == 2)
    assert frequency_hz(decoded(frames, channels)[4800:]) == pytest.approx(440, abs=8)
    await published.close()


async def test_live_sound_in_small_frames_is_not_held_back(published: Published) -> None:
    for index in range(30):
        await published.source.capture_frame(AudioFrame.from_ndarray(sine(1)[:480], 48_000))
        await asyncio.sleep(0.01)
        assert published.source.queued_duration < 0.06, index
    await published.source.wait_for_playout()
    # 300 ms, in real time as good as the loop keeps it
    assert 14 <= len(published.frames) <= 20
    assert min(later.timestamp - earlier.timestamp for earlier, later in pairwise(published.frames)) == 960


@pytest.mark.usefixtures("no_hurry")
async def test_half_a_packet_waits_for_its_other_half(published: Published) -> None:
    halves = np.split(sine(5), 10)
    await published.source.capture_frame(halves[0])
    await asyncio.sleep(0.01)  # so late it comes
    for half in halves[1:]:
        await published.source.capture_frame(half)
    frames = await published.wait(5)
    assert {frame.audio_level for frame in frames} == {15}


async def test_capturing_waits_while_the_queue_is_full(sounding_core: SoundingCore) -> None:
    source = AudioSource(48_000, 1, queue_size_ms=100)
    began = time.monotonic()
    await source.capture_frame(sound(0.1))
    assert time.monotonic() - began < 0.5
    await source.capture_frame(sound(0.2))
    assert 0.15 < time.monotonic() - began < 2.0
    queued_s = source.queued_duration
    # as soon as there was room: what has not been played meanwhile is all there
    assert 0.3 - (time.monotonic() - began) <= queued_s < 0.14
    await source.aclose()


async def test_time_passes_whether_it_is_published_or_not() -> None:
    source = AudioSource(48_000, 1)
    assert source.queued_duration == 0
    began = time.monotonic()
    await source.capture_frame(sound(0.2))
    queued_s = source.queued_duration
    assert 0.2 - (time.monotonic() - began) <= queued_s <= 0.2
    await source.wait_for_playout()
    assert 0.2 <= time.monotonic() - began < 2.0
    assert source.queued_duration == 0
    await source.wait_for_playout()
    await source.aclose()


async def test_a_queue_that_is_cleared_is_silent_at_once(published: Published) -> None:
    await published.source.capture_frame(sound(0.8))
    await published.wait(2)
    published.source.clear_queue()
    sent = len(published.frames)
    assert published.source.queued_duration <= 0.025
    await published.source.wait_for_playout()
    assert len(published.frames) <= sent + 2


async def test_clearing_lets_go_who_waits_for_room(sounding_core: SoundingCore) -> None:
    source = AudioSource(48_000, 1, queue_size_ms=20)
    waiting = asyncio.ensure_future(source.capture_frame(sound(5.0)))
    await wait_until(lambda: source.queued_duration > 1)
    source.clear_queue()
    await asyncio.wait_for(waiting, 1)
    await source.aclose()


async def test_an_empty_queue_sends_nothing_and_later_sound_has_a_later_time(published: Published) -> None:
    await published.source.capture_frame(sound(0.04))
    await published.wait(2)
    await asyncio.sleep(0.3)  # so long there is nothing to send
    assert len(published.frames) == 2
    await published.source.capture_frame(sound(0.04))
    frames = await published.wait(4)
    assert frames[2].timestamp - frames[1].timestamp > 48_000 * 0.25
    assert frames[3].timestamp - frames[2].timestamp == 960


async def test_the_end_of_what_was_said_is_filled_up_with_silence(published: Published) -> None:
    await published.source.capture_frame(sound(0.05))
    began = time.monotonic()
    await published.source.wait_for_playout()
    assert len(published.frames) == 3
    # nothing is waited for that nobody will capture; 60 ms are played
    assert time.monotonic() - began < 0.5 * TIME_FACTOR


@pytest.mark.parametrize(
    "array",
    [
        sine(5),
        sine(5)[:, 0],
        sine(5).T,
        (sine(5) / 32768).astype(np.float32),
        (sine(5)[:, 0] / 32768),
    ],
    ids=["column", "flat", "row", "float32", "float64"],
)
async def test_arrays_are_taken(published: Published, array: np.ndarray) -> None:
    await published.source.capture_frame(array)
    frames = await published.wait(5)
    assert frames[3].audio_level == pytest.approx(15, abs=1)


async def test_an_array_is_copied(published: Published) -> None:
    array = sine(5)
    await published.source.capture_frame(array)
    array[:] = 0
    assert (await published.wait(5))[4].audio_level == 15


async def test_what_is_no_sound_is_refused(published: Published) -> None:
    source = published.source
    with pytest.raises(FrameError, match="48000 Hz and 1 channels, got 24000 Hz and 1"):
        await source.capture_frame(sound(0.1, 24_000))
    with pytest.raises(FrameError, match="got 48000 Hz and 2"):
        await source.capture_frame(sound(0.1, channels=2))
    with pytest.raises(FrameError, match="got int32"):
        await source.capture_frame(np.zeros(10, np.int32))
    with pytest.raises(FrameError, match="got bytes"):
        await source.capture_frame(b"\0\0")  # type: ignore[arg-type]
    await source.capture_frame(AudioFrame(b"", 48_000, 1, 0))
    for arguments in ((10, 1), (48_000, 0), (48_000, 6), (48_000, 1, -1)):
        with pytest.raises(FrameError):
            AudioSource(*arguments)


@pytest.mark.usefixtures("no_hurry")
async def test_silence_is_not_sent_with_dtx_and_sent_without(sounding_core: SoundingCore) -> None:
    # the last one announces the pause
    for dtx, expected in ((True, 10 + 1), (False, 20)):
        published = await Published(sounding_core, AudioSource(48_000, 1)).open(dtx=dtx)
        await published.source.capture_frame(np.zeros(960 * 20, np.int16))
        await published.source.wait_for_playout()
        assert len(published.frames) == expected
        await published.close()


@pytest.mark.usefixtures("no_hurry")
async def test_stereo_has_no_dtx(sounding_core: SoundingCore) -> None:
    published = await Published(sounding_core, AudioSource(48_000, 2)).open(dtx=True)
    await published.source.capture_frame(np.zeros((960 * 15, 2), np.int16))
    await published.source.wait_for_playout()
    assert len(published.frames) == 15
    await published.close()


async def test_two_publications_get_the_same_sound(sounding_core: SoundingCore) -> None:
    source = AudioSource(48_000, 1)
    first = await Published(sounding_core, source).open()
    second = await Published(sounding_core, source).open()
    await source.capture_frame(sound(0.1))
    assert [frame.timestamp for frame in await first.wait(5)] == [frame.timestamp for frame in await second.wait(5)]
    await first.source.release(first.handle)
    await second.close()


async def test_a_closed_source_takes_nothing_and_lets_go_who_waits() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=20)
    waiting = asyncio.ensure_future(source.capture_frame(sound(5.0)))
    await wait_until(lambda: source.queued_duration > 1)
    await source.aclose()
    await asyncio.wait_for(waiting, 1)
    await source.capture_frame(sound(1.0))
    await source.wait_for_playout()
    assert source.queued_duration == 0


async def test_it_needs_no_thread() -> None:
    before = set(threading.enumerate())
    source = AudioSource(48_000, 1)
    await source.capture_frame(sound(0.06))
    assert set(threading.enumerate()) == before
    await source.wait_for_playout()


def test_a_source_outlives_the_loop_it_was_used_in() -> None:
    source = AudioSource(48_000, 1)

    async def play() -> None:
        await source.capture_frame(sound(0.06))
        await source.wait_for_playout()

    asyncio.run(play())
    asyncio.run(play())
    asyncio.run(source.aclose())


@pytest.mark.usefixtures("no_hurry")
async def test_what_is_queued_plays_on_while_nothing_else_runs_here(published: Published) -> None:
    await published.source.capture_frame(sound(0.9))
    # as a cell that computes
    time.sleep(0.7)
    frames = published.frames
    assert len(frames) >= 25
    assert {later.timestamp - earlier.timestamp for earlier, later in pairwise(frames)} == {960}


async def test_what_was_captured_before_it_is_published_is_sent_from_where_it_is(sounding_core: SoundingCore) -> None:
    source = AudioSource(48_000, 1)
    for piece in np.split(sine(40), 4):
        await source.capture_frame(piece)
    await asyncio.sleep(0.25)  # so long nobody hears it
    published = await Published(sounding_core, source).open()
    await source.wait_for_playout()
    assert 15 <= len(published.frames) <= 28
    assert published.frames[0].timestamp_us < published.frames[-1].timestamp_us - 14 * 20_000
    await published.close()


async def test_sound_of_any_length_comes_at_once(sounding_core: SoundingCore) -> None:
    published = await Published(sounding_core, AudioSource(48_000, 2)).open()
    waiting = asyncio.ensure_future(published.source.capture_frame(np.zeros((48_000 * 300, 2), np.int16)))
    await wait_until(lambda: published.source.queued_duration > 55)
    # the rest is handed over later, or not at all
    assert published.source.queued_duration < 70
    published.source.clear_queue()
    await asyncio.wait_for(waiting, 1)
    assert published.source.queued_duration < 0.03
    await published.close()


async def test_what_is_captured_after_clearing_is_heard_at_once(published: Published) -> None:
    await published.source.capture_frame(sound(0.9))
    await published.wait(3)
    cleared_us = now_us()
    published.source.clear_queue()
    sent = len(published.frames)
    await published.source.capture_frame(sound(0.2))
    captured_us = now_us()
    await published.source.wait_for_playout()
    frames = published.frames
    assert len(frames) <= sent + 12
    gap_us = max(later.timestamp_us - earlier.timestamp_us for earlier, later in pairwise(frames))
    assert gap_us <= 20_000 + 25_000 + captured_us - cleared_us


async def test_a_closed_source_is_silent_in_the_core_too(published: Published) -> None:
    await published.source.capture_frame(sound(0.9))
    await published.wait(2)
    await published.source.aclose()
    sent = len(published.frames)
    await asyncio.sleep(0.2)  # so long nothing comes
    assert len(published.frames) <= sent + 1


def test_its_repr_is_stable() -> None:
    assert repr(AudioSource(48_000, 2)) == "rtc.AudioSource(sample_rate=48000, num_channels=2)"
