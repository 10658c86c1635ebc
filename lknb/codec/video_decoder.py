"""VP8 and H264 frames in, pictures out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from lknb import limits
from lknb.errors import MediaError, WireError
from lknb.wire.frame import EncodedFrame
from lknb.wire.h264 import h264_dimensions
from lknb.wire.vp8 import vp8_dimensions

# FFmpeg's own VP8 decoder takes three quarters of the time libvpx takes
_DECODERS: Mapping[str, str] = {"vp8": "vp8", "h264": "h264"}
_DIMENSIONS = {"vp8": vp8_dimensions, "h264": h264_dimensions}


class VideoDecoder:
    """Decodes one stream. For one thread.

    It begins with a key frame, and after an error it waits for the next one: meanwhile `needs_keyframe` is true, and
    whoever feeds it should ask the publisher. Raises `MediaError` for a codec it does not know.
    """

    def __init__(self, codec: str) -> None:
        if codec not in _DECODERS:
            raise MediaError(f"there is no decoder for {codec!r}; lknb decodes {', '.join(_DECODERS)}")
        self.codec = codec
        self.needs_keyframe = True
        self._context: VideoCodecContext | None = None

    def decode(self, frame: EncodedFrame) -> av.VideoFrame | None:
        """The picture of a frame; None while a key frame is waited for.

        Raises `MediaError` for a corrupt frame, one of another codec, and one of more than 4,096 x 4,096 pixels.
        """
        if frame.codec != self.codec:
            raise self._fail(f"expected a frame of {self.codec}, got {frame.codec}")
        if frame.keyframe:
            self._check_size(frame)
        elif self.needs_keyframe:
            return None
        context = self._context
        if context is None:
            context = self._context = _open_context(self.codec)
        try:
            pictures = context.decode(av.Packet(frame.data))
        except av.FFmpegError as error:
            raise self._fail(f"a {self.codec} frame of {len(frame.data)} bytes cannot be decoded") from error
        if not pictures:
            # both codecs, as WebRTC uses them, give a picture for every frame
            raise self._fail(f"a {self.codec} frame of {len(frame.data)} bytes holds no picture")
        self.needs_keyframe = False
        return pictures[-1]

    def _check_size(self, frame: EncodedFrame) -> None:
        """Look at the header before the decoder allocates anything."""
        if len(frame.data) > limits.FRAME_BYTES:
            raise self._fail(f"a frame of {len(frame.data)} bytes is too large")
        try:
            width, height = _DIMENSIONS[self.codec](frame.data)
        except WireError as error:
            raise self._fail(f"a {self.codec} key frame cannot be read: {error}") from error
        if max(width, height) > limits.FRAME_SIDE_PIXELS:
            raise self._fail(f"a picture of {width}x{height} is larger than {limits.FRAME_SIDE_PIXELS} pixels")

    def _fail(self, message: str) -> MediaError:
        self.needs_keyframe = True
        self._context = None
        return MediaError(message)


def _open_context(codec: str) -> VideoCodecContext:
    context = cast(VideoCodecContext, av.CodecContext.create(_DECODERS[codec], "r"))
    context.thread_count = 1
    context.flags |= Flags.low_delay
    context.options = {
        # without it FFmpeg's H264 decoder invents what is missing
        "err_detect": "explode",
        # what the header check let through, enforced where it counts: parameter sets may change within a stream
        "max_pixels": str(limits.FRAME_SIDE_PIXELS**2),
    }
    context.open()
    return context
