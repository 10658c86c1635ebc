"""All rooms of one server, and the clock that drives them."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from livekit.protocol import models

from lknb import limits
from lknb.server.grant import Grant, TokenAuthority
from lknb.server.room import Room, new_sid

if TYPE_CHECKING:
    from lknb.server.config import ServerConfig
    from lknb.server.signal import SignalLink
    from lknb.transport.ice_lite import UdpMux

logger = logging.getLogger(__name__)

TICK_S = 0.05


class RoomRegistry:
    """Rooms by name. A room is made by the first who joins it and goes some time after the last has left."""

    def __init__(self, config: ServerConfig, mux: UdpMux) -> None:
        self.config = config
        self.mux = mux
        self.authority = TokenAuthority(config.keys)
        self.node_id = new_sid("ND_")
        self.rooms: dict[str, Room] = {}
        self.signals: set[SignalLink] = set()
        self._ticker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the clock."""
        self._ticker = asyncio.create_task(self._run())

    def refusal(self, grant: Grant) -> str | None:
        """Why there is no place for this participant, or None."""
        room = self.rooms.get(grant.video.room)
        if room is None:
            return None if self.has_place(grant.video.room) else "room limit exceeded"
        if room.find(grant.identity) is not None:
            return None  # it takes the place it has
        if room.max_participants and len(room.participants) >= room.max_participants:
            return "room is full"
        if sum(len(room.participants) for room in self.rooms.values()) >= limits.PARTICIPANTS:
            return "participant limit exceeded"
        return None

    def has_place(self, name: str) -> bool:
        """Whether a room of this name is there or can be made."""
        return name in self.rooms or len(self.rooms) < limits.ROOMS or self._deserted() is not None

    def create(self, name: str) -> Room:
        """A room of this name, the one that is there if there is one."""
        room = self.rooms.get(name)
        if room is None:
            if len(self.rooms) >= limits.ROOMS and (deserted := self._deserted()) is not None:
                # who comes needs a room more than those who have left and may come back
                del self.rooms[deserted.name]
            room = self.rooms[name] = Room(name, self.config, time.monotonic())
        return room

    def _deserted(self) -> Room | None:
        """Of the rooms that everybody has left, the one that goes next."""
        return min((room for room in self.rooms.values() if room.deserted), key=lambda room: room.ends_at, default=None)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for name, room in list(self.rooms.items()):
                try:
                    room.tick(now)
                except Exception:
                    # a fault in one room must not stop the clock of the others
                    logger.exception("room %s: timer failed", room.sid)
                if room.expired(now):
                    del self.rooms[name]

    async def close(self) -> None:
        """Send everybody away and stop."""
        if self._ticker is not None:
            self._ticker.cancel()
        for room in list(self.rooms.values()):
            await room.close(models.DisconnectReason.SERVER_SHUTDOWN)
        self.rooms.clear()
        await asyncio.gather(*(signal.close() for signal in list(self.signals)))
        self.mux.close()
