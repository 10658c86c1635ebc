"""Pictures into the codec and the size of a file."""

from __future__ import annotations

import numpy as np
import pytest

from lknb.codec import pixel
from lknb.codec.clock import now_us
from lknb.codec.transcoder import Transcoder
from lknb.codec.video_decoder import VideoDecoder
from lknb.codec.video_encoder import VideoEncoder
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame

ORANGE = (230, 120, 20)


def encoded(codec: str, width: int, height: int, count: int, start_us: int) -> list[EncodedFrame]:
    encoder = VideoEncoder(codec, width, height, bitrate_bps=500_000)
    picture = pixel.from_array(np.full((height, width, 3), ORANGE, np.uint8))
    frames = [encoder.encode(picture, start_us + number * 33_333) for number in range(count)]
    return [frame for frame in frames if frame is not None]


@pytest.mark.parametrize(("received", "written"), [("vp8", "h264"), ("h264", "vp8")])
def test_pictures_of_every_size_become_those_of_the_first(received: str, written: str) -> None:
    transcoder, decoder, now = Transcoder(written), VideoDecoder(written), now_us()
    sizes = [(640, 360), (320, 180), (180, 320), (1280, 720)]
    frames = [
        frame
        for number, (width, height) in enumerate(sizes)
        for frame in encoded(received, width, height, 30, now + number * 1_000_000)
    ]
    made = [(frame, out) for frame in frames if (out := transcoder.transcode(frame)) is not None]
    assert len(made) > 0.9 * len(frames)
    assert all(out.codec == written and out.timestamp_us == frame.timestamp_us for frame, out in made)
    for frame, out in made:
        picture = decoder.decode(out)
        assert picture is not None
        array = pixel.to_array(picture).astype(int)
        assert array.shape == (360, 640, 3)
        assert np.abs(array[160:200, 300:340] - ORANGE).max() < 30
        # upright pictures lie between black
        if (frame.timestamp_us - now) // 1_000_000 == 2 and (frame.timestamp_us - now) % 1_000_000 > 300_000:
            assert array[:, :200].max() < 40
            assert array[:, -200:].max() < 40
    # a player may begin in the middle
    keyframes_us = [out.timestamp_us - now for _, out in made if out.keyframe]
    assert keyframes_us[0] == 0
    assert len(keyframes_us) >= 2


def test_what_cannot_be_decoded_is_said_and_a_key_frame_wanted() -> None:
    transcoder = Transcoder("h264")
    first, second = encoded("vp8", 64, 64, 2, now_us())
    assert transcoder.transcode(first) is not None
    assert not transcoder.needs_keyframe
    broken = EncodedFrame("vp8", b"\x00" * 3, 1, True, 1, 64, 64)
    with pytest.raises(MediaError):
        transcoder.transcode(broken)
    assert transcoder.needs_keyframe
    assert transcoder.transcode(second) is None
    assert transcoder.transcode(first) is not None
