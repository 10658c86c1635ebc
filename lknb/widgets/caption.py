"""What people, tracks and layers are called in the views, fit to be shown to somebody else."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from livekit.protocol import models

from lknb.logic.label import visible_label
from lknb.logic.track_setting import is_simulcast, layer_dimensions
from lknb.rtc.enumeration import ConnectionQuality, TrackKind, TrackSource

LAYERS = ("low", "medium", "high")
"""By `VideoQuality`."""

_SOURCES = {
    TrackSource.SOURCE_CAMERA: "camera",
    TrackSource.SOURCE_MICROPHONE: "microphone",
    TrackSource.SOURCE_SCREENSHARE: "screen",
    TrackSource.SOURCE_SCREENSHARE_AUDIO: "screen audio",
}
_QUALITIES = {
    ConnectionQuality.QUALITY_POOR: "poor",
    ConnectionQuality.QUALITY_GOOD: "good",
    ConnectionQuality.QUALITY_EXCELLENT: "excellent",
    ConnectionQuality.QUALITY_LOST: "lost",
}


def person_label(participant: Any) -> str:
    """A participant's name, or the identity of one without."""
    return visible_label(participant.name or participant.identity)


def initials(name: str) -> str:
    """Up to two letters that stand for a name that is fit to be shown."""
    words = [word for word in name.split() if unicodedata.category(word[0])[0] in "LN"]
    chosen = words[:1] + words[-1:] if len(words) > 1 else words
    return "".join(word[0] for word in chosen).upper() or "?"


def source_label(publication: Any) -> str:
    """Where a track comes from, such as `camera`; its kind when nobody said."""
    kind = "video" if publication.kind == TrackKind.KIND_VIDEO else "audio"
    return _SOURCES.get(publication.source, kind)


def track_label(publication: Any) -> str:
    """The name of a track, or where it comes from."""
    return visible_label(publication.name or source_label(publication))


def connection_label(quality: ConnectionQuality) -> str:
    """One word for how good a connection is, empty when nobody knows."""
    return _QUALITIES.get(quality, "")


def microphone_state(person: Any) -> str:
    """`on`, `muted`, or `none` for somebody without one."""
    microphone = person.get_track_publication(TrackSource.SOURCE_MICROPHONE)
    if microphone is None:
        sounds = (each for each in person.track_publications.values() if each.kind == TrackKind.KIND_AUDIO)
        microphone = next(sounds, None)
    if microphone is None:
        return "none"
    return "muted" if microphone.muted else "on"


def layer_sizes(info: models.TrackInfo) -> dict[str, tuple[int, int]]:
    """Width and height in pixels of each layer a track is published in; empty for a track in one layer."""
    if not is_simulcast(info):
        return {}
    found = ((name, layer_dimensions(info, quality)) for quality, name in enumerate(LAYERS))
    return {name: (int(size.width), int(size.height)) for name, size in found if size is not None and size.area > 0}


def layer_of(info: models.TrackInfo, width: int, height: int) -> str:
    """Which layer pictures of this size are, `low`, `medium` or `high`; empty when that cannot be told."""
    sizes = layer_sizes(info)
    # the official Python SDK publishes small pictures in layers of one size
    if len(set(sizes.values())) < len(sizes) or not sizes or width <= 0 or height <= 0:
        return ""
    return min(sizes, key=lambda name: abs(math.log(sizes[name][0] * sizes[name][1] / (width * height))))
