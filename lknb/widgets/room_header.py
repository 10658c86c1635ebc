"""`RoomHeader`: the head of a `RoomPanel`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lknb.logic.label import visible_label
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.enumeration import ConnectionState
from lknb.rtc.room import Room
from lknb.widgets.control_view import ControlView, Watched
from lknb.widgets.esm import control_esm

_EVENTS = ("connection_state_changed", "participant_connected", "participant_disconnected", "room_updated")
_STATES = {
    ConnectionState.CONN_CONNECTED: "connected",
    ConnectionState.CONN_RECONNECTING: "reconnecting",
    ConnectionState.CONN_DISCONNECTED: "disconnected",
}


class RoomHeader(ControlView):
    """Name, connection, number of participants and lane of a room, and a button for each section of its panel.

    `sections()` gives key, label and whether it is open; `toggle(key)` is called on the room's loop.
    """

    _module = "header"
    _esm = control_esm("header")

    def __init__(
        self,
        room: Room,
        sections: Callable[[], list[tuple[str, str, bool]]] = list,
        toggle: Callable[[str], None] | None = None,
        **traits: Any,
    ) -> None:
        self._room = room
        self._sections = sections
        self._toggle = toggle
        self._lane = ""
        super().__init__(**traits)

    def show_lane(self, lane: str) -> None:
        """How the page reaches the room core: `direct`, `proxy`, `comm`, or nothing when there is no lane."""
        self._lane = lane
        self._show()

    def __repr__(self) -> str:
        return f"RoomHeader({visible_label(self._room.name)!r})"

    def _core(self) -> CoreRoom | None:
        return self._room._core

    def _follow(self) -> Watched:
        return ((self._room, _EVENTS),)

    def _describe(self) -> dict[str, Any]:
        room = self._room
        return {
            "name": visible_label(room.name) or "Room",
            "state": _STATES[room.connection_state],
            "people": 1 + len(room.remote_participants) if room.isconnected() else 0,
            "lane": self._lane,
            "sections": [{"key": key, "label": label, "open": is_open} for key, label, is_open in self._sections()],
        }

    def _act(self, content: Mapping[str, Any]) -> None:
        section = content.get("section")
        if self._toggle is not None and section in [key for key, *_ in self._sections()]:
            self._toggle(str(section))
