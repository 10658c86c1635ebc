"""What a page that captures may say to the core: headers and buffers from a browser to checked values.

Pure, and total: any header gives a value or `WireError`.

    page -> core   {"type": "hello", client, codecs, captures, able} first; `captures` are those the page still holds
                   {"type": "media", sequence, chunks} [data, ...]   one buffer a chunk
                   {"type": "done", request, ...}                    a command was carried out
                   {"type": "failed", request, reason, detail}       or could not be
                   {"type": "ended", capture, detail}                the person stopped it
                   {"type": "lost", capture, reason, detail}         the device is gone; held on, muted
                   {"type": "using", capture, device_id}             which device it is, whenever that is another one
                   {"type": "speaker", device_id}                    the page is heard on this one, at first and whenever it
                                                                     is another one; "default" for the browser's choice
                   {"type": "devices_changed"}                       one was plugged in, or unplugged
                   {"type": "click", device, action, device_id}      a button was pressed
    core -> page   {"type": "take", request, capture, device, ...}   take a device; done: width, height, device_id, label
                   {"type": "encode", capture, codec, ...}           begin to send
                   {"type": "layers", capture, layers}               [{rid, bitrate_bps}] of those to encode
                   {"type": "keyframe", capture, rid}
                   {"type": "mute", request, capture, muted}         a camera is let go of, and taken again
                   {"type": "switch", request, capture, device_id}   done: as take
                   {"type": "close", capture}
                   {"type": "devices", request}                      done: devices
                   {"type": "speaker", request, device_id}           be heard on this one; done: device_id, label
                   {"type": "ack", sequence}                         of `media`, cumulative
                   {"type": "link", port, ticket}                    opens our own page, or its next lane; renewed in time
                   {"type": "shown" | "refused" | "again", ...}      to our own page: what the kernel says, see `CaptureTab`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lknb import limits
from lknb.errors import WireError
from lknb.wire.frame import AUDIO_LEVEL_SILENT

CHUNKS = 64
"""In one message: a third of a second of a camera in three layers, and sound."""
CAPTURES = 16
DEVICES = 64
NAME_CHARACTERS = 512
"""Browsers make device ids of 64 hexadecimal digits; labels are the makers'."""
DETAIL_CHARACTERS = 1_000
DEFAULT_SPEAKER = "default"
"""The browser's choice, as browsers call it."""
DEVICE_KINDS = ("camera", "microphone", "screen", "screen_audio")
REASONS = (
    "denied", "not_found", "in_use", "overconstrained", "insecure", "unsupported", "front_end", "needs_click", "ended",
    "closed", "other",
)  # fmt: skip
ACTIONS = ("on", "off", "switch", "leave")

_NUMBER_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Hello:
    """The page is there. `codecs` is what its browser encodes: h264, vp8, opus; `able` whether it may use devices at all."""

    client: str
    codecs: tuple[str, ...]
    captures: frozenset[int]
    able: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """One encoded picture or one Opus packet."""

    capture: int
    rid: str
    timestamp_us: int
    keyframe: bool
    width: int
    height: int
    audio_level: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Media:
    """Chunks in the order they were made."""

    sequence: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """A camera, microphone or loudspeaker of the page. `label` is empty before the first permission."""

    kind: str
    device_id: str
    label: str


@dataclass(frozen=True, slots=True)
class Done:
    """A command was carried out; what there is to say of it."""

    request: int
    width: int
    height: int
    device_id: str
    label: str
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A command was not carried out."""

    request: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A capture is over, and nobody here asked for it."""

    capture: int
    detail: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The device of a capture is gone. The page has muted it, and takes a device again when it is unmuted."""

    capture: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Using:
    """The device of a capture: at first, and when it is another one."""

    capture: int
    device_id: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """The loudspeaker the page is heard on."""

    device_id: str


@dataclass(frozen=True, slots=True)
class DevicesChanged:
    """The page has other devices than before."""


@dataclass(frozen=True, slots=True)
class Click:
    """The person pressed a button of the page."""

    device: str
    action: str
    device_id: str


Said: TypeAlias = Media | Done | Failed | Ended | Lost | Using | Speaker | DevicesChanged | Click
Upward: TypeAlias = Hello | Said


def parse_capture(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Upward:
    """One message of a page. Raises `WireError`."""
    kind = header.get("type")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        raise WireError("a capturing page's message of no known type")
    if buffers and kind != "media":
        raise WireError(f"a capturing page's {kind} message with {len(buffers)} buffers")
    return parse(header, buffers)


def _integer(header: Mapping[str, Any], name: str, high: int = _NUMBER_MAX, default: int | None = None) -> int:
    value = header.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        raise WireError(f"{name} is not an integer from 0 to {high}")
    return value


def _text(header: Mapping[str, Any], name: str, characters: int = NAME_CHARACTERS) -> str:
    value = header.get(name, "")
    if not isinstance(value, str) or len(value) > characters:
        raise WireError(f"{name} is not a text of at most {characters} characters")
    return value


def _choice(header: Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    value = header.get(name)
    if not isinstance(value, str) or value not in choices:
        raise WireError(f"{name} is none of {', '.join(choices)}")
    return value


def _list(header: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = header.get(name, [])
    if not isinstance(value, list) or len(value) > most:
        raise WireError(f"{name} is not a list of at most {most}")
    return value


def _parse_hello(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Hello:
    client = _text(header, "client", 64)
    codecs = _list(header, "codecs", 8)
    captures = _list(header, "captures", CAPTURES)
    able = header.get("able", True)
    if not client or not all(isinstance(codec, str) and len(codec) <= 16 for codec in codecs):
        raise WireError("a page without a name, or with codecs that are no names")
    if not all(isinstance(capture, int) and not isinstance(capture, bool) for capture in captures):
        raise WireError("captures are not numbers")
    if not isinstance(able, bool):
        raise WireError("able is not true or false")
    return Hello(client, tuple(codecs), frozenset(captures), able)


def _parse_media(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Media:
    described = _list(header, "chunks", CHUNKS)
    if len(described) != len(buffers):
        raise WireError(f"{len(described)} chunks in {len(buffers)} buffers")
    return Media(_integer(header, "sequence"), tuple(map(_parse_chunk, described, buffers)))


def _parse_chunk(header: Any, data: bytes) -> Chunk:
    if not isinstance(header, dict) or not 0 < len(data) <= limits.FRAME_BYTES:
        raise WireError(f"a chunk of {len(data)} bytes, or without a description")
    keyframe = header.get("keyframe", False)
    if not isinstance(keyframe, bool):
        raise WireError("keyframe is not true or false")
    return Chunk(
        capture=_integer(header, "capture"),
        rid=_text(header, "rid", 1),
        timestamp_us=_integer(header, "timestamp_us"),
        keyframe=keyframe,
        width=_integer(header, "width", limits.FRAME_SIDE_PIXELS, 0),
        height=_integer(header, "height", limits.FRAME_SIDE_PIXELS, 0),
        audio_level=_integer(header, "audio_level", AUDIO_LEVEL_SILENT, AUDIO_LEVEL_SILENT),
        data=data,
    )


def _parse_done(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Done:
    return Done(
        request=_integer(header, "request"),
        width=_integer(header, "width", 16_384, 0),
        height=_integer(header, "height", 16_384, 0),
        device_id=_text(header, "device_id"),
        label=_text(header, "label"),
        devices=tuple(_parse_device(device) for device in _list(header, "devices", DEVICES)),
    )


def _parse_device(device: Any) -> Device:
    if not isinstance(device, dict):
        raise WireError("a device that is none")
    return Device(
        _choice(device, "kind", ("camera", "microphone", "speaker")),
        _text(device, "device_id"),
        _text(device, "label"),
    )


def _parse_failed(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Failed:
    reason = _choice(header, "reason", REASONS)
    return Failed(_integer(header, "request"), reason, _text(header, "detail", DETAIL_CHARACTERS))


def _parse_ended(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Ended:
    return Ended(_integer(header, "capture"), _text(header, "detail", DETAIL_CHARACTERS))


def _parse_lost(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Lost:
    reason = _choice(header, "reason", REASONS)
    return Lost(_integer(header, "capture"), reason, _text(header, "detail", DETAIL_CHARACTERS))


def _parse_using(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Using:
    return Using(_integer(header, "capture"), _text(header, "device_id"))


def _parse_click(header: Mapping[str, Any], buffers: Sequence[bytes]) -> Click:
    return Click(
        _choice(header, "device", (*DEVICE_KINDS, "room")),
        _choice(header, "action", ACTIONS),
        _text(header, "device_id"),
    )


_PARSERS: dict[str, Callable[[Mapping[str, Any], Sequence[bytes]], Upward]] = {
    "hello": _parse_hello,
    "media": _parse_media,
    "done": _parse_done,
    "failed": _parse_failed,
    "ended": _parse_ended,
    "lost": _parse_lost,
    "using": _parse_using,
    "speaker": lambda header, buffers: Speaker(_text(header, "device_id")),
    "devices_changed": lambda header, buffers: DevicesChanged(),
    "click": _parse_click,
}
