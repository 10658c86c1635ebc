"""Encoded frames of a track or two, written to a file by a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

from lknb.codec.clock import AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ, now_us
from lknb.codec.recording import Recording, open_recording
from lknb.errors import MediaError
from lknb.logic.timeline import Timeline
from lknb.rtc.writer_thread import WriterThread
from lknb.wire.frame import EncodedFrame

# Until a sender report has come, a capture time is a time of arrival, which is later for a picture than for sound. So the
# first second is kept, and laid out when the times of its last frames are known.
_SETTLE_US = 1_200_000

# What was captured before the end may arrive a little after it.
_STRAGGLERS_US = 150_000

# How long a server may take to switch to the layer that was asked for.
_GROWTH_US = 2_000_000
_ENOUGH = 0.8
"""Of the area that is expected: publishers round the sizes of their layers."""

_MAX_WAITING_FRAMES = 6_000
"""Frames the disk, or the encoder of pictures, may be behind: more than a minute of sound and picture."""


class _Line:
    """One of the tracks."""

    def __init__(self, clock_hz: int) -> None:
        self.timeline = Timeline(clock_hz)
        self.reached_us = 0
        self.ended_us: int | None = None


class FrameWriter(WriterThread):
    """Writes what `put` gives it, from the first key frame on; without pictures, from its making on.

    With an `expected` size (width, height in pixels) it waits up to 2 s for a key frame as large, and else begins with the
    largest that came.
    `put` and `end` may be called from any thread. `channels` is of the sound, 0 for none. `on_lost` is called when nothing can
    be made of frames before a key frame.
    """

    def __init__(
        self,
        path: Path,
        *,
        pictures: bool,
        channels: int,
        on_lost: Callable[[], None],
        expected: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(path)
        self.sees_picture = False
        """Whether a key frame has come, be it one to begin with or not; `changed` is notified of that as well."""
        self._pictures = pictures
        self._channels = channels
        self._on_lost = on_lost
        self._lines = {"video": _Line(VIDEO_CLOCK_HZ)} if pictures else {}
        if channels:
            self._lines["audio"] = _Line(AUDIO_CLOCK_HZ)
        self._frames: deque[EncodedFrame] = deque()
        self._enough_pixels = 0.0 if expected is None else expected[0] * expected[1] * _ENOUGH
        self._complete_us: int | None = None

    def put(self, frame: EncodedFrame) -> None:
        """One frame of the picture or the sound."""
        with self._condition:
            self._overrun |= len(self._frames) >= _MAX_WAITING_FRAMES
            if not (self.finished or self._overrun):
                self._frames.append(frame)
                self._condition.notify_all()

    def end(self, kind: str) -> None:
        """Nothing more comes of this kind."""
        with self._condition:
            self._lines[kind].ended_us = now_us()
            self._condition.notify_all()

    def _forget(self) -> None:
        self._frames.clear()

    def _record(self) -> None:
        if self._pictures:
            began_us, held = self._first_frames()
            if not held:
                return
            recording = open_recording(self._path, held[0], self._channels)
            origin_us = None
        else:
            recording = open_recording(self._path, None, self._channels)
            held = []
            began_us = origin_us = now_us()
        self.began_us = began_us
        self.changed.notify()
        try:
            while now_us() - self.began_us < _SETTLE_US and (frame := self._next(self.began_us + _SETTLE_US)):
                held.append(frame)
            origin_us = self._lay_out(recording, held, origin_us)
            while not recording.done and (frame := self._next()):
                self._write(recording, frame, origin_us)
        finally:
            end_us = self._end_us()
            end_us = end_us if end_us is not None else now_us()
            self.duration_us = max(0, end_us - (origin_us if origin_us is not None else self.began_us))
            recording.finish(self.duration_us)

    def _first_frames(self) -> tuple[int, list[EncodedFrame]]:
        """When the recording begins, and what has come since: a key frame first. What came before is no part of it."""
        began_us, held = 0, list[EncodedFrame]()
        until_us: int | None = None
        while (frame := self._next(until_us)) is not None:
            if frame.codec != "opus" and frame.keyframe and (not held or _pixels(frame) >= _pixels(held[0])):
                began_us, held = now_us(), []
                if until_us is None:
                    until_us = began_us + _GROWTH_US
                    self.sees_picture = True
                    self.changed.notify()
            elif not held:
                continue
            held.append(frame)
            if _pixels(held[0]) >= self._enough_pixels:
                break
        return began_us, held

    def _lay_out(self, recording: Recording, held: list[EncodedFrame], origin_us: int | None) -> int:
        """Write what was held back; where the recording begins, on the axis of capture times."""
        for frame in held:
            self._line(frame).timeline.settle(frame.timestamp, frame.timestamp_us)
        for frame in held:
            settled_us = self._line(frame).timeline.at(frame.timestamp)
            assert settled_us is not None
            frame_us = settled_us
            if origin_us is None:
                origin_us = frame_us
            self._put_at(recording, frame, frame_us, origin_us)
        return origin_us if origin_us is not None else now_us()

    def _write(self, recording: Recording, frame: EncodedFrame, origin_us: int) -> None:
        frame_us = self._line(frame).timeline.place(frame.timestamp, frame.timestamp_us)
        self._put_at(recording, frame, frame_us, origin_us)
        if recording.needs_keyframe:
            self._on_lost()

    def _put_at(self, recording: Recording, frame: EncodedFrame, frame_us: int, origin_us: int) -> None:
        line = self._line(frame)
        line.reached_us = max(line.reached_us, frame_us)
        end_us = self._end_us()
        # the picture it begins with is in it, however soon it was stopped
        if origin_us <= frame_us and (end_us is None or frame_us < max(end_us, origin_us + 1)) and not recording.done:
            recording.write(frame, frame_us - origin_us)
            if recording.done:
                self._complete_us = frame_us

    def _line(self, frame: EncodedFrame) -> _Line:
        return self._lines["audio" if frame.codec == "opus" else "video"]

    def _end_us(self) -> int | None:
        """When the recording ends; None while that is not known."""
        ends = [line.ended_us for line in self._lines.values()]
        last_us = max(end for end in ends if end is not None) if None not in ends else None
        return min((end for end in (self._stop_us, self._complete_us, last_us) if end is not None), default=None)

    def _next(self, until_us: int | None = None) -> EncodedFrame | None:
        """The next frame; None at the end, and at `until_us`."""
        with self._condition:
            while True:
                if self._overrun:
                    raise MediaError(f"{self._path.name!r} cannot be written as fast as frames come")
                if self._frames:
                    return self._frames.popleft()
                left_us = self._left_us(until_us)
                if left_us is not None and left_us <= 0:
                    return None
                self._condition.wait(None if left_us is None else left_us / 1_000_000)

    def _left_us(self, until_us: int | None) -> int | None:
        """How long to wait for a frame; None for as long as it takes."""
        now = now_us()
        left = [] if until_us is None else [until_us - now]
        live = [line for line in self._lines.values() if line.ended_us is None]
        if not live:
            left.append(0)
        elif self._stop_us is not None:
            complete = all(line.reached_us >= self._stop_us for line in live)
            left.append(0 if complete else self._stop_us + _STRAGGLERS_US - now)
        return min(left, default=None)


def _pixels(frame: EncodedFrame) -> int:
    return frame.width * frame.height
