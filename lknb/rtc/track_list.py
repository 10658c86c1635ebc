"""The tracks of a room as one list that stays up to date: `useTracks` of LiveKit's components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from lknb.rtc.enumeration import TrackSource
from lknb.rtc.event_emitter import EventEmitter, Handler

if TYPE_CHECKING:
    from lknb.rtc.participant import Participant
    from lknb.rtc.room import Room
    from lknb.rtc.track import Track
    from lknb.rtc.track_publication import TrackPublication

TrackListEvents = Literal["changed"]

_CHANGING: tuple[Any, ...] = (
    "connected", "disconnected", "participant_connected", "participant_disconnected", "track_published",
    "track_unpublished", "track_subscribed", "track_unsubscribed", "local_track_published", "local_track_unpublished",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrackReference:
    """What a participant publishes from a source, or the place where it would be: then there is no publication."""

    participant: Participant
    source: TrackSource
    publication: TrackPublication | None = None

    @property
    def track(self) -> Track | None:
        """The track, while there is one: published by us, or subscribed."""
        return self.publication.track if self.publication is not None else None


class TrackList(EventEmitter[TrackListEvents], Sequence[TrackReference]):
    """The references to the tracks of a room, as they are now: ourselves first, then everybody in the order they came.

    Whoever wants to hear of changes uses `on("changed", callback)`; the callback gets the list. It listens to the room only
    while it has such callbacks, so a list that is looked at once need not be closed.
    """

    def __init__(
        self,
        room: Room,
        sources: Iterable[TrackSource | int] | TrackSource | int | None = None,
        *,
        only_subscribed: bool = False,
        with_placeholder: Iterable[TrackSource | int] = (),
    ) -> None:
        super().__init__()
        self._room = room
        self._sources = _as_sources(TrackSource if sources is None else sources)
        self._only_subscribed = only_subscribed
        self._placeholders = _as_sources(with_placeholder)
        self._told: list[TrackReference] = []
        self._watching = False

    def close(self) -> None:
        """Tell of no more changes. Harmless twice; the list itself goes on."""
        self._events.clear()
        self._watch()

    def off(self, event: TrackListEvents, callback: Handler) -> None:
        super().off(event, callback)
        self._watch()

    def __len__(self) -> int:
        return len(self._now())

    def __iter__(self) -> Iterator[TrackReference]:
        return iter(self._now())

    @overload
    def __getitem__(self, index: int) -> TrackReference: ...

    @overload
    def __getitem__(self, index: slice) -> list[TrackReference]: ...

    def __getitem__(self, index: int | slice) -> TrackReference | list[TrackReference]:
        return self._now()[index]

    def __repr__(self) -> str:
        shown = ", ".join(f"{each.participant.identity}: {each.source.name}" for each in self)
        return f"rtc.TrackList({shown})"

    def _register(self, event: TrackListEvents, callback: Any, *, once: bool) -> Any:
        registered = super()._register(event, callback, once=once)
        if callback is None:
            # a decorator registers when it is applied
            def register(handler: Handler) -> Handler:
                registered(handler)
                self._watch()
                return handler

            return register
        self._watch()
        return registered

    def _watch(self) -> None:
        wanted = any(self._events.values())
        if wanted == self._watching:
            return
        self._watching = wanted
        self._told = self._now() if wanted else []
        for name in _CHANGING:
            (self._room.on if wanted else self._room.off)(name, self._look)

    def _look(self) -> None:
        now = self._now()
        if now != self._told:
            self._told = now
            self._tell("changed", self)

    def _now(self) -> list[TrackReference]:
        people = self._room._everybody()
        references = [
            TrackReference(participant, publication.source, publication)
            for participant in people
            for source in self._sources
            for publication in participant.track_publications.values()
            if publication.source == source and not (self._only_subscribed and publication.track is None)
        ]
        # as in components-js, after all that is there
        there = {(each.participant.identity, each.source) for each in references}
        references += [
            TrackReference(participant, source)
            for participant in people
            for source in self._placeholders
            if (participant.identity, source) not in there
        ]
        return references


def _as_sources(sources: Iterable[TrackSource | int] | TrackSource | int) -> tuple[TrackSource, ...]:
    listed = [sources] if isinstance(sources, int) else list(sources)
    return tuple(dict.fromkeys(TrackSource(source) for source in listed))
