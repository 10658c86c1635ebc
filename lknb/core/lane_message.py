"""What a page may say to the core over the lane of a video: what a browser sent to checked values.

Pure, and total: any message gives a value or `WireError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lknb.errors import WireError

PICTURE_BYTES = 1024 * 1024
PICTURE_SIDE_PIXELS = 1_024
VIEW_SIDE_PIXELS = 16_384
CAPABILITIES = 32
CAPABILITY_CHARACTERS = 64

_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@dataclass(frozen=True, slots=True)
class Ack:
    """All chunks up to this sequence number are decoded or given up."""

    sequence: int


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """The page's decoder cannot go on."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What the page's browser can decode, as it names it: `vp8`, `h264`."""

    codecs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visible:
    """The largest visible view of the page, in CSS pixels, and its device pixels per CSS pixel."""

    width: float
    height: float
    dpr: float
    visible: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """The last picture, as a PNG of at most `PICTURE_SIDE_PIXELS` a side, for the saved notebook."""

    width: int
    height: int
    png: bytes
    unseen: bool
    """Nobody looks at the page: the moment to render its outputs again."""


Upward: TypeAlias = Ack | KeyframeRequest | Hello | Visible | Picture


def parse_upward(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Upward:
    """What one message says. Raises `WireError`."""
    kind = header.get("type")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        raise WireError("a page's message of no known type")
    if len(buffers) != (kind == "picture"):
        raise WireError(f"a page's {kind} message with {len(buffers)} buffers")
    return parse(header, buffers)


def _integer(header: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = header.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WireError(f"{name} is not an integer from {low} to {high}")
    return value


def _number(header: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = header.get(name)
    # written so that NaN, which JSON of Python's lets through, fails it
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise WireError(f"{name} is not a number from {low} to {high}")
    return float(value)


def _boolean(header: Mapping[str, Any], name: str) -> bool:
    value = header.get(name)
    if not isinstance(value, bool):
        raise WireError(f"{name} is not true or false")
    return value


def _parse_ack(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Ack:
    return Ack(_integer(header, "sequence", 0, 2**53))


def _parse_keyframe(header: Mapping[str, Any], buffers: Sequence[bytes]) -> KeyframeRequest:
    return KeyframeRequest()


def _parse_hello(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Hello:
    codecs = header.get("codecs")
    if not isinstance(codecs, list) or len(codecs) > CAPABILITIES:
        raise WireError("codecs is not a short list")
    for codec in codecs:
        if not isinstance(codec, str) or len(codec) > CAPABILITY_CHARACTERS:
            raise WireError("a codec is not a short name")
    return Hello(tuple(codecs))


def _parse_visible(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Visible:
    return Visible(
        width=_number(header, "width", 0, VIEW_SIDE_PIXELS),
        height=_number(header, "height", 0, VIEW_SIDE_PIXELS),
        dpr=_number(header, "dpr", 0.1, 16),
        visible=_boolean(header, "visible"),
    )


def _parse_picture(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Picture:
    png = buffers[0]
    if not 33 <= len(png) <= PICTURE_BYTES or not png.startswith(_PNG_START):
        raise WireError("a picture that is no PNG of bounded size")
    size = struct.unpack_from(">II", png, len(_PNG_START))
    width = _integer(header, "width", 1, PICTURE_SIDE_PIXELS)
    height = _integer(header, "height", 1, PICTURE_SIDE_PIXELS)
    if size != (width, height):
        raise WireError("a picture of another size than it says")
    return Picture(width, height, png, _boolean(header, "unseen"))


_PARSERS: dict[str, Callable[[Mapping[str, Any], Sequence[bytes]], Upward]] = {
    "ack": _parse_ack,
    "hello": _parse_hello,
    "keyframe": _parse_keyframe,
    "picture": _parse_picture,
    "visible": _parse_visible,
}
