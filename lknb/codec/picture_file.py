"""Pictures -> PNG files."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image

from lknb.codec.pixel import to_array
from lknb.errors import MediaError


class PictureFile:
    """The first picture; or all of them, numbered from 1, when the name holds a %d. Raises `MediaError` for a path that
    cannot be written."""

    def __init__(self, path: Path) -> None:
        self.done = False
        """Whether no more pictures are wanted."""
        self._path = path
        self._is_series = "%" in path.name
        self._count = 0
        if not path.parent.is_dir():
            raise MediaError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")

    def write(self, picture: av.VideoFrame) -> None:
        """The next picture. Raises `MediaError`."""
        self._count += 1
        path = self._path.with_name(self._path.name % self._count) if self._is_series else self._path
        try:
            # level 1 takes a third of the time for a tenth more bytes
            Image.fromarray(to_array(picture)).save(path, "png", compress_level=1)
        except OSError as error:
            raise MediaError(f"{str(path)!r} cannot be written: {error}") from error
        self.done = not self._is_series
