"""The sounds of several tracks, each laid out by its capture times -> one sound."""

from __future__ import annotations

import numpy as np

from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, Samples
from lknb.codec.clock import AUDIO_CLOCK_HZ
from lknb.codec.sample_queue import SampleQueue
from lknb.logic.timeline import SoundLine
from lknb.wire.frame import EncodedFrame


class SoundMix:
    """20 ms after the other, from time 0 on. For one thread."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.end_us = 0
        """Where the next 20 ms go, in microseconds from the beginning."""
        self._voices: dict[str, _Voice] = {}

    def push(self, name: str, frame: EncodedFrame, time_us: int) -> None:
        """A packet of the track of this name, captured `time_us` from the beginning; what has been mixed past is dropped.

        Raises `MediaError` for a packet that cannot be decoded.
        """
        voice = self._voices.get(name)
        if voice is None:
            voice = self._voices[name] = _Voice(self.channels, self.end_us)
        voice.push(frame, time_us)

    def forget(self, name: str) -> None:
        """Nothing more comes of this track."""
        self._voices.pop(name, None)

    def pop(self) -> Samples:
        """The next 20 ms of all: int16 of shape (960, channels), clipped where they are too loud together."""
        total = np.zeros((FRAME_SAMPLES, self.channels), np.int32)
        for voice in self._voices.values():
            total += voice.pop()
        self.end_us += FRAME_US
        return np.clip(total, -32_768, 32_767).astype(np.int16)


class _Voice:
    """One of the tracks: what it holds begins where the mix stands."""

    def __init__(self, channels: int, begin_us: int) -> None:
        self._channels = channels
        self._decoder = AudioDecoder(channels)
        self._line = SoundLine(AUDIO_CLOCK_HZ)
        self._line.advance(begin_us)
        self._samples = SampleQueue(channels)

    def push(self, frame: EncodedFrame, time_us: int) -> None:
        samples = self._decoder.decode(frame)
        gap_us = self._line.gap_us(frame.timestamp, time_us)
        if gap_us < 0:
            return
        self._append(np.zeros((gap_us * AUDIO_CLOCK_HZ // 1_000_000, self._channels), np.int16))
        self._append(samples)

    def pop(self) -> Samples:
        missing = FRAME_SAMPLES - len(self._samples)
        if missing > 0:
            self._append(np.zeros((missing, self._channels), np.int16))
        return self._samples.pop_padded(FRAME_SAMPLES)

    def _append(self, samples: Samples) -> None:
        self._samples.push(samples)
        self._line.advance(len(samples) * 1_000_000 // AUDIO_CLOCK_HZ)
