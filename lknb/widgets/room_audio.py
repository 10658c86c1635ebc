"""`RoomAudio`: the sound of a room, played by every page that shows the room, and the bar that sets how loud."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import traitlets
from ipywidgets import Layout

from lknb.errors import MediaError
from lknb.logic.label import visible_label
from lknb.rtc.participant import Participant
from lknb.rtc.playback import playback_of, register_playback
from lknb.rtc.room import Room
from lknb.widgets import comm
from lknb.widgets.esm import audio_code, audio_css, audio_esm
from lknb.widgets.lane_widget import LaneWidget

START_TIMEOUT_S = 5.0
_WIDTH = "320px"


class RoomAudio(LaneWidget):
    """The sound of a room: all audio tracks it is subscribed to, in every page that displays this or a view of the room.

        RoomAudio(room)                           # as the last line of a cell: mute button, volume, what is going on
        RoomAudio(room).volume = 0.5
        RoomAudio(room).set_volume("alice", 0.2)

    There is one for each room: made again, it is the same one. It plays past the kernel, so a busy cell does not stop it.
    Where the browser wants a click before it plays, `blocked` is true and the views of the room show a button for it.
    """

    _esm = audio_esm()
    _css = audio_css()
    _code = traitlets.Unicode(audio_code(), read_only=True).tag(sync=True)
    _lane_kind: ClassVar[str] = "audio"

    volume = traitlets.Float(1.0, min=0.0, max=1.0, help="How loud all of it is, 0 to 1.").tag(sync=True)
    muted = traitlets.Bool(False, help="Whether nothing is heard here; nobody else notices.").tag(sync=True)
    playing = traitlets.Bool(False, read_only=True, help="Whether a page plays the room.")
    blocked = traitlets.Bool(False, read_only=True, help="Whether pages wait for a click before they play.")
    error = traitlets.Unicode(read_only=True, help="Why a page plays nothing; empty when none has said so.")
    _audio = traitlets.Unicode(read_only=True).tag(sync=True)
    _volumes = traitlets.Dict(read_only=True, help="By participant sid, for the page.").tag(sync=True)

    def __new__(cls, room: Room, **traits: Any) -> RoomAudio:
        return _known(room) or super().__new__(cls, room, **traits)

    def __init__(self, room: Room, **traits: Any) -> None:
        if _known(room) is self:
            self._asked_for = True
            for name, value in traits.items():
                setattr(self, name, value)
            return
        self._in_room = room
        self._state = "connecting"
        self._wishes: dict[str, float] = {}
        self._asked_for = True
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width=_WIDTH)
        # pages begin with the model: its name must be there from the first moment
        model_id = uuid.uuid4().hex
        self.set_trait("_audio", model_id)
        super().__init__(model_id=model_id, **traits)
        register_playback(room, self)
        room.on("connected", self._join)
        room.on("disconnected", self._room_left)
        room.on("participant_connected", self._tell_volumes)
        self._join()

    @property
    def room(self) -> Room:
        """The room whose sound it is."""
        return self._in_room

    def set_volume(self, participant: Participant | str, volume: float) -> None:
        """How loud one participant (or the one of this identity) is, 0 to 1, times the volume of all.

        It may be said before they join, and holds when they come again. Raises ValueError for another volume.
        """
        if not 0.0 <= volume <= 1.0:
            raise ValueError(f"a volume is 0 to 1, not {volume!r}")
        identity = participant if isinstance(participant, str) else participant.identity
        self._wishes[identity] = float(volume)
        self._tell_volumes()

    def volume_of(self, participant: Participant | str) -> float:
        """What `set_volume` said of one participant, 1 before it did."""
        identity = participant if isinstance(participant, str) else participant.identity
        return self._wishes.get(identity, 1.0)

    @property
    def can_playback(self) -> bool:
        """False while all pages that show the room wait for a click."""
        return self._state != "blocked"

    async def start(self) -> None:
        """Have waiting pages play; see `Room.start_audio`. Raises `MediaError` when the browser wants a click all the same."""
        if self.can_playback:
            return
        self.send({"type": "resume"})
        try:
            await self._in_room.wait_for("audio_playback_status_changed", bool, timeout=START_TIMEOUT_S)
        except TimeoutError:
            raise MediaError(
                "the browser plays nothing in this page before somebody clicks or types there: press 'Click to hear'"
            ) from None

    def close(self) -> None:
        """End it in all pages: nothing of the room is heard until a view of it is displayed anew. Harmless twice."""
        if self.comm is None:
            return
        for event, handler in (
            ("connected", self._join),
            ("disconnected", self._room_left),
            ("participant_connected", self._tell_volumes),
        ):
            self._in_room.off(event, handler)  # type: ignore[arg-type]
        super().close()

    def __repr__(self) -> str:
        # stable, so that executed notebooks compare equal
        return f"RoomAudio({visible_label(self._in_room.name)!r})"

    # ------------------------------------------------------------------ the room, on its loop

    def _join(self) -> None:
        core = self._in_room._core
        if core is None:
            return
        self._leave_lanes()
        self._join_lanes(core.client, core.handle)
        self._tell_volumes()
        # pages that played the room before it was left
        self.send({"type": "again"})

    def _room_left(self) -> None:
        if not self._asked_for:
            # it was made for the views of the room, and another connection has others
            comm.call_on_kernel_loop(self.close)

    def _tell_volumes(self) -> None:
        people = self._in_room.remote_participants.values()
        volumes = {person.sid: self._wishes[person.identity] for person in people if person.identity in self._wishes}
        if volumes != self._volumes:
            self.set_trait("_volumes", volumes)

    # ------------------------------------------------------------------ what pages and the core say, on any thread

    def _on_core_event(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if header["type"] == "state":
            self._become(header["state"])

    def _on_ended(self) -> None:
        self._become("ended")

    def _on_failed(self, reason: str) -> None:
        if self._state not in ("playing", "blocked"):
            comm.call_on_kernel_loop(functools.partial(self._show, "connecting", reason))

    def _become(self, state: str) -> None:
        could = self.can_playback
        self._state = state
        comm.call_on_kernel_loop(functools.partial(self._show, state, ""))
        core = self._in_room._core
        if could != self.can_playback and core is not None:
            core.call(self._in_room._tell, "audio_playback_status_changed", self.can_playback)

    def _show(self, state: str, error: str) -> None:
        if self.comm is None:
            return
        with self.hold_trait_notifications():
            self.set_trait("playing", state == "playing")
            self.set_trait("blocked", state == "blocked")
            self.set_trait("error", error)


def _known(room: Room) -> RoomAudio | None:
    found = playback_of(room)
    return found if isinstance(found, RoomAudio) and found.comm is not None else None


def room_audio_of(room: Room) -> RoomAudio:
    """The sound of a room: the one there is, or a new one."""
    return RoomAudio(room)


def audio_behind(shown: Any) -> RoomAudio | None:
    """The sound that goes with a view of `shown`, something with a `room`; one that is made for it ends with the room."""
    room = getattr(shown, "room", None)
    if not isinstance(room, Room) or not room.isconnected():
        return None
    audio = _known(room)
    if audio is None:
        audio = RoomAudio(room)
        audio._asked_for = False
    return audio


def audio_id_of(shown: Any) -> str:
    """What a view of `shown` says in its trait `_audio` so that its page plays the room; empty for silence."""
    audio = audio_behind(shown)
    return audio.model_id if audio is not None else ""
