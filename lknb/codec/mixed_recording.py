"""Pictures and samples, in one size and one rate -> a file, by its suffix.

`time_us` is in microseconds from the beginning, and increases. `sound` takes 20 ms after the other. All may raise
`MediaError`; for one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import av

from lknb.codec.audio_encoder import AudioEncoder, Samples
from lknb.codec.container_writer import codec_for
from lknb.codec.picture_file import PictureFile
from lknb.codec.recording import ContainerRecording
from lknb.codec.transcoder import FileEncoder
from lknb.codec.wave_file import WaveFile
from lknb.errors import MediaError


class MixedRecording(Protocol):
    """A file that is being written."""

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""

    def picture(self, picture: av.VideoFrame, time_us: int) -> None:
        """A picture in i420, of the size of the first."""

    def sound(self, samples: Samples, time_us: int) -> None:
        """int16 of shape (960, channels)."""

    def finish(self, end_us: int) -> None:
        """The end of the recording, and of the file."""


def open_mixed(path: Path, first: av.VideoFrame, channels: int) -> MixedRecording:
    """A file that begins with a picture, and with sound of so many channels. Raises `MediaError`: a path that cannot be
    written."""
    match path.suffix.lower():
        case ".wav":
            return MixedWave(path, channels)
        case ".png":
            return MixedPictures(path, first)
        case _:
            return MixedContainer(path, first, channels)


class MixedContainer:
    """MP4 with H264, WebM and Matroska with VP8; Opus in each."""

    done = False

    def __init__(self, path: Path, first: av.VideoFrame, channels: int) -> None:
        self._pictures = FileEncoder(codec_for(path, "vp8"), first.width, first.height)
        self._sound = AudioEncoder(channels)
        keyframe = self._pictures.encode(first, 0)
        if keyframe is None:
            raise MediaError(f"{str(path)!r} cannot be begun: its first picture was not encoded")
        self._file = ContainerRecording(path, keyframe, channels)
        self._file.write(keyframe, 0)

    def picture(self, picture: av.VideoFrame, time_us: int) -> None:
        frame = self._pictures.encode(picture, time_us)
        if frame is not None:
            self._file.write(frame, time_us)

    def sound(self, samples: Samples, time_us: int) -> None:
        frame = self._sound.encode(samples, time_us)
        if frame is not None:
            self._file.write(frame, time_us)

    def finish(self, end_us: int) -> None:
        self._file.finish(end_us)


class MixedWave:
    """WAV: the sound alone."""

    done = False

    def __init__(self, path: Path, channels: int) -> None:
        self._file = WaveFile(path, channels)

    def picture(self, picture: av.VideoFrame, time_us: int) -> None:
        pass

    def sound(self, samples: Samples, time_us: int) -> None:
        self._file.write(samples)

    def finish(self, end_us: int) -> None:
        self._file.close()


class MixedPictures:
    """PNG: the pictures alone."""

    def __init__(self, path: Path, first: av.VideoFrame) -> None:
        self._file = PictureFile(path)
        self._file.write(first)

    @property
    def done(self) -> bool:
        return self._file.done

    def picture(self, picture: av.VideoFrame, time_us: int) -> None:
        if not self.done:
            self._file.write(picture)

    def sound(self, samples: Samples, time_us: int) -> None:
        pass

    def finish(self, end_us: int) -> None:
        pass
