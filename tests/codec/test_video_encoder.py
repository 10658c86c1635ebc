"""One picture in, one frame out: VP8 and H264."""

from __future__ import annotations

import pytest
from av.video.frame import PictureType

from lknb.codec.clock import video_timestamp
from lknb.codec.video_encoder import VideoEncoder
from lknb.errors import FrameError, MediaError
from lknb.wire.frame import EncodedFrame
from lknb.wire.h264 import h264_dimensions, split_annexb
from lknb.wire.vp8 import vp8_dimensions
from tests.codec.content import pictures

CODECS = ("vp8", "h264")
PERIOD_US = 33_333


def encoder(codec: str, width: int = 320, height: int = 180, **settings: float) -> VideoEncoder:
    return VideoEncoder(codec, width, height, bitrate_bps=int(settings.pop("bitrate_bps", 300_000)), **settings)


def encode(
    target: VideoEncoder, count: int, *, start: int = 0, width: int = 320, height: int = 180
) -> list[EncodedFrame]:
    content = pictures(30, width, height)
    frames = [target.encode(content[index % 30], (start + index) * PERIOD_US) for index in range(count)]
    return [frame for frame in frames if frame is not None]


@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_gives_a_frame_at_once_and_the_first_is_a_key_frame(codec: str) -> None:
    frames = encode(encoder(codec), 10)
    assert [frame.keyframe for frame in frames] == [True] + [False] * 9
    assert {frame.codec for frame in frames} == {codec}
    assert {(frame.width, frame.height) for frame in frames} == {(320, 180)}


@pytest.mark.parametrize("codec", CODECS)
def test_timestamps_are_those_of_the_pictures(codec: str) -> None:
    frames = encode(encoder(codec), 3, start=1000)
    assert [frame.timestamp_us for frame in frames] == [33_333_000, 33_366_333, 33_399_666]
    assert [frame.timestamp for frame in frames] == [2_999_970, 3_002_969, 3_005_969]


@pytest.mark.parametrize("codec", CODECS)
def test_times_that_do_not_grow_are_moved(codec: str) -> None:
    target = encoder(codec)
    content = pictures(3)
    frames = [target.encode(content[index], timestamp_us) for index, timestamp_us in enumerate((5000, 5000, 1000))]
    assert [frame.timestamp for frame in frames if frame] == [450, 451, 452]


@pytest.mark.parametrize("codec", CODECS)
def test_a_key_frame_comes_when_it_is_asked_for(codec: str) -> None:
    target = encoder(codec)
    content = pictures(6)
    kinds = [
        frame.keyframe
        for index in range(6)
        if (frame := target.encode(content[index], index * PERIOD_US, force_keyframe=index == 3)) is not None
    ]
    assert kinds == [True, False, False, True, False, False]


@pytest.mark.parametrize("codec", CODECS)
def test_the_type_of_an_earlier_encoding_does_not_stick_to_a_picture(codec: str) -> None:
    target = encoder(codec)
    (picture,) = pictures(1)
    target.encode(picture, 0, force_keyframe=True)
    picture.pict_type = PictureType.I
    again = target.encode(picture, PERIOD_US)
    assert again is not None
    assert not again.keyframe


def test_vp8_key_frames_say_their_size() -> None:
    (frame,) = encode(encoder("vp8"), 1)
    assert vp8_dimensions(frame.data) == (320, 180)


def test_h264_key_frames_carry_their_parameter_sets_behind_start_codes() -> None:
    target = encoder("h264")
    content = pictures(3)
    for index, picture in enumerate(content):
        frame = target.encode(picture, index * PERIOD_US, force_keyframe=True)
        assert frame is not None
        assert frame.data.startswith(b"\0\0\0\1")
        units = [unit[0] & 0x1F for unit in split_annexb(frame.data)]
        assert units[:2] == [7, 8]
        assert units[-1] == 5
        assert h264_dimensions(frame.data) == (320, 180)


def test_h264_is_constrained_baseline() -> None:
    (frame,) = encode(encoder("h264"), 1)
    parameters = next(unit for unit in split_annexb(frame.data) if unit[0] & 0x1F == 7)
    assert parameters[1] == 66
    assert parameters[2] & 0x40


@pytest.mark.parametrize("codec", CODECS)
def test_a_change_of_size_gives_a_key_frame_of_the_new_size(codec: str) -> None:
    target = encoder(codec)
    encode(target, 2)
    (frame,) = encode(target, 1, start=2, width=160, height=120)
    assert (frame.keyframe, frame.width, frame.height) == (True, 160, 120)


def test_vp8_takes_odd_sides_and_h264_makes_them_even() -> None:
    (vp8,) = encode(encoder("vp8", 161, 91), 1, width=161, height=91)
    (h264,) = encode(encoder("h264", 161, 91), 1, width=161, height=91)
    assert (vp8.width, vp8.height) == vp8_dimensions(vp8.data) == (161, 91)
    assert (h264.width, h264.height) == h264_dimensions(h264.data) == (160, 90)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("bitrate_bps", [150_000, 400_000])
def test_the_bitrate_is_kept(codec: str, bitrate_bps: int) -> None:
    frames = encode(encoder(codec, bitrate_bps=bitrate_bps), 150)
    # the first second holds the key frame
    later = [frame for frame in frames if frame.timestamp_us >= 1_000_000]
    seconds = 150 * PERIOD_US / 1e6 - 1
    assert sum(len(frame.data) for frame in later) * 8 / seconds == pytest.approx(bitrate_bps, rel=0.25)


def test_vp8_leaves_pictures_out_rather_than_to_break_the_bitrate() -> None:
    target = encoder("vp8", 640, 360, bitrate_bps=60_000)
    frames = encode(target, 90, width=640, height=360)
    assert len(frames) < 85
    assert sum(len(frame.data) for frame in frames[1:]) * 8 / 3 < 90_000


def test_a_key_frame_asked_for_comes_even_when_pictures_are_left_out() -> None:
    target = encoder("vp8", 640, 360, bitrate_bps=60_000)
    encode(target, 30, width=640, height=360)
    content = pictures(30, 640, 360)
    frames = [target.encode(content[index], (30 + index) * PERIOD_US, index == 0) for index in range(30)]
    sent = [frame for frame in frames if frame is not None]
    assert sent[0].keyframe
    assert sum(frame.keyframe for frame in sent) == 1


def test_h264_follows_a_lower_bitrate_without_a_key_frame() -> None:
    target = encoder("h264", bitrate_bps=400_000)
    encode(target, 30)
    target.set_bitrate(100_000)
    frames = encode(target, 120, start=30)
    assert target.bitrate_bps == 100_000
    assert not any(frame.keyframe for frame in frames)
    late = [frame for frame in frames if frame.timestamp_us > 2_000_000]
    assert sum(len(frame.data) for frame in late) * 8 / (150 * PERIOD_US / 1e6 - 2) < 160_000


def test_h264_begins_anew_to_go_beyond_its_first_bitrate() -> None:
    target = encoder("h264", bitrate_bps=100_000)
    encode(target, 2)
    target.set_bitrate(300_000)
    (frame,) = encode(target, 1, start=2)
    assert frame.keyframe
    assert target.bitrate_bps == 300_000


def test_vp8_follows_its_bitrate_down_and_up_without_a_key_frame() -> None:
    target = encoder("vp8", bitrate_bps=200_000)
    encode(target, 60)
    for start, bitrate_bps in ((60, 80_000), (180, 300_000)):
        target.set_bitrate(bitrate_bps)
        frames = encode(target, 120, start=start)
        assert target.bitrate_bps == bitrate_bps
        assert not any(frame.keyframe for frame in frames)
        # timestamps on the wire are those of the pictures, whatever the encoder was told
        assert [frame.timestamp for frame in frames] == [video_timestamp(frame.timestamp_us) for frame in frames]
        late = [frame for frame in frames if frame.timestamp_us >= (start + 60) * PERIOD_US]
        assert sum(len(frame.data) for frame in late) * 8 / (60 * PERIOD_US / 1e6) == pytest.approx(
            bitrate_bps, rel=0.25
        )


def test_vp8_begins_anew_at_a_key_frame_or_for_a_bitrate_far_away() -> None:
    target = encoder("vp8", 160, 90, bitrate_bps=100_000)

    def encode_at(index: int, bitrate_bps: int, *, keyframe: bool = False) -> bool:
        target.set_bitrate(bitrate_bps)
        frame = target.encode(pictures(1, 160, 90)[0], index * PERIOD_US, keyframe)
        return frame is not None and frame.keyframe

    assert encode_at(0, 100_000)
    context = target._context
    assert not encode_at(1, 30_000)
    assert not encode_at(2, 300_000)
    assert encode_at(3, 90_000, keyframe=True)
    assert target._context is context
    assert encode_at(4, 30_000, keyframe=True)
    assert target._context is not context
    assert encode_at(5, 130_000)
    assert target.bitrate_bps == 130_000


def test_pictures_of_other_formats_are_converted() -> None:
    (picture,) = pictures(1)
    frame = encoder("vp8").encode(picture.reformat(format="rgba"), 0)
    assert frame is not None
    assert frame.keyframe


def test_what_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(MediaError, match="no encoder for 'av1'"):
        VideoEncoder("av1", 320, 180, bitrate_bps=100_000)
    with pytest.raises(FrameError, match="at least 18 pixels"):
        encoder("vp8", 16, 16)
    with pytest.raises(FrameError, match="1 to 4096 pixels"):
        encoder("vp8", 5000, 100)
    with pytest.raises(FrameError):
        encoder("vp8").encode(pictures(1, 40, 40)[0].reformat(width=8, height=8), 0)


def test_the_rid_is_on_every_frame() -> None:
    target = VideoEncoder("vp8", 160, 90, bitrate_bps=100_000, rid="q")
    assert {frame.rid for frame in encode(target, 3, width=160, height=90)} == {"q"}
