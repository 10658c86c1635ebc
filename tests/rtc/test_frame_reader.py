"""Decoded frames while somebody reads, the newest first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
import pytest_asyncio

from lknb.errors import MediaError, TrackError
from lknb.rtc.frame_reader import FrameReader
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until
from tests.rtc.fake_track import FakeTrack
from tests.rtc.scripted_core import ScriptedCore


def frame(number: int, *, keyframe: bool = False) -> EncodedFrame:
    return EncodedFrame("vp8", b"", number, keyframe)


class Counter:
    """Decodes a frame to its number; may be held up, and has no use for what it is told to refuse."""

    def __init__(self) -> None:
        self.needs_keyframe = False
        self.seen: list[int] = []
        self.restarts = 0
        self.refuses: set[int] = set()
        self.open = threading.Event()
        self.open.set()

    def push(self, frame: EncodedFrame) -> Iterable[int]:
        self.open.wait(10)
        self.seen.append(frame.timestamp)
        if frame.timestamp in self.refuses:
            self.needs_keyframe = True
            raise MediaError("refused")
        self.needs_keyframe &= not frame.keyframe
        return () if self.needs_keyframe else (frame.timestamp,)

    def restart(self) -> None:
        self.restarts += 1


class Reading:
    def __init__(self, core: ScriptedCore) -> None:
        self.core = core
        self.track = FakeTrack(core)
        self.decoder = Counter()
        self.readers: list[FrameReader[int]] = []

    async def open(self, kept: int = 1, **settings: Any) -> FrameReader[int]:
        reader = FrameReader(self.track, self.decoder, kept=kept, **settings)
        self.readers.append(reader)
        await reader.open()
        return reader


@pytest_asyncio.fixture
async def reading(core: ScriptedCore) -> AsyncIterator[Reading]:
    made = Reading(core)
    yield made
    made.decoder.open.set()
    for reader in made.readers:
        reader.close()


async def test_what_comes_is_read_in_order(reading: Reading) -> None:
    reader = await reading.open()
    for number in range(5):
        reading.track.send(frame(number))
        assert await reader.read() == number


async def test_reading_waits_for_what_comes(reading: Reading) -> None:
    reader = await reading.open()
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    assert not waiting.done()
    reading.track.send(frame(7))
    assert await waiting == 7


async def test_the_newest_wins_and_memory_does_not_grow(reading: Reading) -> None:
    reader = await reading.open(kept=3)
    for number in range(1000):
        reading.track.send(frame(number))
    await wait_until(lambda: reading.decoder.seen[-1:] == [999])
    await wait_until(lambda: list(reader._ready) == [997, 998, 999])
    assert [await reader.read() for _ in range(3)] == [997, 998, 999]


async def test_a_decoder_that_is_far_behind_begins_anew(reading: Reading) -> None:
    reader = await reading.open(kept=5)
    reading.decoder.open.clear()
    for number in range(2000):
        reading.track.send(frame(number))
    assert len(reader._frames) == 500
    reading.decoder.open.set()
    await wait_until(lambda: reading.decoder.seen[-1:] == [1999])
    assert reading.decoder.restarts == 1
    assert len(reading.decoder.seen) <= 502


async def test_a_key_frame_makes_what_waits_before_it_useless(reading: Reading) -> None:
    reader = await reading.open()
    reading.decoder.open.clear()
    reading.track.send(frame(0))
    await wait_until(lambda: not reader._frames)
    for number in range(1, 10):
        reading.track.send(frame(number, keyframe=number == 8))
    reading.decoder.open.set()
    await wait_until(lambda: reading.decoder.seen == [0, 8, 9])


async def test_a_frame_that_cannot_be_decoded_asks_for_a_key_frame(reading: Reading) -> None:
    reader = await reading.open()
    reading.decoder.refuses = {1}
    for number in range(3):
        reading.track.send(frame(number))
    await wait_until(lambda: len(reading.core.sent("keyframe")) == 1)
    reading.track.send(frame(3, keyframe=True))
    await wait_until(lambda: list(reader._ready) == [3])
    assert await reader.read() == 3


async def test_the_end_of_the_track_ends_reading_after_what_is_kept(reading: Reading) -> None:
    reader = await reading.open(kept=5)
    reading.track.send(frame(1))
    reading.track.send(frame(2))
    await wait_until(lambda: len(reader._ready) == 2)
    reading.track.end()
    assert [await reader.read() for _ in range(4)] == [1, 2, None, None]
    assert reading.track.read_requests == [True, False]


async def test_closing_lets_go_who_reads(reading: Reading) -> None:
    reader = await reading.open()
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    threading.Thread(target=reader.close).start()
    assert await waiting is None
    reader.close()
    assert await reader.read() is None
    assert not reading.track._events["ended"]


async def test_a_refusal_closes_the_reader(reading: Reading) -> None:
    def refuse(header: Any, buffers: Any) -> Any:
        if header["on"]:
            raise TrackError("not subscribed")
        return {}, []

    reading.core.respond["read"] = refuse
    with pytest.raises(TrackError):
        await reading.open()
    assert not reading.track.flowing


async def test_a_cancelled_read_loses_nothing(reading: Reading) -> None:
    reader = await reading.open()
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    reading.track.send(frame(4))
    assert await reader.read() == 4


async def test_decoding_rests_when_nobody_asks_and_goes_on_fresh(reading: Reading) -> None:
    reader = await reading.open(rest_after_s=0.1)
    reading.track.send(frame(0))
    assert await reader.read() == 0
    reading.track.send(frame(1))
    await asyncio.sleep(0.15)  # so long nobody asks
    for number in range(2, 20):
        reading.track.send(frame(number))
    assert reader._resting
    assert max(reading.decoder.seen) <= 1
    keyframes = len(reading.core.sent("keyframe"))
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    assert len(reading.core.sent("keyframe")) == keyframes + 1
    reading.track.send(frame(20, keyframe=True))
    # not 1, which was kept and is old by now
    assert await waiting == 20
    assert reading.decoder.restarts == 1


async def test_whoever_waits_long_is_not_resting(reading: Reading) -> None:
    reader = await reading.open(rest_after_s=0.05)
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0.1)  # so long nothing comes
    reading.track.send(frame(3))
    assert await waiting == 3


def test_a_reader_may_be_read_in_another_loop(core: ScriptedCore) -> None:
    track, decoder = FakeTrack(core), Counter()
    reader: FrameReader[int] = FrameReader(track, decoder, kept=1)
    asyncio.run(reader.open())

    async def read() -> int | None:
        track.send(frame(5))
        return await reader.read()

    assert asyncio.run(read()) == 5
    assert asyncio.run(read()) == 5
    reader.close()
