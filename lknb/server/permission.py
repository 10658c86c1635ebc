"""Who may subscribe to the tracks of one participant, as its client says (LiveKit: pkg/rtc/uptrackmanager.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livekit.protocol import rtc

    from lknb.server.room import Room


class SubscriptionRules:
    """Everybody by default; else those who are named, each all tracks or the ones listed, which no later track is."""

    def __init__(self) -> None:
        self._tracks: dict[str, frozenset[str] | None] | None = None

    def replace(self, wanted: rtc.SubscriptionPermission, room: Room) -> bool:
        """Put these in the place of all before; False, and nothing changes, when an entry names nobody.

        A sid stands for the identity that has it now; one that nobody has is passed over.
        """
        if wanted.all_participants:
            self._tracks = None
            return True
        if any(not rule.participant_sid and not rule.participant_identity for rule in wanted.track_permissions):
            return False
        tracks: dict[str, frozenset[str] | None] = {}
        for rule in wanted.track_permissions:
            identity = rule.participant_identity
            if not identity:
                participant = room.participants.get(rule.participant_sid)
                if participant is None:
                    continue
                identity = participant.identity
            tracks[identity] = None if rule.all_tracks else frozenset(rule.track_sids)
        self._tracks = tracks
        return True

    def allows(self, identity: str, track_sid: str) -> bool:
        """Whether somebody may subscribe to a track."""
        if self._tracks is None:
            return True
        if identity not in self._tracks:
            return False
        listed = self._tracks[identity]
        return listed is None or track_sid in listed
