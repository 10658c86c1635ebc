"""Encoded frames -> MP4, WebM or Matroska."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Stream

from lknb.codec.clock import AUDIO_CLOCK_HZ
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame

_US = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class _Container:
    format: str
    video_codecs: tuple[str, ...]
    """What it holds; what it does not becomes the first."""
    options: Mapping[str, str]


# Written a second at a time, so that what was recorded before a kernel is killed can be played.
_CLUSTERS = {"cluster_time_limit": "1000", "flush_packets": "1"}
_FRAGMENTS = {"movflags": "+hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}

CONTAINERS: Mapping[str, _Container] = {
    ".mp4": _Container("mp4", ("h264",), _FRAGMENTS),
    ".webm": _Container("webm", ("vp8",), _CLUSTERS),
    ".mkv": _Container("matroska", ("vp8", "h264"), _CLUSTERS),
}
"""Kinds of files by suffix, and the codecs of pictures each holds; all hold Opus."""


def codec_for(path: Path, codec: str) -> str:
    """The codec in which pictures of a codec get into the container of this path: their own wherever it holds that."""
    held = CONTAINERS[path.suffix.lower()].video_codecs
    return codec if codec in held else held[0]


class ContainerWriter:
    """One file with at most one stream of pictures and one of sound. For one thread.

    `keyframe` is the first picture, in a codec the container holds; None for sound only. Raises `MediaError` when the
    file cannot be written.
    """

    def __init__(self, path: Path, keyframe: EncodedFrame | None, channels: int = 0) -> None:
        container = CONTAINERS[path.suffix.lower()]
        self._path = path
        self._streams: dict[str, Stream] = {}
        self._templates: list[Any] = []
        try:
            self._output = av.open(str(path), "w", format=container.format, options=dict(container.options))
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{str(path)!r} cannot be written: {error}") from error
        try:
            if keyframe is not None:
                self._streams["video"] = self._add_video(keyframe)
            if channels:
                self._streams["audio"] = self._output.add_stream(
                    "libopus", rate=AUDIO_CLOCK_HZ, layout="mono" if channels == 1 else "stereo"
                )
            self._output.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            self._output.close()
            raise MediaError(f"{str(path)!r} cannot be written: {error}") from error

    def write(self, kind: str, data: bytes, time_us: int, duration_us: int, *, keyframe: bool) -> None:
        """One frame, `time_us` microseconds from the beginning. Times of a kind must increase. Raises `MediaError`."""
        packet: av.Packet[Any] = av.Packet(data)
        packet.stream = self._streams[kind]
        packet.time_base = _US
        packet.pts = packet.dts = time_us
        packet.duration = duration_us
        packet.is_keyframe = keyframe
        try:
            self._output.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{str(self._path)!r} cannot be written: {error}") from error

    def close(self) -> None:
        """Finish the file. Raises `MediaError`."""
        try:
            self._output.close()
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{str(self._path)!r} cannot be finished: {error}") from error
        finally:
            for template in self._templates:
                template.close()

    def _add_video(self, keyframe: EncodedFrame) -> Stream:
        if keyframe.codec == "h264":
            # the parameter sets of the file have to be those of the stream, not those of an encoder of ours
            template = av.open(io.BytesIO(keyframe.data), format="h264")
            self._templates.append(template)
            return self._output.add_stream_from_template(template.streams.video[0])
        stream = self._output.add_stream("libvpx", rate=30)
        stream.width, stream.height, stream.pix_fmt = keyframe.width, keyframe.height, "yuv420p"
        return stream
