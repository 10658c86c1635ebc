"""Pictures of any codec, in any sizes -> one codec and one size, for a container that holds no other."""

from __future__ import annotations

import av
from av.video.reformatter import Interpolation, VideoReformatter

from lknb.codec.layer import MIN_SIDE_PIXELS, plan_layers
from lknb.codec.pixel import ONE_THREAD, convert, overlay
from lknb.codec.video_decoder import VideoDecoder
from lknb.codec.video_encoder import VideoEncoder
from lknb.wire.frame import EncodedFrame

_KEYFRAME_EVERY_US = 2_000_000
"""So near to any moment a player can begin."""

# Encoded for the second time, and for a disk, not for a network.
_BITRATE_FACTOR = 2


class Transcoder:
    """For one thread. The first picture decides about the size; others are brought to it, with black at two sides where
    their shape is another."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._decoder: VideoDecoder | None = None
        self._encoder: VideoEncoder | None = None
        self._scaler = VideoReformatter()
        self._keyframe_us: int | None = None

    @property
    def needs_keyframe(self) -> bool:
        """Whether nothing can be made of frames before a key frame."""
        return self._decoder is not None and self._decoder.needs_keyframe

    def transcode(self, frame: EncodedFrame) -> EncodedFrame | None:
        """The frame in the codec of the file; None when there is none: it cannot be decoded, or was left out. Raises
        `MediaError` when the encoder fails."""
        if self._decoder is None or self._decoder.codec != frame.codec:
            self._decoder = VideoDecoder(frame.codec)
        picture = self._decoder.decode(frame)
        if picture is None:
            return None
        if self._encoder is None:
            # encoders want even sides, and some pixels
            width, height = (max(MIN_SIDE_PIXELS, side & ~1) for side in (picture.width, picture.height))
            bitrate_bps = _BITRATE_FACTOR * plan_layers(width, height, simulcast=False)[0].max_bitrate_bps
            self._encoder = VideoEncoder(self._codec, width, height, bitrate_bps=bitrate_bps)
        due = self._keyframe_us is None or frame.timestamp_us - self._keyframe_us >= _KEYFRAME_EVERY_US
        made = self._encoder.encode(
            self._fitted(picture, self._encoder.width, self._encoder.height), frame.timestamp_us, force_keyframe=due
        )
        if made is not None and made.keyframe:
            self._keyframe_us = frame.timestamp_us
        return made

    def _fitted(self, picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        if (picture.width, picture.height) == (width, height):
            return convert(picture, "i420")
        scale = min(width / picture.width, height / picture.height)
        fitted_width, fitted_height = (
            max(2, min(side, round(own * scale / 2) * 2))
            for own, side in ((picture.width, width), (picture.height, height))
        )
        fitted = self._scaler.reformat(
            picture, fitted_width, fitted_height, "yuv420p", interpolation=Interpolation.AREA, **ONE_THREAD
        )
        return fitted if (fitted_width, fitted_height) == (width, height) else overlay(fitted, width, height)
