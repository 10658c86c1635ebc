"""What VideoStream and AudioStream have in common: which track they read, and when they end."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from weakref import WeakSet

from lknb.errors import DisconnectedError, TrackError
from lknb.rtc.argument import as_member
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.frame_reader import FrameReader
from lknb.rtc.track_flow import ReadableTrack
from lknb.rtc.wakeup import Wakeup

T = TypeVar("T")
E = TypeVar("E")


class ReadablePublication(Protocol):
    """What following a participant needs of its publications."""

    @property
    def source(self) -> int: ...

    @property
    def kind(self) -> int: ...

    @property
    def track(self) -> Any: ...


class ReadableParticipant(Protocol):
    """What following a participant needs of it."""

    @property
    def track_publications(self) -> Mapping[str, ReadablePublication]: ...

    def on(self, event: Any, callback: Any) -> Any: ...

    def off(self, event: Any, callback: Any) -> None: ...

    async def wait_for(self, event: Any, predicate: Any, *, timeout: float | None) -> Any:
        """Wait for an event that satisfies the predicate; `DisconnectedError` when the participant or the room is
        gone."""


class MediaStream(ABC, Generic[T, E]):
    """An asynchronous iterator over the decoded frames of a track, or of whatever track a participant has from one
    source.

    Nothing flows and nothing is decoded before the first iteration, nor after `aclose()`. The iterator ends when the
    track is no longer received; following a participant, it goes on with the next track, and ends when the
    participant leaves. No event loop is kept: each iteration uses the one it runs in.
    """

    _kind: ClassVar[TrackKind]

    def __init__(
        self, track: ReadableTrack | None, participant: ReadableParticipant | None, track_source: int | None
    ) -> None:
        if track is None and (participant is None or track_source is None):
            raise TypeError("expected a track, or a participant and a track source")
        if track is not None and not hasattr(track, "kind"):
            raise TypeError(f"expected a track, got {track!r}: that of a publication is its .track")
        if track is None:
            if not hasattr(participant, "track_publications"):
                raise TypeError(f"expected a participant, got {participant!r}")
            track_source = as_member("track_source", track_source, TrackSource)
        if track is not None and track.kind != self._kind:
            raise TrackError(f"{type(self).__name__} cannot read {track!r}")
        self._track = track
        self._participant = participant
        self._track_source = track_source
        self._reader: FrameReader[T] | None = None
        self._closed = False
        self._read_tracks: WeakSet[ReadableTrack] = WeakSet()
        self._departure: asyncio.Future[Any] | None = None
        self._changed = Wakeup()

    async def aclose(self) -> None:
        """Stop reading; an iteration that waits ends. Harmless twice."""
        self._closed = True
        self._changed.notify()
        self._end_watch()
        if self._reader is not None:
            self._reader.close()

    def __aiter__(self) -> MediaStream[T, E]:
        return self

    async def __anext__(self) -> E:
        while not self._closed:
            reader = self._reader
            if reader is None:
                reader = await self._open_reader()
                if reader is None:
                    break
            result = await reader.read()
            if result is not None:
                return self._event(result)
            reader.close()
            self._reader = None
            if self._participant is None:
                break
        self._closed = True
        self._end_watch()
        raise StopAsyncIteration

    def __del__(self) -> None:
        # of one that failed in its constructor there is no reader
        reader = getattr(self, "_reader", None)
        if reader is not None:
            reader.close()
        if getattr(self, "_departure", None) is not None:
            self._end_watch()

    @abstractmethod
    def _new_reader(self, track: ReadableTrack) -> FrameReader[T]:
        """A reader that is not open yet."""

    @abstractmethod
    def _event(self, result: T) -> E:
        """What the iterator gives for a result of the reader."""

    async def _open_reader(self) -> FrameReader[T] | None:
        track = self._track
        if track is None:
            assert self._participant is not None
            track = await self._wait_track(self._participant, self._watch_departure(self._participant))
        if track is None:
            return None
        self._read_tracks.add(track)
        reader = self._reader = self._new_reader(track)
        try:
            await reader.open()
        except (TrackError, DisconnectedError):
            # it ended before we came to it
            reader.end()
        if self._closed:
            reader.close()
        return reader

    async def _wait_track(
        self, participant: ReadableParticipant, departure: asyncio.Future[Any]
    ) -> ReadableTrack | None:
        """The participant's track from the source, waiting for it; None when it has left, or we are closed."""
        participant.on("track_subscribed", self._changed.notify)
        found = asyncio.ensure_future(self._changed.wait_for(lambda: self._closed or self._find_track() is not None))
        try:
            await asyncio.wait((found, departure), return_when=asyncio.FIRST_COMPLETED)
            return None if self._closed else self._find_track()
        finally:
            participant.off("track_subscribed", self._changed.notify)
            found.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await found

    def _watch_departure(self, participant: ReadableParticipant) -> asyncio.Future[Any]:
        """Done when the participant leaves. Begun before its first track is read: with the last one it may leave at
        once."""
        departure = self._departure
        if departure is None or departure.get_loop() is not asyncio.get_running_loop():
            departure = asyncio.ensure_future(participant.wait_for("track_subscribed", _never, timeout=None))
            departure.add_done_callback(_forget_error)
            self._departure = departure
        return departure

    def _end_watch(self) -> None:
        departure, self._departure = self._departure, None
        if departure is not None and not departure.get_loop().is_closed():
            departure.get_loop().call_soon_threadsafe(departure.cancel)

    def _find_track(self) -> ReadableTrack | None:
        assert self._participant is not None
        for publication in self._participant.track_publications.values():
            track: ReadableTrack | None = publication.track
            # those that were read may still be there for a moment after their end
            if track is None or track in self._read_tracks:
                continue
            if publication.source == self._track_source and publication.kind == self._kind:
                return track
        return None


def _never() -> bool:
    return False


def _forget_error(departure: asyncio.Future[Any]) -> None:
    # that it came is all that counts
    if not departure.cancelled():
        departure.exception()
