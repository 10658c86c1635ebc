"""`ParticipantGrid`: everybody in a room."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import traitlets
from ipywidgets import Box, Layout

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.participant import Participant
from lknb.rtc.room import Room
from lknb.widgets import comm
from lknb.widgets.hardened import Hardened
from lknb.widgets.note import Note
from lknb.widgets.participant_tile import ParticipantTile
from lknb.widgets.watch import Watch

ROOM_EVENTS = (
    "connection_state_changed", "participant_connected", "participant_disconnected", "track_published",
    "track_unpublished", "local_track_published", "local_track_unpublished",
)  # fmt: skip
_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 9: 3}
_MOST_COLUMNS = 4
_CAMERA, _SCREEN = TrackSource.SOURCE_CAMERA, TrackSource.SOURCE_SCREENSHARE

Key = tuple[str, TrackSource]
"""Of a tile: whose, and which of their pictures."""


class ParticipantGrid(Hardened, Box):  # type: ignore[misc]
    """A tile for each participant, ourselves included, and for each shared screen; the order is that in which they came.

        ParticipantGrid(room)

    A click on a tile, or Enter, puts it large and the rest in a strip; once more, and all are equal again. A screen that
    is shared is put large by itself. `focused` is the identity of who is large, `identity/screen` for a screen, and can
    be set.
    """

    focused = traitlets.Unicode(help="Who is large: an identity, or identity/screen; empty for nobody.")

    def __init__(self, room: Room, **traits: Any) -> None:
        if not isinstance(room, Room):
            raise TrackError(f"ParticipantGrid shows a room, not {room!r}")
        self._room = room
        self._tiles: dict[Key, ParticipantTile] = {}
        self._watch = Watch(self._look)
        self._note = Note("")
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width="100%")
        super().__init__(**traits)
        self._watch.follow(((room, ROOM_EVENTS),))
        self._look()

    @property
    def room(self) -> Room:
        """The room."""
        return self._room

    @property
    def tiles(self) -> list[ParticipantTile]:
        """The tiles, in their order."""
        return list(self._tiles.values())

    def close(self) -> None:
        """Take the grid and its tiles out of all pages. Harmless twice."""
        if self.comm is None:
            return
        self._watch.close()
        super().close()
        for tile in self._tiles.values():
            tile.close()
        self._tiles.clear()
        self._note.close()

    def __repr__(self) -> str:
        return f"ParticipantGrid({visible_label(self._room.name)!r})"

    def _look(self) -> None:
        comm.call_on_kernel_loop(self._look_now)

    def _look_now(self) -> None:
        """See who is there, and show that."""
        if self.comm is None:
            return
        people = {(person.identity, source): person for person, source in self._wanted()}
        gone = [key for key in self._tiles if people.get(key) is not self._tiles[key].participant]
        closed = [self._tiles.pop(key) for key in gone]
        fresh = [key for key in people if key not in self._tiles]
        for key in fresh:
            self._tiles[key] = self._make(people[key], key)
        screens = [name_of(key) for key in fresh if key[1] == _SCREEN]
        if screens:
            self.focused = screens[-1]
        elif self.focused and self.focused in map(name_of, gone) and self.focused not in map(name_of, fresh):
            self.focused = ""
        self._say_who_is_missing()
        self._arrange()
        for tile in closed:
            tile.close()

    def _wanted(self) -> Iterable[tuple[Participant, TrackSource]]:
        room = self._room
        if not room.isconnected():
            return
        everybody: list[Participant] = [room.local_participant, *room.remote_participants.values()]
        for person in everybody:
            yield person, _CAMERA
            if person.get_track_publication(_SCREEN) is not None:
                yield person, _SCREEN

    def _make(self, person: Participant, key: Key) -> ParticipantTile:
        return ParticipantTile(person, source=key[1], on_focus=lambda: self._toggle(name_of(key)))

    def _toggle(self, name: str) -> None:
        self.focused = "" if self.focused == name else name

    @traitlets.observe("focused")
    def _focus_changed(self, _: Any) -> None:
        self._arrange()

    def _arrange(self) -> None:
        # an identity may read like the screen of another one: then the first of that name is large, and both are there
        tiles = self.tiles
        focused = next((tile for key, tile in self._tiles.items() if name_of(key) == self.focused), None)
        for tile in tiles:
            tile.set_focused(tile is focused)
        columns = _COLUMNS.get(len(tiles), _MOST_COLUMNS)
        classes = ["lknb-grid", f"lknb-columns-{columns}", *(["lknb-grid-focus"] if focused is not None else [])]
        if list(self._dom_classes) != classes:  # type: ignore[has-type]
            self._dom_classes = classes
        children = (*tiles, *([self._note] if self._note.text else []))
        if children != self.children:  # type: ignore[has-type]
            self.children = children

    def _say_who_is_missing(self) -> None:
        room = self._room
        if not room.isconnected():
            self._note.say("Not in the room.", "room = await lknb.connect(...)")
        elif not room.remote_participants:
            # as JSON the name is a Python literal, too, without a character that would not be seen
            name = json.dumps(visible_label(room.name))
            self._note.say(
                "Nobody else is here yet. Join from another cell:",
                f'guest = await lknb.connect({name}, identity="guest")',
            )
        else:
            self._note.say("")


def name_of(key: Key) -> str:
    """How a tile is called in `ParticipantGrid.focused`."""
    identity, source = key
    return identity if source == _CAMERA else f"{identity}/screen"
