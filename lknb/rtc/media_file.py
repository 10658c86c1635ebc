"""Media files, played by the room core: here are only their handles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from lknb.codec.layer import MIN_SIDE_PIXELS
from lknb.errors import MediaError
from lknb.rtc.argument import check_flag, check_kind, check_text, check_whole
from lknb.rtc.core_source import RunningSource, audio_parameters, check_number, video_parameters
from lknb.rtc.source import Encoding, Kind
from lknb.rtc.wakeup import Wakeup

if TYPE_CHECKING:
    from lknb.core.client import CoreClient


class MediaFile:
    """A media file, played in real time. `video` and `audio` are its pictures and its sound: publish either, or both.

    They share one clock and stay in step. `path` is anything PyAV opens: a file, a URL, with `format` also a device
    (`options` are FFmpeg's for it). H264 and VP8 without B-frames and with a key frame at least every 2 seconds, and
    Opus, are sent as they are, unless `passthrough` is false; anything else is encoded again, pictures no higher than
    `max_height`. The file begins with its first publication, or stands still first when `paused`.

    Publishing raises `PublishTrackError`, which has as its cause what is wrong with the file: `MediaNotFoundError`,
    `NoSuchStreamError` (no pictures, or no sound), or `UnreadableMediaError`. Making one raises `MediaError` for what is no
    position, TypeError and ValueError for other arguments that are none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        loop: bool = False,
        paused: bool = False,
        position_s: float = 0.0,
        max_height: int = 720,
        passthrough: bool = True,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        check_position(position_s)
        for what, flag in (("loop", loop), ("paused", paused), ("passthrough", passthrough)):
            check_flag(what, flag)
        check_whole("max_height", max_height, MIN_SIDE_PIXELS)
        if format is not None:
            check_text("format", format)
        if options is not None:
            check_kind("options", options, Mapping)
            for text in (*options, *options.values()):
                check_text("an option of FFmpeg", text)
        self.path = os.fsdecode(path)
        self.video = FileTrack(self, "video")
        self.audio = FileTrack(self, "audio")
        self._settings: dict[str, Any] = {
            # the core has a working directory of its own
            "path": self.path if "://" in self.path or format else os.path.abspath(os.path.expanduser(self.path)),
            "loop": bool(loop),
            "paused": bool(paused),
            "position_s": float(position_s),
            "passthrough": bool(passthrough),
            "max_height": int(max_height),
            "format": format,
            "options": dict(options or {}),
        }
        self._files: WeakKeyDictionary[CoreClient, int] = WeakKeyDictionary()

    async def pause(self) -> None:
        """Hold picture and sound. Raises `CoreError`."""
        self._settings["paused"] = True
        await self._control("pause")

    async def resume(self) -> None:
        """Go on after `pause`. Raises `CoreError`."""
        self._settings["paused"] = False
        await self._control("resume")

    async def seek(self, position_s: float) -> None:
        """Go to this second, pictures and sound; what is sent as it is, is encoded again up to the next key frame. Raises
        `MediaError` for what is no position, and when the file cannot be rewound, `CoreError`."""
        check_position(position_s)
        if not (self.video._open or self.audio._open):
            self._settings["position_s"] = float(position_s)
        await self._control("seek", position_s=float(position_s))

    @property
    def duration(self) -> float | None:
        """How long the file is, in seconds; None before its first publication, and for what has no end that is known."""
        return self.video.duration if self.video.duration is not None else self.audio.duration

    async def position(self) -> float:
        """Which second of the file is played now; where it will begin, while it is not published. Raises `CoreError`."""
        for track in (self.video, self.audio):
            for handle, client in list(track._open.items()):
                reply, _ = await client.request({"op": "source_control", "source": handle, "action": "position"})
                return float(reply["position_s"])
        return float(self._settings["position_s"])

    async def set_loop(self, loop: bool) -> None:
        """Whether the file begins again at its end. Raises `CoreError`."""
        check_flag("loop", loop)
        self._settings["loop"] = bool(loop)
        await self._control("loop", loop=bool(loop))

    async def wait_for_end(self) -> None:
        """Wait until what is published of the file has ended. Raises `MediaError` when it ended with a fault."""
        for track in (self.video, self.audio):
            await track.wait_for_end()

    async def _control(self, action: str, **parameters: Any) -> None:
        # pictures and sound have one player in each core: telling one of them is enough
        told = set()
        for track in (self.video, self.audio):
            for handle, client in list(track._open.items()):
                if client not in told:
                    told.add(client)
                    await client.request({"op": "source_control", "source": handle, "action": action, **parameters})

    def _parameters(self, client: CoreClient) -> dict[str, Any]:
        if client not in self._files:
            self._files[client] = client.next_handle()
        return {"file": self._files[client], **self._settings}

    def __repr__(self) -> str:
        return f"rtc.MediaFile({self.path!r})"


def check_position(position_s: float) -> None:
    """Raise `MediaError` unless it is a finite number of 0 or more."""
    check_number("a position", position_s)
    if position_s < 0:
        raise MediaError(f"a position is 0 s or more, not {position_s}")


class FileTrack(RunningSource):
    """The pictures or the sound of a `MediaFile`."""

    def __init__(self, file: MediaFile, kind: Kind) -> None:
        super().__init__(kind, "file")
        self._file = file
        self._ended: dict[int, str | None] = {}
        self._changed = Wakeup()

    async def release(self, handle: int) -> None:
        """See `MediaSource`."""
        await super().release(handle)
        self._ended.pop(handle, None)
        self._changed.notify()

    async def wait_for_end(self) -> None:
        """Wait until it has ended wherever it is published; at once when it is not. Raises `MediaError`."""
        await self._changed.wait_for(lambda: all(handle in self._ended for handle in self._open))
        for error in self._ended.values():
            if error:
                raise MediaError(error)

    def _parameters(self, client: CoreClient, encoding: Encoding) -> dict[str, Any]:
        own = audio_parameters(encoding) if self.kind == "audio" else video_parameters(encoding)
        return {**self._file._parameters(client), **own}

    def _hear(self, header: Mapping[str, Any]) -> None:
        if header.get("event") == "source_ended":
            self._ended[header["source"]] = header.get("error")
            self._changed.notify()

    def __repr__(self) -> str:
        return f"{self._file!r}.{self.kind}"
