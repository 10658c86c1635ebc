"""`CallPanel`: everybody in a room, and the buttons for one's own camera, microphone and screen."""

from __future__ import annotations

from typing import Any

from ipywidgets import Box, Layout

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.room import Room
from lknb.widgets.control_bar import ControlBar
from lknb.widgets.hardened import Hardened
from lknb.widgets.participant_grid import ParticipantGrid


class CallPanel(Hardened, Box):  # type: ignore[misc]
    """A call, whole: a `ParticipantGrid` and, below it, a `ControlBar`.

        CallPanel(room)

    While a page shows it, `await room.local_participant.set_camera_enabled(True)` and its kin reach the devices of that
    page. Nothing is captured before a button is pressed or such a call is made.
    """

    def __init__(self, room: Room, **traits: Any) -> None:
        if not isinstance(room, Room):
            raise TrackError(f"CallPanel shows a room, not {room!r}")
        self._room = room
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width="100%")
        super().__init__(**traits)
        self._grid = ParticipantGrid(room)
        self._bar = ControlBar(room)
        self.children = (self._grid, self._bar)
        self.add_class("lknb-panel")

    @property
    def room(self) -> Room:
        """The room."""
        return self._room

    @property
    def grid(self) -> ParticipantGrid:
        """The tiles."""
        return self._grid

    @property
    def bar(self) -> ControlBar:
        """The buttons."""
        return self._bar

    def close(self) -> None:
        """Take the panel and all that is in it out of all pages; what their pages capture ends. Harmless twice."""
        if self.comm is None:
            return
        super().close()
        self._grid.close()
        self._bar.close()

    def __repr__(self) -> str:
        # stable, so that executed notebooks compare equal
        return f"CallPanel({visible_label(self._room.name)!r})"
