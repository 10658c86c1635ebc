"""A sine tone, steady or in beeps, for when there is no microphone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, AudioEncoder, Samples
from lknb.codec.clock import AUDIO_CLOCK_HZ
from lknb.core.source.pace import Pacer
from lknb.core.source.threaded import ThreadedSource
from lknb.errors import MediaError

_US_PER_S = 1_000_000
_FULL_SCALE = 32767.0
_RAMP_S = 0.005
_MAX_HZ = AUDIO_CLOCK_HZ / 2
_MAX_BEEP_EVERY_S = 3600.0

# A few packets at once are what a jitter buffer is for; a gap would be heard.
_CATCH_UP_FRAMES = 5


class Tone(ThreadedSource):
    """A sine of `frequency_hz` and `volume` (0 to 1 of full scale).

    With `beep_every_s` above 0 it sounds for `beep_s` seconds only, at each multiple of that time on the monotonic
    clock, so that all tones of a machine beep at once. Raises `MediaError`.
    """

    def __init__(
        self,
        *,
        frequency_hz: float = 440.0,
        volume: float = 0.2,
        beep_every_s: float = 0.0,
        beep_s: float = 0.2,
        max_bitrate_bps: int | None = None,
        dtx: bool = False,
    ) -> None:
        super().__init__("audio", "opus")
        if not 0 < frequency_hz < _MAX_HZ:
            raise MediaError(f"a tone has more than 0 and less than {_MAX_HZ:.0f} Hz, not {frequency_hz}")
        if not 0 <= beep_every_s <= _MAX_BEEP_EVERY_S or beep_s <= 0:
            raise MediaError(f"a tone cannot beep for {beep_s} s every {beep_every_s} s")
        self._encoder = AudioEncoder(1, bitrate_bps=max_bitrate_bps, dtx=dtx)
        self._frequency_hz = frequency_hz
        self._beep_every_s = beep_every_s
        self._beep_s = beep_s
        self._set_volume(volume)
        self._actions["volume"] = self._set_volume

    def _set_volume(self, volume: float) -> None:
        if not 0 <= volume <= 1:
            raise MediaError(f"a volume is 0 to 1, not {volume}")
        self._volume = volume

    def _run(self) -> None:
        pacer = Pacer(_US_PER_S / FRAME_US, catch_up=_CATCH_UP_FRAMES)
        while (tick := pacer.wait(self._stopped)) is not None:
            if self._muted:
                continue
            frame = self._encoder.encode(self._samples(tick.index, tick.timestamp_us), tick.timestamp_us)
            if frame is not None:
                self._emit(frame)

    def _samples(self, index: int, timestamp_us: int) -> Samples:
        position = (index * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)) / AUDIO_CLOCK_HZ
        wave = np.sin(2 * np.pi * self._frequency_hz * position) * (self._volume * _FULL_SCALE)
        if self._beep_every_s:
            wave *= self._envelope(timestamp_us)
        return wave.astype(np.int16).reshape(-1, 1)

    def _envelope(self, timestamp_us: int) -> NDArray[np.float64]:
        """1 while it sounds, 0 while it does not, with short ramps in between that do not click."""
        time_s = timestamp_us / _US_PER_S + np.arange(FRAME_SAMPLES) / AUDIO_CLOCK_HZ
        since_s = time_s % self._beep_every_s
        return np.clip(np.minimum(since_s, self._beep_s - since_s) / _RAMP_S, 0.0, 1.0)
