"""A call that is known, and what is found in a file that was recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from lknb import rtc
from lknb.codec.clock import now_us

ORANGE = (230, 120, 20)
FPS = 30
RATE_HZ = 48_000


@asynccontextmanager
async def flashing(source: rtc.VideoSource) -> AsyncIterator[None]:
    """Pictures that are white for the first fifth of each second of the monotonic clock, else orange."""
    size = (source.height, source.width, 3)
    orange, white = np.full(size, ORANGE, np.uint8), np.full(size, 255, np.uint8)

    async def capture() -> None:
        number = now_us() * FPS // 1_000_000
        while True:
            number += 1
            due_us = number * 1_000_000 // FPS
            await asyncio.sleep(max(0, due_us - now_us()) / 1_000_000)
            source.capture_frame(white if number % FPS < FPS // 5 else orange, timestamp_us=due_us)
            # a loop that is late captures several at once: each is sent, and the first white one where it belongs
            while source._is_encoded and source._new is not None:
                await asyncio.sleep(0.001)

    task = asyncio.create_task(capture())
    yield
    task.cancel()


@dataclass
class Played:
    """What is in a file."""

    duration_s: float
    times_s: list[float]
    colours: NDArray[np.float64]
    """(n, 3), the middle of each picture."""
    sizes: list[tuple[int, int]]
    sound: NDArray[np.float64]
    """-1 to 1 from second 0 on, at 48,000 Hz."""
    codecs: list[str]

    def flashes_s(self) -> list[float]:
        white = self.colours.min(axis=1) > 180
        return [self.times_s[n] for n in range(1, len(white)) if white[n] and not white[n - 1]]

    def beeps_s(self) -> list[float]:
        loud = np.abs(self.sound) > 0.05
        # the first loud sample after 0.3 s of quiet
        at = np.flatnonzero(loud)
        starts = at[np.flatnonzero(np.diff(at, prepend=-RATE_HZ) > 0.3 * RATE_HZ)]
        return [float(start / RATE_HZ) for start in starts if start > 0.1 * RATE_HZ]

    def peak_hz(self) -> float:
        spectrum = np.abs(np.fft.rfft(self.sound))
        return float(np.argmax(spectrum) * RATE_HZ / len(self.sound))


def play(path: Path) -> Played:
    with av.open(str(path)) as file:
        codecs = [stream.codec_context.name for stream in file.streams]
        duration_s = float(file.duration or 0) / 1e6
        times, colours, sizes = [], [], []
        sound = np.zeros(0)
        resampler = av.AudioResampler("flt", "mono", RATE_HZ)
        for packet in file.demux():
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    picture = frame.to_ndarray(format="rgb24")
                    height, width = picture.shape[:2]
                    middle = picture[height // 4 : -height // 4, width // 4 : -width // 4]
                    times.append(float(frame.time or 0))
                    colours.append(middle.reshape(-1, 3).mean(axis=0))
                    sizes.append((width, height))
                elif isinstance(frame, av.AudioFrame):
                    start = round(float(frame.time or 0) * RATE_HZ)
                    piece = np.concatenate([one.to_ndarray().reshape(-1) for one in resampler.resample(frame)])
                    sound = np.concatenate((sound, np.zeros(max(0, start - len(sound))), piece))
    return Played(duration_s, times, np.array(colours), sizes, sound, codecs)
