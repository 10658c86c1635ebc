"""How a room was joined, so that a button can join it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lknb.logic.room_state import RoomChange
from lknb.rtc.option import RoomOptions

if TYPE_CHECKING:
    from lknb.rtc.room import Room


# without a repr: what lets somebody in is for nobody's eyes
@dataclass(frozen=True, slots=True, repr=False)
class WayIn:
    """What it took. It goes with its room, which it does not know."""

    url: str
    make_token: Callable[[], str]
    """The token that was given, or a fresh one where there is a key; raises ConnectError."""
    options: RoomOptions
    loop: asyncio.AbstractEventLoop
    """On which the room was joined."""


async def join_again(room: Room) -> None:
    """Join a room as it was joined last; on its loop. Nothing while it is joined, and for one that never was.

    Raises ConnectError.
    """
    way = room._way_in
    if way is None or not room._machine.can(RoomChange.CONNECT):
        return
    await room.connect(way.url, way.make_token(), way.options)
    # not the token of this time: the next one is fresh again
    room._way_in = way
