"""The contract between the core and a source of encoded media."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, Protocol, TypeAlias

from lknb.codec.layer import Layer
from lknb.wire.frame import EncodedFrame

Kind: TypeAlias = Literal["audio", "video"]
Sink: TypeAlias = Callable[[EncodedFrame], None]


class EncodedSource(Protocol):
    """One source of encoded media, of one kind.

    A source has one sink, makes nothing before `start` and nothing after `stop`, and is not started twice. Frames
    carry `timestamp_us` on the monotonic clock of the machine (`lknb.codec.clock.now_us`). All methods may be called
    from any thread.
    """

    kind: Kind
    codec: str
    """`"vp8"`, `"h264"` or `"opus"`."""
    width: int
    height: int
    """Of the largest layer, in pixels; 0 for audio."""
    layers: tuple[Layer, ...]
    """Of video, smallest first; empty for audio."""
    stereo: bool

    @property
    def adapts(self) -> bool:
        """Whether it knows the action `bitrate`."""

    on_ended: Callable[[str | None], None] | None
    """Called once from a worker thread when the source ends by itself; with the reason when it failed."""

    @property
    def rids(self) -> tuple[str, ...]:
        """The rids of the layers; empty without simulcast."""

    def start(self, sink: Sink) -> None:
        """Begin to make frames. The sink may be called from a worker thread."""

    def stop(self) -> None:
        """Stop for good; threads end within a second. Harmless twice, and before `start`."""

    def request_keyframe(self, rid: str = "") -> None:
        """Make the next frame of this layer a key frame; of all layers when `rid` is empty."""

    def control(self, action: str, **parameters: Any) -> dict[str, Any] | None:
        """Change the running source, or ask it something. Raises `MediaError` for an action it does not know, or cannot do.

        All know `mute` (muted: bool): a muted source makes no frames, its clock runs on. Video sources that encode
        know `bitrate` (bitrates_bps: dict[str, int], the bitrate of a layer by rid, "" without simulcast; layers that
        are not named stay as they are) and `layers` (rids: list[str], the layers that are sent or shown).
        """


def describe_source(source: EncodedSource) -> dict[str, Any]:
    """What `source_open` replies."""
    return {
        "kind": source.kind,
        "codec": source.codec,
        "width": source.width,
        "height": source.height,
        "stereo": source.stereo,
        # only media files have an end
        "duration_s": getattr(source, "duration_s", None),
        "layers": [asdict(layer) for layer in source.layers],
    }
