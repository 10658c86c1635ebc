"""What a local track is made from: the contract between a source of media and whoever publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lknb.codec.layer import Layer
from lknb.errors import MediaError
from lknb.rtc.argument import is_number
from lknb.rtc.enumeration import VideoCodec

if TYPE_CHECKING:
    from lknb.core.client import CoreClient
    from lknb.rtc.option import TrackPublishOptions

Kind = Literal["audio", "video"]

_MOST = 2**31 - 1
"""What the protocol can say of a bitrate."""
_ENCODED: Mapping[int, str] = {VideoCodec.VP8: "vp8", VideoCodec.H264: "h264"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a source is to encode for one publication. What is None follows LiveKit's presets for the size of the
    source."""

    codec: str = "vp8"
    """Of video, `"vp8"` or `"h264"`. A media file that is passed through keeps its own. Audio is always Opus."""
    simulcast: bool = True
    max_bitrate_bps: int | None = None
    """Of the highest video layer, or of the audio."""
    max_fps: float | None = None
    dtx: bool = True
    """Send almost nothing during silence (mono audio only, as in LiveKit's clients)."""

    @classmethod
    def of(cls, kind: Kind, options: TrackPublishOptions) -> Encoding:
        """What these publish options ask of a source. Raises `MediaError` for a codec lknb does not encode, and for a
        bitrate or frame rate that is none."""
        for name, limit in (
            ("audio_encoding.max_bitrate", options.audio_encoding.max_bitrate),
            ("video_encoding.max_bitrate", options.video_encoding.max_bitrate),
            ("video_encoding.max_framerate", options.video_encoding.max_framerate),
        ):
            if not is_number(limit) or not 0 <= limit <= _MOST:
                raise MediaError(f"{name} is 0, for the preset, or a positive number, not {limit!r}")
        dtx = options.dtx is None or bool(options.dtx)
        if kind == "audio":
            return cls("opus", max_bitrate_bps=int(options.audio_encoding.max_bitrate) or None, dtx=dtx)
        wanted = options.video_codec
        codec = _ENCODED.get(VideoCodec.__members__.get(wanted, -1) if isinstance(wanted, str) else wanted)
        if codec is None:
            known = {int(codec): codec.name for codec in VideoCodec}
            name = known.get(wanted, f"video codec {wanted!r}")
            raise MediaError(f"{name} is not encoded by lknb; choose VideoCodec.VP8 or VideoCodec.H264")
        video = options.video_encoding
        simulcast = options.simulcast is None or bool(options.simulcast)
        return cls(codec, simulcast, int(video.max_bitrate) or None, video.max_framerate or None)


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source that is open in the core: what the request `publish` and its AddTrackRequest say about it."""

    handle: int
    kind: Kind
    codec: str
    """`"vp8"`, `"h264"` or `"opus"`."""
    width: int = 0
    height: int = 0
    """Of the picture, in pixels; 0 for audio."""
    layers: tuple[Layer, ...] = ()
    """Of video, smallest first; one with an empty rid when there is no simulcast. Empty for audio."""
    stereo: bool = False


class MediaSource(Protocol):
    """Anything a local track can be made from: VideoSource, AudioSource, TestPattern, Tone, MediaFile.video and
    .audio."""

    @property
    def kind(self) -> Kind: ...

    async def open(self, client: CoreClient, encoding: Encoding) -> OpenSource:
        """Make the source known to the core and let it run. Raises `MediaError`, `CoreError`.

        A source may be open more than once, each time with a handle of its own.
        """

    async def release(self, handle: int) -> None:
        """End what `open` began. Harmless for a handle that is gone, and when the core is dead."""


def frame_layers(source: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The layers in the core's reply to `source_open`."""
    return tuple(Layer(**layer) for layer in source["layers"])
