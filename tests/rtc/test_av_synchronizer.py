"""Sound and pictures in step, seen where they leave the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from lknb.codec.clock import now_us
from lknb.core.source import samples
from lknb.core.source.frames import frame_from_header
from lknb.errors import FrameError, MediaError
from lknb.rtc import audio_source, av_synchronizer
from lknb.rtc.audio_source import AudioSource
from lknb.rtc.av_synchronizer import AVSynchronizer
from lknb.rtc.source import Encoding
from lknb.rtc.video_source import VideoSource
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until
from tests.rtc.sounding_core import SoundingCore
from tests.rtc.test_video_source import tell

RATE_HZ = 44_100
FPS = 25.0
PICTURE = np.full((64, 64, 3), 90, np.uint8)


class Studio:
    """A synchronizer on two sources that are open in the core, and what arrives there."""

    def __init__(self, core: SoundingCore, **options: Any) -> None:
        self.core = core
        self.sound, self.pictures = AudioSource(RATE_HZ, 1), VideoSource(64, 64)
        self.synchronizer = AVSynchronizer(
            audio_source=self.sound, video_source=self.pictures, video_fps=FPS, **options
        )
        self.handles: dict[str, int] = {}
        self.captured_us: list[int] = []
        """The times pictures were given, whatever the encoder makes of them."""
        self.handed_on_us: list[int] = []
        """When that was done."""
        capture_at = self.pictures._capture_at

        def note(frame: Any, timestamp_us: int) -> None:
            self.captured_us.append(timestamp_us)
            capture_at(frame, timestamp_us)
            self.handed_on_us.append(now_us())

        self.pictures._capture_at = note  # type: ignore[method-assign]

    async def open(self) -> Studio:
        client: Any = self.core
        self.handles["sound"] = (await self.sound.open(client, Encoding("opus", dtx=False))).handle
        self.handles["pictures"] = (await self.pictures.open(client, Encoding("vp8", simulcast=False))).handle
        tell(self.core, self.handles["pictures"], "keyframe_request", rid="")
        return self

    async def wait(self, name: str, count: int) -> list[int]:
        """The capture times of the first so many frames, in microseconds."""
        await wait_until(
            lambda: len(self.frames(name)) >= count, what=lambda: f"{count} of {name}: {self.frames(name)}"
        )
        return self.times_us(name)

    async def close(self) -> None:
        await self.synchronizer.aclose()
        for source, name in ((self.sound, "sound"), (self.pictures, "pictures")):
            await source.release(self.handles[name])
            await source.aclose()

    def times_us(self, name: str) -> list[int]:
        return [frame.timestamp_us for frame in self.frames(name)]

    def frames(self, name: str) -> list[EncodedFrame]:
        if name == "sound":
            return self.core.sound(self.handles[name])
        return [
            frame_from_header(header, buffers[0])
            for header, buffers in list(self.core.requests)
            if header["op"] == "frame" and header["source"] == self.handles[name]
        ]

    async def push_picture(self) -> None:
        await self.synchronizer.push(PICTURE)

    async def push_sound(self, seconds: float = 1 / FPS) -> None:
        await self.synchronizer.push(np.full(round(seconds * RATE_HZ), 0.2, np.float32))


@pytest_asyncio.fixture
async def studio(sounding_core: SoundingCore) -> AsyncIterator[Studio]:
    made = await Studio(sounding_core).open()
    yield made
    await made.close()


@pytest.fixture
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the machine is, nothing is left out and nothing begins anew."""
    monkeypatch.setattr(samples, "_LATE_US", 20_000_000)
    for module, name in ((samples, "_REST_US"), (audio_source, "PAUSE_US"), (av_synchronizer, "_GAP_US")):
        monkeypatch.setattr(module, name, 10_000_000)


async def test_the_first_picture_waits_for_the_first_sound(studio: Studio) -> None:
    await studio.push_picture()
    await asyncio.sleep(0.03)
    await studio.push_sound(0.2)
    (picture, *_), (sound, *_) = await studio.wait("pictures", 1), await studio.wait("sound", 1)
    assert picture == sound


async def test_a_first_picture_that_is_late_has_the_time_of_the_first_sound(studio: Studio) -> None:
    await studio.push_sound(0.3)
    await asyncio.sleep(0.06)
    await studio.push_picture()
    (picture, *_), (sound, *_) = await studio.wait("pictures", 1), await studio.wait("sound", 1)
    assert picture == sound


@pytest.mark.usefixtures("no_hurry")
async def test_the_rates_keep_them_in_step(studio: Studio) -> None:
    for _ in range(20):
        await studio.push_picture()
        await studio.push_sound()
    pictures, sound = await studio.wait("pictures", 15), await studio.wait("sound", 30)
    steps = [(time - pictures[0]) / (1_000_000 / FPS) for time in pictures]
    assert all(abs(step - round(step)) < 0.01 for step in steps)
    assert pictures[0] == sound[0]
    handed_on_us = studio.handed_on_us
    took_s = (handed_on_us[-1] - handed_on_us[0]) / 1e6
    assert studio.synchronizer.actual_fps == pytest.approx((len(handed_on_us) - 1) / took_s, rel=0.05)


@pytest.mark.usefixtures("no_hurry")
async def test_without_sound_the_pictures_go_by_the_clock(studio: Studio) -> None:
    for _ in range(6):
        await studio.push_picture()
    await studio.synchronizer.wait_for_playout()
    pictures = await studio.wait("pictures", 2)
    steps = [(time - pictures[0]) / (1_000_000 / FPS) for time in pictures]
    assert all(abs(step - round(step)) < 0.01 for step in steps)


async def test_when_the_sound_is_late_the_pictures_are_too(studio: Studio) -> None:
    # on any machine less than what begins a new count
    studio.synchronizer._tolerance_us = 10_000_000
    for _ in range(4):
        await studio.push_picture()
        await studio.push_sound()
    await studio.synchronizer.wait_for_playout()
    # more than what is made up for
    await asyncio.sleep(0.2)
    pushed_us = now_us()
    await studio.push_picture()
    await studio.push_sound(0.2)
    await studio.synchronizer.wait_for_playout()
    sound = studio.times_us("sound")
    # where the sound begins again that came with the fifth picture
    began_us = max(later for earlier, later in pairwise(sound) if later - earlier > 100_000)
    # with the sound, or when it was pushed itself, a moment before
    assert pushed_us <= studio.captured_us[-1] <= began_us + 1_000


async def test_sound_that_begins_in_the_middle_goes_with_the_picture_of_then(studio: Studio) -> None:
    for _ in range(15):
        await studio.push_picture()
    await studio.push_sound(0.3)
    await studio.push_picture()
    await studio.synchronizer.wait_for_playout()
    assert studio.captured_us[-1] == pytest.approx(studio.times_us("sound")[0], abs=1_000)


async def test_after_a_reset_and_a_cleared_queue_they_begin_together_again(studio: Studio) -> None:
    for begin_again in (studio.synchronizer.reset, studio.synchronizer.clear_queue):
        await studio.push_picture()
        await studio.push_sound(0.1)
        await studio.synchronizer.wait_for_playout()
        waiting = begin_again()
        if waiting is not None:
            await waiting
        before = len(studio.frames("sound"))
        await asyncio.sleep(0.05)
        await studio.push_sound(0.1)
        await studio.push_picture()
        await studio.synchronizer.wait_for_playout()
        assert studio.captured_us[-1] == pytest.approx(studio.times_us("sound")[before], abs=1_000)


async def test_pushing_waits_while_the_pictures_queue_up(sounding_core: SoundingCore) -> None:
    studio = await Studio(sounding_core, video_queue_size_ms=80).open()
    try:
        await studio.push_sound(1.0)
        (began_us, *_) = await studio.wait("sound", 1)
        for _ in range(13):
            await studio.push_picture()
        # two are queued and one is in hand
        assert now_us() - began_us > 8 / FPS * 1e6
    finally:
        await studio.close()


async def test_timestamps_are_those_of_what_is_played(studio: Studio) -> None:
    await studio.synchronizer.push(PICTURE, timestamp=7.0)
    await studio.synchronizer.push(np.zeros(RATE_HZ // 10, np.int16), timestamp=7.1)
    await studio.synchronizer.wait_for_playout()
    assert studio.synchronizer.last_video_time == 7.0
    assert studio.synchronizer.last_audio_time == pytest.approx(7.1, abs=0.01)


async def test_what_cannot_be_sent_is_said(studio: Studio) -> None:
    with pytest.raises(MediaError, match="frame rate above 0"):
        AVSynchronizer(audio_source=studio.sound, video_source=studio.pictures, video_fps=0)
    with pytest.raises(MediaError, match="a frame rate is a finite number, not 'a'"):
        AVSynchronizer(audio_source=studio.sound, video_source=studio.pictures, video_fps="a")  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="expected an AudioSource and a VideoSource"):
        AVSynchronizer(audio_source=studio.pictures, video_source=studio.sound, video_fps=25)  # type: ignore[arg-type]
    for wrong, expected in (
        (np.zeros(10, np.int32), "int16"),
        (np.zeros((4, 4, 3), np.uint8), "at least 18 pixels"),
        (None, "expected a VideoFrame, a numpy array"),
    ):
        with pytest.raises(FrameError, match=expected):
            await studio.synchronizer.push(wrong)  # type: ignore[arg-type]
    # nothing of it counts: what comes next begins together
    await studio.push_picture()
    await studio.push_sound()
    (picture,), (sound, *_) = await studio.wait("pictures", 1), await studio.wait("sound", 1)
    assert abs(picture - sound) < 1000


async def test_who_waits_for_a_full_queue_is_told_of_the_end(sounding_core: SoundingCore) -> None:
    studio = await Studio(sounding_core, video_queue_size_ms=40).open()

    def fail(frame: Any, timestamp_us: int) -> None:
        raise MediaError("a picture was not taken")

    try:
        await studio.push_sound(1.0)
        await studio.push_picture()
        studio.pictures._capture_at = fail  # type: ignore[method-assign]

        async def push_on() -> None:
            for _ in range(4):
                await studio.push_picture()

        with pytest.raises(MediaError, match="was not taken"):
            await asyncio.wait_for(push_on(), 10)
        with pytest.raises(MediaError, match="was not taken"):
            await asyncio.wait_for(studio.synchronizer.wait_for_playout(), 10)
    finally:
        await studio.close()


async def test_a_closed_one_takes_nothing_and_keeps_nobody(sounding_core: SoundingCore) -> None:
    studio = await Studio(sounding_core, video_queue_size_ms=40).open()
    try:
        await studio.push_sound(1.0)
        for _ in range(3):
            await studio.push_picture()
        waiting = asyncio.ensure_future(studio.push_picture())
        await asyncio.sleep(0)
        await studio.synchronizer.aclose()
        with pytest.raises(MediaError, match="make a new one"):
            await asyncio.wait_for(waiting, 10)
        with pytest.raises(MediaError, match="make a new one"):
            await studio.push_sound()
    finally:
        await studio.close()
