"""One participant as the server tells it, and the tracks it publishes."""

from __future__ import annotations

from dataclasses import dataclass, field

from livekit.protocol import models

from lknb.logic.roster_event import (
    AttributesChanged,
    MetadataChanged,
    NameChanged,
    PermissionsChanged,
    RosterEvent,
    TrackMuted,
    TrackPublished,
    TrackUnmuted,
    TrackUnpublished,
)


@dataclass(slots=True, eq=False)
class TrackEntry:
    """One published track. Its `info` is changed in place, so whoever holds the entry sees the present."""

    info: models.TrackInfo
    paused: bool = False
    """The server has paused it on its way to us."""
    allowed: bool = True
    """The publisher lets us have it."""

    @classmethod
    def of(cls, info: models.TrackInfo) -> TrackEntry:
        """An entry with a copy of this info."""
        entry = cls(models.TrackInfo())
        entry.info.CopyFrom(info)
        return entry

    @property
    def sid(self) -> str:
        """Track sid, `TR_...`."""
        return self.info.sid


@dataclass(slots=True, eq=False)
class Member:
    """One participant. `info` is changed in place."""

    info: models.ParticipantInfo
    tracks: dict[str, TrackEntry] = field(default_factory=dict)
    speaking: bool = False
    audio_level: float = 0.0
    quality: int | None = None
    """`models.ConnectionQuality`, None until the server has said one."""

    @classmethod
    def of(cls, info: models.ParticipantInfo, *, with_tracks: bool = True) -> Member:
        """A member with a copy of this info."""
        member = cls(models.ParticipantInfo())
        member.info.CopyFrom(info)
        if with_tracks:
            member.tracks = {track.sid: TrackEntry.of(track) for track in info.tracks}
        return member

    @property
    def sid(self) -> str:
        """Participant sid, `PA_...`."""
        return self.info.sid

    @property
    def identity(self) -> str:
        """What its token says it is; unique in the room."""
        return self.info.identity

    def describe(self, info: models.ParticipantInfo) -> list[RosterEvent]:
        """Take over everything but the tracks, and tell what is different."""
        before = models.ParticipantInfo()
        before.CopyFrom(self.info)
        self.info.CopyFrom(info)
        events: list[RosterEvent] = []
        if before.permission != info.permission:
            events.append(PermissionsChanged(self))
        if before.metadata != info.metadata:
            events.append(MetadataChanged(self, before.metadata, info.metadata))
        if before.name != info.name:
            events.append(NameChanged(self, before.name, info.name))
        changed = {key: value for key, value in info.attributes.items() if before.attributes.get(key) != value}
        # a key that is gone is told as an empty value, the way it is deleted
        changed.update({key: "" for key in before.attributes if key not in info.attributes})
        if changed:
            events.append(AttributesChanged(self, changed))
        return events

    def list_tracks(self, info: models.ParticipantInfo) -> list[RosterEvent]:
        """Take over the tracks of a remote participant, and tell what is different."""
        events: list[RosterEvent] = []
        listed = {track.sid: track for track in info.tracks}
        for sid in [sid for sid in self.tracks if sid not in listed]:
            events.append(TrackUnpublished(self, self.tracks.pop(sid)))
        for sid, track in listed.items():
            events += self._take_track(sid, track)
        return events

    def _take_track(self, sid: str, track: models.TrackInfo) -> list[RosterEvent]:
        entry = self.tracks.get(sid)
        if entry is None:
            entry = self.tracks[sid] = TrackEntry.of(track)
            return [TrackPublished(self, entry)]
        was_muted = entry.info.muted
        entry.info.CopyFrom(track)
        if track.muted == was_muted:
            return []
        return [TrackMuted(self, entry) if track.muted else TrackUnmuted(self, entry)]

    def take_local_tracks(self, info: models.ParticipantInfo) -> None:
        """Take over what the server knows of our own tracks, but for `muted`, which is ours to say."""
        for track in info.tracks:
            entry = self.tracks.get(track.sid)
            if entry is not None:
                muted = entry.info.muted
                entry.info.CopyFrom(track)
                entry.info.muted = muted
