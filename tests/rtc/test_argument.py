"""Wrong arguments of the public calls: each is told where it is passed, with what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from livekit.protocol import models
from livekit.protocol import rtc as signal

import lknb
from lknb import rtc
from lknb.errors import FrameError, MediaError, PublishTrackError, TrackError
from lknb.rtc.local_participant import LocalParticipant
from lknb.rtc.room import Room
from tests.rtc.fake_source import FakeSource
from tests.rtc.fake_track import FakeTrack
from tests.rtc.scripted_core import ScriptedCore


class Nobody:
    """A participant without tracks."""

    def __init__(self) -> None:
        self.track_publications: dict[str, Any] = {}


def camera() -> Any:
    return FakeTrack(ScriptedCore())


def microphone() -> Any:
    return FakeTrack(ScriptedCore(), rtc.TrackKind.KIND_AUDIO)


def sources() -> dict[str, Any]:
    return {"audio_source": rtc.AudioSource(48_000, 1), "video_source": rtc.VideoSource(64, 64)}


# Any: what is wrong here is wrong for mypy, too
r: Any = rtc
MADE: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: r.VideoStream(camera(), capacity=-1), ValueError, "capacity is a whole number of 0 or more, not -1"),
    (lambda: r.VideoStream(camera(), capacity="x"), TypeError, "capacity is a whole number of 0 or more, not 'x'"),
    (lambda: r.VideoStream(camera(), capacity=1.5), TypeError, "capacity is a whole number of 0 or more, not 1.5"),
    (lambda: r.VideoStream(camera(), format=99), ValueError, "format is a VideoBufferType (RGBA,"),
    (lambda: r.VideoStream(camera(), size="x"), ValueError, "a size is (width, height) in pixels, not 'x'"),
    (lambda: r.VideoStream(camera(), size=(1,)), ValueError, "a size is (width, height) in pixels, not (1,)"),
    (lambda: r.VideoStream(camera(), size=(0, 5)), ValueError, "a size of 0x5 pixels cannot be asked for"),
    (lambda: r.VideoStream(5), TypeError, "expected a track, got 5"),
    (lambda: r.VideoStream(microphone()), TrackError, "VideoStream cannot read FakeTrack(TR_1)"),
    (lambda: r.VideoStream.from_participant(participant=5, track_source=1), TypeError, "expected a participant, got 5"),
    (
        lambda: r.VideoStream.from_participant(participant=Nobody(), track_source=99),
        ValueError,
        "track_source is a TrackSource (SOURCE_UNKNOWN, SOURCE_CAMERA,",
    ),
    (lambda: r.AudioStream(microphone(), capacity=-1), ValueError, "capacity is a whole number of 0 or more, not -1"),
    (
        lambda: r.AudioStream(microphone(), frame_size_ms=2.5),
        FrameError,
        "frames of 1 to 1000 ms, in whole numbers, got 2.5",
    ),
    (
        lambda: r.AudioStream(microphone(), frame_size_ms=-5),
        FrameError,
        "frames of 1 to 1000 ms, in whole numbers, got -5",
    ),
    (lambda: r.AudioStream(microphone(), num_channels=[1]), FrameError, "expected 1 or 2 channels, got [1]"),
    (lambda: r.AudioStream(microphone(), noise_cancellation=5), TypeError, "is a FrameProcessor or None, not 5"),
    (lambda: r.AudioSource("x", 1), FrameError, "expected a sample rate of 1000 to 384000 Hz, got 'x'"),
    (lambda: r.AudioSource(48_000, 1, "x"), FrameError, "expected a queue of 0 ms or more, got 'x'"),
    (lambda: r.AudioSource(48_000, 1, float("nan")), FrameError, "expected a queue of 0 ms or more, got nan"),
    (lambda: r.VideoSource("x", 5), FrameError, "expected sides in whole numbers of pixels, got 'x' and 5"),
    (lambda: r.VideoSource(64, 64, is_screencast="no"), TypeError, "is_screencast is True or False, not 'no'"),
    (lambda: r.MediaFile("x", position_s=-1), MediaError, "a position is 0 s or more, not -1"),
    (lambda: r.MediaFile("x", loop="no"), TypeError, "loop is True or False, not 'no'"),
    (lambda: r.MediaFile("x", paused=2), TypeError, "paused is True or False, not 2"),
    (lambda: r.MediaFile("x", passthrough=None), TypeError, "passthrough is True or False, not None"),
    (lambda: r.MediaFile("x", max_height=0), ValueError, "max_height is a whole number of 18 or more, not 0"),
    (lambda: r.MediaFile("x", max_height="x"), TypeError, "max_height is a whole number of 18 or more, not 'x'"),
    (lambda: r.MediaFile("x", format=5), TypeError, "format is a text, not 5"),
    (lambda: r.MediaFile("x", options=5), TypeError, "options is a Mapping, not 5"),
    (lambda: r.MediaFile("x", options={"framerate": 5}), TypeError, "an option of FFmpeg is a text, not 5"),
    (lambda: lknb.TestPattern(fps=True), MediaError, "a rate of pictures is a finite number, not True"),
    (lambda: lknb.Tone(volume=float("inf")), MediaError, "a volume is a finite number, not inf"),
    (lambda: lknb.Recorder(Room(), "a.mp4", timeout=-1), ValueError, "timeout is 0 seconds or more, not -1"),
    (lambda: lknb.Recorder(Room(), "a.mp4", timeout=r), TypeError, "timeout is a number of seconds, not"),
    (lambda: lknb.Recorder(Room(), "a.mp4", participant=r), TypeError, "participant is a text, not"),
    (
        lambda: lknb.Recorder(r.LocalVideoTrack.create_video_track("x", FakeSource()), "a.mp4", participant="ann"),
        TrackError,
        "participant= names somebody of a room, but",
    ),
    (lambda: r.AVSynchronizer(**sources(), video_fps="x"), MediaError, "a frame rate is a finite number, not 'x'"),
    (
        lambda: r.AVSynchronizer(**sources(), video_fps=25, video_queue_size_ms=-1),
        MediaError,
        "expected a queue of 0 ms (for no limit) or more, got -1",
    ),
    (lambda: r.LocalVideoTrack.create_video_track(5, FakeSource()), TypeError, "the name of a track is a text, not 5"),
    (lambda: r.LocalVideoTrack.create_video_track("x", 5), TrackError, "a video track needs a video source, not 5"),
]


@pytest.mark.parametrize(("make", "error", "words"), MADE, ids=[words for _, _, words in MADE])
async def test_what_cannot_be_made_says_what_was_expected(
    make: Callable[[], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        make()


ASKED: list[tuple[Callable[[LocalParticipant], Any], type[Exception], str]] = [
    (lambda me: r.MediaFile("x").seek(-1), MediaError, "a position is 0 s or more, not -1"),
    (lambda me: r.MediaFile("x").seek("x"), MediaError, "a position is a finite number, not 'x'"),
    (lambda me: r.MediaFile("x").set_loop("x"), TypeError, "loop is True or False, not 'x'"),
    (lambda me: lknb.Tone().set_volume(r), MediaError, "a volume is a finite number, not"),
    (lambda me: lknb.Tone().set_volume(3), MediaError, "a volume is 0 to 1, not 3"),
    (lambda me: r.RemoteVideoTrack.snapshot(video(), timeout=-1), ValueError, "timeout is 0 seconds or more, not -1"),
    (lambda me: r.RemoteVideoTrack.snapshot(video(), "x"), TypeError, "timeout is a number of seconds, not 'x'"),
    (lambda me: r.RemoteVideoTrack.snapshot(video(), size=5), ValueError, "a size is (width, height) in pixels, not 5"),
    (lambda me: me.set_camera_enabled("no"), TypeError, "enabled is True or False, not 'no'"),
    (lambda me: me.set_camera_enabled(True, {}), TypeError, "capture is a VideoCaptureOptions, not {}"),
    (lambda me: me.set_camera_enabled(True, None, {}), TypeError, "options is a TrackPublishOptions, not {}"),
    (
        lambda me: me.set_camera_enabled(True, None, r.TrackPublishOptions(simulcast="x")),
        TypeError,
        "simulcast is True or False, not 'x'",
    ),
    (
        lambda me: me.set_camera_enabled(True, r.VideoCaptureOptions(width=-1)),
        ValueError,
        "width is a whole number of 1 or more, not -1",
    ),
    (
        lambda me: me.set_camera_enabled(True, r.VideoCaptureOptions(fps=float("nan"))),
        ValueError,
        "fps is a number above 0, not nan",
    ),
    (
        lambda me: me.set_microphone_enabled(True, r.AudioCaptureOptions(device_id=7)),
        TypeError,
        "device_id is a text, not 7",
    ),
    (
        lambda me: me.set_microphone_enabled(True, r.AudioCaptureOptions(echo_cancellation="off")),
        TypeError,
        "echo_cancellation is True or False, not 'off'",
    ),
    (
        lambda me: me.set_microphone_enabled(True, r.VideoCaptureOptions()),
        TypeError,
        "capture is a AudioCaptureOptions, not VideoCaptureOptions(",
    ),
    (
        lambda me: me.set_screen_share_enabled(True, r.ScreenShareCaptureOptions(audio="yes")),
        TypeError,
        "audio is True or False, not 'yes'",
    ),
    (lambda me: me.switch_active_device("webcam", ""), ValueError, "a device that can be switched is camera or"),
    (lambda me: me.switch_active_device([], ""), ValueError, "a device that can be switched is camera or"),
    (lambda me: me.switch_active_device("camera", 5), ValueError, "the id of a device is a text"),
    (lambda me: me.publish_track(FakeSource(), {}), PublishTrackError, "options is a TrackPublishOptions, not {}"),
    *(
        (
            lambda me, options=options: me.publish_track(FakeSource(), r.TrackPublishOptions(**options)),
            PublishTrackError,
            f"the track cannot be published as asked: {words}",
        )
        for options, words in [
            ({"simulcast": "x"}, "simulcast is True or False, not 'x'"),
            ({"dtx": 2}, "dtx is True or False, not 2"),
            ({"red": "x"}, "red is True or False, not 'x'"),
            ({"preconnect_buffer": "x"}, "preconnect_buffer is True or False, not 'x'"),
            ({"source": 99}, "source is a TrackSource (SOURCE_UNKNOWN, SOURCE_CAMERA, SOURCE_MICROPHONE,"),
            ({"source": "webcam"}, "source is a TrackSource (SOURCE_UNKNOWN,"),
            ({"stream": 7}, "stream is a text, not 7"),
            ({"scalability_mode": 7}, "scalability_mode is a text, not 7"),
            ({"video_encoder": 99}, "video_encoder is a VideoEncoderBackend (ENCODER_BACKEND_AUTO,"),
            ({"degradation_preference": 99}, "degradation_preference is a DegradationPreference (BALANCED,"),
            ({"video_encoding": 5}, "video_encoding is a VideoEncoding, not 5"),
            ({"audio_encoding": 5}, "audio_encoding is a AudioEncoding, not 5"),
        ]
    ),
]


def video() -> Any:
    return r.RemoteVideoTrack(lknb.rtc.track.TrackEntry(models.TrackInfo(sid="TR_1", type=models.TrackType.VIDEO)))


@pytest.mark.parametrize(("ask", "error", "words"), ASKED, ids=[words for _, _, words in ASKED])
async def test_what_cannot_be_asked_says_what_was_expected(
    core: ScriptedCore, ask: Callable[[Any], Any], error: type[Exception], words: str
) -> None:
    async with Room() as room:
        await room.connect("ws://somewhere", "token")
        with pytest.raises(error, match=re.escape(words)):
            await ask(room.local_participant)
        assert not core.sent("publish")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"simulcast": 0}, {"simulcast": False}),
        ({"simulcast": np.False_}, {"simulcast": False}),
        ({"simulcast": 1}, {"simulcast": True}),
        ({"simulcast": None, "source": None, "stream": None}, {"simulcast": True}),
        ({"video_codec": "H264"}, {"codec": "h264"}),
        ({"video_encoding": rtc.VideoEncoding(max_bitrate=np.int64(500_000))}, {"max_bitrate_bps": 500_000}),
        ({"video_encoding": rtc.VideoEncoding(max_framerate=np.float32(12.5))}, {"max_fps": 12.5}),
        ({"video_encoding": rtc.VideoEncoding(max_bitrate=None)}, {"max_bitrate_bps": None}),  # type: ignore[arg-type]
    ],
)
async def test_what_messages_of_protobuf_take_is_taken(
    core: ScriptedCore, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    async with Room() as room:
        await room.connect("ws://somewhere", "token")
        source = FakeSource()
        await room.local_participant.publish_track(source, rtc.TrackPublishOptions(**options))
        encoding = source.encodings[0]
        assert {name: getattr(encoding, name) for name in expected} == expected


async def test_a_source_may_be_named(core: ScriptedCore) -> None:
    async with Room() as room:
        await room.connect("ws://somewhere", "token")
        source: Any = "SOURCE_SCREENSHARE"
        await room.local_participant.publish_track(FakeSource(), rtc.TrackPublishOptions(source=source))
        asked = signal.AddTrackRequest.FromString(core.requests[-1][1][0])
        assert asked.source == models.TrackSource.SCREEN_SHARE


async def test_a_capacity_of_0_is_taken_as_in_livekit(core: ScriptedCore) -> None:
    for made in (rtc.VideoStream(camera(), capacity=0), rtc.AudioStream(microphone(), capacity=0, frame_size_ms=0)):
        await made.aclose()
