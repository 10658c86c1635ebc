"""Everybody of a room in one file, opened with PyAV and compared with what was sent."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import lknb
from lknb import rtc
from lknb.codec.clock import now_us
from lknb.errors import MediaError
from lknb.rtc.video_output import VideoOutput
from tests.kit.played import ORANGE, RATE_HZ, Played, flashing, play
from tests.kit.poll import wait_until
from tests.rtc.call import Join

BLUE, GREEN, BLACK = (40, 60, 200), (40, 170, 60), (0, 0, 0)


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """When each picture is shown, in seconds, and what it is, (height, width, 3)."""
    with av.open(str(path)) as file:
        return [(float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]


def is_like(picture: np.ndarray, x: float, y: float, colour: tuple[int, int, int]) -> bool:
    """Whether it has this colour around a point, which is a share of width and height."""
    height, width = picture.shape[:2]
    spot = picture[int(y * height) - 20 :, int(x * width) - 20 :][:40, :40]
    return bool(np.abs(spot.reshape(-1, 3).mean(axis=0) - colour).max() < 30)


def level_at(played: Played, hz: float, since_s: float, seconds: float = 0.5) -> float:
    piece = played.sound[int(since_s * RATE_HZ) :][: int(seconds * RATE_HZ)]
    return float(abs(np.exp(-2j * np.pi * hz * np.arange(len(piece)) / RATE_HZ) @ piece) * 2 / len(piece))


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "vp8"), (".mp4", "h264"), (".mkv", "vp8")])
async def test_who_comes_and_goes_is_in_it_as_long_as_he_is_there(
    join: Join, tmp_path: Path, suffix: str, codec: str
) -> None:
    recorder, came_s, left_s = await come_and_go(join, tmp_path / f"room{suffix}")
    check_comings_and_goings(recorder, codec, came_s, left_s)


async def come_and_go(join: Join, path: Path) -> tuple[lknb.Recorder, float, float]:
    """Record Carol between others; when she came and when she left, in seconds of the recording."""
    bob, alice = await join("bob"), await join("alice")
    await bob.local_participant.publish_track(lknb.TestPattern(320, 180, color=BLUE))
    await alice.local_participant.publish_track(lknb.TestPattern(640, 360, color=ORANGE))
    await alice.local_participant.publish_track(lknb.Tone(600.0))
    await bob.wait_for_track("alice")
    await bob.wait_for_track("alice", kind=rtc.TrackKind.KIND_AUDIO)
    async with lknb.Recorder(bob, path) as recorder:
        await asyncio.sleep(1.5)
        carol = await join("carol")
        screen = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_SCREENSHARE)
        await carol.local_participant.publish_track(lknb.TestPattern(640, 360, color=GREEN), screen)
        await carol.local_participant.publish_track(lknb.Tone(1500.0))
        await bob.wait_for_track("carol", kind=rtc.TrackKind.KIND_AUDIO)
        await bob.wait_for_track("carol")
        came_s = recorder.duration
        await asyncio.sleep(2.0)
        await carol.disconnect()
        await bob.wait_until(lambda: "carol" not in bob.remote_participants)
        left_s = recorder.duration
        await asyncio.sleep(1.5)
    return recorder, came_s, left_s


def check_comings_and_goings(recorder: lknb.Recorder, codec: str, came_s: float, left_s: float) -> None:
    played = play(recorder.path)
    assert played.codecs == [codec, "opus"]
    assert set(played.sizes) == {(1280, 720)}
    assert abs(played.duration_s - recorder.duration) < 0.15
    shown = pictures(recorder.path)
    # others first, ourselves last; from the first picture on
    assert is_like(shown[0][1], 0.25, 0.5, ORANGE)
    assert is_like(shown[0][1], 0.75, 0.5, BLUE)
    three = [picture for at_s, picture in shown if came_s + 1.0 < at_s < left_s - 0.2]
    assert len(three) > 5
    # what is shared is first
    spots = [(0.25, 0.25, GREEN), (0.75, 0.25, ORANGE), (0.5, 0.75, BLUE), (0.1, 0.75, BLACK)]
    for picture in three:
        assert all(is_like(picture, *spot) for spot in spots)
    two = [picture for at_s, picture in shown if at_s > left_s + 0.5]
    assert len(two) > 5
    assert all(is_like(picture, 0.25, 0.5, ORANGE) and is_like(picture, 0.75, 0.5, BLUE) for picture in two)
    levels = [(level_at(played, 600, at_s), level_at(played, 1500, at_s)) for at_s in (0.6, left_s - 0.7, left_s + 0.7)]
    assert min(first for first, _ in levels) > 0.05
    assert levels[0][1] < 0.01
    assert levels[1][1] > 0.05
    assert levels[2][1] < 0.01


async def test_sound_and_picture_are_in_step(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    source = rtc.VideoSource(640, 360)
    async with flashing(source):
        await alice.local_participant.publish_track(source)
        await alice.local_participant.publish_track(lknb.Tone(1000.0, beep_every_s=1.0))
        await bob.wait_for_track("alice")
        await bob.wait_for_track("alice", kind=rtc.TrackKind.KIND_AUDIO)
        async with lknb.Recorder(bob, tmp_path / "room.webm") as recorder:
            await asyncio.sleep(4.2)
    played = play(recorder.path)
    flashes, beeps = played.flashes_s(), played.beeps_s()
    pairs = [(beep, min(flashes, key=lambda flash, beep=beep: abs(flash - beep))) for beep in beeps]
    offsets = [beep - flash for beep, flash in pairs if abs(beep - flash) < 0.5]
    assert len(offsets) >= 3
    print(f"beep after flash by {[round(1000 * offset) for offset in offsets]} ms")
    # half a period of the file, and one of the sender, more than the 40 ms that are heard
    assert abs(np.median(offsets)) < 0.04 + 1.5 / 30


async def test_who_mutes_is_not_seen_and_a_room_of_nobody_is_black(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    async with lknb.Recorder(bob, tmp_path / "room.webm") as recorder:
        await asyncio.sleep(0.6)
        publication = await alice.local_participant.publish_track(lknb.TestPattern(640, 360, color=ORANGE))
        track = await bob.wait_for_track("alice")
        await asyncio.sleep(1.5)
        assert publication.track is not None
        publication.track.mute()
        await bob.wait_until(lambda: track.muted)
        muted_s = recorder.duration
        await asyncio.sleep(1.0)
        publication.track.unmute()
        await bob.wait_until(lambda: not track.muted)
        await asyncio.sleep(1.5)
    shown = pictures(recorder.path)
    assert shown[0][1].max() < 40
    before = [picture for at_s, picture in shown if at_s < muted_s - 0.2]
    while_muted = [picture for at_s, picture in shown if muted_s + 0.2 < at_s < muted_s + 0.8]
    assert is_like(before[-1], 0.5, 0.5, ORANGE)
    last = while_muted[-1] if while_muted else [picture for at_s, picture in shown if at_s < muted_s + 0.8][-1]
    assert is_like(last, 0.5, 0.5, BLACK)
    assert is_like(shown[-1][1], 0.5, 0.5, ORANGE)


async def test_each_picture_bears_a_name(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice", name="Alice\n" + "W" * 200), await join("bob")
    await alice.local_participant.publish_track(lknb.TestPattern(640, 360, color=ORANGE))
    await bob.local_participant.publish_track(lknb.TestPattern(640, 360, color=BLUE))
    await bob.wait_for_track("alice")
    async with lknb.Recorder(bob, tmp_path / "room.webm") as recorder:
        await asyncio.sleep(1.0)
    last = pictures(recorder.path)[-1][1].astype(int)
    # two tiles of 640x360 side by side; white on dark, at the bottom left
    plates = [last[504:540, left : left + 640] for left in (0, 640)]
    widths = []
    for plate, behind in zip(plates, (ORANGE, BLUE), strict=True):
        assert (plate.min(axis=2) > 180).sum() > 30
        other = np.abs(plate - behind).max(axis=2) > 60
        assert other[:, :6].sum() == 0
        widths.append(int(np.flatnonzero(other.any(axis=0))[-1]))
    # a long name ends where its picture does
    assert 500 < widths[0] < 640
    assert widths[1] < 100


async def test_a_mute_asks_nobody_for_a_key_frame(join: Join, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = VideoOutput.request_keyframe

    def count(output: VideoOutput, rid: str) -> None:
        asked.append(rid)
        ask(output, rid)

    monkeypatch.setattr(VideoOutput, "request_keyframe", count)
    alice, bob = await join("alice"), await join("bob")
    source = rtc.VideoSource(640, 360)
    async with flashing(source):
        await alice.local_participant.publish_track(source)
        microphone = await alice.local_participant.publish_track(lknb.Tone(600.0))
        await bob.wait_for_track("alice")
        sound = await bob.wait_for_track("alice", kind=rtc.TrackKind.KIND_AUDIO)
        async with lknb.Recorder(bob, tmp_path / "room.webm"):
            await asyncio.sleep(1.5)
            before = len(asked)
            assert before
            for muted in (True, False, True, False):
                await (microphone.mute() if muted else microphone.unmute())
                await bob.wait_until(lambda muted=muted: sound.muted == muted)
                # nothing may come: a second is longer than any way of one, and than two are kept apart
                await asyncio.sleep(1.0)
            assert len(asked) == before
            # a picture beside it makes this one smaller, and is a reason to ask
            await bob.local_participant.publish_track(lknb.TestPattern(320, 180, color=BLUE))
            await wait_until(lambda: len(asked) > before)


async def test_sound_alone_and_pictures_alone(join: Join, tmp_path: Path) -> None:
    alice, bob, carol = await join("alice"), await join("bob"), await join("carol")
    await alice.local_participant.publish_track(lknb.Tone(600.0))
    await carol.local_participant.publish_track(lknb.Tone(1500.0))
    await carol.local_participant.publish_track(lknb.TestPattern(640, 360, color=GREEN))
    for identity in ("alice", "carol"):
        await bob.wait_for_track(identity, kind=rtc.TrackKind.KIND_AUDIO)
    await bob.wait_for_track("carol")
    async with lknb.Recorder(bob, tmp_path / "room.wav") as recorder:
        await asyncio.sleep(2)
    with wave.open(str(recorder.path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 2, 2)
        assert file.getnframes() / RATE_HZ == pytest.approx(recorder.duration, abs=0.03)
    played = play(recorder.path)
    assert level_at(played, 600, 1.0) > 0.05
    assert level_at(played, 1500, 1.0) > 0.05
    async with lknb.Recorder(bob, tmp_path / "room.png"):
        await asyncio.sleep(1.5)
    with Image.open(tmp_path / "room.png") as picture:
        assert picture.size == (1280, 720)
        assert is_like(np.asarray(picture), 0.5, 0.5, GREEN)


async def test_it_ends_with_the_room(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.local_participant.publish_track(lknb.TestPattern(320, 180, color=ORANGE))
    await bob.wait_for_track("alice")
    recorder = lknb.Recorder(bob, tmp_path / "room.webm")
    starting_us = now_us()
    await recorder.start()
    began_us = now_us()
    await asyncio.sleep(1)
    leaving_us = now_us()
    await bob.disconnect()
    left_us = now_us()
    await asyncio.sleep(0.5)
    await recorder.stop()
    played = play(recorder.path)
    assert abs(played.duration_s - recorder.duration) < 0.15
    assert leaving_us - began_us - 200_000 < recorder.duration * 1e6 < left_us - starting_us + 50_000


async def test_what_cannot_be_written_is_said_at_once(join: Join, tmp_path: Path) -> None:
    bob = await join("bob")
    with pytest.raises(MediaError, match=r"cannot be written: .*No such file"):
        await lknb.Recorder(bob, tmp_path / "nowhere" / "a.webm").start()
    with pytest.raises(MediaError, match="no folder"):
        await lknb.Recorder(bob, tmp_path / "nowhere" / "a.png").start()
    recorder = lknb.Recorder(bob, tmp_path / "a.webm")
    async with recorder:
        pass
    with pytest.raises(MediaError, match="has been used"):
        await recorder.start()
    # one that ends before anything was laid out is a file all the same
    assert play(recorder.path).sizes == [(1280, 720)]
