"""From the parameters of a request to a source."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lknb.codec.layer import plan_layers
from lknb.core.source import FrameSource, describe_source, open_source
from lknb.core.source.pattern import TestPattern
from lknb.core.source.tone import Tone
from lknb.errors import MediaError


def test_the_whole_header_of_a_request_will_do() -> None:
    header = {
        "op": "source_open",
        "id": 4,
        "source": 7,
        "kind": "video",
        "type": "pattern",
        "width": 640,
        "height": 360,
    }
    source = open_source("pattern", "video", header)
    assert isinstance(source, TestPattern)
    assert describe_source(source) == {
        "kind": "video",
        "codec": "vp8",
        "width": 640,
        "height": 360,
        "stereo": False,
        "duration_s": None,
        "layers": [asdict(layer) for layer in plan_layers(640, 360)],
    }


def test_frames_of_the_kernel_say_their_layers() -> None:
    layers = plan_layers(1280, 720)
    source = open_source(
        "frames",
        "video",
        {"codec": "h264", "width": 1280, "height": 720, "layers": [asdict(layer) for layer in layers]},
    )
    assert isinstance(source, FrameSource)
    assert (source.layers, source.codec) == (layers, "h264")


def test_sound_has_no_layers() -> None:
    tone = open_source("tone", "audio", {"frequency_hz": 100})
    assert isinstance(tone, Tone)
    assert describe_source(tone)["layers"] == []
    assert describe_source(open_source("samples", "audio", {"channels": 2}))["stereo"]


@pytest.mark.parametrize(
    ("type", "kind", "parameters"),
    [
        ("camera", "video", {}),
        ("tone", "video", {}),
        ("pattern", "audio", {}),
        ("pattern", "video", {"fsp": 30}),
        ("pattern", "video", {"width": "wide"}),
        ("frames", "video", {}),
        ("frames", "audio", {"codec": "opus"}),
        ("samples", "video", {"channels": 1}),
        ("samples", "audio", {}),
        ("samples", "audio", {"channels": 6}),
        ("frames", "video", {"codec": "vp8", "layers": [{"rid": "q"}]}),
        ("file", "video", {}),
        ("file", "audio", {"file": 1, "path": "/nowhere/at/all.mp4"}),
    ],
)
def test_anything_wrong_is_a_media_error(type: str, kind: Any, parameters: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        open_source(type, kind, parameters)
