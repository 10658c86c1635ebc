"""What a view shows: a track, a publication, a reference or a participant, and from it the track there is just now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from lknb.errors import DisconnectedError, TrackError
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.participant import Participant
from lknb.rtc.track_publication import RemoteTrackPublication, TrackPublication
from lknb.widgets.watch import Watch

Standing: TypeAlias = Literal["", "absent", "unsubscribed", "forbidden", "asked", "ended"]
"""Why there is no track to play; empty when there is one."""

_PARTICIPANT_EVENTS = (
    "is_speaking_changed", "participant_name_changed", "connection_quality_changed", "track_published",
    "track_unpublished", "track_muted", "track_unmuted", "local_track_published", "local_track_unpublished",
)  # fmt: skip
_PUBLICATION_EVENTS = (
    "subscribed", "unsubscribed", "muted", "unmuted", "ended", "subscription_status_changed",
    "subscription_permission_changed",
)  # fmt: skip
_SOUND = (TrackSource.SOURCE_MICROPHONE, TrackSource.SOURCE_SCREENSHARE_AUDIO)


class Subject:
    """Follows what a view was given. `changed()` is called when anything about it may be different.

    `participant`, `publication` and `track` are None where there is none, or none is known. Raises TrackError for what is
    no video.
    """

    def __init__(self, shown: Any, changed: Callable[[], None], source: TrackSource | None = None) -> None:
        self.participant: Participant | None = None
        self.publication: TrackPublication | None = None
        self.track: Any = None
        self._source = source
        self._fixed_track: Any = None
        self._changed = changed
        self._over: Any = None
        self._heard: Any = None
        self._closed = False
        self._watch = Watch(changed)
        self._take(shown)
        self.look()

    def _take(self, shown: Any) -> None:
        if isinstance(shown, Participant):
            self.participant = shown
            self._source = self._source or TrackSource.SOURCE_CAMERA
        elif isinstance(shown, TrackPublication):
            self.publication, self.participant = shown, shown.participant
        elif hasattr(shown, "participant") and hasattr(shown, "publication"):
            # a TrackReference: a participant and a source, with or without a publication
            self.participant, self.publication = shown.participant, shown.publication
            self._source = shown.source
        elif getattr(shown, "sid", None) is None:
            raise TrackError(f"VideoView shows a video track, not {shown!r}")
        else:
            self._fixed_track = shown
            self.publication = getattr(shown, "publication", None)
            self.participant = getattr(self.publication, "participant", None)
        kind = getattr(self.publication or self._fixed_track, "kind", None)
        if kind == TrackKind.KIND_AUDIO or (self.publication is None and self._source in _SOUND):
            raise TrackError(f"VideoView shows a video track, not {shown!r}")

    def look(self) -> None:
        """See what there is now, and listen to that."""
        if self._closed:
            return
        if self._source is not None and self.participant is not None and not self._is_published():
            self.publication = self._find(self.participant, self._source)
        if self.publication is None:
            self.track = self._fixed_track
        else:
            # the last one stays, with its last picture, until there is another
            self.track = self.publication.track or (self._fixed_track if self._is_over() else None)
        self._listen()

    def close(self) -> None:
        """Listen to nothing any more."""
        self._closed = True
        self._watch.close()
        self._hear(None)

    @property
    def standing(self) -> Standing:
        """Why there is no track to play; empty when there is one."""
        publication = self.publication
        if publication is None:
            if self._fixed_track is None:
                return "absent"
            return "ended" if self._over is self._fixed_track or not is_in_room(self._fixed_track) else ""
        if self._is_over():
            return "ended"
        if not isinstance(publication, RemoteTrackPublication):
            return ""
        if not publication.allowed:
            return "forbidden"
        if not publication.desired:
            return "unsubscribed"
        return "asked" if publication.track is None else ""

    @property
    def muted(self) -> bool:
        """Whether its publisher has muted it."""
        shown = self.publication or self.track
        return bool(shown.muted) if shown is not None else False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as published, 0 when not known."""
        shown = self.publication or self.track
        return (shown.width, shown.height) if shown is not None and min(shown.width, shown.height) > 0 else (0, 0)

    def _is_published(self) -> bool:
        publication, participant = self.publication, self.participant
        if publication is None or participant is None:
            return publication is not None
        return participant.track_publications.get(publication.sid) is publication

    def _is_over(self) -> bool:
        track = self.publication.track if self.publication is not None else None
        return not self._is_published() or (track is not None and not is_in_room(track))

    @staticmethod
    def _find(participant: Participant, source: TrackSource) -> TrackPublication | None:
        found = participant.get_track_publication(source)
        if found is not None or source != TrackSource.SOURCE_CAMERA:
            return found
        # programs publish pictures without saying where they come from
        videos = (each for each in participant.track_publications.values() if each.kind == TrackKind.KIND_VIDEO)
        return next((each for each in videos if each.source == TrackSource.SOURCE_UNKNOWN), None)

    def _listen(self) -> None:
        self._watch.follow(
            (
                (self.participant, _PARTICIPANT_EVENTS),
                (self.publication, _PUBLICATION_EVENTS),
                (self.track if self.publication is None else None, ("muted", "unmuted")),
            )
        )
        self._hear(self.track)

    def _hear(self, track: Any) -> None:
        if track is self._heard:
            return
        if self._heard is not None:
            self._heard.off("ended", self._end)
        self._heard = track
        if track is not None:
            track.on("ended", self._end)

    def _end(self) -> None:
        self._over = self._heard
        self._changed()


def is_in_room(track: Any) -> bool:
    """Whether a track is in a room that is connected."""
    try:
        return bool(track.room_handle)
    except DisconnectedError:
        return False
