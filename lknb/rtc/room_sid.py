"""The sid of a room, as text and as something to await."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any


class RoomSid(str):
    """A room sid that can be awaited, because in `livekit.rtc` `room.sid` must be.

    Servers may tell the sid some time after the join; until then it is empty, and awaiting it waits.
    """

    __slots__ = ("_arrives",)
    _arrives: asyncio.Future[str] | None

    def __new__(cls, sid: str, arrives: asyncio.Future[str] | None = None) -> RoomSid:
        text = super().__new__(cls, sid)
        text._arrives = arrives
        return text

    def __await__(self) -> Generator[Any, None, str]:
        return self._wait().__await__()

    async def _wait(self) -> str:
        if self:
            return str(self)
        if self._arrives is None:
            raise RuntimeError("a room that is not connected has no sid")
        # shared by all who wait: the timeout of one must not end it for the others
        return await asyncio.shield(self._arrives)
