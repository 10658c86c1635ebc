"""The pictures of a media file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from lknb.codec.clock import now_us, video_timestamp
from lknb.codec.layer import DEFAULT_FPS, MIN_SIDE_PIXELS, Layer, plan_layers
from lknb.codec.pixel import ONE_THREAD, rotate
from lknb.codec.simulcast import LayerEncoder
from lknb.codec.video_encoder import VideoEncoder
from lknb.core.source.file_playback import FilePlayback
from lknb.core.source.packet_queue import MediaPacket
from lknb.core.source.passthrough import VideoPassage
from lknb.core.source.player import MediaPlayer
from lknb.errors import NoSuchStreamError
from lknb.wire.frame import EncodedFrame

_US_PER_S = 1_000_000
_LATE_US = 100_000
_MAX_SIDE_PIXELS = 4096


class _Bridge:
    """From the middle of a group of pictures to its end: they are decoded from its key frame on, and those that are sent
    are encoded again."""

    def __init__(self, stream: VideoStream, layer: Layer) -> None:
        context = stream.codec_context
        self._decoder = cast(VideoCodecContext, av.CodecContext.create(context.name, "r"))
        self._decoder.extradata = context.extradata
        self._decoder.thread_count = 1
        self._decoder.flags |= Flags.low_delay
        bitrate_bps = max(layer.max_bitrate_bps, plan_layers(layer.width, layer.height)[-1].max_bitrate_bps)
        self._encoder = VideoEncoder(
            context.name, layer.width, layer.height, bitrate_bps=bitrate_bps, fps=layer.max_fps
        )

    def decode(self, packet: av.Packet[Any]) -> av.VideoFrame | None:
        pictures = self._decoder.decode(packet)
        return pictures[-1] if pictures else None

    def encode(self, picture: av.VideoFrame, timestamp_us: int) -> EncodedFrame | None:
        return self._encoder.encode(picture, timestamp_us)


class PassedVideo(FilePlayback):
    """Pictures sent as they are, in one layer. A key frame asked for is the next of the file, at most 2 seconds away.

    Whoever begins between two key frames gets pictures at once all the same: until the next they are encoded again.
    """

    def __init__(self, player: MediaPlayer, on_stopped: Callable[[], None]) -> None:
        stream = player.video
        assert stream is not None
        context = stream.codec_context
        fps = float(stream.average_rate or DEFAULT_FPS)
        bitrate_bps = context.bit_rate or plan_layers(context.width, context.height)[-1].max_bitrate_bps
        layer = Layer("", context.width, context.height, bitrate_bps, fps)
        shape = {"width": context.width, "height": context.height, "layers": (layer,)}
        super().__init__(player, "video", context.name, on_stopped, **shape)
        self._stream = stream
        self._layer = layer
        self._passage = VideoPassage(stream)
        self._needs_keyframe = True
        self._bridge: _Bridge | None = None

    def _play_packet(self, item: MediaPacket) -> None:
        early = item.play_us < self._begin_us
        if item.packet.is_keyframe:
            self._bridge = _Bridge(self._stream, self._layer) if early else None
        picture = self._bridge.decode(item.packet) if self._bridge is not None else None
        if early:
            return
        due_us = self._wait(item.play_us)
        if due_us is None or self._muted:
            # what follows refers to it
            self._needs_keyframe = True
            self._bridge = None
            return
        if self._bridge is not None:
            encoded = self._bridge.encode(picture, due_us) if picture is not None else None
            if encoded is not None:
                self._emit(encoded)
            return
        for frame in self._passage.frames(item.packet, video_timestamp(due_us), due_us):
            self._needs_keyframe &= not frame.keyframe
            if not self._needs_keyframe:
                self._emit(frame)

    def _restart(self) -> None:
        self._passage.restart()
        self._needs_keyframe = True
        self._bridge = None


class EncodedVideo(FilePlayback):
    """Pictures decoded, made smaller if need be, and encoded again; a key frame asked for comes at once."""

    def __init__(
        self,
        player: MediaPlayer,
        on_stopped: Callable[[], None],
        *,
        codec: str,
        simulcast: bool,
        max_height: int,
        max_bitrate_bps: int | None,
        max_fps: float | None,
    ) -> None:
        stream = player.video
        assert stream is not None
        fps = min(float(stream.average_rate or DEFAULT_FPS), max_fps or DEFAULT_FPS)
        width, height = _fit(*player.video_size, max_height)
        layers = plan_layers(width, height, simulcast=simulcast, max_bitrate_bps=max_bitrate_bps, max_fps=fps)
        self._encoder = LayerEncoder(codec, layers)
        self._decoder = player.video_decoder()
        super().__init__(player, "video", codec, on_stopped, width=width, height=height, layers=layers)
        self._actions["bitrate"] = self._encoder.set_bitrates
        self._actions["layers"] = self._encoder.set_active
        self._max_height = max_height
        self._scaler = VideoReformatter()
        self._period_us = int(_US_PER_S / fps)
        self._play_us = 0
        self._picture: av.VideoFrame | None = None
        self._keyframe_due = False

    def request_keyframe(self, rid: str = "") -> None:
        self._encoder.request_keyframe(rid)
        self._keyframe_due = True
        self._wake()

    def _play_packet(self, item: MediaPacket) -> None:
        for picture in self._decoder.decode(item.packet):
            self._play_picture(picture)

    def _drain(self) -> None:
        for picture in self._decoder.decode(None):
            self._play_picture(picture)

    def _restart(self) -> None:
        self._decoder.flush_buffers()

    def _repeat(self, timestamp_us: int) -> None:
        # while the file runs, the next picture is close enough
        if self._keyframe_due and self._picture is not None and self._stands_still:
            self._send(self._picture, timestamp_us)

    def _play_picture(self, picture: av.VideoFrame) -> None:
        if picture.pts is not None and picture.time_base is not None:
            self._play_us = int(picture.pts * picture.time_base * _US_PER_S) + self._offset_us
        else:
            self._play_us += self._period_us
        due_us = self._wait(self._play_us)
        if due_us is None or self._muted:
            return
        if now_us() - due_us > _LATE_US and not self._keyframe_due:
            return
        self._picture = self._fitted(picture)
        self._send(self._picture, due_us)

    def _send(self, picture: av.VideoFrame, timestamp_us: int) -> None:
        self._keyframe_due = False
        for frame in self._encoder.encode(picture, timestamp_us):
            self._emit(frame)

    def _fitted(self, picture: av.VideoFrame) -> av.VideoFrame:
        if self._player.video_turn:
            picture = rotate(picture, self._player.video_turn)
        width, height = _fit(picture.width, picture.height, self._max_height)
        return self._scaler.reformat(picture, width, height, "yuv420p", interpolation=Interpolation.AREA, **ONE_THREAD)


def _fit(width: int, height: int, max_height: int) -> tuple[int, int]:
    """The size a picture is sent in: no higher than `max_height`, no wider than encoders go, of even sides."""
    scale = min(1.0, max_height / height, _MAX_SIDE_PIXELS / width)
    return max(MIN_SIDE_PIXELS, round(width * scale / 2) * 2), max(MIN_SIDE_PIXELS, round(height * scale / 2) * 2)


def open_video(player: MediaPlayer, on_stopped: Callable[[], None], **encoding: Any) -> FilePlayback:
    """The pictures of a file, as they are where that is possible. Raises `MediaError`."""
    if player.video is None:
        raise NoSuchStreamError(f"{player.path!r} holds no pictures")
    if player.passes_video:
        return PassedVideo(player, on_stopped)
    return EncodedVideo(player, on_stopped, **encoding)
