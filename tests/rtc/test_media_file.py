"""The handle of a media file."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from lknb.errors import MediaError
from lknb.rtc.media_file import MediaFile
from lknb.rtc.source import Encoding
from tests.rtc.scripted_core import ScriptedCore

REPLY: dict[str, dict[str, Any]] = {
    "video": {
        "codec": "h264",
        "width": 640,
        "height": 360,
        "layers": [{"rid": "", "width": 640, "height": 360, "max_bitrate_bps": 5, "max_fps": 30}],
    },
    "audio": {"codec": "opus", "stereo": True, "layers": []},
}


@pytest.fixture
def answering(core: ScriptedCore) -> ScriptedCore:
    core.respond["source_open"] = lambda header, buffers: (REPLY[header["kind"]], [])
    return core


async def test_a_position_that_is_no_number_is_told(answering: ScriptedCore) -> None:
    with pytest.raises(MediaError, match="a position is a finite number, not nan"):
        MediaFile("a.mp4", position_s=float("nan"))
    with pytest.raises(MediaError, match="a position is a finite number, not nan"):
        await MediaFile("a.mp4").seek(float("nan"))


def end(core: ScriptedCore, handle: int, error: str | None = None) -> None:
    """The core says that a source has ended, on a thread of its own."""
    header = {"event": "source_ended", "source": handle, "error": error}
    thread = threading.Thread(target=core.listeners[("source", handle)], args=(header, []))
    thread.start()
    thread.join()


async def test_picture_and_sound_are_opened_as_one_file(answering: ScriptedCore, tmp_path: Path) -> None:
    file = MediaFile(tmp_path / "a.mp4", loop=True, max_height=480)
    video = await file.video.open(answering, Encoding("vp8"))  # type: ignore[arg-type]
    audio = await file.audio.open(answering, Encoding("opus"))  # type: ignore[arg-type]
    first, second = answering.sent("source_open")
    assert first["file"] == second["file"]
    assert (first["path"], first["loop"], first["max_height"]) == (str(tmp_path / "a.mp4"), True, 480)
    assert (video.codec, video.width, video.layers[0].rid) == ("h264", 640, "")
    assert (audio.codec, audio.stereo) == ("opus", True)
    for track, opened in ((file.video, video), (file.audio, audio)):
        await track.release(opened.handle)
    assert len(answering.sent("source_close")) == 2


async def test_a_path_is_made_absolute_and_a_url_is_not(
    answering: ScriptedCore, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a.mp4", "~/a.mp4", "rtsp://127.0.0.1/a"):
        file = MediaFile(path)
        opened = await file.video.open(answering, Encoding())  # type: ignore[arg-type]
        await file.video.release(opened.handle)
    device = MediaFile("0", format="v4l2", options={"framerate": "30"})
    opened = await device.video.open(answering, Encoding())  # type: ignore[arg-type]
    await device.video.release(opened.handle)
    paths = [request["path"] for request in answering.sent("source_open")]
    assert paths == [str(tmp_path / "a.mp4"), os.path.expanduser("~/a.mp4"), "rtsp://127.0.0.1/a", "0"]
    assert answering.sent("source_open")[-1]["options"] == {"framerate": "30"}


async def test_controls_reach_the_one_player_once(answering: ScriptedCore) -> None:
    file = MediaFile("a.mp4")
    await file.pause()
    assert not answering.requests
    video = await file.video.open(answering, Encoding())  # type: ignore[arg-type]
    audio = await file.audio.open(answering, Encoding("opus"))  # type: ignore[arg-type]
    assert answering.sent("source_open")[0]["paused"]
    await file.resume()
    await file.seek(2.5)
    await file.set_loop(True)
    sent = [(request["source"], request["action"]) for request in answering.sent("source_control")]
    assert sent == [(video.handle, "resume"), (video.handle, "seek"), (video.handle, "loop")]
    assert answering.sent("source_control")[1]["position_s"] == 2.5
    await file.video.release(video.handle)
    await file.pause()
    assert answering.sent("source_control")[-1]["source"] == audio.handle
    await file.audio.release(audio.handle)


async def test_a_seek_before_the_file_is_open_is_where_it_begins(answering: ScriptedCore) -> None:
    file = MediaFile("a.mp4")
    await file.seek(3)
    opened = await file.video.open(answering, Encoding())  # type: ignore[arg-type]
    assert answering.sent("source_open")[0]["position_s"] == 3
    await file.video.release(opened.handle)


async def test_position_and_duration(answering: ScriptedCore) -> None:
    file = MediaFile("a.mp4", position_s=3.0)
    assert file.duration is None
    assert await file.position() == 3.0
    answering.respond["source_open"] = lambda header, buffers: ({**REPLY[header["kind"]], "duration_s": 12.5}, [])
    answering.respond["source_control"] = lambda header, buffers: ({"position_s": 4.25}, [])
    audio = await file.audio.open(answering, Encoding("opus"))  # type: ignore[arg-type]
    assert file.duration == 12.5
    assert await file.position() == 4.25
    assert answering.sent("source_control")[-1]["action"] == "position"
    await file.audio.release(audio.handle)
    assert await file.position() == 3.0


async def test_the_end_can_be_waited_for(answering: ScriptedCore) -> None:
    file = MediaFile("a.mp4")
    await file.wait_for_end()
    video = await file.video.open(answering, Encoding())  # type: ignore[arg-type]
    audio = await file.audio.open(answering, Encoding("opus"))  # type: ignore[arg-type]
    waiting = asyncio.ensure_future(file.wait_for_end())
    end(answering, video.handle)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    end(answering, audio.handle)
    await asyncio.wait_for(waiting, 1)
    await file.video.release(video.handle)
    await file.audio.release(audio.handle)


async def test_an_end_with_a_fault_says_so_and_unpublishing_lets_go(answering: ScriptedCore) -> None:
    file = MediaFile("a.mp4")
    video = await file.video.open(answering, Encoding())  # type: ignore[arg-type]
    waiting = asyncio.ensure_future(file.wait_for_end())
    await asyncio.sleep(0)
    end(answering, video.handle, "the disk is gone")
    with pytest.raises(MediaError, match="the disk is gone"):
        await waiting
    await file.video.release(video.handle)
    again = await file.video.open(answering, Encoding())  # type: ignore[arg-type]
    waiting = asyncio.ensure_future(file.wait_for_end())
    await asyncio.sleep(0)
    await file.video.release(again.handle)
    await asyncio.wait_for(waiting, 1)


def test_reprs_are_stable() -> None:
    assert repr(MediaFile("a.mp4")) == "rtc.MediaFile('a.mp4')"
    assert repr(MediaFile("a.mp4").audio) == "rtc.MediaFile('a.mp4').audio"
