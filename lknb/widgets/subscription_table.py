"""`SubscriptionTable`: who publishes what, and what of it we receive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.enumeration import StreamState, TrackKind
from lknb.rtc.participant import RemoteParticipant
from lknb.rtc.room import Room
from lknb.rtc.track_publication import RemoteTrackPublication
from lknb.widgets.caption import layer_of, layer_sizes, person_label, source_label, track_label
from lknb.widgets.control_view import ControlView, Watched
from lknb.widgets.esm import control_esm
from lknb.widgets.meter import Flow, Flows
from lknb.widgets.quality_choice import choose_quality, chosen_quality

ROOM_EVENTS = (
    "connection_state_changed", "participant_connected", "participant_disconnected", "participant_name_changed",
    "track_published", "track_unpublished", "track_subscribed", "track_unsubscribed", "track_muted", "track_unmuted",
    "track_subscription_status_changed", "track_subscription_permission_changed", "track_subscription_failed",
    "track_stream_state_changed",
)  # fmt: skip


class SubscriptionTable(ControlView):
    """A row for each track of the others: receive it or not, pause it, choose its layer, and see what really comes.

        SubscriptionTable(room)

    The switches act at once. `Receive` subscribes, which negotiates; `Play` pauses the track at the server without
    unsubscribing. Tracks whose publisher does not let us have them say so.
    """

    _module = "table"
    _esm = control_esm("table")

    metered = True

    def __init__(self, room: Room, **traits: Any) -> None:
        self._room = room
        self._told: dict[str, list[Any]] = {}
        super().__init__(**traits)

    @property
    def room(self) -> Room:
        """The room."""
        return self._room

    def __repr__(self) -> str:
        return f"SubscriptionTable({visible_label(self._room.name)!r})"

    def _core(self) -> CoreRoom | None:
        return self._room._core

    def _follow(self) -> Watched:
        return ((self._room, ROOM_EVENTS),)

    def _describe(self) -> dict[str, Any]:
        rows = [
            _row(participant, publication)
            for participant in self._room.remote_participants.values()
            for publication in participant.track_publications.values()
        ]
        return {"rows": rows, "empty": "" if rows else self._why_empty()}

    def _why_empty(self) -> str:
        if not self._room.isconnected():
            return "Not in the room. Join it with: room = await lknb.connect(...)"
        if not self._room.remote_participants:
            return "Nobody else is here yet. A track gets its row here when somebody publishes it."
        return "Nobody else publishes anything yet. A track gets its row here when somebody publishes it."

    def _act(self, content: Mapping[str, Any]) -> None:
        publication = self._publication(content.get("sid"))
        action, value = content.get("do"), content.get("value")
        if action == "subscribe":
            publication.set_subscribed(value is True)
        elif action == "enable":
            publication.set_enabled(value is True)
        elif action == "quality":
            choose_quality(publication, value)

    def _publication(self, sid: object) -> RemoteTrackPublication:
        for participant in self._room.remote_participants.values():
            found = participant.track_publications.get(sid) if isinstance(sid, str) else None
            if found is not None:
                return found
        raise TrackError("this track is not published any more")

    def _greet(self) -> None:
        self._told = {}

    def _take_flows(self, flows: Flows) -> None:
        now = {sid: _figures(self._info(sid), flow) for sid, flow in flows.items()}
        changed = {sid: figures for sid, figures in now.items() if self._told.get(sid) != figures}
        self._told = now
        if changed:
            self.send({"type": "flows", "rows": changed})
        core = self._core()
        if core is not None:
            # adaptive stream pauses and goes on without an event
            core.call(self._changed)

    def _info(self, sid: str) -> Any:
        for participant in list(self._room.remote_participants.values()):
            found = participant.track_publications.get(sid)
            if found is not None:
                return found._entry.info
        return None


def status_of(publication: RemoteTrackPublication) -> str:
    """Why nothing comes of a track, in words; empty when it flows."""
    if not publication.allowed:
        return "not allowed by its publisher"
    if not publication.desired:
        return "not received"
    track = publication.track
    if track is None:
        return "asked for"
    if publication.muted:
        return "muted by its publisher"
    if publication._setting.enabled is False:
        return "paused"
    if not publication.enabled:
        return "nobody looks at it"
    return "paused by the server" if track.stream_state == StreamState.STATE_PAUSED else ""


def _row(participant: RemoteParticipant, publication: RemoteTrackPublication) -> dict[str, Any]:
    video = publication.kind == TrackKind.KIND_VIDEO
    sizes = layer_sizes(publication._entry.info) if video else {}
    return {
        "sid": publication.sid,
        "who": person_label(participant),
        "identity": visible_label(participant.identity),
        "what": track_label(publication),
        "source": source_label(publication),
        "video": video,
        "allowed": publication.allowed,
        "desired": publication.desired,
        "subscribed": publication.subscribed,
        # what was asked; whether anybody looks at it is not for this switch to say
        "enabled": publication._setting.enabled is not False,
        "quality": chosen_quality(publication) if sizes else "",
        "layers": {name: list(size) for name, size in sizes.items()},
        "status": status_of(publication),
    }


def _figures(info: Any, flow: Flow) -> list[Any]:
    """Bits a second in steps one can read, and the size: [bitrate, width, height, layer]."""
    layer = layer_of(info, flow.width, flow.height) if info is not None else ""
    return [round(flow.bitrate_bps / 1000) * 1000, flow.width, flow.height, layer]
