"""One picture of a remote track."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from lknb.errors import TrackError
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.snapshot import take_snapshot
from tests.kit.poll import wait_until
from tests.rtc.fake_track import Camera, FakeTrack
from tests.rtc.scripted_core import ScriptedCore


async def test_a_snapshot_is_an_rgb_array_and_leaves_nothing_running(core: ScriptedCore) -> None:
    track, camera = FakeTrack(core), Camera(width=80, height=60)
    taking = asyncio.ensure_future(take_snapshot(track))
    await wait_until(lambda: track.flowing)
    track.send(camera.frame("#c80a1e"))
    picture = await taking
    assert (picture.shape, picture.dtype) == ((60, 80, 3), np.uint8)
    assert picture.reshape(-1, 3).mean(axis=0) == pytest.approx((200, 10, 30), abs=5)
    assert track.read_requests == [True, False]


async def test_it_waits_for_the_size_that_is_to_be_expected(core: ScriptedCore) -> None:
    track, small, large = FakeTrack(core), Camera(width=80, height=60), Camera(width=160, height=120)
    taking = asyncio.ensure_future(take_snapshot(track, expected=(160, 120)))
    await wait_until(lambda: track.flowing)
    track.send(small.frame("#c80a1e"))
    track.send(small.frame("#c80a1e"))
    await asyncio.sleep(0.1)
    assert not taking.done()
    track.send(large.frame("#c80a1e"))
    assert (await taking).shape == (120, 160, 3)


async def test_it_takes_what_there_is_when_nothing_larger_comes_in_time(core: ScriptedCore) -> None:
    track, small = FakeTrack(core), Camera(width=80, height=60)
    taking = asyncio.ensure_future(take_snapshot(track, 0.4, expected=(160, 120)))
    await wait_until(lambda: track.flowing)
    track.send(small.frame("#c80a1e"))
    assert (await taking).shape == (60, 80, 3)
    assert not track.flowing


async def test_when_no_picture_comes_it_says_so(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    with pytest.raises(TrackError, match=r"no picture of track TR_1 came within 0\.05 s"):
        await take_snapshot(track, 0.05)
    assert not track.flowing


async def test_a_track_that_ends_meanwhile_or_before(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    taking = asyncio.ensure_future(take_snapshot(track))
    await wait_until(lambda: track.flowing)
    track.end()
    with pytest.raises(TrackError, match="ended before a picture came"):
        await taking
    with pytest.raises(TrackError, match="in no room"):
        await take_snapshot(track)


async def test_there_is_no_picture_of_sound(core: ScriptedCore) -> None:
    with pytest.raises(TrackError, match="no picture of FakeTrack"):
        await take_snapshot(FakeTrack(core, TrackKind.KIND_AUDIO))


async def test_cancelling_cleans_up(core: ScriptedCore) -> None:
    track = FakeTrack(core)
    taking = asyncio.ensure_future(take_snapshot(track))
    await wait_until(lambda: track.flowing)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert not track.flowing
