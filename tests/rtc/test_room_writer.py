"""What a recording of a room keeps of tracks that come and go."""

from __future__ import annotations

import time
import wave
from pathlib import Path

import av
import numpy as np

from lknb.codec import pixel
from lknb.codec.audio_encoder import FRAME_SAMPLES, AudioEncoder
from lknb.codec.clock import now_us
from lknb.codec.video_encoder import VideoEncoder
from lknb.rtc.room_writer import RoomWriter
from tests.kit.poll import wait_until_sync


def test_what_has_ended_and_was_written_is_forgotten(tmp_path: Path) -> None:
    writer = RoomWriter(tmp_path / "room.wav", on_lost=lambda name: None)
    encoder = AudioEncoder(1)
    loud = (10_000 * np.sin(np.arange(FRAME_SAMPLES) / 9)).astype(np.int16).reshape(-1, 1)
    writer.show({}, ["stays"])
    writer.start()
    wait_until_sync(lambda: writer.began_us is not None, what="it begins")
    for index in range(200):
        writer.show({f"picture {index}": "somebody"}, ["stays", f"sound {index}"])
        for name in ("stays", f"sound {index}"):
            packet = encoder.encode(loud, now_us())
            assert packet is not None
            writer.put(name, packet)
        writer.show({}, ["stays"])
        writer.end(f"picture {index}")
        writer.end(f"sound {index}")
        # its turn has still to come
        assert {f"picture {index}", f"sound {index}"} <= writer._lines.keys()
    wait_until_sync(lambda: list(writer._lines) == ["stays"], what="only what is in the room is kept")
    # of one that is only muted it goes on, and so does one that comes again before it was forgotten
    writer.show({"picture": "somebody"}, ["stays"])
    writer.end("picture")
    writer.show({"picture": "somebody"}, ["stays"])
    writer.show({}, ["stays"])
    wait_until_sync(lambda: not writer._plans, what="all of it has been laid out")
    assert sorted(writer._lines) == ["picture", "stays"]
    writer.stop()
    wait_until_sync(lambda: writer.finished, what="it ends")
    assert writer.error is None
    with wave.open(str(tmp_path / "room.wav")) as file:
        assert np.abs(np.frombuffer(file.readframes(file.getnframes()), np.int16)).max() > 1_000


def test_a_first_picture_from_before_it_is_shown_is_not_lost(tmp_path: Path) -> None:
    # the server may have had it ready when the subscription is told of; the next pictures are made from it
    lost: list[str] = []
    writer = RoomWriter(tmp_path / "room.webm", on_lost=lost.append)
    encoder = VideoEncoder("vp8", 320, 180, bitrate_bps=500_000)
    green = pixel.from_array(np.full((180, 320, 3), (40, 170, 60), np.uint8))
    writer.show({}, [])
    writer.start()
    wait_until_sync(lambda: writer.began_us is not None, what="it begins")
    began_us = writer.began_us or 0
    # later than that, nobody is waited for at the beginning
    time.sleep(0.8)
    shown_us = now_us()
    writer.show({"picture": "somebody"}, [])
    for number in range(30):
        frame = encoder.encode(green, shown_us - 100_000 + number * 33_000)
        if frame is not None:
            assert frame.keyframe == (number == 0)
            writer.put("picture", frame)
    wait_until_sync(lambda: now_us() > shown_us + 1_000_000, what="all of it has been captured")
    writer.stop()
    wait_until_sync(lambda: writer.finished, what="it ends")
    assert writer.error is None
    assert not lost
    with av.open(str(tmp_path / "room.webm")) as file:
        seen_s = [
            float(frame.time or 0) for frame in file.decode(video=0) if frame.to_ndarray(format="rgb24").max() > 120
        ]
    assert 0 <= seen_s[0] - (shown_us - began_us) / 1e6 < 0.1
    assert len(seen_s) > 20


def test_a_sound_that_was_never_heard_may_end_before_it_is_due(tmp_path: Path) -> None:
    writer = RoomWriter(tmp_path / "room.wav", on_lost=lambda name: None)
    writer.show({}, [])
    writer.start()
    wait_until_sync(lambda: writer.began_us is not None, what="it begins")
    # a muted microphone, gone before the recording has come to it
    writer.show({}, ["silent"])
    writer.show({}, [])
    writer.end("silent")
    wait_until_sync(lambda: writer.finished or not (writer._plans or writer._lines), what="it is forgotten")
    assert writer.error is None
    writer.stop()
    wait_until_sync(lambda: writer.finished, what="it ends")
    assert writer.error is None
