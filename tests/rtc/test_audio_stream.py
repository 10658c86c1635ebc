"""Sound of a remote track."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lknb.codec.clock import now_us
from lknb.errors import FrameError, MediaError, TrackError
from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.audio_stream import AudioFrameEvent, AudioStream, NoiseCancellationOptions
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.wire.frame import EncodedFrame
from tests.codec.content import frequency_hz, sine
from tests.kit.poll import wait_until
from tests.rtc.fake_track import FakeTrack, Microphone
from tests.rtc.scripted_core import ScriptedCore


async def read_all(
    core: ScriptedCore, frames: list[EncodedFrame], count: int, **settings: Any
) -> list[AudioFrameEvent]:
    """Send these frames to a new stream and read `count` events."""
    track = FakeTrack(core, TrackKind.KIND_AUDIO)
    stream = AudioStream(track, **settings)
    first = asyncio.ensure_future(anext(stream))
    await wait_until(lambda: track.flowing)
    for frame in frames:
        track.send(frame)
    events = [await asyncio.wait_for(first, 5)]
    while len(events) < count:
        events.append(await asyncio.wait_for(anext(stream), 5))
    await stream.aclose()
    return events


def joined(events: list[AudioFrameEvent]) -> np.ndarray:
    return np.concatenate([event.frame.to_ndarray() for event in events])


async def test_frames_of_10_ms_at_48_khz_in_mono_unless_told_otherwise(core: ScriptedCore) -> None:
    microphone = Microphone()
    sent = microphone.frames(sine(20))
    events = await read_all(core, sent, 40)
    assert {(e.frame.sample_rate, e.frame.num_channels, e.frame.samples_per_channel) for e in events} == {
        (48_000, 1, 480)
    }
    assert frequency_hz(joined(events)[4800:]) == pytest.approx(440, abs=5)
    assert [event.timestamp_us - sent[0].timestamp_us for event in events] == [10_000 * n for n in range(40)]


@pytest.mark.parametrize(
    ("rate_hz", "channels", "frame_ms", "samples"),
    [(16_000, 1, None, 160), (24_000, 1, 50, 1200), (44_100, 2, 20, 882), (48_000, 2, 100, 4800), (8_000, 1, 30, 240)],
)
async def test_any_rate_channels_and_size(
    core: ScriptedCore, rate_hz: int, channels: int, frame_ms: int | None, samples: int
) -> None:
    sent = Microphone().frames(sine(30))
    count = 550 // (frame_ms or 10)
    events = await read_all(core, sent, count, sample_rate=rate_hz, num_channels=channels, frame_size_ms=frame_ms)
    assert {event.frame.to_ndarray().shape for event in events} == {(samples, channels)}
    assert frequency_hz(joined(events)[rate_hz // 10 :], rate_hz) == pytest.approx(440, abs=6)


async def test_the_age_of_a_piece_of_sound_is_known(core: ScriptedCore) -> None:
    (event,) = await read_all(core, Microphone().frames(sine(1)), 1)
    event.timestamp_us = now_us() - 2_000_000
    assert event.age == pytest.approx(2, abs=0.5)
    event.timestamp_us = now_us() + 9_000_000
    assert event.age == 0


async def test_silence_that_was_not_sent_is_filled_in(core: ScriptedCore) -> None:
    microphone = Microphone()
    sent = microphone.frames(sine(5))
    microphone.tick(20)
    sent += microphone.frames(sine(5))
    sound = joined(await read_all(core, sent, 60))[:, 0].astype(int)
    assert np.abs(sound[500:4700]).max() > 5000
    assert not sound[4800 : 4800 + 19_200].any()
    assert np.abs(sound[24_500:]).max() > 5000


async def test_a_long_absence_is_not_filled_in(core: ScriptedCore) -> None:
    microphone = Microphone()
    sent = microphone.frames(sine(5))
    microphone.tick(500)
    sent += microphone.frames(sine(5))
    events = await read_all(core, sent, 20)
    assert events[-1].timestamp_us - events[0].timestamp_us > 10_000_000


async def test_what_was_lost_is_concealed(core: ScriptedCore) -> None:
    sent = Microphone().frames(sine(20))
    sent[10] = replace(sent[10], data=b"", concealed=True)
    sound = joined(await read_all(core, sent, 40))
    assert len(sound) == 20 * 960
    assert np.abs(sound[9600:10_560].astype(int)).max() > 1000


async def test_a_packet_that_cannot_be_decoded_neither_ends_nor_shortens_the_sound(core: ScriptedCore) -> None:
    sent = Microphone().frames(sine(20))
    sent[10] = replace(sent[10], data=b"\xff" * 3)
    sound = joined(await read_all(core, sent, 40))
    assert len(sound) == 20 * 960


async def test_whoever_reads_slowly_loses_nothing_for_10_seconds_and_then_the_oldest(core: ScriptedCore) -> None:
    track, microphone = FakeTrack(core, TrackKind.KIND_AUDIO), Microphone()
    stream = AudioStream(track)
    first = asyncio.ensure_future(anext(stream))
    await wait_until(lambda: track.flowing)
    sent = microphone.frames(sine(560))
    reader = stream._reader
    assert reader is not None
    for index, frame in enumerate(sent):
        track.send(frame)
        if index % 100 == 0:
            await wait_until(lambda: not reader._frames)
    await first
    await wait_until(lambda: len(reader._ready) == 1000 and not reader._frames)
    event = await anext(stream)
    assert event.timestamp_us - sent[0].timestamp_us == pytest.approx(1_200_000, abs=30_000)
    await stream.aclose()


async def test_capacity_bounds_what_waits(core: ScriptedCore) -> None:
    track, microphone = FakeTrack(core, TrackKind.KIND_AUDIO), Microphone()
    stream = AudioStream(track, capacity=4)
    first = asyncio.ensure_future(anext(stream))
    await wait_until(lambda: track.flowing)
    for frame in microphone.frames(sine(50)):
        track.send(frame)
    await first
    reader = stream._reader
    assert reader is not None
    await wait_until(lambda: not reader._frames)
    assert len(reader._ready) <= 4
    await stream.aclose()


async def test_a_loop_over_a_stream_ends_with_the_track(core: ScriptedCore) -> None:
    track = FakeTrack(core, TrackKind.KIND_AUDIO)

    read: list[AudioFrameEvent] = []

    async def read_all() -> None:
        async for event in AudioStream.from_track(track=track):
            read.append(event)

    reading = asyncio.ensure_future(read_all())
    await wait_until(lambda: track.flowing)
    for frame in Microphone().frames(sine(5)):
        track.send(frame)
    await wait_until(lambda: len(read) == 10)
    track.end()
    await asyncio.wait_for(reading, 5)
    assert len(read) == 10


class Processor:
    enabled = True

    def __init__(self) -> None:
        self.closed = False

    def _process(self, frame: AudioFrame) -> AudioFrame:
        return AudioFrame.create(frame.sample_rate, frame.num_channels, frame.samples_per_channel)

    def _close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("auto_close", [True, False])
async def test_a_frame_processor_changes_every_frame(core: ScriptedCore, auto_close: bool) -> None:
    processor = Processor()
    events = await read_all(
        core,
        Microphone().frames(sine(5)),
        10,
        noise_cancellation=processor,
        auto_close_noise_cancellation=auto_close,
    )
    assert not joined(events).any()
    assert processor.closed == auto_close


async def test_what_cannot_be_had_is_said_at_once(core: ScriptedCore) -> None:
    track = FakeTrack(core, TrackKind.KIND_AUDIO)
    with pytest.raises(FrameError, match="1 or 2 channels, got 5"):
        AudioStream(track, num_channels=5)
    with pytest.raises(FrameError, match="sample rate"):
        AudioStream(track, sample_rate=7)
    with pytest.raises(FrameError, match="1 to 1000 ms"):
        AudioStream(track, frame_size_ms=5000)
    with pytest.raises(MediaError, match="noise cancellation"):
        AudioStream(track, noise_cancellation=NoiseCancellationOptions("bvc", {}))
    with pytest.raises(TrackError, match="AudioStream cannot read"):
        AudioStream(FakeTrack(core))
    with pytest.raises(TypeError):
        AudioStream.from_participant(participant=None, track_source=TrackSource.SOURCE_MICROPHONE)  # type: ignore[arg-type]
