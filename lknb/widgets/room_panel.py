"""`RoomPanel`: a room, whole."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import traitlets
from ipywidgets import Box, Layout

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.room import Room
from lknb.widgets.hardened import Hardened
from lknb.widgets.participant_grid import ParticipantGrid
from lknb.widgets.participant_tile import ParticipantTile
from lknb.widgets.room_audio import room_audio_of
from lknb.widgets.room_header import RoomHeader
from lknb.widgets.speaker_indicator import SpeakerIndicator
from lknb.widgets.stats_plot import StatsPlot
from lknb.widgets.subscription_table import SubscriptionTable

_SECTIONS: dict[str, tuple[str, Callable[[Room], Any]]] = {
    "subscriptions": ("Subscriptions", SubscriptionTable),
    "speakers": ("Speakers", SpeakerIndicator),
    "stats": ("Statistics", StatsPlot),
}
_LANES = ("direct", "proxy", "comm")


class RoomPanel(Hardened, Box):  # type: ignore[misc]
    """Everybody in a room, the sound, and below, each shown and hidden with a button: subscriptions, speakers, statistics.

        RoomPanel(room)                                  # or just `room`, as the last line of a cell
        RoomPanel(room, sections=["subscriptions"])      # with this one open

    What is hidden does not exist: a section is made when it is opened, and closed when it is hidden.
    """

    sections = traitlets.Tuple(help="The open ones of subscriptions, speakers, stats.")

    def __init__(self, room: Room, *, sections: Iterable[str] = (), **traits: Any) -> None:
        if not isinstance(room, Room):
            raise TrackError(f"RoomPanel shows a room, not {room!r}")
        self._room = room
        self._opened: dict[str, Any] = {}
        self._seen_tiles: list[ParticipantTile] = []
        self._header = RoomHeader(room, self._list, self.toggle)
        self._grid = ParticipantGrid(room)
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width="100%")
        super().__init__(**traits)
        self.add_class("lknb-panel")
        self._grid.observe(self._tiles_changed, "children")
        self._tiles_changed()
        self.sections = tuple(sections)
        self._arrange()

    @property
    def room(self) -> Room:
        """The room."""
        return self._room

    @property
    def grid(self) -> ParticipantGrid:
        """The tiles."""
        return self._grid

    def toggle(self, section: str) -> None:
        """Open a section, or hide it. Raises ValueError for one that is none."""
        now = self.sections
        self.sections = tuple(each for each in now if each != section) if section in now else (*now, section)

    def close(self) -> None:
        """Take the panel and all that is in it out of all pages. Harmless twice."""
        if self.comm is None:
            return
        super().close()
        self._grid.unobserve(self._tiles_changed, "children")
        self._watch_lanes([])
        for widget in (self._header, self._grid, *self._opened.values()):
            widget.close()
        self._opened.clear()

    def __repr__(self) -> str:
        return f"RoomPanel({visible_label(self._room.name)!r})"

    @traitlets.validate("sections")
    def _check_sections(self, proposal: Any) -> tuple[str, ...]:
        unknown = [each for each in proposal["value"] if each not in _SECTIONS]
        if unknown:
            raise ValueError(f"sections are {', '.join(_SECTIONS)}, not {unknown[0]!r}")
        return tuple(each for each in _SECTIONS if each in proposal["value"])

    @traitlets.observe("sections")
    def _sections_changed(self, _: Any) -> None:
        self._arrange()

    def _list(self) -> list[tuple[str, str, bool]]:
        return [(key, label, key in self.sections) for key, (label, _) in _SECTIONS.items()]

    def _arrange(self) -> None:
        hidden = [self._opened.pop(key) for key in list(self._opened) if key not in self.sections]
        for key in self.sections:
            if key not in self._opened:
                self._opened[key] = _SECTIONS[key][1](self._room)
        # the sound of a room is one for all its views, and stays when this one is closed
        self.children = (
            self._header, self._grid, room_audio_of(self._room), *(self._opened[key] for key in self.sections)
        )  # fmt: skip
        self._header._show()
        for widget in hidden:
            widget.close()

    def _tiles_changed(self, _: Any = None) -> None:
        self._watch_lanes(self._grid.tiles)
        self._lane_changed()

    def _watch_lanes(self, tiles: list[ParticipantTile]) -> None:
        for tile in self._seen_tiles:
            tile.unobserve(self._lane_changed, "lane")
        self._seen_tiles = tiles
        for tile in tiles:
            tile.observe(self._lane_changed, "lane")

    def _lane_changed(self, _: Any = None) -> None:
        lanes = {tile.lane for tile in self._seen_tiles}
        # of several the one that costs most is worth knowing
        self._header.show_lane(next((lane for lane in reversed(_LANES) if lane in lanes), ""))


_panels: weakref.WeakKeyDictionary[Room, weakref.ref[RoomPanel]] = weakref.WeakKeyDictionary()


def room_panel_of(room: Any) -> RoomPanel:
    """The panel a room shows itself with: one for all cells, so that running a cell again makes no second one."""
    known = _panels.get(room)
    panel = known() if known is not None else None
    if panel is None or panel.comm is None:
        panel = RoomPanel(room)
        _panels[room] = weakref.ref(panel)
    return panel
