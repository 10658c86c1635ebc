"""What publish options ask of a source."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from lknb.codec.layer import plan_layers
from lknb.errors import MediaError
from lknb.rtc.enumeration import VideoCodec
from lknb.rtc.option import AudioEncoding, TrackPublishOptions, VideoEncoding
from lknb.rtc.source import Encoding, frame_layers


def test_unset_options_are_the_defaults_of_livekit() -> None:
    assert Encoding.of("video", TrackPublishOptions()) == Encoding("vp8", simulcast=True, dtx=True)
    assert Encoding.of("audio", TrackPublishOptions()) == Encoding("opus", simulcast=True, dtx=True)


def test_options_that_are_set_are_followed() -> None:
    options = TrackPublishOptions(
        video_codec=VideoCodec.H264, simulcast=False, video_encoding=VideoEncoding(800_000, 15.0)
    )
    assert Encoding.of("video", options) == Encoding("h264", simulcast=False, max_bitrate_bps=800_000, max_fps=15.0)
    options = TrackPublishOptions(dtx=False, audio_encoding=AudioEncoding(20_000))
    assert Encoding.of("audio", options) == Encoding("opus", max_bitrate_bps=20_000, dtx=False)


def test_a_codec_that_is_not_encoded_is_refused_by_name() -> None:
    with pytest.raises(MediaError, match="video codec 'h264' is not encoded by lknb"):
        Encoding.of("video", TrackPublishOptions(video_codec="h264"))  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="AV1 is not encoded by lknb"):
        Encoding.of("video", TrackPublishOptions(video_codec=VideoCodec.AV1))
    with pytest.raises(MediaError, match="video codec 77 is not"):
        Encoding.of("video", TrackPublishOptions(video_codec=77))


def test_layers_survive_the_link() -> None:
    layers = plan_layers(1280, 720)
    assert frame_layers({"layers": [asdict(layer) for layer in layers]}) == layers
