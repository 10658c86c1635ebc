"""Media files whose every second is known: a colour and a frequency."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.kit.peer import Colour

FPS = 30
RATE_HZ = 48_000
WIDTH, HEIGHT = 320, 180
OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}


def make_stages(
    path: Path,
    stages: Sequence[tuple[Colour, float]],
    *,
    video: str | None = "libx264",
    audio: str | None = "libopus",
    seconds_each: float = 2.0,
    options: dict[str, str] | None = None,
    gop: int = FPS,
) -> str:
    """Write a file that has one colour and one frequency (Hz) after another; the path."""
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream(video, rate=FPS) if video else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            pictures.bit_rate, pictures.gop_size = 400_000, gop
            pictures.options = OPTIONS[video or ""] if options is None else options
        sound: Any = container.add_stream(audio, rate=RATE_HZ, layout="mono") if audio else None
        for stage, (colour, hz) in enumerate(stages):
            begin_s = stage * seconds_each
            picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
            picture[:] = colour
            for number in range(round(seconds_each * FPS)):
                # by turns, so that the file is interleaved
                if pictures is not None:
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    frame.pts, frame.time_base = round(begin_s * FPS) + number, Fraction(1, FPS)
                    container.mux(pictures.encode(frame))
                if sound is not None:
                    first = round((begin_s + number / FPS) * RATE_HZ)
                    time_s = np.arange(first, first + RATE_HZ // FPS) / RATE_HZ
                    wave = (12_000 * np.sin(2 * np.pi * hz * time_s)).astype(np.int16).reshape(1, -1)
                    piece = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
                    piece.sample_rate, piece.pts, piece.time_base = RATE_HZ, first, Fraction(1, RATE_HZ)
                    container.mux(sound.encode(piece))
        for stream in (pictures, sound):
            if stream is not None:
                container.mux(stream.encode(None))
    return str(path)
