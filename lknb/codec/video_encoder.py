"""One picture in, one VP8 or H264 frame out, at once: encoders set up for real time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from lknb.codec.clock import VIDEO_CLOCK_HZ, video_timestamp
from lknb.codec.layer import MIN_SIDE_PIXELS
from lknb.codec.pixel import ONE_THREAD, check_size
from lknb.errors import FrameError, MediaError
from lknb.wire.frame import EncodedFrame

CODECS = ("vp8", "h264")

# FFmpeg gives a running libvpx no other bitrate, and a new one begins with a key frame of many times the size of a
# usual frame. But libvpx counts its bits against the time that the pictures are said to take: told that a second has
# passed in half of one, it makes half of its bitrate, from the next picture on. (Measured with 720p and 360p: within
# 10 % of a quarter to twice the bitrate after a second.) Beyond these ratios its buffers no longer fit; where a key
# frame is made anyway, narrower ones will do.
_VP8_RATIOS = (0.1, 4.0)
_VP8_RATIOS_AT_KEYFRAME = (0.5, 1.5)

_KEYFRAME_EVERY_FRAMES = 3_000
"""As libwebrtc: receivers ask when they need one."""

_THREADS_FROM_PIXELS = 1280 * 720
_THREADS_FROM_CPUS = 4


class VideoEncoder:
    """Encodes pictures of one simulcast layer. For one thread.

    `bitrate_bps` is kept to on average over about a second; when a picture does not fit, VP8 leaves it out. A key
    frame comes first, when asked for, and whenever the size of the pictures changes. Raises `MediaError` when the
    codec cannot be opened.
    """

    def __init__(
        self,
        codec: str,
        width: int,
        height: int,
        *,
        bitrate_bps: int,
        fps: float = 30.0,
        rid: str = "",
        screencast: bool = False,
    ) -> None:
        if codec not in CODECS:
            raise MediaError(f"there is no encoder for {codec!r}; choose one of {', '.join(CODECS)}")
        self.codec = codec
        self.rid = rid
        self.width = 0
        self.height = 0
        self._fps = fps
        self._screencast = screencast
        self._wanted_bps = self._open_bps = self._ceiling_bps = bitrate_bps
        self._context: VideoCodecContext | None = None
        self._time_scale = 1.0
        self._time = -1.0
        self._last_timestamp = -1
        self._keyframe_due = False
        self._scaler = VideoReformatter()
        self._set_size(width, height)

    @property
    def bitrate_bps(self) -> int:
        """The bitrate the encoder is working at; one that was set takes effect with the next picture."""
        return round(self._open_bps * self._time_scale)

    def set_bitrate(self, bitrate_bps: int) -> None:
        """Aim at another bitrate, from the next picture on.

        It shows within about a second. A key frame is needed only for H264 to go beyond the bitrate it was made with,
        and for VP8 to go to less than a tenth or more than four times of it.
        """
        self._wanted_bps = bitrate_bps

    def encode(self, picture: av.VideoFrame, timestamp_us: int, force_keyframe: bool = False) -> EncodedFrame | None:
        """Encode one picture, captured at `timestamp_us` microseconds.

        None when the picture was left out to keep the bitrate; a key frame asked for then comes with the next. Times
        must increase; a picture whose time does not is moved to just after its predecessor. `pts` and `pict_type` of
        the picture are overwritten. Raises `FrameError` for a picture of 16 pixels or less, or of more than 4,096,
        and `MediaError` when the codec fails.
        """
        if (picture.width & self._even, picture.height & self._even) != (self.width, self.height):
            self._set_size(picture.width, picture.height)
        if (picture.width, picture.height, picture.format.name) != (self.width, self.height, "yuv420p"):
            picture = self._scaler.reformat(picture, self.width, self.height, "yuv420p", **ONE_THREAD)
        timestamp = max(video_timestamp(timestamp_us), self._last_timestamp + 1)
        passed = timestamp - self._last_timestamp
        self._last_timestamp = timestamp
        self._keyframe_due |= force_keyframe
        try:
            context = self._ready_context()
            self._time = 0.0 if self._time < 0 else self._time + max(1.0, passed * self._time_scale)
            picture.pts = int(self._time)
            picture.duration = int(VIDEO_CLOCK_HZ / self._fps * self._time_scale)
            picture.time_base = Fraction(1, VIDEO_CLOCK_HZ)
            # set in any case: scaled and repeated pictures carry the type of an earlier encoding
            picture.pict_type = PictureType.I if self._keyframe_due else PictureType.NONE
            packets = context.encode(picture)
        except av.FFmpegError as error:
            self._context = None
            raise MediaError(f"{self.codec} encoder failed: {error}") from error
        if not packets:
            return None
        keyframe = any(packet.is_keyframe for packet in packets)
        if keyframe:
            self._keyframe_due = False
        return EncodedFrame(
            codec=self.codec,
            data=b"".join(bytes(packet) for packet in packets),
            timestamp=timestamp,
            keyframe=keyframe,
            timestamp_us=timestamp_us,
            width=self.width,
            height=self.height,
            rid=self.rid,
        )

    @property
    def _even(self) -> int:
        """A mask for sides: H264 in 4:2:0 has no odd ones."""
        return ~1 if self.codec == "h264" else ~0

    def _set_size(self, width: int, height: int) -> None:
        check_size(width, height)
        if min(width, height) < MIN_SIDE_PIXELS:
            raise FrameError(f"expected sides of at least {MIN_SIDE_PIXELS} pixels to send, got {width}x{height}")
        self.width = width & self._even
        self.height = height & self._even
        self._context = None

    def _ready_context(self) -> VideoCodecContext:
        context = self._context
        if context is not None and self._wanted_bps != self.bitrate_bps:
            context = self._change_bitrate(context)
        if context is None:
            self._open_bps = self._wanted_bps
            self._ceiling_bps = max(self._ceiling_bps, self._wanted_bps)
            self._time_scale, self._time = 1.0, -1.0
            context = self._context = _open_context(
                self.codec, self.width, self.height, self._fps, self._open_bps, self._ceiling_bps, self._screencast
            )
        return context

    def _change_bitrate(self, context: VideoCodecContext) -> VideoCodecContext | None:
        """The encoder at its new bitrate; None when it needs a new one."""
        if self.codec == "h264":
            if self._wanted_bps > self._ceiling_bps:
                return None
            context.bit_rate = self._open_bps = self._wanted_bps
            return context
        ratio = self._wanted_bps / self._open_bps
        lowest, highest = _VP8_RATIOS_AT_KEYFRAME if self._keyframe_due else _VP8_RATIOS
        if not lowest <= ratio <= highest:
            return None
        self._time_scale = ratio
        return context


def _open_context(
    codec: str, width: int, height: int, fps: float, bitrate_bps: int, ceiling_bps: int, screencast: bool
) -> VideoCodecContext:
    name, options = _SETTINGS[codec]
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
    except ValueError as error:
        raise MediaError(f"this PyAV has no {name}") from error
    context.width = width
    context.height = height
    context.pix_fmt = "yuv420p"
    context.bit_rate = bitrate_bps
    context.framerate = Fraction(fps).limit_denominator(1001)
    context.time_base = Fraction(1, VIDEO_CLOCK_HZ)
    context.gop_size = _KEYFRAME_EVERY_FRAMES
    context.thread_count = _threads(codec, width, height)
    context.options = options(bitrate_bps, ceiling_bps, screencast)
    context.open()
    return context


def _threads(codec: str, width: int, height: int) -> int:
    # With two threads a VP8 picture of 720p is ready in 0.6 of the time. But libvpx' threads wait for each other in a
    # loop, and on a machine without a core to spare that costs five times the CPU. x264 would cut the picture into
    # slices, which costs bits.
    if codec == "h264" or width * height < _THREADS_FROM_PIXELS or (os.cpu_count() or 1) < _THREADS_FROM_CPUS:
        return 1
    return 2


def _vp8_options(bitrate_bps: int, ceiling_bps: int, screencast: bool) -> dict[str, str]:
    del ceiling_bps
    rate = str(bitrate_bps)
    return {
        "deadline": "realtime",
        "cpu-used": "-8",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "error-resilient": "default",
        "noise-sensitivity": "0",
        "static-thresh": "1",
        "screen-content-mode": "1" if screencast else "0",
        # the rate control of libwebrtc (libvpx_vp8_encoder.cc), but for qmax: rather coarse than not at all
        "qmin": "2",
        "qmax": "63",
        "minrate": rate,
        "maxrate": rate,
        "bufsize": rate,
        "undershoot-pct": "100",
        "overshoot-pct": "15",
        "drop-threshold": "30",
        "max-intra-rate": "900",
    }


def _h264_options(bitrate_bps: int, ceiling_bps: int, screencast: bool) -> dict[str, str]:
    return {
        "preset": "superfast",
        "tune": "zerolatency",
        # constrained: x264's baseline has neither FMO nor ASO, and says so in the SPS
        "profile": "baseline",
        "forced-idr": "1",
        "maxrate": str(ceiling_bps),
        "bufsize": str(ceiling_bps // 2),
        "x264-params": "repeat-headers=1:annexb=1:scenecut=0:open-gop=0",
    }


_SETTINGS: Mapping[str, tuple[str, Callable[[int, int, bool], dict[str, str]]]] = {
    "vp8": ("libvpx", _vp8_options),
    "h264": ("libx264", _h264_options),
}
