"""Pictures of a remote track."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import numpy as np
import pytest

from lknb.codec.clock import now_us
from lknb.errors import DisconnectedError, TrackError
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.event_emitter import EventEmitter
from lknb.rtc.video_buffer_type import VideoBufferType, VideoRotation
from lknb.rtc.video_stream import VideoFrameEvent, VideoStream
from tests.kit.poll import wait_until
from tests.rtc.fake_track import Camera, FakeTrack
from tests.rtc.scripted_core import ScriptedCore


async def begin(stream: VideoStream, track: FakeTrack) -> asyncio.Future[VideoFrameEvent]:
    """Iterate once; returns when the frames would flow."""
    waiting = asyncio.ensure_future(anext(stream))
    await wait_until(lambda: track.flowing)
    return waiting


def color_of(event: VideoFrameEvent) -> tuple[int, ...]:
    return tuple(int(value) for value in event.frame.to_ndarray().reshape(-1, 3).mean(axis=0))


async def test_pictures_come_as_i420_with_their_time(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera()
    stream = VideoStream(track)
    waiting = await begin(stream, track)
    sent = camera.frame("#c80a1e")
    assert sent is not None
    track.send(sent)
    event = await waiting
    assert event.frame.type == VideoBufferType.I420
    assert (event.frame.width, event.frame.height) == (64, 48)
    assert event.timestamp_us == sent.timestamp_us
    assert event.rotation == VideoRotation.VIDEO_ROTATION_0
    assert event.metadata is None
    assert color_of(event) == pytest.approx((200, 10, 30), abs=5)
    assert len(event.frame.data) == 64 * 48 * 3 // 2
    await stream.aclose()


async def test_nothing_flows_before_somebody_reads_and_after_it_is_closed(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    before = set(threading.enumerate())
    stream = VideoStream(track)
    assert not track.read_requests
    assert set(threading.enumerate()) == before
    waiting = await begin(stream, track)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert track.read_requests == [True, False]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await stream.aclose()


@pytest.mark.parametrize("type", list(VideoBufferType))
async def test_frames_have_the_type_that_was_asked_for(core: ScriptedCore, type: VideoBufferType) -> None:
    track, camera = FakeTrack(core), Camera()
    stream = VideoStream.from_track(track=track, format=type)
    waiting = await begin(stream, track)
    track.send(camera.frame("#c80a1e"))
    event = await waiting
    assert event.frame.type == type
    assert color_of(event) == pytest.approx((200, 10, 30), abs=6)
    await stream.aclose()


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_a_loop_over_a_stream_ends_with_the_track(core: ScriptedCore, codec: str) -> None:
    track, camera = FakeTrack(core), Camera(codec)

    read: list[VideoFrameEvent] = []

    async def read_all() -> None:
        async for event in VideoStream(track, capacity=100):
            read.append(event)

    reading = asyncio.ensure_future(read_all())
    await wait_until(lambda: track.flowing)
    for _ in range(5):
        track.send(camera.frame())
    await wait_until(lambda: len(read) == 5)
    track.end()
    await asyncio.wait_for(reading, 5)
    assert len(read) == 5


async def test_the_newest_picture_wins(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera()
    stream = VideoStream(track)
    waiting = await begin(stream, track)
    track.send(camera.frame("#000000"))
    await waiting
    sent = [camera.frame("#0000ff" if index == 19 else "#00ff00", keyframe=True) for index in range(20)]
    for frame in sent:
        track.send(frame)
    newest, reader = sent[-1], stream._reader
    assert newest is not None
    assert reader is not None
    await wait_until(lambda: any(kept.timestamp_us == newest.timestamp_us for kept in list(reader._ready)))
    event = await anext(stream)
    assert event.timestamp_us == newest.timestamp_us
    assert color_of(event) == pytest.approx((0, 0, 255), abs=24)
    await stream.aclose()


async def test_the_age_of_a_picture_is_known(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera()
    stream = VideoStream(track)
    waiting = await begin(stream, track)
    track.send(camera.frame())
    event = await waiting
    assert 0 <= event.age < 1
    event.timestamp_us = now_us() - 3_000_000
    assert event.age == pytest.approx(3, abs=0.5)
    event.timestamp_us = now_us() + 9_000_000
    assert event.age == 0
    await stream.aclose()


async def test_two_streams_of_one_track_both_see_it(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera()
    first, second = VideoStream(track), VideoStream(track, format=VideoBufferType.RGB24)
    waiting = [await begin(stream, track) for stream in (first, second)]
    await wait_until(lambda: second._reader is not None and second._reader._flow is not None)
    track.send(camera.frame("#ff0000"))
    events = await asyncio.gather(*waiting)
    assert [color_of(event)[0] > 240 for event in events] == [True, True]
    assert track.read_requests == [True]
    await first.aclose()
    assert track.flowing
    await second.aclose()
    assert not track.flowing


async def test_a_change_of_codec_is_followed(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    stream = VideoStream(track)
    waiting = await begin(stream, track)
    track.send(Camera("vp8").frame("#ff0000"))
    assert color_of(await waiting)[0] > 240
    track.send(Camera("h264").frame("#0000ff"))
    assert color_of(await anext(stream))[2] > 240
    await stream.aclose()


async def test_a_stream_that_is_forgotten_cleans_up(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera()
    stream = VideoStream(track)
    waiting = await begin(stream, track)
    track.send(camera.frame())
    await waiting
    del stream, waiting
    gc.collect()
    await wait_until(lambda: not track.flowing)
    await wait_until(lambda: not [t for t in threading.enumerate() if t.name == "lknb-frame-reader"])


def test_streams_may_live_in_one_loop_after_the_other(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera()
    stream = VideoStream(track)

    async def read() -> tuple[int, ...]:
        waiting = await begin(stream, track)
        track.send(camera.frame("#ffffff", keyframe=True))
        return color_of(await waiting)

    assert asyncio.run(read())[0] > 250
    assert asyncio.run(read())[0] > 250
    asyncio.run(stream.aclose())


async def test_only_a_video_track_can_be_read(core: ScriptedCore) -> None:
    with pytest.raises(TrackError, match="VideoStream cannot read FakeTrack"):
        VideoStream(FakeTrack(core, TrackKind.KIND_AUDIO))
    with pytest.raises(TypeError, match="expected a track, or a participant"):
        VideoStream(None)


async def test_a_track_that_has_ended_gives_nothing(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    track.end()
    assert [event async for event in VideoStream(track)] == []


class Publication:
    def __init__(self, track: FakeTrack | None, source: TrackSource) -> None:
        self.track = track
        self.source = source
        self.kind = TrackKind.KIND_VIDEO


class Participant(EventEmitter[str]):
    def __init__(self) -> None:
        super().__init__()
        self.track_publications: dict[str, Publication] = {}

    def subscribe(self, track: FakeTrack, source: TrackSource) -> None:
        publication = Publication(track, source)
        self.track_publications[track.sid] = publication
        self.emit("track_subscribed", track, publication)


async def test_a_participant_is_followed_from_track_to_track(core: ScriptedCore) -> None:
    participant: Any = Participant()
    stream = VideoStream.from_participant(participant=participant, track_source=TrackSource.SOURCE_CAMERA)
    waiting = asyncio.ensure_future(anext(stream))
    participant.subscribe(FakeTrack(core, sid="TR_screen"), TrackSource.SOURCE_SCREENSHARE)
    for index, color in enumerate(("#ff0000", "#0000ff")):
        track = FakeTrack(core, sid=f"TR_{index}")
        await asyncio.sleep(0)
        participant.subscribe(track, TrackSource.SOURCE_CAMERA)
        await wait_until(lambda track=track: track.flowing)
        track.send(Camera().frame(color))
        assert color_of(await waiting)[2 * index] > 240
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        track.end()
        await wait_until(lambda track=track: not track.flowing)
    participant._fail_waits("it left")
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert not participant._events["track_subscribed"]


async def test_closing_ends_the_wait_for_a_participants_track(core: ScriptedCore) -> None:
    participant: Any = Participant()
    stream = VideoStream.from_participant(participant=participant, track_source=TrackSource.SOURCE_CAMERA)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert not participant._waits


async def test_a_reader_ends_with_its_room(core: ScriptedCore) -> None:
    def refuse(header: Any, buffers: Any) -> Any:
        raise DisconnectedError("the room is gone")

    core.respond["read"] = refuse
    assert [event async for event in VideoStream(FakeTrack(core))] == []


async def test_hostile_frames_end_nothing(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera()
    stream = VideoStream(track)
    waiting = await begin(stream, track)
    random = np.random.default_rng(1)
    good = camera.frame("#ffffff")
    assert good is not None
    for _ in range(30):
        data = random.bytes(int(random.integers(0, 300)))
        track.send(type(good)("vp8", data, 1, keyframe=bool(random.integers(0, 2))))
    track.send(camera.frame("#ffffff", keyframe=True))
    event = await waiting
    while event.frame.width != 64:
        event = await anext(stream)
    assert color_of(event)[0] > 250
    await stream.aclose()
