"""The thread that writes recordings, without a room."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from lknb.codec import pixel, recording
from lknb.codec.clock import now_us
from lknb.codec.video_encoder import VideoEncoder
from lknb.errors import MediaError
from lknb.rtc import frame_writer
from lknb.rtc.frame_writer import FrameWriter
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until


def keyframe(side: int = 64) -> EncodedFrame:
    picture = pixel.from_array(np.full((side, side, 3), 90, np.uint8))
    frame = VideoEncoder("vp8", side, side, bitrate_bps=100_000).encode(picture, now_us())
    assert frame is not None
    return frame


def writer(path: Path) -> FrameWriter:
    made = FrameWriter(path, pictures=True, channels=0, on_lost=lambda: None)
    made.start()
    return made


def size(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as file:
        return file.streams.video[0].width, file.streams.video[0].height


async def test_it_begins_with_a_key_frame_of_the_size_that_is_expected(tmp_path: Path) -> None:
    made = FrameWriter(tmp_path / "a.webm", pictures=True, channels=0, on_lost=lambda: None, expected=(128, 128))
    made.start()
    made.put(keyframe(64))
    await made.changed.wait_for(lambda: made.sees_picture)
    assert made.began_us is None
    made.put(keyframe(126))
    await made.changed.wait_for(lambda: made.began_us is not None)
    made.stop()
    await made.changed.wait_for(lambda: made.finished)
    assert made.error is None
    assert size(tmp_path / "a.webm") == (126, 126)


async def test_without_a_larger_one_it_begins_with_the_largest_that_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_writer, "_GROWTH_US", 50_000)
    made = FrameWriter(tmp_path / "a.webm", pictures=True, channels=0, on_lost=lambda: None, expected=(128, 128))
    for side in (32, 96, 64):
        made.put(keyframe(side))
    made.start()
    await made.changed.wait_for(lambda: made.began_us is not None)
    made.stop()
    await made.changed.wait_for(lambda: made.finished)
    assert size(tmp_path / "a.webm") == (96, 96)


async def test_how_long_it_is_when_nobody_stopped_it(tmp_path: Path) -> None:
    made = writer(tmp_path / "a.png")
    made.put(keyframe())
    await made.changed.wait_for(lambda: made.finished)
    assert made.duration_us == 0


async def test_a_disk_that_is_full_is_an_error_and_the_thread_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MediaError("no space left")

    monkeypatch.setattr(recording.ContainerRecording, "write", full)
    made = writer(tmp_path / "a.webm")
    made.put(keyframe())
    await made.changed.wait_for(lambda: made.finished or made.began_us is not None)
    made.stop()
    await made.changed.wait_for(lambda: made.finished)
    assert made.error is not None
    assert made.error.message == "no space left"


async def test_more_frames_than_can_be_written_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_writer, "_MAX_WAITING_FRAMES", 5)
    made = FrameWriter(tmp_path / "a.webm", pictures=True, channels=0, on_lost=lambda: None)
    for _ in range(7):
        made.put(keyframe())
    made.start()
    await made.changed.wait_for(lambda: made.finished)
    assert made.error is not None
    assert "as fast as frames come" in made.error.message


async def test_a_fault_of_ours_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_writer, "open_recording", lambda *_: 1 / 0)
    made = writer(tmp_path / "a.webm")
    made.put(keyframe())
    await made.changed.wait_for(lambda: made.finished)
    assert made.error is not None
    assert "ZeroDivisionError" in made.error.message


async def test_stopping_before_the_first_picture_leaves_no_file(tmp_path: Path) -> None:
    made = writer(tmp_path / "a.webm")
    made.stop()
    await wait_until(lambda: made.finished)
    assert made.error is None
    assert not (tmp_path / "a.webm").exists()
