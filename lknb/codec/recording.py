"""Frames of a track or two -> a file, by its suffix.

`time_us` is in microseconds from the beginning of the recording. Whoever records calls `write` in the order in which the
frames of a track were captured, and `finish` once, all in one thread; all may raise `MediaError`.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Protocol

import numpy as np

from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.clock import AUDIO_CLOCK_HZ
from lknb.codec.container_writer import CONTAINERS, ContainerWriter, codec_for
from lknb.codec.opus import packet_duration_us, silence
from lknb.codec.picture_file import PictureFile
from lknb.codec.transcoder import Transcoder
from lknb.codec.video_decoder import VideoDecoder
from lknb.codec.wave_file import WaveFile
from lknb.errors import MediaError
from lknb.logic.timeline import SoundLine
from lknb.wire.frame import EncodedFrame

logger = logging.getLogger(__name__)

SUFFIXES = (*CONTAINERS, ".wav", ".png")

_MIN_STEP_US = 1_000
"""WebM counts in milliseconds."""


class Recording(Protocol):
    """A file that is being written."""

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""

    @property
    def needs_keyframe(self) -> bool:
        """Whether nothing can be made of frames before a key frame."""

    def write(self, frame: EncodedFrame, time_us: int) -> None:
        """One frame; the first picture is a key frame."""

    def finish(self, end_us: int) -> None:
        """The end of the recording, and of the file."""


def check_path(path: Path) -> None:
    """Raise `MediaError` when there is no kind of recording for this suffix, or no way to number its pictures."""
    if path.suffix.lower() not in SUFFIXES:
        raise MediaError(f"a recording ends in one of {', '.join(SUFFIXES)}, not {path.name!r}")
    if path.suffix.lower() == ".png" and "%" in path.name:
        with contextlib.suppress(TypeError, ValueError):
            if path.name % 1 != path.name % 2:
                return
        raise MediaError(f"a series of pictures is numbered with one %d, such as %05d.png, not {path.name!r}")


def check_writable(path: Path) -> None:
    """Raise `MediaError` where no file can be made. One that is there is empty then, and will be replaced."""
    if path.suffix.lower() == ".png":
        PictureFile(path)
        return
    try:
        path.open("wb").close()
    except OSError as error:
        raise MediaError(f"{str(path)!r} cannot be written: {error}") from error


def kinds_of(path: Path) -> tuple[str, ...]:
    """What a file of this suffix may hold: pictures, sound, or both."""
    return {".wav": ("audio",), ".png": ("video",)}.get(path.suffix.lower(), ("video", "audio"))


def open_recording(path: Path, keyframe: EncodedFrame | None, channels: int) -> Recording:
    """A file with what begins with `keyframe`, None for no pictures, and with sound of so many channels, 0 for none.

    Raises `MediaError`: a path that cannot be written, a first picture that cannot be decoded where it has to be.
    """
    match path.suffix.lower():
        case ".wav":
            return WaveRecording(path, channels)
        case ".png":
            return PictureRecording(path)
        case _:
            return ContainerRecording(path, keyframe, channels)


class ContainerRecording:
    """MP4, WebM or Matroska. While nothing comes the last picture stands, and there is silence.

    What the container holds is written as it is, and a picture that changes its size does so in the file. What it does not
    hold is encoded again, in the size of the first picture.
    """

    done = False

    def __init__(self, path: Path, keyframe: EncodedFrame | None, channels: int) -> None:
        self._path = path
        self._codec = keyframe.codec if keyframe is not None else ""
        self._transcoder: Transcoder | None = None
        self._first: tuple[EncodedFrame, EncodedFrame | None] | None = None
        codec = codec_for(path, self._codec)
        if keyframe is not None and codec != self._codec:
            self._transcoder = Transcoder(codec)
            transcoded = self._transcoder.transcode(keyframe)
            # it comes to `write` as all do
            self._first = keyframe, transcoded
            keyframe = transcoded
        self._writer = ContainerWriter(path, keyframe, channels)
        self._channels = channels
        self._sound = SoundLine(AUDIO_CLOCK_HZ)
        self._last: tuple[EncodedFrame, int] | None = None

    def write(self, frame: EncodedFrame, time_us: int) -> None:
        if frame.codec == "opus":
            self._write_sound(frame, time_us)
            return
        if self._transcoder is not None:
            transcoded = self._transcoded(self._transcoder, frame)
            if transcoded is None:
                return
            frame = transcoded
        elif frame.codec != self._codec:
            raise MediaError(f"the picture changed from {self._codec.upper()} to {frame.codec.upper()}: record it anew")
        # a picture is written when it is known how long it stands
        if self._last is not None:
            time_us = max(time_us, self._last[1] + _MIN_STEP_US)
            self._write_last(time_us)
        self._last = frame, max(0, time_us)

    def finish(self, end_us: int) -> None:
        try:
            if self._last is not None:
                self._write_last(max(end_us, self._last[1] + _MIN_STEP_US))
            if self._channels:
                self._write_silence(end_us - self._sound.end_us)
        finally:
            self._writer.close()

    @property
    def needs_keyframe(self) -> bool:
        return self._transcoder is not None and self._transcoder.needs_keyframe

    def _transcoded(self, transcoder: Transcoder, frame: EncodedFrame) -> EncodedFrame | None:
        if self._first is not None and frame is self._first[0]:
            return self._first[1]
        try:
            return transcoder.transcode(frame)
        except MediaError as error:
            logger.debug("a picture was left out of %s: %s", self._path, error)
            return None

    def _write_last(self, until_us: int) -> None:
        assert self._last is not None
        frame, time_us = self._last
        self._writer.write("video", frame.data, time_us, until_us - time_us, keyframe=frame.keyframe)

    def _write_sound(self, frame: EncodedFrame, time_us: int) -> None:
        if frame.concealed or not packet_duration_us(frame.data):
            # the packet that follows says how much is missing
            return
        gap_us = self._sound.gap_us(frame.timestamp, time_us)
        if gap_us < 0:
            return
        self._write_silence(gap_us)
        self._write_packet(frame.data)

    def _write_silence(self, duration_us: int) -> None:
        for packet in silence(duration_us, self._channels):
            self._write_packet(packet)

    def _write_packet(self, packet: bytes) -> None:
        duration_us = packet_duration_us(packet)
        self._writer.write("audio", packet, self._sound.advance(duration_us), duration_us, keyframe=True)


class WaveRecording:
    """Sound, decoded: int16 at 48,000 Hz."""

    done = False
    needs_keyframe = False

    def __init__(self, path: Path, channels: int) -> None:
        self._path = path
        self._channels = channels
        self._decoder = AudioDecoder(channels)
        self._sound = SoundLine(AUDIO_CLOCK_HZ)
        self._file = WaveFile(path, channels)

    def write(self, frame: EncodedFrame, time_us: int) -> None:
        try:
            samples = self._decoder.decode(frame)
        except MediaError as error:
            logger.debug("a packet was left out of %s: %s", self._path, error)
            return
        gap_us = self._sound.gap_us(frame.timestamp, time_us)
        if gap_us >= 0:
            self._write_silence(gap_us)
            self._sound.advance(len(samples) * 1_000_000 // AUDIO_CLOCK_HZ)
            self._file.write(samples)

    def finish(self, end_us: int) -> None:
        self._write_silence(end_us - self._sound.end_us)
        self._file.close()

    def _write_silence(self, duration_us: int) -> None:
        if duration_us > 0:
            self._sound.advance(duration_us)
            count = round(duration_us * AUDIO_CLOCK_HZ / 1_000_000)
            self._file.write(np.zeros((count, self._channels), np.int16))


class PictureRecording:
    """PNG: the first picture; or all of them, numbered from 1, when the name holds a %d."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = PictureFile(path)
        self._decoder: VideoDecoder | None = None

    @property
    def done(self) -> bool:
        return self._file.done

    @property
    def needs_keyframe(self) -> bool:
        return self._decoder is not None and self._decoder.needs_keyframe

    def write(self, frame: EncodedFrame, time_us: int) -> None:
        if self.done:
            return
        if self._decoder is None or self._decoder.codec != frame.codec:
            self._decoder = VideoDecoder(frame.codec)
        try:
            picture = self._decoder.decode(frame)
        except MediaError as error:
            logger.debug("a picture was left out of %s: %s", self._path, error)
            return
        if picture is not None:
            self._file.write(picture)

    def finish(self, end_us: int) -> None:
        pass
