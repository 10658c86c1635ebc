"""`ParticipantTile`: somebody's camera, or their initials while it is off."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from lknb.errors import TrackError
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.local_participant import LocalParticipant
from lknb.rtc.page_source import Device
from lknb.rtc.participant import Participant
from lknb.widgets.caption import connection_label, initials, person_label
from lknb.widgets.video_view import VideoView

_WIDTH = "320px"
_SHAPE = [16, 9]


class ParticipantTile(VideoView):
    """A participant: the camera, or initials where none is on; name, microphone, speaking ring, connection quality.

        ParticipantTile(participant)     # or just `participant`, as the last line of a cell

    It follows the participant's tracks as they come and go, and has one shape whatever their size, so that nothing around
    it moves. Ourselves are shown as in a mirror. `source`: the screen instead of the camera.
    """

    def __init__(
        self,
        participant: Participant,
        *,
        source: TrackSource = TrackSource.SOURCE_CAMERA,
        on_focus: Callable[[], None] | None = None,
        **traits: Any,
    ) -> None:
        """`on_focus` is called on the room's loop when somebody clicks the tile, or presses Enter on it."""
        if not isinstance(participant, Participant):
            raise TrackError(f"ParticipantTile shows a participant, not {participant!r}")
        self._source = source
        self._on_focus = on_focus
        self._focused = False
        camera = source == TrackSource.SOURCE_CAMERA
        traits.setdefault("fit", "cover" if camera else "contain")
        traits.setdefault("mirror", camera and isinstance(participant, LocalParticipant))
        super().__init__(participant, **traits)

    def set_focused(self, focused: bool) -> None:
        """Whether it is the large one of its grid."""
        self._focused = focused
        self._look()

    def _usual_width(self) -> str:
        return _WIDTH

    def _label(self) -> str:
        person = self._subject.participant
        name = person_label(person) if person is not None else ""
        if self._source == TrackSource.SOURCE_SCREENSHARE:
            return f"{name}: screen"
        return f"{name} (you)" if isinstance(person, LocalParticipant) else name

    def _describe(self) -> dict[str, Any]:
        person = self._subject.participant
        if person is None:
            return super()._describe()
        about = super()._describe()
        if self._source == TrackSource.SOURCE_SCREENSHARE:
            about |= {"microphone": "", "speaking": False}
        if isinstance(person, LocalParticipant):
            shown: tuple[Device, ...] = ("camera", "microphone")
            if self._source == TrackSource.SOURCE_SCREENSHARE:
                shown = ("screen", "screen_audio")
            about["live"] = any(map(person._devices.is_live, shown))
        return {
            **about,
            "initials": initials(person_label(person)),
            "connection": connection_label(person.connection_quality),
            "shape": _SHAPE,
            "focus": "" if self._on_focus is None else "on" if self._focused else "off",
        }

    def _act(self, content: Mapping[str, Any]) -> None:
        if content.get("do") == "focus" and self._on_focus is not None:
            self._on_focus()
        else:
            super()._act(content)


_tiles: weakref.WeakKeyDictionary[Participant, weakref.ref[ParticipantTile]] = weakref.WeakKeyDictionary()


def participant_tile_of(participant: Any) -> ParticipantTile:
    """The tile a participant shows itself with: one for all cells, so that running a cell again makes no second one."""
    known = _tiles.get(participant)
    tile = known() if known is not None else None
    if tile is None or tile.comm is None:
        tile = ParticipantTile(participant)
        _tiles[participant] = weakref.ref(tile)
    return tile
