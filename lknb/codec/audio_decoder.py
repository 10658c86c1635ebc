"""Opus packets in, samples out, also for packets that never came."""

from __future__ import annotations

from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from lknb import limits
from lknb.codec.audio_encoder import FRAME_SAMPLES, Samples
from lknb.codec.clock import AUDIO_CLOCK_HZ
from lknb.codec.opus import lost_packet
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame


class AudioDecoder:
    """Decodes one stream of Opus to 48,000 Hz in one or two channels, whatever the packets hold. For one thread.

    FFmpeg gives libopus no way to use the in-band error correction of the packet after a loss, so losses are concealed.
    """

    def __init__(self, channels: int = 1) -> None:
        if channels not in (1, 2):
            raise MediaError(f"Opus is decoded to 1 or 2 channels, not {channels}")
        self.channels = channels
        self._previous = b""
        self._context = self._open_context()

    def decode(self, frame: EncodedFrame) -> Samples:
        """The samples of a frame, int16 of shape (n, channels): n is 960 for 20 ms.

        A concealed frame gives 20 ms that continue what was heard, fading, and silence when nothing was yet. Raises
        `MediaError` for a corrupt packet; the next one can be decoded again.
        """
        if frame.codec != "opus":
            raise MediaError(f"expected a packet of opus, got {frame.codec}")
        if not frame.concealed:
            self._check(frame.data)
        elif not self._previous:
            return np.zeros((FRAME_SAMPLES, self.channels), np.int16)
        packet = lost_packet(self._previous) if frame.concealed else frame.data
        try:
            decoded = self._context.decode(av.Packet(packet))
        except av.FFmpegError as error:
            self._context = self._open_context()
            self._previous = b""
            raise MediaError(f"an Opus packet of {len(packet)} bytes cannot be decoded") from error
        if not frame.concealed:
            self._previous = packet[:1]
        pieces = [cast(Samples, piece.to_ndarray()).reshape(-1, self.channels) for piece in decoded]
        return np.concatenate(pieces) if pieces else np.zeros((0, self.channels), np.int16)

    @staticmethod
    def _check(packet: bytes) -> None:
        if not 1 <= len(packet) <= limits.OPUS_PACKET_BYTES:
            raise MediaError(f"an Opus packet has 1 to {limits.OPUS_PACKET_BYTES} bytes, not {len(packet)}")

    def _open_context(self) -> AudioCodecContext:
        try:
            context = av.CodecContext.create("libopus", "r")
        except ValueError as error:
            raise MediaError("this PyAV has no libopus") from error
        context.sample_rate = AUDIO_CLOCK_HZ
        context.layout = "mono" if self.channels == 1 else "stereo"
        context.open()
        return context
