"""Which simulcast layers a picture is sent in, as the LiveKit clients decide (client-sdk-js: publishUtils.ts,
options.ts).

A picture whose long side has 960 pixels or more goes out three times: q, h and f, of which f is the picture itself.
From 480 pixels on it goes out twice, q and h; then h is the picture itself. Anything smaller goes out once. Lower
layers follow the presets 180p and 360p, bitrates follow the preset that is wide enough. A screen share has the
picture and its half.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

RIDS = ("q", "h", "f")
"""From the smallest layer to the largest."""

MIN_SIDE_PIXELS = 18
"""Smaller pictures are not sent: LiveKit's servers end a stream with pictures of 16 x 16 or less, which no receiver
shows."""

DEFAULT_FPS = 30.0
DEFAULT_SCREENCAST_FPS = 15.0

_THREE_LAYERS_FROM_PIXELS = 960
_TWO_LAYERS_FROM_PIXELS = 480
_MIN_SCREENCAST_BITRATE_BPS = 150_000


@dataclass(frozen=True, slots=True)
class Layer:
    """One encoding of a picture. `rid` is empty when it is the only one; sizes are in pixels."""

    rid: str
    width: int
    height: int
    max_bitrate_bps: int
    max_fps: float


class _Preset(NamedTuple):
    width: int
    height: int
    bitrate_bps: int
    fps: float


_WIDE = (
    _Preset(160, 90, 90_000, 20),
    _Preset(320, 180, 160_000, 20),
    _Preset(384, 216, 180_000, 20),
    _Preset(640, 360, 450_000, 20),
    _Preset(960, 540, 800_000, 25),
    _Preset(1280, 720, 1_700_000, 30),
    _Preset(1920, 1080, 3_000_000, 30),
    _Preset(2560, 1440, 5_000_000, 30),
    _Preset(3840, 2160, 8_000_000, 30),
)
_FOUR_TO_THREE = (
    _Preset(160, 120, 70_000, 20),
    _Preset(240, 180, 125_000, 20),
    _Preset(320, 240, 140_000, 20),
    _Preset(480, 360, 330_000, 20),
    _Preset(640, 480, 500_000, 20),
    _Preset(720, 540, 600_000, 25),
    _Preset(960, 720, 1_300_000, 30),
    _Preset(1440, 1080, 2_300_000, 30),
    _Preset(1920, 1440, 3_800_000, 30),
)
_SCREENCAST = (
    _Preset(640, 360, 400_000, 15),
    _Preset(1280, 720, 1_500_000, 15),
    _Preset(1920, 1080, 2_500_000, 15),
    _Preset(3840, 2160, 7_000_000, 15),
)


def plan_layers(
    width: int,
    height: int,
    *,
    simulcast: bool = True,
    screencast: bool = False,
    max_bitrate_bps: int | None = None,
    max_fps: float | None = None,
) -> tuple[Layer, ...]:
    """The layers of a picture of `width` x `height` pixels, smallest first.

    `max_bitrate_bps` and `max_fps` replace the preset of the largest layer and cap the frame rate of the others. The
    largest layer takes 30 frames a second unless told otherwise (a screen share 15), also where LiveKit's preset for
    a small picture says 20.
    """
    top = _top_layer(width, height, screencast, max_bitrate_bps, max_fps)
    lower = _lower_layers(top, screencast) if simulcast else []
    layers = [layer for layer in lower if layer.width < width and layer.height < height]
    layers = [replace(layer, max_fps=min(layer.max_fps, top.max_fps)) for layer in (*layers, top)]
    if len(layers) == 1:
        return (top,)
    return tuple(replace(layer, rid=rid) for layer, rid in zip(layers, RIDS, strict=False))


def _top_layer(width: int, height: int, screencast: bool, max_bitrate_bps: int | None, max_fps: float | None) -> Layer:
    presets = _SCREENCAST if screencast else _presets(width, height)
    long_side = max(width, height)
    preset = next((preset for preset in presets if preset.width >= long_side), presets[-1])
    fps = max_fps or (DEFAULT_SCREENCAST_FPS if screencast else DEFAULT_FPS)
    return Layer("", width, height, max_bitrate_bps or preset.bitrate_bps, fps)


def _lower_layers(top: Layer, screencast: bool) -> list[Layer]:
    long_side = max(top.width, top.height)
    if long_side < _TWO_LAYERS_FROM_PIXELS:
        return []
    if screencast:
        half_bitrate_bps = max(_MIN_SCREENCAST_BITRATE_BPS, top.max_bitrate_bps // 4)
        return [Layer("", _even(top.width / 2), _even(top.height / 2), half_bitrate_bps, top.max_fps)]
    low, middle = (preset for preset in _presets(top.width, top.height) if preset.height in (180, 360))
    if long_side < _THREE_LAYERS_FROM_PIXELS:
        return [_scaled(top, low)]
    return [_scaled(top, low), _scaled(top, middle)]


def _presets(width: int, height: int) -> tuple[_Preset, ...]:
    ratio = max(width, height) / min(width, height)
    return _WIDE if abs(ratio - 16 / 9) < abs(ratio - 4 / 3) else _FOUR_TO_THREE


def _scaled(top: Layer, preset: _Preset) -> Layer:
    scale = max(1.0, min(top.width, top.height) / preset.height)
    return Layer("", _even(top.width / scale), _even(top.height / scale), preset.bitrate_bps, preset.fps)


def _even(pixels: float) -> int:
    # chroma has half the size of luma, and H264 takes no odd sides at all
    return max(2, round(pixels / 2) * 2)
