"""One open media file: what its pictures and its sound share."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from lknb.core.source.encoded import Kind
from lknb.core.source.media_clock import MediaClock
from lknb.core.source.packet_queue import PacketQueue
from lknb.core.source.passthrough import can_pass_audio, can_pass_video, can_rewind
from lknb.core.source.reader import MediaReader
from lknb.errors import MediaError, MediaNotFoundError, UnreadableMediaError

_US_PER_S = 1_000_000
_JOIN_S = 1.0
_TIMEOUT_S = 10.0
_MAX_POSITION_S = 1e9
# Whoever is that late catches up, as sources of one file do that begin together; besides, a decoder has to hear something
# before what is to be heard of it.
_LEAD_US = 200_000
# titles in some old code page are no reason not to play; PyAV 19 sees to that by itself, and knows the word no more
_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}

# FFmpeg draws texts as pictures of a terminal, by the ending of their name; whoever wants that says so
_TEXT_FORMAT = "tty"


class MediaPlayer:
    """A media file that is played in real time into the queues attached to it.

    `path` is anything PyAV opens: a file, a URL, with `format` also a device; `options` are FFmpeg's for it. The
    constructor blocks while it opens the file and looks at it. Raises `MediaError`.
    """

    def __init__(
        self,
        path: str,
        *,
        loop: bool = False,
        paused: bool = False,
        position_s: float = 0.0,
        passthrough: bool = True,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.changed = threading.Condition()
        self.clock = MediaClock(self.changed, paused=paused)
        self.video_size = (0, 0)
        """(width, height) in pixels, as the pictures are to be shown."""
        self.video_turn = 0
        """By how many degrees the pictures are to be turned clockwise."""
        self.passes_video = self.passes_audio = False
        self._format = format
        self._options = dict(options or {})
        self._thread: threading.Thread | None = None
        position_us = _position_us(position_s)
        self._container = self._decoding = self._open()
        self.can_rewind = can_rewind(self._container)
        self.video = _moving_stream(self._container)
        self.audio = next(iter(self._container.streams.audio), None)
        try:
            self._examine(passthrough)
        except (av.FFmpegError, MediaError) as error:
            self.close()
            raise UnreadableMediaError(f"{path!r} cannot be played: {error}") from error
        self._reader = MediaReader(
            self._container,
            [stream for stream in (self.video, self.audio) if stream is not None],
            self.clock,
            self.changed,
            can_rewind=self.can_rewind,
            loop=loop,
            position_us=position_us,
        )
        # what is read ahead while nobody plays it is kept for whoever joins
        streams: dict[Kind, object] = {"video": self.video, "audio": self.audio}
        self._waiting = {
            kind: PacketQueue(kind, self.changed) for kind, stream in streams.items() if stream is not None
        }
        for queue in self._waiting.values():
            self._reader.add(queue)

    def video_decoder(self) -> VideoCodecContext:
        """The decoder for the pictures, for one thread."""
        assert self.video is not None
        return cast(VideoStream, self._decoding.streams[self.video.index]).codec_context

    def audio_decoder(self) -> AudioCodecContext:
        """The decoder for the sound, for one thread."""
        assert self.audio is not None
        return cast(AudioStream, self._decoding.streams[self.audio.index]).codec_context

    def attach(self, kind: Kind) -> PacketQueue:
        """A queue with the packets of one kind that are due from now on; for a second source of the kind, with those that
        are read from now on."""
        with self.changed:
            queue = self._waiting.pop(kind, None) or PacketQueue(kind, self.changed)
            self._reader.add(queue)
        return queue

    def detach(self, queue: PacketQueue) -> None:
        """Nobody plays this queue any more."""
        with self.changed:
            queue.active = False
            if queue.kind in self._waiting:
                self._reader.queues.remove(queue)
            else:
                self._waiting[queue.kind] = queue
            self.changed.notify_all()

    def play(self, queue: PacketQueue) -> None:
        """A thread takes from this queue now; the first one starts the file."""
        with self.changed:
            queue.trim((self.clock.position_us or 0) - _LEAD_US)
            queue.active = True
            self.changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._reader.run, name="lknb-media-reader", daemon=True)
                self._thread.start()

    def seek(self, position_s: float) -> None:
        """Go to this second of the file. Raises `MediaError`."""
        if not self.can_rewind:
            raise MediaError(f"{self.path!r} cannot be rewound")
        self._reader.wish_seek(_position_us(position_s))

    @property
    def duration_s(self) -> float | None:
        """How long the file is, in seconds; None for what has no end that is known."""
        return None if self._container.duration is None else self._container.duration / _US_PER_S

    @property
    def position_s(self) -> float:
        """Which second of the file is played now."""
        return self._reader.position_us / _US_PER_S

    def set_loop(self, loop: bool) -> None:
        """Whether the file begins again at its end."""
        self._reader.wish_loop(loop)

    def close(self) -> None:
        """Stop reading and close the file."""
        if self._thread is not None:
            self._reader.wish_stop()
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():
                # a read from the network hangs; its own timeout ends it, and the file goes with the last reference
                return
        self._container.close()
        if self._decoding is not self._container:
            self._decoding.close()

    def _open(self) -> InputContainer:
        try:
            container: InputContainer = av.open(
                self.path,
                "r",
                format=self._format,
                options=self._options,
                timeout=_TIMEOUT_S,
                **_TOLERANT,
            )
        except (av.FileNotFoundError, av.HTTPNotFoundError) as error:
            raise MediaNotFoundError(f"there is no {self.path!r}") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UnreadableMediaError(f"{self.path!r} {_why_unreadable(self.path, error)}") from error
        if container.format.name == _TEXT_FORMAT and self._format is None:
            container.close()
            raise UnreadableMediaError(f"{self.path!r} is a text, no media file")
        return container

    def _examine(self, passthrough: bool) -> None:
        if self.video is None and self.audio is None:
            raise MediaError("it holds neither pictures nor sound")
        if self.video is not None:
            self._look_at(self.video)
            if passthrough and not self.video_turn:
                self.passes_video = can_pass_video(self._container, self.video)
        if passthrough and self.audio is not None:
            self.passes_audio = can_pass_audio(self._container, self.audio)
        if self.can_rewind:
            # Rewinding flushes the decoders of the streams that are read, while packets from before are still to be
            # decoded by other threads. So the decoders are those of the file opened once more.
            self._decoding = self._open()

    def _look_at(self, video: VideoStream) -> None:
        """Find out the size and the turn of the pictures: phones film upright with the sensor lying."""
        width, height = video.codec_context.width, video.codec_context.height
        if self.can_rewind:
            picture = next(self._container.decode(video), None)
            if picture is None:
                raise MediaError("it holds no picture that can be decoded")
            width, height = picture.width, picture.height
            self.video_turn = round(-picture.rotation / 90) * 90 % 360
            self._container.seek(self._container.start_time or 0)
        self.video_size = (height, width) if self.video_turn in (90, 270) else (width, height)


def _moving_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures that is not the cover of an album."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    return None


def _why_unreadable(path: str, error: Exception) -> str:
    if isinstance(error, av.InvalidDataError):
        with contextlib.suppress(OSError):
            if os.path.getsize(path) == 0:
                return "is empty: was it written to its end?"
        return "is no media file, or one that was not written to its end: FFmpeg cannot read it"
    # FFmpeg's own words repeat the path
    return f"cannot be opened: {getattr(error, 'strerror', None) or error}"


def _position_us(position_s: float) -> int:
    if not 0 <= position_s <= _MAX_POSITION_S:
        raise MediaError(f"a position is 0 s or more, not {position_s}")
    return int(position_s * _US_PER_S)
