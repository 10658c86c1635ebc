"""One picture in, the frames of its simulcast layers out."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

import av
from av.video.reformatter import Interpolation, VideoReformatter

from lknb.codec.layer import Layer
from lknb.codec.pixel import ONE_THREAD, convert
from lknb.codec.video_encoder import VideoEncoder
from lknb.wire.frame import EncodedFrame

_US_PER_S = 1_000_000

_MIN_BITRATE_BPS = 30_000


class LayerEncoder:
    """Encodes pictures in one or more layers, each scaled down from the next larger one.

    `encode` belongs to one thread; requests may come from any. The largest layer has the size of the pictures, the
    others keep their ratio to it when that size changes.
    """

    def __init__(
        self,
        codec: str,
        layers: Sequence[Layer],
        *,
        screencast: bool = False,
    ) -> None:
        top = layers[-1]
        self.codec = codec
        self.left_out = False
        """Whether a layer that is watched did not get the last picture, because it came too soon or cost too much."""
        self._lock = threading.Lock()
        self._layers = [
            _LayerState(codec, layer, layer.width / top.width, layer.height / top.height, screencast)
            for layer in layers
        ]

    @property
    def rids(self) -> tuple[str, ...]:
        """Smallest layer first."""
        return tuple(state.layer.rid for state in self._layers)

    def request_keyframe(self, rid: str = "") -> None:
        """Make the next frame of this layer a key frame; of all layers when `rid` is empty."""
        with self._lock:
            for state in self._layers:
                if rid in ("", state.layer.rid):
                    state.keyframe_due = True

    def set_active(self, rids: Collection[str]) -> None:
        """Encode these layers only; one that comes back begins with a key frame."""
        with self._lock:
            for state in self._layers:
                state.watched = state.layer.rid in rids

    def set_bitrates(self, bitrates_bps: Mapping[str, int]) -> None:
        """Aim at these bitrates, by rid; no layer goes beyond its own maximum."""
        with self._lock:
            for state in self._layers:
                bitrate_bps = bitrates_bps.get(state.layer.rid)
                if bitrate_bps is not None:
                    state.encoder.set_bitrate(min(max(bitrate_bps, _MIN_BITRATE_BPS), state.layer.max_bitrate_bps))

    def encode(self, picture: av.VideoFrame, timestamp_us: int) -> list[EncodedFrame]:
        """The frames of one picture captured at `timestamp_us`, smallest layer first.

        There are fewer frames than layers where a layer is not watched, has had enough pictures for its frame rate,
        or saves bits. Raises like `VideoEncoder.encode`.
        """
        with self._lock:
            due = [(state, state.take_turn(timestamp_us)) for state in self._layers]
            self.left_out = any(turn is None and state.watched for state, turn in due)
        frames: list[EncodedFrame] = []
        lowest = next((index for index, (_, turn) in enumerate(due) if turn is not None), None)
        if lowest is None:
            return []
        source, picture = picture, convert(picture, "i420")
        for state, keyframe in reversed(due[lowest:]):
            picture = state.scale(picture, source.width, source.height)
            if keyframe is None:
                continue
            frame = state.encoder.encode(picture, timestamp_us, keyframe)
            if frame is not None:
                frames.append(frame)
            else:
                self.left_out = True
        frames.reverse()
        return frames


class _LayerState:
    """One layer: its encoder, its scaler, and when its next picture is due."""

    def __init__(self, codec: str, layer: Layer, ratio_x: float, ratio_y: float, screencast: bool) -> None:
        self.layer = layer
        self.watched = True
        self.keyframe_due = True
        self.encoder = VideoEncoder(
            codec,
            layer.width,
            layer.height,
            bitrate_bps=layer.max_bitrate_bps,
            fps=layer.max_fps,
            rid=layer.rid,
            screencast=screencast,
        )
        self._ratio_x = ratio_x
        self._ratio_y = ratio_y
        self._scaler = VideoReformatter()
        self._period_us = _US_PER_S / layer.max_fps
        self._due_us: float | None = None

    def take_turn(self, timestamp_us: int) -> bool | None:
        """None to leave this picture out, else whether it is to be a key frame."""
        if not self.watched:
            self.keyframe_due = True
            return None
        if self._due_us is None:
            self._due_us = timestamp_us
        # pictures come with jitter: one that is a little early for its layer is on time
        if timestamp_us < self._due_us - self._period_us / 8 and not self.keyframe_due:
            return None
        self._due_us = max(self._due_us, timestamp_us - self._period_us) + self._period_us
        keyframe, self.keyframe_due = self.keyframe_due, False
        return keyframe

    def scale(self, picture: av.VideoFrame, source_width: int, source_height: int) -> av.VideoFrame:
        if self._ratio_x == 1 and self._ratio_y == 1:
            return picture
        width = max(2, round(source_width * self._ratio_x / 2) * 2)
        height = max(2, round(source_height * self._ratio_y / 2) * 2)
        if (picture.width, picture.height) == (width, height):
            return picture
        return self._scaler.reformat(picture, width, height, interpolation=Interpolation.AREA, **ONE_THREAD)
