"""What a recording of a room keeps of tracks that come and go."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from lknb.codec.audio_encoder import FRAME_SAMPLES, AudioEncoder
from lknb.codec.clock import now_us
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
    assert len(writer._lines) > 300
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
