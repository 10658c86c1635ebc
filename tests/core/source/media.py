"""Small media files to play, and a sink that remembers."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lknb.codec.clock import now_us
from lknb.core.source.painter import Painter
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until_sync

WIDTH, HEIGHT, FPS = 160, 90, 30
TONE_HZ = 440
_PIECE = 960


def make_file(
    path: Path,
    *,
    video: str | None = None,
    audio: str | None = None,
    seconds: float = 2.0,
    gop: int = 15,
    options: dict[str, str] | None = None,
    channels: int = 2,
    rate_hz: int = 48_000,
) -> str:
    """Write a numbered test pattern and a tone of 440 Hz, with these encoders of FFmpeg; returns the path."""
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream(video, rate=FPS) if video else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            pictures.bit_rate, pictures.gop_size, pictures.options = 200_000, gop, options or {}
        layout = "mono" if channels == 1 else "stereo"
        sound: Any = container.add_stream(audio, rate=rate_hz) if audio else None
        if sound is not None:
            sound.layout = layout
        painter = Painter(WIDTH, HEIGHT)
        shown = heard = 0
        while True:
            video_s = shown / FPS if pictures is not None else float("inf")
            audio_s = heard * _PIECE / rate_hz if sound is not None else float("inf")
            if min(video_s, audio_s) >= seconds:
                break
            if video_s <= audio_s:
                picture = painter.paint(shown, video_s)
                picture.pts, picture.time_base = shown, Fraction(1, FPS)
                packets = pictures.encode(picture)
                shown += 1
            else:
                packets = sound.encode(_tone(heard, rate_hz, layout, channels))
                heard += 1
            container.mux(packets)
        for stream in (pictures, sound):
            if stream is not None:
                container.mux(stream.encode(None))
    return str(path)


def _tone(index: int, rate_hz: int, layout: str, channels: int) -> av.AudioFrame:
    time_s = (index * _PIECE + np.arange(_PIECE)) / rate_hz
    wave = (8000 * np.sin(2 * np.pi * TONE_HZ * time_s)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, channels).reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, index * _PIECE, Fraction(1, rate_hz)
    return frame


class Recorder:
    """A sink; frames and when they came, in microseconds of the monotonic clock. Also takes the end of a source."""

    def __init__(self) -> None:
        self.frames: list[EncodedFrame] = []
        self.times_us: list[int] = []
        self.threads: set[int] = set()
        self.ends: list[str | None] = []

    def __call__(self, frame: EncodedFrame) -> None:
        self.times_us.append(now_us())
        self.frames.append(frame)
        self.threads.add(threading.get_ident())

    def wait(self, count: int, deadline_s: float = 10.0) -> list[EncodedFrame]:
        """The first `count` frames."""
        wait_until_sync(lambda: len(self.frames) >= count, deadline_s, what=f"{count} frames", interval_s=0.005)
        return self.frames[:count]

    def wait_end(self, deadline_s: float = 10.0) -> str | None:
        wait_until_sync(lambda: bool(self.ends), deadline_s, what="the end", interval_s=0.005)
        return self.ends[0]

    def layer(self, rid: str) -> list[EncodedFrame]:
        return [frame for frame in list(self.frames) if frame.rid == rid]

    @property
    def lateness_ms(self) -> list[float]:
        """How long after its capture time each frame came, sorted."""
        pairs = zip(list(self.times_us), list(self.frames), strict=False)
        return sorted((time_us - frame.timestamp_us) / 1000 for time_us, frame in pairs)
