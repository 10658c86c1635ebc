"""Media files as sources: passed through, encoded again, in step, through pause, seek and loop."""

from __future__ import annotations

import os
import struct
import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lknb.codec import pixel
from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.clock import now_us
from lknb.codec.video_decoder import VideoDecoder
from lknb.core.source import EncodedSource, file, file_audio, file_video, media_clock, open_source
from lknb.core.source.file_audio import EncodedAudio, PassedAudio
from lknb.core.source.file_video import EncodedVideo, PassedVideo
from lknb.core.source.painter import Painter
from lknb.errors import MediaError, MediaNotFoundError, NoSuchStreamError, UnreadableMediaError
from lknb.wire.frame import EncodedFrame
from tests.codec.content import frequency_hz
from tests.core.source.media import FPS, HEIGHT, WIDTH, Recorder, make_file
from tests.kit.poll import TIME_FACTOR, wait_until_sync

PERIOD_US = 1_000_000 / FPS


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the machine is, no picture and no sound is left out, and the clock of the file waits for nobody."""
    for module, name in ((file_video, "_LATE_US"), (file_audio, "_LATE_US"), (media_clock, "_MAX_LATE_US")):
        monkeypatch.setattr(module, name, 20_000_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("media")
    fast = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    realtime = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    return {
        "h264+aac": make_file(folder / "a.mp4", video="libx264", audio="aac", options=fast),
        "vp8+opus": make_file(folder / "b.webm", video="libvpx", audio="libopus", options=realtime),
        "b-frames": make_file(folder / "c.mp4", video="libx264", audio="aac", gop=250, options={"preset": "veryfast"}),
        "short": make_file(folder / "d.mp4", video="libx264", audio="aac", seconds=0.5, gop=250),
        "long h264": make_file(folder / "h.mp4", video="libx264", audio="aac", options=fast, gop=60, seconds=4),
        "long vp8": make_file(folder / "i.webm", video="libvpx", audio="libopus", options=realtime, gop=60, seconds=4),
        "wav": make_file(folder / "e.wav", audio="pcm_s16le", rate_hz=44_100, seconds=1),
        "mono": make_file(folder / "f.ogg", audio="libopus", channels=1, seconds=0.5),
        "raw": make_file(folder / "g.h264", video="libx264", options=fast, seconds=0.5),
    }


class Playing:
    """Open sources of one file, and what they send."""

    def __init__(self, path: str, *kinds: Any, **parameters: Any) -> None:
        self._parameters = {"file": id(self), "path": path, **parameters}
        self._opened: list[EncodedSource] = []
        self.sources: dict[str, EncodedSource] = {}
        self.recorders: dict[str, Recorder] = {}
        for kind in kinds or ("video", "audio"):
            self._open(kind)

    def _open(self, kind: Any) -> None:
        self.sources[kind] = open_source("file", kind, self._parameters)
        self._opened.append(self.sources[kind])
        self.recorders[kind] = Recorder()
        self.sources[kind].on_ended = self.recorders[kind].ends.append

    def __enter__(self) -> Playing:
        for kind, source in self.sources.items():
            source.start(self.recorders[kind])
        return self

    def __exit__(self, *_: object) -> None:
        for source in self._opened:
            source.stop()
        assert not file._open_players

    def join(self, kind: Any) -> Recorder:
        """What another source of the file sends from now on."""
        self._open(kind)
        self.sources[kind].start(self.recorders[kind])
        return self.recorders[kind]

    @property
    def video(self) -> Recorder:
        return self.recorders["video"]

    @property
    def audio(self) -> Recorder:
        return self.recorders["audio"]


def shown_numbers(frames: list[EncodedFrame]) -> list[int]:
    """Which picture of the pattern each frame shows, by where its bar stands."""
    painter = Painter(WIDTH, HEIGHT)
    rows = [pixel.to_array(painter.paint(number, number / FPS), "gray")[20].astype(int) for number in range(120)]
    decoder = VideoDecoder(frames[0].codec)
    numbers = []
    for frame in frames:
        picture = decoder.decode(frame)
        assert picture is not None
        row = pixel.to_array(picture, "gray")[20].astype(int)
        numbers.append(int(np.argmin([np.abs(row - expected).sum() for expected in rows])))
    return numbers


@pytest.mark.parametrize(
    ("name", "video", "audio", "codec"),
    [
        ("h264+aac", PassedVideo, EncodedAudio, "h264"),
        ("vp8+opus", PassedVideo, PassedAudio, "vp8"),
        ("b-frames", EncodedVideo, EncodedAudio, "vp8"),
    ],
)
def test_a_file_plays_in_real_time_to_its_end_with_picture_and_sound_in_step(
    files: dict[str, str], name: str, video: type, audio: type, codec: str
) -> None:
    with Playing(files[name]) as playing:
        assert type(playing.sources["video"]) is video
        assert type(playing.sources["audio"]) is audio
        assert playing.video.wait_end() is None
        assert playing.audio.wait_end() is None
    pictures, sound = playing.video.frames, playing.audio.frames
    assert {frame.codec for frame in pictures} == {codec}
    assert len(pictures) == 60
    steps = [later.timestamp_us - earlier.timestamp_us for earlier, later in pairwise(pictures)]
    assert all(abs(step - PERIOD_US) < 1500 for step in steps)
    assert 99 <= len(sound) <= 103
    assert {later.timestamp - earlier.timestamp for earlier, later in pairwise(sound)} == {960}
    assert abs(pictures[0].timestamp_us - sound[0].timestamp_us) < 45_000
    assert playing.video.lateness_ms[30] < 20 * TIME_FACTOR
    assert playing.audio.lateness_ms[50] < 20 * TIME_FACTOR
    decoder = AudioDecoder()
    heard = np.concatenate([decoder.decode(frame) for frame in sound])
    assert frequency_hz(heard[4800:-4800]) == pytest.approx(440, abs=3)
    assert np.median([frame.audio_level for frame in sound]) == pytest.approx(15, abs=2)
    numbers = shown_numbers(pictures)
    # the bar stands at whole pixels, so neighbours may look alike
    assert max(abs(number - index) for index, number in enumerate(numbers)) <= 1


def test_who_joins_a_file_that_runs_misses_what_is_past_and_no_more(files: dict[str, str]) -> None:
    with Playing(files["vp8+opus"], "video") as playing:
        # by now all of the file is read, as it is not longer than what is read ahead
        begun_us = playing.video.wait(12)[0].timestamp_us
        for _ in range(2):
            joined_us, sound = now_us(), playing.join("audio")
            assert joined_us - 40_000 < sound.wait(5)[0].timestamp_us < joined_us + 200_000 * TIME_FACTOR
            # and so does whoever takes its place
            playing.sources["audio"].stop()
        sound = playing.join("audio")
        assert sound.wait_end() is None
        assert sound.frames[-1].timestamp_us - begun_us == pytest.approx(2_000_000, abs=60_000)
        assert playing.video.wait_end() is None
        for _ in range(2):
            assert playing.join("audio").wait_end() is None
            assert not playing.audio.frames
            playing.sources["audio"].stop()


def test_pictures_can_be_encoded_again_in_layers(files: dict[str, str], tmp_path: Path) -> None:
    with Playing(files["h264+aac"], "video", passthrough=False, codec="h264") as playing:
        source = playing.sources["video"]
        assert isinstance(source, EncodedVideo)
        assert (source.codec, source.width, source.height) == ("h264", WIDTH, HEIGHT)
        frames = playing.video.wait(10)
    assert shown_numbers(frames)[-1] in (8, 9, 10)


def test_large_pictures_are_made_smaller(files: dict[str, str]) -> None:
    source = open_source("file", "video", {"file": 1, "path": files["b-frames"], "max_height": 46})
    assert (source.width, source.height) == (82, 46)
    source.stop()


def test_only_the_end_says_that_the_decoder_held_pictures_back(files: dict[str, str]) -> None:
    with Playing(files["short"], "video") as playing:
        assert playing.video.wait_end() is None
    assert len(playing.video.frames) == 15


def test_a_loop_goes_on_without_a_gap(files: dict[str, str]) -> None:
    with Playing(files["short"], loop=True) as playing:
        pictures = playing.video.wait(50)
        sound = playing.audio.wait(80)
    assert not playing.video.ends
    steps = [later.timestamp_us - earlier.timestamp_us for earlier, later in pairwise(pictures)]
    assert all(step > 25_000 for step in steps)
    assert max(steps) < PERIOD_US + 45_000
    gaps = [later.timestamp - earlier.timestamp for earlier, later in pairwise(sound)]
    assert min(gaps) == 960
    assert max(gaps) < 960 + 4800
    numbers = shown_numbers(pictures)
    assert abs(numbers[40] - (40 % 15)) <= 2


def test_looping_can_be_switched_off_and_on(files: dict[str, str]) -> None:
    with Playing(files["short"], "video", loop=True) as playing:
        playing.video.wait(20)
        playing.sources["video"].control("loop", loop=False)
        assert playing.video.wait_end() is None
        played = len(playing.video.frames)
        playing.sources["video"].control("loop", loop=True)
        playing.video.wait(played + 5)


def test_a_pause_holds_picture_and_sound_and_afterwards_they_are_still_in_step(files: dict[str, str]) -> None:
    with Playing(files["vp8+opus"]) as playing:
        playing.video.wait(5)
        playing.audio.wait(5)
        playing.sources["video"].control("pause")
        # one of each may be on its way
        wait_until_sync(lambda: time.monotonic_ns() // 1000 - playing.audio.times_us[-1] > 100_000)
        pictures, sound = len(playing.video.frames), len(playing.audio.frames)
        time.sleep(0.3)  # so long it stands still
        assert (len(playing.video.frames), len(playing.audio.frames)) == (pictures, sound)
        playing.sources["audio"].control("resume")
        playing.video.wait(pictures + 3)
        playing.audio.wait(sound + 3)
    jump_us = playing.video.frames[pictures].timestamp_us - playing.video.frames[pictures - 1].timestamp_us
    assert jump_us > 400_000
    sound_jump_us = playing.audio.frames[sound].timestamp_us - playing.audio.frames[sound - 1].timestamp_us
    assert abs((jump_us - PERIOD_US) - (sound_jump_us - 20_000)) < 2000


def test_a_file_may_begin_paused_and_in_the_middle(files: dict[str, str]) -> None:
    with Playing(files["b-frames"], "video", paused=True, position_s=1.0, simulcast=False) as playing:
        time.sleep(0.1)  # so long it stands still
        assert not playing.video.frames
        playing.sources["video"].control("resume")
        frames = playing.video.wait(3)
    assert shown_numbers(frames)[0] == pytest.approx(30, abs=1)


def test_a_seek_goes_to_the_picture_asked_for_forwards_and_backwards(files: dict[str, str]) -> None:
    seeks = []
    with Playing(files["b-frames"]) as playing:
        # the first not so near the end that a test that is late comes to it
        for position_s, expected in ((1.0, 30), (0.5, 15)):
            count = len(playing.video.wait(len(playing.video.frames) + 3))
            playing.sources["video"].control("seek", position_s=position_s)
            # of pictures that come late, too, this one is sent
            playing.sources["video"].request_keyframe()
            playing.video.wait(count + 6)
            seeks.append((count, expected))
        playing.audio.wait(len(playing.audio.frames) + 3)
        wait_until_sync(
            lambda: abs(playing.video.frames[-1].timestamp_us - playing.audio.frames[-1].timestamp_us) < 150_000,
            what="both go on",
        )
    # looked at when all is over: while the file runs, looking would be a race with it
    numbers = shown_numbers(playing.video.frames)
    for count, expected in seeks:
        shown = numbers[count : count + 6]
        # some of before may have been on their way
        first = next(index for index, number in enumerate(shown) if abs(number - expected) <= 6)
        assert first <= 2, shown
        assert sorted(shown[first:]) == shown[first:], shown


@pytest.mark.parametrize("name", ["long h264", "long vp8"])
def test_what_is_passed_through_goes_to_the_moment_asked_for_between_key_frames(
    files: dict[str, str], name: str
) -> None:
    # key frames are at 0 and 2 s
    with Playing(files[name]) as playing:
        assert isinstance(playing.sources["video"], PassedVideo)
        playing.video.wait(3)
        playing.audio.wait(3)
        sought_us = now_us()
        playing.sources["video"].control("seek", position_s=1.5)
        told = playing.sources["video"].control("position")
        assert told is not None
        assert 1.5 <= told["position_s"] <= 1.5 + (now_us() - sought_us) / 1e6
        count = len(playing.video.frames)
        playing.video.wait(count + 30)
        after = [frame for frame in playing.video.frames if frame.timestamp_us > sought_us]
        sound = [frame for frame in playing.audio.frames if frame.timestamp_us > sought_us]
    first = next(index for index, frame in enumerate(after) if frame.keyframe)
    numbers = shown_numbers(after[first:])
    # read from the place of a bar, which moves by 2 pixels
    off = [number - 45 - index for index, number in enumerate(numbers[:40])]
    assert max(map(abs, off)) <= 2
    # through the next key frame, which is the file's own
    assert [index for index, frame in enumerate(after[first:]) if frame.keyframe] == [0, pytest.approx(15, abs=1)]
    assert abs(sound[0].timestamp_us - after[first].timestamp_us) < 60_000


def test_who_joins_between_key_frames_sees_pictures_at_once(files: dict[str, str]) -> None:
    with Playing(files["long h264"], "video", position_s=1.0) as playing:
        frames = playing.video.wait(5)
    assert frames[0].keyframe
    assert shown_numbers(frames)[0] == pytest.approx(30, abs=2)


def test_the_position_is_that_of_what_is_played(files: dict[str, str]) -> None:
    def position_s(playing: Playing) -> float:
        told = playing.sources["video"].control("position")
        assert told is not None
        return float(told["position_s"])

    with Playing(files["h264+aac"], paused=True, position_s=1.0, loop=True) as playing:
        assert playing.sources["video"].duration_s == pytest.approx(2.0, abs=0.1)  # type: ignore[attr-defined]
        playing.sources["video"].control("resume")
        playing.video.wait(5)
        assert 1.0 <= position_s(playing) < 1.9
        # it begins again, and is read ahead of that
        wait_until_sync(lambda: position_s(playing) < 0.9, what="the loop")
        playing.sources["video"].control("pause")
        held_s = position_s(playing)
        playing.sources["video"].control("seek", position_s=1.5)
        assert position_s(playing) == pytest.approx(1.5, abs=0.01)
        assert held_s < 0.95
        playing.sources["video"].control("loop", loop=False)
        playing.sources["video"].control("resume")
        playing.video.wait_end()
        assert position_s(playing) == pytest.approx(2.0, abs=0.1)


def test_seeking_after_the_end_plays_again(files: dict[str, str]) -> None:
    with Playing(files["short"], "video") as playing:
        playing.video.wait_end()
        playing.sources["video"].control("seek", position_s=0)
        playing.video.wait(20)


def test_a_key_frame_is_made_at_once_even_while_the_file_stands_still(files: dict[str, str]) -> None:
    with Playing(files["b-frames"], "video", simulcast=False) as playing:
        playing.video.wait(3)
        playing.sources["video"].control("pause")
        wait_until_sync(lambda: time.monotonic_ns() // 1000 - playing.video.times_us[-1] > 80_000)
        count = len(playing.video.frames)
        playing.sources["video"].request_keyframe()
        playing.video.wait(count + 1, 1.0)
        assert playing.video.frames[count].keyframe
        assert playing.video.frames[count].timestamp > playing.video.frames[count - 1].timestamp


def test_the_last_picture_can_be_had_after_the_end(files: dict[str, str]) -> None:
    with Playing(files["short"], "video", simulcast=False) as playing:
        playing.video.wait_end()
        count = len(playing.video.frames)
        playing.sources["video"].request_keyframe()
        assert playing.video.wait(count + 1, 1.0)[-1].keyframe


@pytest.mark.parametrize("name", ["h264+aac", "b-frames"])
def test_muting_does_not_stop_the_clock(files: dict[str, str], name: str) -> None:
    with Playing(files[name], simulcast=False) as playing:
        playing.video.wait(3)
        playing.audio.wait(3)
        playing.sources["video"].control("mute", muted=True)
        muted_at = len(playing.video.frames)
        # not a count of sounds: those that are late come at once
        wait_until_sync(lambda: playing.audio.frames[-1].timestamp_us - playing.video.frames[-1].timestamp_us > 400_000)
        assert len(playing.video.frames) - muted_at <= 1
        count = len(playing.video.frames)
        playing.sources["video"].control("mute", muted=False)
        playing.video.wait(count + 2)
    # what follows a mute begins with a key frame
    assert playing.video.frames[count].keyframe
    assert playing.video.frames[count].timestamp_us - playing.video.frames[count - 1].timestamp_us > 350_000


def test_who_comes_later_joins_where_the_file_is(files: dict[str, str]) -> None:
    sound = open_source("file", "audio", {"file": 77, "path": files["b-frames"]})
    pictures = open_source("file", "video", {"file": 77, "path": files["b-frames"], "simulcast": False})
    heard, seen = Recorder(), Recorder()
    sound.start(heard)
    heard.wait(40)
    pictures.start(seen)
    frames = seen.wait(5)
    sound.stop()
    pictures.stop()
    position_s = (frames[0].timestamp_us - heard.frames[0].timestamp_us) / 1e6
    assert position_s > 0.7
    assert shown_numbers(frames)[0] == pytest.approx(position_s * FPS, abs=2)


def test_one_of_both_can_stop_and_the_other_goes_on(files: dict[str, str]) -> None:
    with Playing(files["vp8+opus"]) as playing:
        playing.video.wait(3)
        playing.sources["video"].stop()
        playing.audio.wait(len(playing.audio.frames) + 10)


def test_a_second_publication_of_the_same_pictures(files: dict[str, str]) -> None:
    first = open_source("file", "video", {"file": 5, "path": files["vp8+opus"]})
    second = open_source("file", "video", {"file": 5, "path": files["vp8+opus"]})
    recorders = Recorder(), Recorder()
    for source, recorder in zip((first, second), recorders, strict=True):
        source.start(recorder)
    for recorder in recorders:
        recorder.wait(10)
    first.stop()
    recorders[1].wait(len(recorders[1].frames) + 5)
    second.stop()
    assert not file._open_players


def test_sound_of_other_rates_and_channels(files: dict[str, str]) -> None:
    with Playing(files["wav"], "audio") as playing:
        assert playing.sources["audio"].stereo
        assert playing.audio.wait_end() is None
    assert 49 <= len(playing.audio.frames) <= 51
    with Playing(files["mono"], "audio") as playing:
        assert not playing.sources["audio"].stereo
        playing.audio.wait(5)


def test_a_gap_in_the_sound_of_a_file_stays_a_gap(tmp_path: Path) -> None:
    path = str(tmp_path / "gap.mkv")
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=48_000)
        stream.layout = "mono"
        for index in range(20):
            frame = av.AudioFrame(format="s16", layout="mono", samples=960)
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = index * 960 + (24_000 if index >= 10 else 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Playing(path, "audio") as playing:
        playing.audio.wait_end()
    steps = [later.timestamp - earlier.timestamp for earlier, later in pairwise(playing.audio.frames)]
    assert len(steps) == 19
    assert sorted(steps)[:18] == [960] * 18
    assert max(steps) == pytest.approx(960 + 24_000, abs=50)


def test_a_bare_stream_of_pictures_is_played_by_its_frame_rate(files: dict[str, str]) -> None:
    with Playing(files["raw"], "video") as playing:
        assert playing.video.wait_end() is None
    assert len(playing.video.frames) == 15
    steps = {
        later.timestamp_us - earlier.timestamp_us
        for earlier, later in zip(*[iter(playing.video.frames)] * 2, strict=False)
    }
    assert min(steps) > 20_000


def test_an_input_that_cannot_be_rewound_is_played_as_it_comes(tmp_path: Path) -> None:
    stream = make_file(tmp_path / "a.ts", video="libx264", audio="aac", seconds=0.7)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(Path(stream).read_bytes()))
    writer.start()
    with Playing(str(pipe), loop=True) as playing:
        assert isinstance(playing.sources["video"], EncodedVideo)
        with pytest.raises(MediaError, match="cannot be rewound"):
            playing.sources["video"].control("seek", position_s=0)
        assert playing.video.wait_end() is None
        assert playing.audio.wait_end() is None
    writer.join(5)
    assert len(playing.video.frames) >= 15
    assert len(playing.audio.frames) >= 30


def test_pictures_that_were_filmed_upright_are_shown_upright(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    make_file(path, video="libx264", options=options, seconds=0.5)
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    data = path.read_bytes()
    track_header = data.index(b"tkhd")
    place = data.index(straight, track_header)
    path.write_bytes(data[:place] + turned + data[place + len(straight) :])
    with Playing(str(path), "video") as playing:
        source = playing.sources["video"]
        assert isinstance(source, EncodedVideo)
        assert (source.width, source.height) == (HEIGHT, WIDTH)
        (frame,) = playing.video.wait(1)
    picture = VideoDecoder("vp8").decode(frame)
    assert picture is not None
    # a quarter turn to the right: the bars lie, the grey one on top, the blue one at the bottom, the text on the left
    column = pixel.to_array(picture)[:, HEIGHT - 10]
    assert column[5].min() > 150
    assert column[-5, 2] > 150 > column[-5, 0]


def test_what_a_file_does_not_hold_cannot_be_opened(files: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(NoSuchStreamError, match="holds no pictures"):
        open_source("file", "video", {"file": 1, "path": files["wav"]})
    with pytest.raises(NoSuchStreamError, match="holds no sound"):
        open_source("file", "audio", {"file": 1, "path": files["raw"]})
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(bytes(range(256)) * 50)
    text = tmp_path / "notes.txt"
    text.write_text("not a picture of a terminal\n" * 200)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path, why in (
        (garbage, "is no media file"),
        (text, "is a text"),
        (empty, "is empty: was it written to its end"),
        (tmp_path, "cannot be opened: Is a directory$"),
    ):
        with pytest.raises(UnreadableMediaError, match=f"{path.name}' {why}"):
            open_source("file", "video", {"file": 1, "path": str(path)})
    with pytest.raises(MediaNotFoundError, match=r"there is no '.*nowhere\.mp4'"):
        open_source("file", "video", {"file": 1, "path": str(tmp_path / "nowhere.mp4")})
    with pytest.raises(MediaError, match="0 s or more"):
        open_source("file", "audio", {"file": 1, "path": files["wav"], "position_s": -1})
    assert not file._open_players


def test_a_title_in_an_old_code_page_is_no_reason_not_to_play(files: dict[str, str], tmp_path: Path) -> None:
    wav = Path(files["wav"]).read_bytes()
    title = b"INFOINAM" + struct.pack("<I", 4) + b"\xe9\xff\xfeA"
    # after the end of the "fmt " chunk, before the samples
    at = wav.index(b"fmt ") + 8 + struct.unpack_from("<I", wav, wav.index(b"fmt ") + 4)[0]
    titled = wav[:at] + b"LIST" + struct.pack("<I", len(title)) + title + wav[at:]
    path = tmp_path / "titled.wav"
    path.write_bytes(titled[:4] + struct.pack("<I", len(titled) - 8) + titled[8:])
    with Playing(str(path), "audio") as playing:
        playing.audio.wait(5)


def test_a_file_that_is_cut_off_plays_as_far_as_it_goes(files: dict[str, str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.webm"
    data = Path(files["vp8+opus"]).read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with Playing(str(cut)) as playing:
        playing.video.wait_end()
    assert 10 < len(playing.video.frames) < 55


def test_stopping_ends_every_thread_within_a_second(files: dict[str, str]) -> None:
    with Playing(files["b-frames"], loop=True) as playing:
        playing.video.wait(2)
        began = time.monotonic()
    assert time.monotonic() - began < 1
