"""The pictures of a media file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
from av.video.reformatter import Interpolation, VideoReformatter

from lknb.codec.clock import now_us, video_timestamp
from lknb.codec.layer import DEFAULT_FPS, MIN_SIDE_PIXELS, Layer, plan_layers
from lknb.codec.pixel import ONE_THREAD, rotate
from lknb.codec.simulcast import LayerEncoder
from lknb.core.source.file_playback import FilePlayback
from lknb.core.source.packet_queue import MediaPacket
from lknb.core.source.passthrough import VideoPassage
from lknb.core.source.player import MediaPlayer
from lknb.errors import NoSuchStreamError

_US_PER_S = 1_000_000
_LATE_US = 100_000
_MAX_SIDE_PIXELS = 4096


class PassedVideo(FilePlayback):
    """Pictures sent as they are, in one layer. A key frame asked for is the next of the file, at most 2 seconds
    away."""

    def __init__(self, player: MediaPlayer, on_stopped: Callable[[], None]) -> None:
        stream = player.video
        assert stream is not None
        context = stream.codec_context
        fps = float(stream.average_rate or DEFAULT_FPS)
        bitrate_bps = context.bit_rate or plan_layers(context.width, context.height)[-1].max_bitrate_bps
        layer = Layer("", context.width, context.height, bitrate_bps, fps)
        shape = {"width": context.width, "height": context.height, "layers": (layer,)}
        super().__init__(player, "video", context.name, on_stopped, **shape)
        self._passage = VideoPassage(stream)
        self._needs_keyframe = True

    def _play_packet(self, item: MediaPacket) -> None:
        due_us = self._wait(item.play_us)
        if due_us is None or self._muted:
            # what follows refers to it
            self._needs_keyframe = True
            return
        for frame in self._passage.frames(item.packet, video_timestamp(due_us), due_us):
            self._needs_keyframe &= not frame.keyframe
            if not self._needs_keyframe:
                self._emit(frame)

    def _restart(self) -> None:
        self._passage.restart()
        self._needs_keyframe = True


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
