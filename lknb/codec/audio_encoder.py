"""20 ms of samples in, one Opus packet out."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeAlias

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from lknb.codec.clock import AUDIO_CLOCK_HZ, audio_timestamp
from lknb.codec.opus import lost_packet
from lknb.errors import FrameError, MediaError
from lknb.wire.frame import AUDIO_LEVEL_SILENT, EncodedFrame

Samples: TypeAlias = NDArray[np.int16]

FRAME_MS = 20
FRAME_US = FRAME_MS * 1000
FRAME_SAMPLES = AUDIO_CLOCK_HZ * FRAME_MS // 1000

_FULL_SCALE = 32768.0
# LiveKit's preset for music, and for speech and music in two channels
_DEFAULT_BITRATE_BPS = {1: 48_000, 2: 96_000}

# Discontinuous transmission: silence for so long, then one packet in so many.
_QUIET_LEVEL = 70
_QUIET_FRAMES_BEFORE = 200 // FRAME_MS
_QUIET_FRAMES_EACH = 400 // FRAME_MS


def audio_level(samples: Samples) -> int:
    """The level of int16 samples of any shape in -dBov as RFC 6464 has it: 0 is the loudest, 127 silence."""
    flat = samples.ravel().astype(np.float32)
    power = float(np.dot(flat, flat)) / max(1, flat.size)
    if power <= 0:
        return AUDIO_LEVEL_SILENT
    level_dbov = 10 * math.log10(power / (_FULL_SCALE * _FULL_SCALE))
    return min(AUDIO_LEVEL_SILENT, max(0, round(-level_dbov)))


class AudioEncoder:
    """Encodes sound of one or two channels at 48,000 Hz, with in-band error correction for 10 % loss. For one thread.

    With `dtx`, 200 ms below -70 dBov end the transmission, but for one packet each 400 ms; the encoder rests
    meanwhile, so that it and the decoder stay in step. (libopus' own DTX cannot be relied on through FFmpeg.) As with
    libwebrtc, a packet of one byte announces each pause, which receivers would take for loss otherwise. Raises
    `MediaError`.
    """

    def __init__(self, channels: int = 1, *, bitrate_bps: int | None = None, dtx: bool = False) -> None:
        if channels not in _DEFAULT_BITRATE_BPS:
            raise MediaError(f"Opus is sent with 1 or 2 channels, not {channels}")
        self.channels = channels
        self._dtx = dtx
        self._quiet_frames = 0
        self._last = b""
        self._position = 0
        self._layout = "mono" if channels == 1 else "stereo"
        self._context = _open_context(self._layout, bitrate_bps or _DEFAULT_BITRATE_BPS[channels])

    def encode(self, samples: Samples, timestamp_us: int) -> EncodedFrame | None:
        """Encode exactly 20 ms, int16 of shape (960, channels), captured at `timestamp_us` microseconds.

        None when there is nothing to send because of silence. Raises `FrameError` for another shape or dtype.
        """
        if samples.shape != (FRAME_SAMPLES, self.channels) or samples.dtype != np.int16:
            expected = f"int16 samples of shape ({FRAME_SAMPLES}, {self.channels})"
            raise FrameError(f"expected {expected}, got {samples.dtype} {samples.shape}")
        level = audio_level(samples)
        pause = self._pause(level) if self._dtx else 0
        if pause > 1:
            return None
        self._last = lost_packet(self._last) if pause else self._compress(samples)
        return EncodedFrame(
            codec="opus",
            data=self._last,
            timestamp=audio_timestamp(timestamp_us),
            timestamp_us=timestamp_us,
            audio_level=level,
        )

    def _compress(self, samples: Samples) -> bytes:
        packed = np.ascontiguousarray(samples).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=self._layout)
        frame.sample_rate = AUDIO_CLOCK_HZ
        frame.time_base = Fraction(1, AUDIO_CLOCK_HZ)
        frame.pts = self._position
        self._position += FRAME_SAMPLES
        try:
            packets = self._context.encode(frame)
        except av.FFmpegError as error:
            raise MediaError(f"Opus encoder failed: {error}") from error
        return b"".join(bytes(packet) for packet in packets)

    def _pause(self, level: int) -> int:
        """The place in a pause of a frame of this level: 0 when it is to be sent, 1 for the first that is not."""
        self._quiet_frames = self._quiet_frames + 1 if level >= _QUIET_LEVEL else 0
        return max(0, self._quiet_frames - _QUIET_FRAMES_BEFORE) % _QUIET_FRAMES_EACH


def _open_context(layout: str, bitrate_bps: int) -> AudioCodecContext:
    try:
        context = av.CodecContext.create("libopus", "w")
    except ValueError as error:
        raise MediaError("this PyAV has no libopus") from error
    context.sample_rate = AUDIO_CLOCK_HZ
    context.layout = layout
    context.format = "s16"
    context.time_base = Fraction(1, AUDIO_CLOCK_HZ)
    context.bit_rate = bitrate_bps
    context.options = {
        # as libwebrtc: speech for one channel, music for two
        "application": "voip" if layout == "mono" else "audio",
        "frame_duration": str(FRAME_MS),
        "vbr": "on",
        "fec": "1",
        "packet_loss": "10",
        "compression_level": "9",
    }
    try:
        context.open()
    except av.FFmpegError as error:
        raise MediaError(f"Opus encoder cannot be opened: {error}") from error
    return context
