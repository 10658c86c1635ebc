"""Encoded frames of all tracks of a room, written into one file by a thread: pictures side by side, sounds mixed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lknb.codec.audio_encoder import FRAME_US
from lknb.codec.clock import AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ, now_us
from lknb.codec.collage import Collage
from lknb.codec.mixed_recording import open_mixed
from lknb.codec.recording import check_writable
from lknb.codec.sound_mix import SoundMix
from lknb.codec.video_decoder import VideoDecoder
from lknb.errors import MediaError
from lknb.logic.timeline import Timeline
from lknb.rtc.recorded_line import RecordedLine
from lknb.rtc.writer_thread import WriterThread
from lknb.wire.frame import EncodedFrame

if TYPE_CHECKING:
    import av

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 1280, 720
_PERIOD_US = 1_000_000 // 30
_CHANNELS = 2

# Everything is laid out so long after it was captured: until then all of it has come, and until a sender report has come
# too, a capture time is a time of arrival.
_LAG_US = 1_200_000

# What was captured before the end may arrive a little after it.
_STRAGGLERS_US = 150_000

# How long to wait for everybody's first picture.
_FIRST_PICTURES_US = 2_000_000

# A machine that cannot keep up draws fewer pictures, though never fewer than two a second; no sound is left out.
_LATE_US = 500_000
_RARELY_US = 500_000

_TURN_S = 0.05

_MAX_WAITING_FRAMES = 6_000
"""Frames of a track that wait for a thread that does not get to run: a minute and more."""


class RoomWriter(WriterThread):
    """Writes what `put` gives it of the tracks that `show` names, from everybody's first picture on, at most 2 s later.

    `show` and `put` may be called from any thread. `on_lost` is called with the name of a track of which nothing can be made
    before a key frame.
    """

    def __init__(self, path: Path, *, on_lost: Callable[[str], None]) -> None:
        super().__init__(path)
        self._on_lost = on_lost
        self._lines: dict[str, RecordedLine] = {}
        self._plans: deque[tuple[int, Mapping[str, str], Sequence[str]]] = deque()
        """From when on which pictures are seen, and which sounds are heard."""
        self._pictures: Mapping[str, str] = {}
        self._sounds: Sequence[str] = ()
        self._collage = Collage(WIDTH, HEIGHT)
        self._mix = SoundMix(_CHANNELS)
        self._drawn: list[av.VideoFrame] = []

    def show(self, pictures: Mapping[str, str], sounds: Sequence[str]) -> None:
        """From now on these tracks are in it, the pictures in this order, each with what is written into it; of others nothing
        is seen or heard."""
        with self._condition:
            for name in pictures:
                self._lines.setdefault(name, RecordedLine("video", Timeline(VIDEO_CLOCK_HZ)))
            for name in sounds:
                self._lines.setdefault(name, RecordedLine("audio", Timeline(AUDIO_CLOCK_HZ)))
            for name in (*pictures, *sounds):
                self._lines[name].ended = False
            self._plans.append((now_us(), pictures, sounds))

    def end(self, name: str) -> None:
        """Of this track nothing more comes."""
        with self._condition:
            line = self._lines.get(name)
            if line is not None:
                line.ended = True

    def put(self, name: str, frame: EncodedFrame) -> None:
        """One frame of the track of this name."""
        with self._condition:
            line = self._lines.get(name)
            if line is None or self.finished or self._overrun:
                return
            self._overrun = len(line.frames) >= _MAX_WAITING_FRAMES
            line.put(frame)

    def _forget(self) -> None:
        self._lines.clear()

    def _record(self) -> None:
        check_writable(self._path)
        self._wait_for_pictures()
        self.began_us = now_us()
        self.changed.notify()
        self._wait(self.began_us)
        # from here on it counts as the file does
        self.began_us = origin_us = self._origin_us(self.began_us)
        self._see(origin_us + 1)
        recording = open_mixed(self._path, self._draw(), _CHANNELS)
        reached_us, drawn_us, picture_us = 0, 0, _PERIOD_US
        try:
            while not recording.done:
                until_us = self._wait(origin_us + reached_us + FRAME_US)
                if until_us < origin_us + reached_us + FRAME_US:
                    reached_us = max(reached_us, until_us - origin_us)
                    break
                if picture_us < reached_us + FRAME_US:
                    self._see(origin_us + picture_us)
                    is_late = self._stop_us is None and until_us - origin_us - picture_us >= _LATE_US
                    if self._is_new() and (not is_late or picture_us - drawn_us >= _RARELY_US):
                        recording.picture(self._draw(), picture_us)
                        drawn_us = picture_us
                    picture_us += _PERIOD_US
                self._hear(origin_us + reached_us + FRAME_US, origin_us)
                recording.sound(self._mix.pop(), reached_us)
                reached_us += FRAME_US
        finally:
            self.duration_us = reached_us
            recording.finish(reached_us)

    def _wait_for_pictures(self) -> None:
        """Return when everybody's first picture has come, or has been waited for long enough."""
        until_us = now_us() + _FIRST_PICTURES_US
        with self._condition:
            while now_us() < until_us and self._stop_us is None:
                pictures = self._plans[-1][1] if self._plans else {}
                if all(self._lines[name].frames for name in pictures):
                    return
                self._condition.wait(_TURN_S)

    def _origin_us(self, began_us: int) -> int:
        """When everybody's first picture is there: now that its capture time is known, that may be a little later."""
        with self._condition:
            first = [line.next_us() for line in self._lines.values() if line.kind == "video"]
        return max([began_us, *(at_us for at_us in first if at_us is not None and at_us < began_us + _LATE_US)])

    def _wait(self, needed_us: int) -> int:
        """Return when all until then has come, or when no more comes; how far all has come."""
        with self._condition:
            while True:
                if self._overrun:
                    raise MediaError(f"{self._path.name!r} cannot be written as fast as frames come")
                now = now_us()
                until_us = now - _LAG_US
                if self._stop_us is not None and now >= self._stop_us + _STRAGGLERS_US:
                    return self._stop_us
                if until_us >= needed_us:
                    return until_us
                self._condition.wait(_TURN_S)

    def _turn(self, until_us: int) -> None:
        """Show and hide what is shown and hidden before `until_us`."""
        with self._condition:
            while self._plans and self._plans[0][0] < until_us:
                before = {*self._pictures, *self._sounds}
                _, self._pictures, self._sounds = self._plans.popleft()
                for name in before.difference(self._pictures, self._sounds):
                    self._lines[name].decoder = self._lines[name].picture = None
                    self._mix.forget(name)
            wanted = self._shown() | self._coming()
            for name in [name for name, line in self._lines.items() if line.ended and not line.frames]:
                if name not in wanted:
                    del self._lines[name]

    def _shown(self) -> set[str]:
        return {*self._pictures, *self._sounds}

    def _coming(self) -> set[str]:
        """What is going to be shown soon. Its first picture may have been captured before, and the next need it."""
        return {name for _, pictures, sounds in self._plans for name in (*pictures, *sounds)}

    def _due(self, kind: str, until_us: int) -> Iterator[tuple[str, RecordedLine, EncodedFrame, int]]:
        """What is to be taken of a kind and was captured before `until_us`."""
        self._turn(until_us)
        with self._condition:
            lines = [(name, line) for name, line in self._lines.items() if line.kind == kind]
            wanted = self._shown() | (self._coming() if kind == "video" else set())
        for name, line in lines:
            while True:
                with self._condition:
                    due = line.next_until(until_us)
                if due is None:
                    break
                if name in wanted:
                    yield name, line, *due

    def _see(self, until_us: int) -> None:
        for name, line, frame, _ in self._due("video", until_us):
            if line.decoder is None or line.decoder.codec != frame.codec:
                line.decoder = VideoDecoder(frame.codec)
            try:
                line.picture = line.decoder.decode(frame) or line.picture
            except MediaError as error:
                logger.debug("a picture of %s was left out of %s: %s", name, self._path, error)
            if line.decoder.needs_keyframe:
                self._on_lost(name)

    def _hear(self, until_us: int, origin_us: int) -> None:
        for name, _, frame, placed_us in self._due("audio", until_us):
            try:
                self._mix.push(name, frame, placed_us - origin_us)
            except MediaError as error:
                logger.debug("a packet of %s was left out of %s: %s", name, self._path, error)

    def _seen(self) -> dict[str, av.VideoFrame]:
        lines = ((name, self._lines[name].picture) for name in self._pictures)
        return {name: picture for name, picture in lines if picture is not None}

    def _is_new(self) -> bool:
        seen = list(self._seen().values())
        return len(seen) != len(self._drawn) or any(
            one is not other for one, other in zip(seen, self._drawn, strict=True)
        )

    def _draw(self) -> av.VideoFrame:
        seen = self._seen()
        self._drawn = list(seen.values())
        return self._collage.compose(seen, self._pictures)
