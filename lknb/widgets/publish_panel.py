"""`PublishPanel`: what we publish, and buttons to publish a pattern, a tone, a file or a source of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lknb.errors import LknbError, MediaError, TrackError
from lknb.logic.label import visible_label
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.file_publication import publish_as_device, publish_file
from lknb.rtc.room import Room
from lknb.rtc.running_source import MediaFile, TestPattern, Tone
from lknb.rtc.source import MediaSource
from lknb.rtc.track import LocalAudioTrack, LocalVideoTrack
from lknb.widgets.caption import source_label, track_label
from lknb.widgets.control_view import ControlView, Watched
from lknb.widgets.esm import control_esm

_EVENTS = (
    "connected", "disconnected", "connection_state_changed", "local_track_published", "local_track_unpublished",
    "track_muted", "track_unmuted",
)  # fmt: skip
_PATH_CHARACTERS = 4_096


class PublishPanel(ControlView):
    """One's own publications, each to be muted, unmuted and unpublished; and a pattern, a tone or a media file to publish.

        PublishPanel(room)
        PublishPanel(room, {"edges": edges, "voice": voice})

    `sources` get a button each, under their names: a `VideoSource` or `AudioSource` that is fed from arrays, a `MediaFile`,
    or any other source. A file typed in is one of the kernel's machine, or an address PyAV opens; its pictures and its sound
    become two tracks in step. What is published first of a kind is the camera or the microphone of the participant.

    Raises `TrackError` for what is no room, `MediaError` for what is no source.
    """

    _module = "publish"
    _esm = control_esm("publish")

    def __init__(self, room: Room, sources: Mapping[str, MediaSource | MediaFile] | None = None, **traits: Any) -> None:
        if not isinstance(room, Room):
            raise TrackError(f"PublishPanel is for a room, not {room!r}")
        self._room = room
        if sources is not None and not isinstance(sources, Mapping):
            raise MediaError(f'PublishPanel takes sources under their names, as {{"voice": source}}, not {sources!r}')
        self._sources = [_named(name, source) for name, source in (sources or {}).items()]
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending = 0
        super().__init__(**traits)

    @property
    def room(self) -> Room:
        """The room."""
        return self._room

    def __repr__(self) -> str:
        return f"PublishPanel({visible_label(self._room.name)!r})"

    def _core(self) -> CoreRoom | None:
        return self._room._core

    def _follow(self) -> Watched:
        return ((self._room, _EVENTS),)

    def _describe(self) -> dict[str, Any]:
        room = self._room
        rows = [
            {
                "sid": sid,
                "name": track_label(publication),
                "about": source_label(publication),
                "size": f"{publication.width}x{publication.height}" if publication.width else "",
                "muted": publication.muted,
            }
            for sid, publication in (room.local_participant.track_publications.items() if room.isconnected() else ())
        ]
        return {
            "connected": room.isconnected(),
            "rows": rows,
            "pending": self._pending > 0,
            "sources": [visible_label(name) for name, _ in self._sources],
        }

    def _act(self, content: Mapping[str, Any]) -> None:
        wanted = content.get("do")
        if wanted in ("mute", "unmute", "unpublish"):
            self._change(str(wanted), str(content.get("sid")))
        elif wanted == "pattern":
            self._begin(lambda: self._publish("pattern", TestPattern()))
        elif wanted == "tone":
            self._begin(lambda: self._publish("tone", Tone()))
        elif wanted == "file":
            path = content.get("path")
            if not isinstance(path, str) or not path.strip() or len(path) > _PATH_CHARACTERS:
                raise MediaError("name a file first")
            self._begin(lambda: self._publish_path(path.strip()))
        elif wanted == "source":
            index = content.get("index")
            if not isinstance(index, int) or not 0 <= index < len(self._sources):
                raise MediaError("there is no such source")
            self._begin(lambda: self._publish(*self._sources[index]))

    def _change(self, wanted: str, sid: str) -> None:
        participant = self._room.local_participant
        publication = participant.track_publications.get(sid)
        if publication is None or publication.track is None:
            raise TrackError("this is not published any more")
        if wanted == "unpublish":
            self._begin(lambda: participant.unpublish_track(sid))
        else:
            # by the publication: the page has to take a camera of its own again
            self._begin(publication.mute if wanted == "mute" else publication.unmute)

    def _begin(self, work: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.ensure_future(self._work(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, work: Callable[[], Awaitable[object]]) -> None:
        self._pending += 1
        self._refresh()
        try:
            await work()
        except LknbError as error:
            self.send({"type": "refused", "detail": str(error).partition("\n")[0]})
        finally:
            self._pending -= 1
            self._refresh()

    async def _publish(self, name: str, source: MediaSource | MediaFile) -> None:
        participant = self._room.local_participant
        if isinstance(source, MediaFile):
            await publish_file(participant, source, name)
        elif source.kind == "video":
            await publish_as_device(participant, LocalVideoTrack.create_video_track(name, source))
        else:
            await publish_as_device(participant, LocalAudioTrack.create_audio_track(name, source))

    async def _publish_path(self, path: str) -> None:
        name = visible_label(path.replace("\\", "/").rpartition("/")[2])
        await publish_file(self._room.local_participant, MediaFile(path, loop=True), name)


def _named(name: str, source: MediaSource | MediaFile) -> tuple[str, MediaSource | MediaFile]:
    is_source = getattr(source, "kind", None) in ("video", "audio") and not isinstance(source, type)
    if not isinstance(source, MediaFile) and not is_source:
        raise MediaError(
            f"PublishPanel publishes sources (VideoSource, AudioSource, MediaFile, TestPattern, Tone), not {source!r}"
        )
    return str(name), source
