"""Several pictures -> one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import av
from av.video.reformatter import VideoReformatter

from lknb.codec.nameplate import Nameplate
from lknb.codec.pixel import black, fit, paste

_EDGE = 8
"""Pixels between a nameplate and the edges of its picture."""


def columns_of(count: int) -> int:
    """How many columns so many tiles of one size stand in: as many as rows, or one more."""
    return max(1, math.ceil(math.sqrt(count)))


class Collage:
    """Lays pictures out in a grid on black, each whole, as large as fits, in the middle of its tile. For one thread.

    `width` and `height` are of the whole, even, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._scalers: dict[str, VideoReformatter] = {}
        self._plates: dict[tuple[str, int], Nameplate] = {}

    def compose(self, pictures: Mapping[str, av.VideoFrame], labels: Mapping[str, str] | None = None) -> av.VideoFrame:
        """The pictures side by side in their order, row by row, in i420; a last row that is not full stands in the middle.

        A picture goes by the name it had before, for what is kept of it. `labels` are written at the bottom left of the
        pictures of these names.
        """
        plates, self._plates = self._plates, {}
        self._scalers = {name: self._scalers.get(name) or VideoReformatter() for name in pictures}
        whole = black(self.width, self.height)
        columns = columns_of(len(pictures))
        rows = math.ceil(len(pictures) / columns)
        for index, (name, picture) in enumerate(pictures.items()):
            row, column = divmod(index, columns)
            in_row = min(columns, len(pictures) - row * columns)
            width, height = self.width // columns, self.height // rows
            left = (self.width - in_row * width) // 2 + column * width
            tile = fit(picture, width, height, self._scalers[name])
            left, top = left + (width - tile.width) // 2, row * height + (height - tile.height) // 2
            paste(whole, tile, left, top)
            label = (labels or {}).get(name)
            if label:
                key = label, tile.width - 2 * _EDGE
                plate = self._plates[key] = self._plates.get(key) or plates.get(key) or Nameplate(*key)
                if plate.height + 2 * _EDGE <= tile.height:
                    plate.blend(whole, left + _EDGE, top + tile.height - plate.height - _EDGE)
        return whole
