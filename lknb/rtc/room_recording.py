"""Follows a room for its recording: who publishes what, and what of it is to be seen and heard."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from lknb.codec.collage import columns_of
from lknb.codec.recording import kinds_of
from lknb.errors import DisconnectedError
from lknb.logic.label import visible_label
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.room import Room
from lknb.rtc.room_info import RoomEvents
from lknb.rtc.room_writer import HEIGHT, WIDTH, RoomWriter
from lknb.rtc.track import Track
from lknb.rtc.track_flow import Size, Take, TrackFlow

_EVENTS: Final[tuple[RoomEvents, ...]] = (
    "track_subscribed", "track_unsubscribed", "local_track_published", "local_track_unpublished",
    "track_muted", "track_unmuted", "participant_name_changed",
)  # fmt: skip


class RoomRecording:
    """Gives a writer the frames of all tracks of a room that flow, ours among them, as they come and go.

    Belongs to the event loop of the room.
    """

    def __init__(self, room: Room, path: Path) -> None:
        self._room = room
        self._kinds = kinds_of(path)
        self._flows: dict[str, TrackFlow] = {}
        self._takes: dict[str, Take] = {}
        self._sizes: dict[str, Size | None] = {}
        self.writer = RoomWriter(path, on_lost=self._request_keyframe)

    def open(self) -> None:
        """Begin to follow."""
        for event in _EVENTS:
            self._room.on(event, self._follow)
        # a room that was left has no more to say, and its file is whole
        self._room.on("disconnected", self.writer.stop)
        self._follow()

    def close(self) -> None:
        """Follow no more."""
        for event in _EVENTS:
            self._room.off(event, self._follow)
        self._room.off("disconnected", self.writer.stop)
        for sid in list(self._flows):
            self._detach(sid)

    def _follow(self) -> None:
        tracks = self._tracks()
        pictures = [track for track in tracks.values() if track.kind == TrackKind.KIND_VIDEO]
        shown = [track for track in pictures if not track.muted]
        # what is shared is what is talked about
        shown.sort(key=lambda track: not _is_screen(track))
        sounds = [track.sid for track in tracks.values() if track.kind == TrackKind.KIND_AUDIO]
        self.writer.show({track.sid: visible_label(_name_of(track)) for track in shown}, sounds)
        columns = columns_of(len(shown))
        rows = -(-len(shown) // columns)
        for sid in [sid for sid in self._flows if sid not in tracks]:
            self._detach(sid)
        for sid, track in tracks.items():
            size = (WIDTH // columns, HEIGHT // max(1, rows)) if track in shown else None
            # to attach it again asks for a key frame: not of everybody because somebody has muted a microphone
            if sid in self._flows and self._sizes[sid] == size:
                continue
            take = self._takes.setdefault(sid, partial(self.writer.put, sid))
            with contextlib.suppress(DisconnectedError):
                self._flows[sid] = TrackFlow.attach(track, take, size)
                self._sizes[sid] = size

    def _tracks(self) -> Mapping[str, Track]:
        everybody = (*self._room.remote_participants.values(), self._room.local_participant)
        kinds = {"video": TrackKind.KIND_VIDEO, "audio": TrackKind.KIND_AUDIO}
        wanted = {kinds[name] for name in self._kinds}
        publications = [each for one in everybody for each in one.track_publications.values() if each.kind in wanted]
        return {each.sid: each.track for each in publications if each.track is not None}

    def _detach(self, sid: str) -> None:
        self._flows.pop(sid).detach(self._takes.pop(sid))
        self._sizes.pop(sid, None)
        self.writer.end(sid)

    def _request_keyframe(self, sid: str) -> None:
        flow = self._flows.get(sid)
        if flow is not None:
            flow.request_keyframe()


def _name_of(track: Track) -> str:
    participant = track.publication.participant if track.publication is not None else None
    return "" if participant is None else participant.name or participant.identity


def _is_screen(track: Track) -> bool:
    publication = track.publication
    return publication is not None and publication.source == TrackSource.SOURCE_SCREENSHARE
