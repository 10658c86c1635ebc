"""The test picture: colour bars, a ramp of grey, a bar that moves, the frame number and the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import av
import numpy as np

from lknb.codec.pixel import Pixels, check_size, convert, from_array, plane_views
from lknb.errors import MediaError

Color: TypeAlias = str | Sequence[int]

# SMPTE's bars at 75 %, from left to right.
_BARS = np.array(
    [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)], np.uint8
)
_BARS_SHARE = 0.7
_RAMP_SHARE = 0.1
_BACKGROUND = (24, 26, 32)

_BAR_SHARE = 1 / 64
_BAR_CROSSES_IN_S = 4.0
_WHITE_LUMA = 235
_TEXT_LUMA = 220
_NEUTRAL_CHROMA = 128

_GLYPH_WIDTH = 5
_GLYPH_HEIGHT = 7
# Rows from top to bottom, five bits each.
_GLYPHS = {
    "0": (0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E),
    "1": (0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E),
    "2": (0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F),
    "3": (0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E),
    "4": (0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02),
    "5": (0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E),
    "6": (0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E),
    "7": (0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08),
    "8": (0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E),
    "9": (0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C),
    ":": (0x00, 0x0C, 0x0C, 0x00, 0x0C, 0x0C, 0x00),
    ".": (0x00, 0x00, 0x00, 0x00, 0x00, 0x0C, 0x0C),
    " ": (0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00),
}


def parse_color(color: Color) -> tuple[int, int, int]:
    """(r, g, b), each 0 to 255, of `"#rrggbb"` or of three numbers. Raises `MediaError`."""
    try:
        if isinstance(color, str):
            digits = color.removeprefix("#")
            values = bytes.fromhex(digits) if len(digits) == 6 else b""
        else:
            values = bytes(list(color))
        red, green, blue = values
    except (TypeError, ValueError):
        raise MediaError(f"expected a colour as '#rrggbb' or as (r, g, b) from 0 to 255, got {color!r}") from None
    return red, green, blue


class Painter:
    """Paints pictures of one size in 4:2:0. With `color`, all of them are of that one colour. Raises `FrameError`,
    `MediaError`."""

    def __init__(self, width: int, height: int, color: Color | None = None) -> None:
        check_size(width, height)
        self._width = width
        self._height = height
        self._is_plain = color is not None
        still = _draw_plain(width, height, color) if color is not None else _draw_still(width, height)
        self._still = [plane.copy() for plane in plane_views(convert(from_array(still, "rgb24"), "i420"), "i420")]
        self._bars_bottom = int(height * _BARS_SHARE)
        self._bar_width = max(2, int(width * _BAR_SHARE))
        self._text_top = int(height * (_BARS_SHARE + _RAMP_SHARE))
        self._text_scale = max(1, (height - self._text_top) // (2 * _GLYPH_HEIGHT))
        self._glyphs = {character: _draw_glyph(rows, self._text_scale) for character, rows in _GLYPHS.items()}

    def paint(self, index: int, seconds: float) -> av.VideoFrame:
        """The picture with number `index`, `seconds` after the first. Key frames of it are the caller's to pass on."""
        picture = av.VideoFrame(self._width, self._height, "yuv420p")
        planes = list(plane_views(picture, "i420"))
        for plane, still in zip(planes, self._still, strict=True):
            plane[...] = still
        if not self._is_plain:
            self._draw_bar(planes, seconds)
            self._draw_text(planes[0], f"{index:06d} {_clock_text(seconds)}")
        return picture

    def _draw_bar(self, planes: list[Pixels], seconds: float) -> None:
        left = int(seconds / _BAR_CROSSES_IN_S % 1 * (self._width - self._bar_width)) & ~1
        luma, *chroma = planes
        luma[: self._bars_bottom, left : left + self._bar_width] = _WHITE_LUMA
        for plane in chroma:
            plane[: self._bars_bottom // 2, left // 2 : (left + self._bar_width) // 2] = _NEUTRAL_CHROMA

    def _draw_text(self, luma: Pixels, text: str) -> None:
        line = np.concatenate([self._glyphs[character] for character in text], axis=1)
        room = luma[self._text_top :]
        top = max(0, (room.shape[0] - line.shape[0]) // 2)
        left = max(0, (room.shape[1] - line.shape[1]) // 2)
        target = room[top : top + line.shape[0], left : left + line.shape[1]]
        target[line[: target.shape[0], : target.shape[1]]] = _TEXT_LUMA


def _draw_plain(width: int, height: int, color: Color) -> Pixels:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = parse_color(color)
    return picture


def _draw_still(width: int, height: int) -> Pixels:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = _BACKGROUND
    bars_bottom = int(height * _BARS_SHARE)
    ramp_bottom = int(height * (_BARS_SHARE + _RAMP_SHARE))
    picture[:bars_bottom] = _BARS[np.arange(width) * len(_BARS) // width]
    picture[bars_bottom:ramp_bottom] = np.linspace(0, 255, width).astype(np.uint8)[:, np.newaxis]
    return picture


def _draw_glyph(rows: Sequence[int], scale: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    bits = np.zeros((_GLYPH_HEIGHT, _GLYPH_WIDTH + 1), np.bool_)
    for row, pattern in enumerate(rows):
        for column in range(_GLYPH_WIDTH):
            bits[row, column] = pattern >> (_GLYPH_WIDTH - 1 - column) & 1
    return np.kron(bits, np.ones((scale, scale), np.bool_))


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02d}:{rest:05.2f}"
