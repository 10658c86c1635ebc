"""Which files are sent as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from lknb.codec.video_decoder import VideoDecoder
from lknb.core.source.passthrough import VideoPassage, can_pass_audio, can_pass_video, can_rewind
from lknb.wire.h264 import split_annexb
from tests.core.source.media import make_file

FAST = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
REALTIME = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}


@pytest.mark.parametrize(
    ("name", "video", "gop", "options", "passes"),
    [
        ("a.mp4", "libx264", 30, FAST, True),
        ("a.mkv", "libx264", 60, FAST, True),
        ("a.ts", "libx264", 30, FAST, True),
        ("a.webm", "libvpx", 30, REALTIME, True),
        ("gop.mp4", "libx264", 100, FAST, False),
        ("b.mp4", "libx264", 15, {"preset": "veryfast"}, False),
        ("mpeg4.mp4", "mpeg4", 15, {}, False),
    ],
)
def test_pictures(tmp_path: Path, name: str, video: str, gop: int, options: dict[str, str], passes: bool) -> None:
    path = make_file(tmp_path / name, video=video, gop=gop, options=options, seconds=3)
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert can_pass_video(container, stream) == passes
        # whatever the answer, the file stands at its beginning again
        assert next(packet for packet in container.demux(stream)).pts in (0, None) or name.endswith(".ts")


@pytest.mark.parametrize(
    ("name", "audio", "passes"), [("a.ogg", "libopus", True), ("a.webm", "libopus", True), ("a.mp4", "aac", False)]
)
def test_sound(tmp_path: Path, name: str, audio: str, passes: bool) -> None:
    path = make_file(tmp_path / name, audio=audio, seconds=1)
    with av.open(path) as container:
        assert can_rewind(container)
        assert can_pass_audio(container, container.streams.audio[0]) == passes


def test_opus_in_packets_of_another_length_is_not_passed(tmp_path: Path) -> None:
    path = str(tmp_path / "long.ogg")
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("libopus", rate=48_000)
        stream.layout, stream.options = "mono", {"frame_duration": "60"}
        for index in range(30):
            frame = av.AudioFrame(format="s16", layout="mono", samples=2880)
            frame.sample_rate, frame.pts = 48_000, index * 2880
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        assert not can_pass_audio(container, container.streams.audio[0])


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_h264_gets_start_codes_and_parameter_sets_at_every_key_frame(tmp_path: Path, name: str) -> None:
    path = make_file(tmp_path / name, video="libx264", gop=10, options=FAST, seconds=1)
    with av.open(path) as container:
        stream = container.streams.video[0]
        passage = VideoPassage(stream)
        frames = [frame for packet in container.demux(stream) if packet.size for frame in passage.frames(packet, 0, 0)]
    assert len(frames) == 30
    assert [index for index, frame in enumerate(frames) if frame.keyframe] == [0, 10, 20]
    decoder = VideoDecoder("h264")
    for frame in frames:
        kinds = [unit[0] & 0x1F for unit in split_annexb(frame.data)]
        assert (7 in kinds and 8 in kinds and 5 in kinds) == frame.keyframe
        assert decoder.decode(frame) is not None
