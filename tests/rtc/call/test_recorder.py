"""Recordings of whole calls, opened with PyAV and compared with what was sent."""

from __future__ import annotations

import asyncio
import shutil
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import lknb
from lknb import rtc
from lknb.codec.clock import now_us
from lknb.errors import MediaError, TrackError
from tests.kit.played import FPS, ORANGE, RATE_HZ, flashing, play
from tests.kit.together import side_by_side
from tests.rtc.call import Join

SECONDS = 3.0
# 0.05 on a machine at rest; a busy one loses pictures, and a container makes the last as long as the gap before it
DURATION_TOLERANCE_S = 0.15
OFFSET_TOLERANCE_S = 0.04
H264 = rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.H264)


def is_orange(colour: Any) -> bool:
    return bool(np.abs(np.asarray(colour) - ORANGE).max() < 25)


@pytest.mark.parametrize(
    ("suffix", "options", "codec"),
    [
        (".webm", None, "vp8"),
        (".mp4", H264, "h264"),
        (".mkv", H264, "h264"),
        # encoded again
        (".mp4", None, "h264"),
        (".webm", H264, "vp8"),
    ],
)
async def test_picture_and_sound_of_a_participant_are_in_the_file_as_they_were_sent(
    join: Join, tmp_path: Path, suffix: str, options: Any, codec: str
) -> None:
    alice, bob = await join("alice"), await join("bob")
    source = rtc.VideoSource(640, 360)
    async with flashing(source):
        await alice.local_participant.publish_track(source, options)
        await alice.local_participant.publish_track(lknb.Tone(1000.0, beep_every_s=1.0))
        await bob.wait_for_track("alice", kind=rtc.TrackKind.KIND_AUDIO)
        path = tmp_path / f"alice{suffix}"
        recorder = lknb.Recorder(bob, path, participant="alice")
        async with recorder:
            began_us = now_us()
            await asyncio.sleep(SECONDS)
            stopping_us = now_us()
    # from the key frame it begins with, which was captured before `start` returned, on a busy machine long before
    assert (stopping_us - began_us) / 1e6 - 0.05 < recorder.duration
    played = play(path)
    assert played.codecs == [codec, "opus"]
    assert abs(played.duration_s - recorder.duration) < DURATION_TOLERANCE_S
    assert set(played.sizes) == {(640, 360)}
    assert any(map(is_orange, played.colours))
    assert len(played.times_s) > 0.5 * FPS * SECONDS
    flashes, beeps = played.flashes_s(), played.beeps_s()
    # one may begin with the recording, before there is sound
    flashes = [flash for flash in flashes if min(abs(beep - flash) for beep in beeps) < 0.5]
    assert len(flashes) in (2, 3, 4)
    offsets = [min(beeps, key=lambda beep, flash=flash: abs(beep - flash)) - flash for flash in flashes]
    print(f"{suffix}: beep after flash by {[round(1000 * offset) for offset in offsets]} ms")
    # a beep begins with each second of the clock: so long before the end the file begins
    ended_us = recorder._writer._stop_us
    off_s = (ended_us / 1e6 - recorder.duration + beeps[-1] + 0.5) % 1.0 - 0.5
    assert abs(off_s) < 0.1
    # on a busy machine the first picture of a flash may be one of those that were not encoded
    assert abs(np.median(offsets)) < OFFSET_TOLERANCE_S + 1 / FPS
    assert all(abs(offset) < OFFSET_TOLERANCE_S + 3 / FPS for offset in offsets)
    # a second of the sender is a second in the file; sound lies where its timestamps put it, however busy the machine
    # one that a machine which stalls has not made is missed in the file as well
    for times_s, tolerance_s in ((flashes, 3 / FPS), (beeps, 0.02)):
        seconds = np.diff(times_s)
        assert seconds == pytest.approx(np.clip(np.round(seconds), 1, 2), abs=tolerance_s)


async def test_a_mute_is_silence_and_a_picture_that_stands(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    picture = await alice.local_participant.publish_track(lknb.TestPattern(320, 180, color=ORANGE))
    sound = await alice.local_participant.publish_track(lknb.Tone(700.0))
    path = tmp_path / "muted.webm"
    recorder = lknb.Recorder(bob, path, participant="alice")
    async with recorder:
        await asyncio.sleep(1.5)
        for publication in (picture, sound):
            assert publication.track is not None
            publication.track.mute()
        muted_s = recorder.duration
        await asyncio.sleep(1.5)
        for publication in (picture, sound):
            assert publication.track is not None
            publication.track.unmute()
        unmuted_s = recorder.duration
        await asyncio.sleep(1.0)
    played = play(path)
    assert abs(played.duration_s - recorder.duration) < DURATION_TOLERANCE_S
    stood_s = max(np.diff(played.times_s))
    assert unmuted_s - muted_s - 0.3 < stood_s < unmuted_s - muted_s + 0.5
    assert played.times_s[-1] > unmuted_s + 0.5
    assert all(map(is_orange, played.colours))
    moments_s = (0.5, (muted_s + unmuted_s) / 2, unmuted_s + 0.6)
    level = [np.abs(played.sound[int(at * RATE_HZ) :][: RATE_HZ // 4]).max() for at in moments_s]
    assert level[0] > 0.1
    assert level[1] < 0.01
    assert level[2] > 0.1


async def test_a_file_can_be_played_through_a_change_of_layers(
    join: Join, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    cases = {"vp8 in webm": (".webm", None), "h264 in mp4": (".mp4", H264), "vp8 in mp4": (".mp4", None)}
    await side_by_side(subtests, {case: change_layers(join, tmp_path, case, *cases[case]) for case in cases})


async def change_layers(join: Join, folder: Path, case: str, suffix: str, options: Any) -> None:
    alice, bob = await join("alice", case), await join("bob", case)
    publication = await alice.local_participant.publish_track(lknb.TestPattern(640, 360, color=ORANGE), options)
    track = await bob.wait_for_track("alice")
    path = folder / f"{case}{suffix}"
    recorder = lknb.Recorder(track, path)
    async with recorder:
        await asyncio.sleep(1.5)
        wish = bob.remote_participants["alice"].track_publications[publication.sid]
        wish.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
        async with asyncio.timeout(10):
            async for event in rtc.VideoStream(track):
                if event.frame.height == 180:
                    break
        await asyncio.sleep(0.5)
    played = play(path)
    assert set(played.sizes) == ({(640, 360), (320, 180)} if suffix != ".mp4" or options else {(640, 360)})
    assert all(map(is_orange, played.colours))
    assert abs(played.duration_s - recorder.duration) < DURATION_TOLERANCE_S


async def test_a_recorder_counts_as_a_viewer_of_the_whole_picture(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice", dynacast=True), await join("bob", adaptive_stream=True)
    await alice.local_participant.publish_track(lknb.TestPattern(1280, 720, fps=15, color=ORANGE))
    # nothing shows it, so nothing is sent before
    async with lknb.Recorder(await bob.wait_for_track("alice"), tmp_path / "watched.webm") as recorder:
        await asyncio.sleep(2)
    played = play(recorder.path)
    # from the first picture on
    assert played.sizes[0] == played.sizes[-1] == (1280, 720)
    with av.open(str(recorder.path)) as file:
        assert (file.streams.video[0].width, file.streams.video[0].height) == (1280, 720)
    assert all(map(is_orange, played.colours))


async def test_a_layer_that_was_asked_for_is_not_waited_past(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.local_participant.publish_track(lknb.TestPattern(640, 360, color=ORANGE))
    track = await bob.wait_for_track("alice")
    publication = track.publication
    assert isinstance(publication, rtc.RemoteTrackPublication)
    publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
    async with asyncio.timeout(10):
        async for event in rtc.VideoStream(track):
            if event.frame.height == 180:
                break
    async with lknb.Recorder(track, tmp_path / "small.webm") as recorder:
        await asyncio.sleep(0.5)
    assert set(play(recorder.path).sizes) == {(320, 180)}


async def test_a_track_that_ends_is_recorded_to_its_end(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    publication = await alice.local_participant.publish_track(lknb.TestPattern(320, 180, color=ORANGE))
    recorder = lknb.Recorder(await bob.wait_for_track("alice"), tmp_path / "ended.webm")
    starting_s = now_us() / 1e6
    async with recorder:
        began_s = now_us() / 1e6
        await asyncio.sleep(1.5)
        ending_s = now_us() / 1e6
        await alice.local_participant.unpublish_track(publication.sid)
        await bob.wait_until(lambda: not bob.remote_participants["alice"].track_publications)
        ended_s = now_us() / 1e6
        await asyncio.sleep(0.5)
    # it begins with a picture that was captured before `start` returned
    assert ending_s - began_s - 0.15 < play(recorder.path).duration_s < ended_s - starting_s + 0.15


async def test_what_was_recorded_until_the_process_is_killed_can_be_played(
    join: Join, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    cases = {".webm": None, ".mp4": H264}
    await side_by_side(subtests, {suffix: cut_off(join, tmp_path, suffix, cases[suffix]) for suffix in cases})


async def cut_off(join: Join, folder: Path, suffix: str, options: Any) -> None:
    alice, bob = await join("alice", suffix), await join("bob", suffix)
    await alice.local_participant.publish_track(lknb.TestPattern(320, 180, color=ORANGE), options)
    recorder = lknb.Recorder(await bob.wait_for_track("alice"), folder / f"whole{suffix}")
    killed = folder / f"killed{suffix}"
    async with recorder:
        await asyncio.sleep(4)
        # what is on the disk now
        shutil.copy(recorder.path, killed)
    played = play(killed)
    assert len(played.times_s) > 50
    assert all(map(is_orange, played.colours))


async def test_our_own_track_can_be_recorded(join: Join, tmp_path: Path) -> None:
    alice = await join("alice")
    await alice.local_participant.publish_track(lknb.TestPattern(320, 180, color=ORANGE))
    async with lknb.Recorder(alice, tmp_path / "own.webm", participant="alice") as recorder:
        await asyncio.sleep(1)
    played = play(recorder.path)
    assert played.duration_s == pytest.approx(recorder.duration, abs=DURATION_TOLERANCE_S)
    assert is_orange(played.colours[-1])


async def test_sound_alone(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.local_participant.publish_track(lknb.Tone(1000.0))
    await bob.wait_for_track("alice", kind=rtc.TrackKind.KIND_AUDIO)
    recorder = lknb.Recorder(bob, tmp_path / "tone.wav", participant="alice")
    async with recorder:
        await asyncio.sleep(2)
    with wave.open(str(recorder.path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        assert file.getnframes() / RATE_HZ == pytest.approx(recorder.duration, abs=DURATION_TOLERANCE_S)
    assert abs(play(recorder.path).peak_hz() - 1000) < 2


async def test_pictures_alone(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.local_participant.publish_track(lknb.TestPattern(320, 180, color=ORANGE))
    track = await bob.wait_for_track("alice")
    async with lknb.Recorder(track, tmp_path / "one.png") as recorder:
        await asyncio.sleep(1.5)
    assert recorder.duration == 0
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (320, 180)
        assert is_orange(np.asarray(picture).mean(axis=(0, 1)))
    (tmp_path / "all").mkdir()
    async with lknb.Recorder(track, tmp_path / "all" / "%04d.png"):
        await asyncio.sleep(1)
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == [f"{number:04d}.png" for number in range(1, len(names) + 1)]
    assert len(names) > 8


async def test_what_cannot_be_recorded_is_said(join: Join, tmp_path: Path) -> None:
    alice, bob = await join("alice"), await join("bob")
    for name, words in (
        ("a.avi", r"ends in one of \.mp4, \.webm"),
        ("a", "not 'a'"),
        ("%.png", "%d"),
    ):
        with pytest.raises(MediaError, match=words):
            lknb.Recorder(bob, tmp_path / name)
    with pytest.raises(TrackError, match="'zoe' is not in the room; bob, alice are"):
        await lknb.Recorder(bob, tmp_path / "a.webm", participant="zoe").start()
    with pytest.raises(TrackError, match="'alice' has no video and no audio"):
        await lknb.Recorder(bob, tmp_path / "a.webm", participant="alice", timeout=0.2).start()
    publication = await alice.local_participant.publish_track(lknb.TestPattern(320, 180))
    track = await bob.wait_for_track("alice")
    for nothing in ("alice", None, publication):
        with pytest.raises(TrackError, match="expected a track, a participant or a room"):
            lknb.Recorder(nothing, tmp_path / "a.webm")  # type: ignore[arg-type]
    with pytest.raises(MediaError, match=r"cannot be written: .*No such file"):
        await lknb.Recorder(bob, tmp_path / "nowhere" / "a.webm").start()
    with pytest.raises(MediaError, match="no folder"):
        await lknb.Recorder(bob, tmp_path / "nowhere" / "a.png").start()
    with pytest.raises(MediaError, match=r"\.wav holds no video"):
        await lknb.Recorder(track, tmp_path / "a.wav").start()
    used = lknb.Recorder(track, tmp_path / "a.webm")
    async with used:
        pass
    with pytest.raises(MediaError, match="has been used"):
        await used.start()
    assert publication.track is not None
    publication.track.mute()
    await bob.wait_until(lambda: track.muted)
    with pytest.raises(TrackError, match=r"no picture of track .* within 0\.3 s: is it muted"):
        await lknb.Recorder(track, tmp_path / "a.webm", timeout=0.3).start()
