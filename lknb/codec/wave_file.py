"""Samples -> a WAV file."""

from __future__ import annotations

import wave
from pathlib import Path

from lknb.codec.audio_encoder import Samples
from lknb.codec.clock import AUDIO_CLOCK_HZ
from lknb.errors import MediaError


class WaveFile:
    """int16 at 48,000 Hz. Raises `MediaError` when the file cannot be written."""

    def __init__(self, path: Path, channels: int) -> None:
        self._path = path
        try:
            self._file = wave.open(str(path), "wb")  # noqa: SIM115
        except OSError as error:
            raise MediaError(f"{str(path)!r} cannot be written: {error}") from error
        self._file.setnchannels(channels)
        self._file.setsampwidth(2)
        self._file.setframerate(AUDIO_CLOCK_HZ)

    def write(self, samples: Samples) -> None:
        """Append samples of shape (n, channels). Raises `MediaError`."""
        try:
            self._file.writeframes(samples.tobytes())
        except OSError as error:
            raise MediaError(f"{str(self._path)!r} cannot be written: {error}") from error

    def close(self) -> None:
        """Finish the file. Raises `MediaError`."""
        try:
            self._file.close()
        except OSError as error:
            raise MediaError(f"{str(self._path)!r} cannot be finished: {error}") from error
