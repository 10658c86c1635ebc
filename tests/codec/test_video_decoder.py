"""Frames in, pictures out, whatever the frames are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lknb.codec import pixel
from lknb.codec.video_decoder import VideoDecoder
from lknb.codec.video_encoder import VideoEncoder
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame
from tests.codec.content import pictures

CODECS = ("vp8", "h264")


def stream(codec: str, count: int = 8, keyframes: tuple[int, ...] = (0,)) -> list[EncodedFrame]:
    encoder = VideoEncoder(codec, 160, 90, bitrate_bps=400_000)
    frames = [
        encoder.encode(picture, index * 33_333, index in keyframes)
        for index, picture in enumerate(pictures(count, 160, 90))
    ]
    return [frame for frame in frames if frame is not None]


STREAMS = {codec: stream(codec) for codec in CODECS}


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_come_out_one_for_one_and_look_like_those_that_went_in(codec: str) -> None:
    decoder = VideoDecoder(codec)
    for original, frame in zip(pictures(8, 160, 90), stream(codec), strict=True):
        picture = decoder.decode(frame)
        assert picture is not None
        difference = pixel.to_array(picture).astype(int) - pixel.to_array(original)
        assert np.abs(difference).mean() < 8


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_decoded_before_a_key_frame(codec: str) -> None:
    decoder = VideoDecoder(codec)
    first, second, *_ = STREAMS[codec]
    assert decoder.needs_keyframe
    assert decoder.decode(second) is None
    assert decoder.decode(first) is not None
    assert not decoder.needs_keyframe


@pytest.mark.parametrize("codec", CODECS)
def test_after_a_corrupt_frame_a_key_frame_is_waited_for(codec: str) -> None:
    frames = stream(codec, 6, keyframes=(0, 4))
    decoder = VideoDecoder(codec)
    decoder.decode(frames[0])
    with pytest.raises(MediaError, match="cannot be decoded"):
        decoder.decode(replace(frames[1], data=frames[1].data[:2]))
    assert decoder.needs_keyframe
    assert decoder.decode(frames[2]) is None
    assert decoder.decode(frames[3]) is None
    assert decoder.decode(frames[4]) is not None
    assert decoder.decode(frames[5]) is not None


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    position=st.integers(0, 7),
    cut=st.integers(0, 4000),
    changes=st.lists(st.tuples(st.integers(0, 3999), st.integers(0, 255)), max_size=8),
)
def test_hostile_frames_give_a_picture_or_a_media_error(
    codec: str, position: int, cut: int, changes: list[tuple[int, int]]
) -> None:
    decoder = VideoDecoder(codec)
    for index, frame in enumerate(STREAMS[codec]):
        data = bytearray(frame.data)
        if index == position:
            for offset, value in changes:
                data[offset % len(data)] = value
            data = data[: max(1, cut)]
        try:
            picture = decoder.decode(replace(frame, data=bytes(data)))
        except MediaError:
            continue
        assert picture is None or picture.width <= 4096


def test_a_picture_larger_than_4096_is_refused_before_it_is_decoded() -> None:
    frame = STREAMS["vp8"][0]
    header = bytearray(frame.data)
    header[6:8] = (4097).to_bytes(2, "little")
    with pytest.raises(MediaError, match="4097x90 is larger than 4096"):
        VideoDecoder("vp8").decode(replace(frame, data=bytes(header)))


def test_an_h264_picture_larger_than_4096_is_refused() -> None:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 4112, 64, "yuv420p"
    context.time_base = Fraction(1, 30)
    context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    (packet,) = context.encode(av.VideoFrame(4112, 64, "yuv420p"))
    frame = EncodedFrame("h264", bytes(packet), 0, keyframe=True)
    with pytest.raises(MediaError, match="4112x64 is larger than 4096"):
        VideoDecoder("h264").decode(frame)


def test_a_frame_of_another_codec_and_an_absurd_one_are_refused() -> None:
    with pytest.raises(MediaError, match="expected a frame of vp8, got h264"):
        VideoDecoder("vp8").decode(STREAMS["h264"][0])
    with pytest.raises(MediaError, match="too large"):
        VideoDecoder("vp8").decode(replace(STREAMS["vp8"][0], data=bytes(9 * 1024 * 1024)))
    with pytest.raises(MediaError, match="cannot be read"):
        VideoDecoder("vp8").decode(replace(STREAMS["vp8"][0], data=b"\1\2\3"))
    with pytest.raises(MediaError, match="no decoder for 'av1'"):
        VideoDecoder("av1")


def test_a_change_of_size_within_a_stream_is_followed() -> None:
    encoder = VideoEncoder("vp8", 160, 90, bitrate_bps=300_000)
    decoder = VideoDecoder("vp8")
    sizes = []
    for index, (width, height) in enumerate(((160, 90), (96, 64), (160, 90))):
        frame = encoder.encode(pictures(1, width, height)[0], index * 33_333)
        assert frame is not None
        picture = decoder.decode(frame)
        assert picture is not None
        sizes.append((picture.width, picture.height))
    assert sizes == [(160, 90), (96, 64), (160, 90)]
