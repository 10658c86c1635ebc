"""Pictures of any codec, in any sizes -> one codec and one size, for a file."""

from __future__ import annotations

import av
from av.video.reformatter import VideoReformatter

from lknb.codec.layer import MIN_SIDE_PIXELS, plan_layers
from lknb.codec.pixel import fit, overlay
from lknb.codec.video_decoder import VideoDecoder
from lknb.codec.video_encoder import VideoEncoder
from lknb.wire.frame import EncodedFrame

_KEYFRAME_EVERY_US = 2_000_000
"""So near to any moment a player can begin."""

# Encoded for the second time, and for a disk, not for a network.
_BITRATE_FACTOR = 2


class FileEncoder:
    """Encodes pictures of one size for a file: better than for a network, with a key frame every 2 s. For one thread."""

    def __init__(self, codec: str, width: int, height: int) -> None:
        """Raises `FrameError` for sides that cannot be encoded, `MediaError` when the codec cannot be opened."""
        bitrate_bps = _BITRATE_FACTOR * plan_layers(width, height, simulcast=False)[0].max_bitrate_bps
        self._encoder = VideoEncoder(codec, width, height, bitrate_bps=bitrate_bps)
        self._keyframe_us: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._encoder.width, self._encoder.height

    def encode(self, picture: av.VideoFrame, timestamp_us: int) -> EncodedFrame | None:
        """The frame of a picture; None when it was left out to keep the bitrate. Raises `MediaError`."""
        due = self._keyframe_us is None or timestamp_us - self._keyframe_us >= _KEYFRAME_EVERY_US
        made = self._encoder.encode(picture, timestamp_us, force_keyframe=due)
        if made is not None and made.keyframe:
            self._keyframe_us = timestamp_us
        return made


class Transcoder:
    """For one thread. The first picture decides about the size; others are brought to it, with black at two sides where
    their shape is another."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._decoder: VideoDecoder | None = None
        self._encoder: FileEncoder | None = None
        self._scaler = VideoReformatter()

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
            self._encoder = FileEncoder(self._codec, width, height)
        return self._encoder.encode(self._fitted(picture, *self._encoder.size), frame.timestamp_us)

    def _fitted(self, picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        fitted = fit(picture, width, height, self._scaler)
        return fitted if (fitted.width, fitted.height) == (width, height) else overlay(fitted, width, height)
