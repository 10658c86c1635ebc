"""From the parameters of a `source_open` request to a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lknb.codec.layer import Layer
from lknb.core.source.encoded import EncodedSource, Kind
from lknb.core.source.file import open_file
from lknb.core.source.frames import FrameSource
from lknb.core.source.pattern import TestPattern
from lknb.core.source.samples import SampleSource
from lknb.core.source.tone import Tone
from lknb.errors import MediaError

Parameters = Mapping[str, Any]

_ENVELOPE = frozenset(("op", "id", "source", "type", "kind"))
"""Keys of a `source_open` request that are no parameters, so that its whole header can be given."""


def open_source(type: str, kind: Kind, parameters: Parameters) -> EncodedSource:
    """Open a source of `type` "frames", "samples", "pattern", "tone" or "file".

    `parameters` are what the request carries besides, or its whole header; the constructors document them. Opening a
    file reads from it, so call this off the event loop. Raises `MediaError`.
    """
    opener = _OPENERS.get((type, kind))
    if opener is None:
        raise MediaError(f"there is no {kind} source of type {type!r}")
    try:
        return opener(kind, {name: value for name, value in parameters.items() if name not in _ENVELOPE})
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"the parameters of a {kind} source of type {type!r} are wrong: {error}") from error


def _open_frames(kind: Kind, parameters: Parameters) -> EncodedSource:
    layers = tuple(Layer(**layer) for layer in parameters.get("layers", ()))
    return FrameSource(**{**parameters, "layers": layers})


def _open_samples(kind: Kind, parameters: Parameters) -> EncodedSource:
    return SampleSource(**parameters)


def _open_pattern(kind: Kind, parameters: Parameters) -> EncodedSource:
    return TestPattern(**parameters)


def _open_tone(kind: Kind, parameters: Parameters) -> EncodedSource:
    return Tone(**parameters)


_OPENERS: Mapping[tuple[str, str], Callable[[Kind, Parameters], EncodedSource]] = {
    ("frames", "video"): _open_frames,
    ("samples", "audio"): _open_samples,
    ("pattern", "video"): _open_pattern,
    ("tone", "audio"): _open_tone,
    ("file", "video"): open_file,
    ("file", "audio"): open_file,
}
