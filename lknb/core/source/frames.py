"""Encoded frames on the link, and pictures that the kernel has encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from lknb import limits
from lknb.codec.layer import Layer
from lknb.core.source.encoded import Kind, Sink
from lknb.errors import MediaError, WireError
from lknb.wire.frame import EncodedFrame

_FIELDS: dict[str, type] = {
    name: hint for name, hint in get_type_hints(EncodedFrame).items() if name not in ("codec", "data")
}
_DEFAULTS = {name: EncodedFrame.__dataclass_fields__[name].default for name in _FIELDS if name != "timestamp"}

_ACTIONS = ("mute", "layers", "bitrate")


def frame_header(frame: EncodedFrame) -> dict[str, Any]:
    """The fields of a frame for the header of a link message, those with their default left out; `data` is its
    buffer."""
    header: dict[str, Any] = {"codec": frame.codec, "timestamp": frame.timestamp}
    for name, default in _DEFAULTS.items():
        value = getattr(frame, name)
        if value != default:
            header[name] = value
    return header


def frame_from_header(header: Mapping[str, Any], data: bytes) -> EncodedFrame:
    """The frame of a link message. Raises `WireError`."""
    codec = header.get("codec")
    if codec not in ("vp8", "h264", "opus") or len(data) > limits.FRAME_BYTES:
        raise WireError(f"frame of codec {codec!r} with {len(data)} bytes")
    fields: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        value = header.get(name, _DEFAULTS.get(name))
        if type(value) is not kind:
            raise WireError(f"frame without a valid {name}")
        fields[name] = value
    return EncodedFrame(codec=codec, data=data, **fields)


class FrameSource:
    """Pictures encoded in the kernel. The core calls `push` for each that arrives; the sink gets it unless muted.

    `on_keyframe_request(rid)` and `on_control(action, parameters)` are how wishes find their way back to the encoder.
    """

    kind: Kind = "video"
    stereo = False
    adapts = True

    def __init__(self, codec: str, *, width: int = 0, height: int = 0, layers: tuple[Layer, ...] = ()) -> None:
        self.codec = codec
        self.width = width
        self.height = height
        self.layers = layers
        self.on_ended: Callable[[str | None], None] | None = None
        self.on_keyframe_request: Callable[[str], None] | None = None
        self.on_control: Callable[[str, dict[str, Any]], None] | None = None
        self._sink: Sink | None = None
        self._muted = False

    @property
    def rids(self) -> tuple[str, ...]:
        return tuple(layer.rid for layer in self.layers if layer.rid)

    def push(self, frame: EncodedFrame) -> None:
        """Hand one frame through; dropped before `start`, after `stop`, and while muted."""
        if self._sink is not None and not self._muted:
            self._sink(frame)

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self.request_keyframe()

    def stop(self) -> None:
        self._sink = None

    def request_keyframe(self, rid: str = "") -> None:
        if self.on_keyframe_request is not None:
            self.on_keyframe_request(rid)

    def control(self, action: str, **parameters: Any) -> None:
        if action not in _ACTIONS:
            raise MediaError(f"there is no action {action!r}; a source of the kernel knows {', '.join(_ACTIONS)}")
        was_muted = self._muted
        if action == "mute":
            self._muted = bool(parameters["muted"])
        if self.on_control is not None:
            self.on_control(action, parameters)
        if was_muted and not self._muted:
            self.request_keyframe()
