"""Which streams of a media file can be sent as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from lknb import limits
from lknb.codec.audio_encoder import FRAME_US
from lknb.codec.opus import packet_duration_us
from lknb.wire.frame import EncodedFrame

MAX_KEYFRAME_GAP_S = 2.0
_LOOK_AT_S = 10.0
_LOOK_AT_PACKETS = 2_000

_VIDEO_CODECS: Mapping[str, str] = {"h264": "h264", "vp8": "vp8"}
_AUDIO_CODECS = ("opus", "libopus")
_MP4_EXTRADATA = b"\x01"


def can_pass_video(container: InputContainer, stream: VideoStream) -> bool:
    """Whether every browser plays the pictures as they are: H264 or VP8 in 8 bit 4:2:0, without B-frames, with a key
    frame at least every 2 seconds.

    Reads up to 10 seconds of a file that can be rewound, and rewinds it. What cannot be rewound cannot be looked at
    either.
    """
    context = stream.codec_context
    if context.name not in _VIDEO_CODECS or context.pix_fmt != "yuv420p" or context.has_b_frames:
        return False
    if max(context.width, context.height) > limits.FRAME_SIDE_PIXELS or not can_rewind(container):
        return False
    last_keyframe_s: float | None = None
    previous_s: float | None = None
    passes = False
    for index, packet in enumerate(container.demux(stream)):
        if not packet.size:
            break
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            return _rewound(container, False)
        time_s = float(packet.pts * packet.time_base)
        if previous_s is not None and time_s < previous_s:
            return _rewound(container, False)
        previous_s = time_s
        if packet.is_keyframe:
            last_keyframe_s = time_s
        if last_keyframe_s is None or time_s - last_keyframe_s > MAX_KEYFRAME_GAP_S:
            return _rewound(container, False)
        passes = True
        if index >= _LOOK_AT_PACKETS or time_s - (stream.start_time or 0) * float(packet.time_base) > _LOOK_AT_S:
            break
    return _rewound(container, passes)


def can_pass_audio(container: InputContainer, stream: AudioStream) -> bool:
    """Whether the sound is Opus in one or two channels, in packets of 20 ms. Rewinds like `can_pass_video`."""
    if stream.codec_context.name not in _AUDIO_CODECS or stream.channels > 2 or not can_rewind(container):
        return False
    for index, packet in enumerate(container.demux(stream)):
        if not packet.size or index >= 50:
            return _rewound(container, index > 0)
        if packet_duration_us(bytes(packet)[:2]) != FRAME_US:
            break
    return _rewound(container, False)


def can_rewind(container: InputContainer) -> bool:
    """Whether a file has a length, and so can be played again and from the middle."""
    return container.duration is not None


class VideoPassage:
    """Packets of a file -> frames to send: H264 gets start codes, and its parameter sets before each key frame (RFC
    6184)."""

    def __init__(self, stream: VideoStream) -> None:
        self._codec = _VIDEO_CODECS[stream.codec_context.name]
        self._width = stream.codec_context.width
        self._height = stream.codec_context.height
        self._filter: av.BitStreamFilterContext | None = None
        if self._codec == "h264":
            # MP4 holds lengths and keeps the parameter sets apart; streams with start codes may hold them only once
            is_mp4 = (stream.codec_context.extradata or b"")[:1] == _MP4_EXTRADATA
            self._filter = av.BitStreamFilterContext(
                "h264_mp4toannexb" if is_mp4 else "dump_extra=freq=keyframe", stream
            )

    def restart(self) -> None:
        """The next packet does not follow the last one."""
        if self._filter is not None:
            self._filter.flush()

    def frames(self, packet: av.Packet[Any], timestamp: int, timestamp_us: int) -> list[EncodedFrame]:
        """The frames of a packet; mostly one."""
        packets = [packet] if self._filter is None else self._filter.filter(packet)
        return [
            EncodedFrame(
                codec=self._codec,
                data=bytes(one),
                timestamp=timestamp,
                keyframe=one.is_keyframe,
                timestamp_us=timestamp_us,
                width=self._width,
                height=self._height,
            )
            for one in packets
        ]


def _rewound(container: InputContainer, answer: bool) -> bool:
    container.seek(container.start_time or 0)
    return answer
