"""Tracks -> a file on disk, as they are received."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType

from lknb.codec.clock import now_us
from lknb.codec.recording import check_path, kinds_of
from lknb.errors import MediaError, TrackError
from lknb.rtc.argument import check_seconds, check_text
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.frame_writer import FrameWriter
from lknb.rtc.participant import Participant
from lknb.rtc.room import Room
from lknb.rtc.room_recording import RoomRecording
from lknb.rtc.track import Track
from lknb.rtc.track_flow import TrackFlow
from lknb.rtc.track_publication import RemoteTrackPublication
from lknb.rtc.wakeup import Wakeup
from lknb.rtc.writer_thread import WriterThread

_TIMEOUT_S = 10.0
_US_PER_S = 1_000_000

_KINDS = {"video": TrackKind.KIND_VIDEO, "audio": TrackKind.KIND_AUDIO}
_PREFERRED = (TrackSource.SOURCE_CAMERA, TrackSource.SOURCE_MICROPHONE, TrackSource.SOURCE_SCREENSHARE)


class Recorder:
    """Records a track, a participant, or a whole room, into one file.

        async with lknb.Recorder(room, "call.webm"):
            await asyncio.sleep(10)

    `source` is a track; a participant, of whom camera (else screen, else the first picture) and microphone (else the
    first sound) are taken; or a room. With the identity of a `participant` that one is recorded, else everybody, ourselves
    among them.

    The suffix of `path` says what is written. `.webm` holds VP8 and Opus, `.mp4` H264 and Opus, `.mkv` any: what a file
    holds goes in as it was received, other pictures are encoded again, in the size of the first. `.wav` is the sound,
    decoded (int16, 48,000 Hz). `.png` is the first picture, or with a name like `%05d.png` all of them, numbered from 1.
    A file that exists is replaced.

    Everybody together are always encoded again: all pictures that are not muted side by side with their names, screens first,
    in 1280x720 at up to 30 pictures a second (VP8 in `.webm` and `.mkv`, H264 in `.mp4`), all sounds mixed in two channels.
    Whoever comes is in it from then on, and whoever leaves until then; where nobody shows anything it is black. It begins with
    everybody's first picture, which `start` waits for up to 2 seconds, and lasts until `stop` or until the room is left.

    Of one, the recording begins with the first key frame (without pictures at once), which `start` waits for, and lasts until
    `stop` or the end of its tracks. While a track is muted the last picture stands, and there is silence. Reading counts
    as watching of the whole picture: the first key frame is one of the largest layer, unless that does not come within
    2 seconds or another was asked for. The layer that is subscribed is what is recorded, and when it changes so does the
    size within a file that is not encoded again. What is published later is not in it.

    Raises `MediaError` for another suffix, `TrackError` for a source that is none of these, TypeError and ValueError for a
    participant or a timeout that is none.
    """

    def __init__(
        self,
        source: Track | Participant | Room,
        path: str | os.PathLike[str],
        *,
        participant: str | None = None,
        timeout: float = _TIMEOUT_S,
    ) -> None:
        """`timeout`: seconds `start` waits for tracks and for the first picture."""
        self.path = Path(path).expanduser()
        check_path(self.path)
        if not isinstance(source, Track | Participant | Room):
            raise TrackError(
                f"expected a track, a participant or a room to record, got {source!r}: somebody is recorded by identity with "
                "Recorder(room, path, participant=...), a publication by its .track"
            )
        if participant is not None and not isinstance(source, Room):
            raise TrackError(f"participant= names somebody of a room, but {source!r} is what is recorded")
        if participant is not None:
            check_text("participant", participant)
        check_seconds("timeout", timeout)
        self._source = source
        self._participant = participant
        self._timeout_s = timeout
        self._writer: WriterThread | None = None
        self._flows: dict[str, TrackFlow] = {}
        self._undo: list[Callable[[], None]] = []

    @property
    def duration(self) -> float:
        """Seconds recorded so far; once it has stopped, how long the file is."""
        writer = self._writer
        if writer is None or writer.began_us is None:
            return 0.0
        return (writer.duration_us if writer.duration_us is not None else now_us() - writer.began_us) / _US_PER_S

    async def start(self) -> None:
        """Begin; returns with the first picture.

        Raises `TrackError`: no such participant, nothing to record, no picture within the timeout. `MediaError`: the file
        cannot be written. `DisconnectedError`, `CoreError`.
        """
        if self._writer is not None:
            raise MediaError(f"{self!r} has been used: make another one")
        if isinstance(self._source, Room) and self._participant is None:
            await self._start_room(self._source)
        else:
            await self._start_tracks()

    async def _start_room(self, room: Room) -> None:
        recording = RoomRecording(room, self.path)
        writer = self._writer = recording.writer
        self._undo.append(recording.close)
        recording.open()
        writer.start()
        try:
            await writer.changed.wait_for(lambda: writer.began_us is not None or writer.finished)
        except BaseException:
            await self._end()
            raise
        if writer.error is not None:
            await self._end()
            raise writer.error

    async def _start_tracks(self) -> None:
        tracks = await self._choose()
        sound = tracks.get("audio")
        writer = self._writer = FrameWriter(
            self.path,
            pictures="video" in tracks,
            channels=0 if sound is None else 2 if sound._entry.info.stereo else 1,
            on_lost=self._request_keyframe,
            expected=_full_size(tracks["video"]) if "video" in tracks else None,
        )
        writer.start()
        try:
            for kind, track in tracks.items():
                flow = self._flows[kind] = TrackFlow.attach(track, writer.put)
                ending = partial(writer.end, kind)
                track.on("ended", ending)
                self._undo += [partial(flow.detach, writer.put), partial(track.off, "ended", ending)]
                # other readers may wait for the same answer
                await asyncio.shield(asyncio.wrap_future(flow.opened))
            async with asyncio.timeout(self._timeout_s):
                await writer.changed.wait_for(
                    lambda: writer.sees_picture or writer.began_us is not None or writer.finished
                )
            await writer.changed.wait_for(lambda: writer.began_us is not None or writer.finished)
        except TimeoutError:
            await self._end()
            which = tracks["video"]
            raise TrackError(
                f"no picture of track {which.sid} came within {self._timeout_s:g} s: is it muted, or its publisher gone?"
            ) from None
        except BaseException:
            await self._end()
            raise
        if writer.error is not None or writer.began_us is None:
            await self._end()
            raise writer.error or TrackError("the track ended before a picture came")

    async def stop(self) -> None:
        """End the recording, and finish the file. Harmless twice. Raises `MediaError` when it could not be written."""
        writer = self._writer
        if writer is None:
            return
        await self._end()
        if writer.error is not None:
            raise writer.error

    async def __aenter__(self) -> Recorder:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        except MediaError:
            # what went wrong in the block comes first
            if error is None:
                raise

    def __repr__(self) -> str:
        return f"lknb.Recorder({str(self.path)!r})"

    async def _end(self) -> None:
        writer = self._writer
        assert writer is not None
        writer.stop()
        try:
            await writer.changed.wait_for(lambda: writer.finished)
        finally:
            while self._undo:
                self._undo.pop()()

    def _request_keyframe(self) -> None:
        flow = self._flows.get("video")
        if flow is not None:
            flow.request_keyframe()

    async def _choose(self) -> Mapping[str, Track]:
        """What is recorded, by kind."""
        if isinstance(self._source, Track):
            kind = next(name for name, number in _KINDS.items() if number == self._source.kind)
            if kind not in kinds_of(self.path):
                raise MediaError(f"{self.path.suffix} holds no {kind}, which is all {self._source!r} has")
            return {kind: self._source}
        participant = self._source if isinstance(self._source, Participant) else self._find(self._source)
        changed = Wakeup()
        participant.on("track_subscribed", changed.notify)
        try:
            async with asyncio.timeout(self._timeout_s):
                await changed.wait_for(lambda: self._is_complete(participant))
        except TimeoutError:
            pass
        finally:
            participant.off("track_subscribed", changed.notify)
        tracks = self._tracks_of(participant)
        if not tracks:
            raise TrackError(
                f"{participant.identity!r} has no {' and no '.join(kinds_of(self.path))} that is subscribed: "
                "is anything published, and by auto_subscribe or set_subscribed() received?"
            )
        return tracks

    def _find(self, room: Room) -> Participant:
        everybody: dict[str, Participant] = {
            room.local_participant.identity: room.local_participant,
            **room.remote_participants,
        }
        found = everybody.get(self._participant or "")
        if found is None:
            raise TrackError(f"{self._participant!r} is not in the room; {', '.join(everybody)} are")
        return found

    def _is_complete(self, participant: Participant) -> bool:
        """Whether each kind that is published and can be recorded flows."""
        published = {publication.kind for publication in participant.track_publications.values()}
        wanted = {kind for kind in kinds_of(self.path) if _KINDS[kind] in published}
        return bool(wanted) and wanted == set(self._tracks_of(participant))

    def _tracks_of(self, participant: Participant) -> dict[str, Track]:
        chosen: dict[str, Track] = {}
        publications = sorted(
            participant.track_publications.values(),
            key=lambda publication: (
                _PREFERRED.index(publication.source) if publication.source in _PREFERRED else len(_PREFERRED)
            ),
        )
        for kind in kinds_of(self.path):
            for publication in publications:
                if publication.kind == _KINDS[kind] and publication.track is not None and kind not in chosen:
                    chosen[kind] = publication.track
        return chosen


def _full_size(track: Track) -> tuple[int, int] | None:
    """The size its pictures will have now that they are read whole, as far as that is known."""
    publication = track.publication
    if not isinstance(publication, RemoteTrackPublication):
        return None
    setting = publication._setting
    if setting.quality is not None or setting.dimensions is not None:
        return None
    return track.width, track.height
