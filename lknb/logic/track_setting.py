"""What a subscriber asks the server to send of one video track (sans-I/O).

Two voices ask: the user (`set_enabled`, `set_video_quality`, ...) and adaptive stream, which knows how large the picture is
shown. They are merged as livekit-client does (RemoteTrackPublication.ts, emitTrackUpdate): an explicit choice of enabled
beats visibility, and of two sizes the one with the smaller area is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from livekit.protocol import models, rtc


@dataclass(frozen=True, slots=True)
class Dimensions:
    """A size in pixels."""

    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height


@dataclass(slots=True)
class TrackSetting:
    """The wishes for one track. The setters say whether anything is different now, and so worth telling the server."""

    enabled: bool | None = None
    quality: int | None = None
    """`models.VideoQuality`."""
    dimensions: Dimensions | None = None
    fps: int | None = None
    visible: bool | None = None
    """None without adaptive stream."""
    shown: Dimensions | None = None
    """How large adaptive stream shows it."""

    @property
    def is_enabled(self) -> bool:
        """The explicit choice if there is one, else whether it is visible, else True."""
        if self.enabled is not None:
            return self.enabled
        return self.visible if self.visible is not None else True

    def set_enabled(self, enabled: bool) -> bool:
        """Ask for the track, or not, whatever is visible."""
        changed, self.enabled = self.enabled != enabled, enabled
        return changed

    def set_quality(self, quality: int | None) -> bool:
        """Ask for a layer, or with None for none in particular; forgets requested dimensions."""
        changed = self.quality != quality
        if changed:
            self.quality, self.dimensions = quality, None
        return changed

    def set_dimensions(self, dimensions: Dimensions) -> bool:
        """Ask for a size; forgets the requested quality."""
        changed = self.dimensions != dimensions
        if changed:
            self.quality, self.dimensions = None, dimensions
        return changed

    def set_fps(self, fps: int) -> bool:
        """Ask for at most this many frames a second."""
        changed, self.fps = self.fps != fps, fps
        return changed

    def set_shown(self, dimensions: Dimensions | None, *, visible: bool | None) -> bool:
        """What adaptive stream sees; a picture nobody shows is not visible. None: it has not looked yet."""
        before = (self.visible, self.shown)
        self.visible, self.shown = visible, dimensions
        return before != (self.visible, self.shown)

    def request(self, track: models.TrackInfo) -> rtc.UpdateTrackSettings:
        """The message for these wishes about `track`."""
        settings = rtc.UpdateTrackSettings(track_sids=[track.sid], disabled=not self.is_enabled, fps=self.fps or 0)
        if track.type != models.TrackType.VIDEO:
            return settings
        asked = self._merge(track)
        if asked is not None and asked.area > 0:
            settings.width, settings.height = math.ceil(asked.width), math.ceil(asked.height)
        elif asked is not None:
            # to a server a width of 0 is no size at all
            settings.quality = models.VideoQuality.LOW
        else:
            # a number, as a later protocol may have more of them
            settings.quality = models.VideoQuality.HIGH if self.quality is None else self.quality  # type: ignore[assignment]
        return settings

    def _merge(self, track: models.TrackInfo) -> Dimensions | None:
        shown = self.shown
        if shown is None:
            return self.dimensions
        if self.dimensions is not None:
            return shown if shown.area < self.dimensions.area else self.dimensions
        if self.quality is None:
            return shown
        layer = layer_dimensions(track, self.quality)
        return shown if layer is not None and shown.area < layer.area else None


def layer_dimensions(track: models.TrackInfo, quality: int) -> Dimensions | None:
    """The size of the layer of this quality; None when the publisher announced none."""
    layers = [layer for codec in track.codecs for layer in codec.layers] or list(track.layers)
    for layer in layers:
        if layer.quality == quality:
            return Dimensions(layer.width, layer.height)
    return None


def is_simulcast(track: models.TrackInfo) -> bool:
    """Whether it is published in more than one layer.

    Servers since 1.10 leave `simulcast` false (livekit/rust-sdks#1052); the layers of its codecs tell.
    """
    layers = max((len(codec.layers) for codec in track.codecs), default=len(track.layers))
    return track.type == models.TrackType.VIDEO and (track.simulcast or layers > 1)
