"""A name -> what is blended into a corner of a picture: white letters on a dark plate."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lknb.codec.pixel import plane_views

_LETTERS_PIXELS = 16
_PADDING_X, _PADDING_Y = 6, 3
_DARK = 150
"""How much of the plate hides what is behind it, of 255."""
_WHITE_LUMA, _BLACK_LUMA, _GRAY_CHROMA = 235, 16, 128
_FONT = "DejaVuSans.ttf"

Weights = NDArray[np.uint16]


class Nameplate:
    """Drawn once, in even sides, no wider than `most` pixels: a name that is longer ends in three dots. `width` is 0 where
    not a letter fits."""

    def __init__(self, name: str, most: int) -> None:
        text = _shortened(name, most - 2 * _PADDING_X)
        self.height = (_LETTERS_PIXELS + 2 * _PADDING_Y + 5) & ~1
        self.width = (round(_font().getlength(text)) + 2 * _PADDING_X + 1) & ~1 if text else 0
        if not self.width:
            return
        letters = Image.new("L", (self.width, self.height))
        place = (self.width / 2, self.height / 2)
        ImageDraw.Draw(letters).text(place, text, fill=255, font=_font(), anchor="mm")
        light = np.asarray(letters, np.uint16)
        # letters hide all that is behind them, the plate a part of it
        hidden = light + (255 - light) * _DARK // 255
        luma = light * _WHITE_LUMA + (hidden - light) * _BLACK_LUMA
        coarse = hidden.reshape(self.height // 2, 2, self.width // 2, 2).mean(axis=(1, 3)).astype(np.uint16)
        self._planes: list[tuple[Weights, Weights]] = [
            (255 - hidden, luma),
            *[(255 - coarse, coarse * _GRAY_CHROMA)] * 2,
        ]

    def blend(self, onto: av.VideoFrame, left: int, top: int) -> None:
        """Write it into a picture in i420 in which there is room for it from there, at even pixels."""
        if not self.width:
            return
        for plane, (kept, added), scale in zip(plane_views(onto, "i420"), self._planes, (2, 1, 1), strict=True):
            rows, columns = kept.shape
            under = plane[top // 2 * scale :, left // 2 * scale :][:rows, :columns]
            under[...] = (under * kept + added) // 255


def _shortened(name: str, most: int) -> str:
    """As much of the name as so many pixels hold."""
    if _font().getlength(name) <= most:
        return name
    kept = name
    while kept and _font().getlength(f"{kept}…") > most:
        kept = kept[:-1]
    return f"{kept.rstrip()}…" if kept else ""


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu of the system or of matplotlib, which has most alphabets; else the Latin one that Pillow brings."""
    matplotlib = find_spec("matplotlib")
    paths = [_FONT]
    if matplotlib is not None and matplotlib.origin is not None:
        paths.append(str(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / _FONT))
    for path in paths:
        try:
            return ImageFont.truetype(path, _LETTERS_PIXELS)
        except OSError:
            continue
    return ImageFont.load_default(_LETTERS_PIXELS)
