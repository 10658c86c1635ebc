"""A source of media that gives none."""

from __future__ import annotations

import itertools
from typing import Any

from lknb.codec.layer import plan_layers
from lknb.errors import MediaError
from lknb.rtc.source import Encoding, Kind, OpenSource


class FakeSource:
    """Remembers how it was opened and what was released."""

    def __init__(self, kind: Kind = "video", width: int = 1280, height: int = 720) -> None:
        self.kind: Kind = kind
        self.size = (width, height)
        self.encodings: list[Encoding] = []
        self.open_handles: set[int] = set()
        self.fault: str | None = None
        self._handles = itertools.count(100)

    async def open(self, client: Any, encoding: Encoding) -> OpenSource:
        if self.fault is not None:
            raise MediaError(self.fault)
        self.encodings.append(encoding)
        handle = next(self._handles)
        self.open_handles.add(handle)
        if self.kind == "audio":
            return OpenSource(handle, "audio", "opus", stereo=True)
        layers = plan_layers(*self.size, simulcast=encoding.simulcast)
        return OpenSource(handle, "video", encoding.codec, *self.size, layers=layers)

    async def release(self, handle: int) -> None:
        self.open_handles.discard(handle)
