"""What the parts of a lane expect of each other: the carrier below, the session on top.

A carrier brings messages to one page and back: a websocket (`lane_websocket`) or the comm of a widget (`lane_comm`). A
session is what a lane is for: the video of a track, the sound of a room, the devices of a page. Neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from lknb.core.lane_ticket import Grant
from lknb.core.message import Buffer

LaneName: TypeAlias = Literal["direct", "proxy", "comm"]
LANE_NAMES: tuple[LaneName, ...] = ("direct", "proxy", "comm")
"""Best first: a websocket to this machine, one through the notebook's server, the comm of the widget."""

GOING_AWAY = 1001
"""Codes a lane is closed with: those of RFC 6455, 7.4.1, on every carrier."""
NORMAL = 1000
UNSUPPORTED = 1003
NOT_ALLOWED = 1008


class LanePort(Protocol):
    """One open way to one page. Belongs to the thread of the core's event loop."""

    @property
    def name(self) -> LaneName:
        """Which way it is; of a websocket it is "direct" until the page has said that it came by the proxy."""

    @property
    def waiting_bytes(self) -> int:
        """How much of what was sent is still on this machine."""

    @property
    def page_left(self) -> bool:
        """Whether it was closed because its page was: there will be no other way to that page."""

    def send(self, header: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> None:
        """Queue one message (`lknb.core.message`); never blocks. Nothing happens once the way is closed."""

    async def close(self, code: int, reason: str) -> None:
        """Close it, with a code of RFC 6455 and why. Harmless twice."""


class LaneSession(Protocol):
    """One lane in use. Everything runs on the core's event loop and must not block."""

    def handle(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """A message of the page. Raises `WireError` for what no page of ours says: the lane is closed with 1008."""

    def refresh(self) -> None:
        """Look at the room again. Called ten times a second, and when a track has changed or a room is gone."""

    def closed(self) -> None:
        """The way is closed: let go of everything. Called once; nothing is called after it."""


class LaneKind(Protocol):
    """What lanes of one `Grant.kind` are for."""

    def check(self, grant: Grant) -> None:
        """Raises `TrackError` (or another `LknbError`) when there is nothing to open a lane for."""

    def open(self, grant: Grant, port: LanePort) -> LaneSession:
        """Begin a session. `check` was passed just now."""
