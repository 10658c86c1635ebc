"""Sound of a remote track, decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.clock import AUDIO_CLOCK_HZ, now_us
from lknb.codec.resample import Resampler
from lknb.codec.sample_queue import SampleQueue
from lknb.errors import FrameError, MediaError
from lknb.rtc.argument import check_whole, is_whole
from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.frame_reader import FrameReader
from lknb.rtc.media_stream import MediaStream, ReadableParticipant
from lknb.rtc.track_flow import ReadableTrack
from lknb.wire.frame import EncodedFrame

_DEFAULT_FRAME_MS = 10
_MAX_FRAME_MS = 1_000
_KEPT_S = 10.0
_US_PER_S = 1_000_000

# A sender of discontinuous transmission is silent for 400 ms at most between two packets; longer is a mute, or a new
# start.
_MAX_SILENCE_SAMPLES = 2 * AUDIO_CLOCK_HZ


@dataclass
class AudioFrameEvent:
    """A piece of sound that was received."""

    frame: AudioFrame
    timestamp_us: int = 0
    """When it was captured: the sender's clock, brought onto the monotonic clock of this machine, in microseconds."""

    @property
    def age(self) -> float:
        """Seconds since it was captured, what the network takes on average not counted: how far behind the reader
        is."""
        return max(0.0, (now_us() - self.timestamp_us) / _US_PER_S)


@dataclass
class NoiseCancellationOptions:
    """Names a noise cancellation module of LiveKit Cloud. lknb has none: a stream with it cannot be made."""

    module_id: str
    options: dict[str, object]


class FrameProcessor(Protocol):
    """Something that changes each frame, as `livekit.rtc.FrameProcessor`."""

    @property
    def enabled(self) -> bool: ...

    def _process(self, frame: AudioFrame) -> AudioFrame: ...

    def _close(self) -> None: ...


class SoundDecoder:
    """Decodes the packets of a track into frames of one size, with silence where the sender sent nothing."""

    needs_keyframe = False

    def __init__(self, sample_rate_hz: int, channels: int, frame_ms: int) -> None:
        self._rate_hz = sample_rate_hz
        self._channels = channels
        self._frame_samples = sample_rate_hz * frame_ms // 1000
        self._decoder = AudioDecoder(channels)
        self._resampler = Resampler(AUDIO_CLOCK_HZ, channels, sample_rate_hz, channels)
        self._samples = SampleQueue(channels)
        self._expected: int | None = None

    def push(self, frame: EncodedFrame) -> Iterator[AudioFrameEvent]:
        """The frames a packet completes. Raises `MediaError`."""
        samples = self._decoder.decode(frame)
        silence = 0 if self._expected is None else frame.timestamp - self._expected
        self._expected = frame.timestamp + len(samples)
        if 0 < silence <= _MAX_SILENCE_SAMPLES:
            samples = np.concatenate((np.zeros((silence, self._channels), np.int16), samples))
        end_us = frame.timestamp_us + (self._expected - frame.timestamp) * _US_PER_S // AUDIO_CLOCK_HZ
        self._samples.push(self._resampler.push(samples))
        while True:
            timestamp_us = end_us - len(self._samples) * _US_PER_S // self._rate_hz
            piece = self._samples.pop(self._frame_samples)
            if piece is None:
                return
            sound = AudioFrame(piece.tobytes(), self._rate_hz, self._channels, self._frame_samples)
            yield AudioFrameEvent(sound, timestamp_us)

    def restart(self) -> None:
        """Packets were left out: nothing is filled in for them."""
        self._expected = None
        self._samples.clear()


class AudioStream(MediaStream[AudioFrameEvent, AudioFrameEvent]):
    """`async for event in AudioStream(track): event.frame.to_ndarray()`.

    Frames of `frame_size_ms` (10) at `sample_rate` Hz with 1 or 2 `num_channels`. Whoever reads slowly loses nothing
    for 10 seconds, or for `capacity` frames; then the oldest go.
    """

    _kind = TrackKind.KIND_AUDIO

    def __init__(
        self,
        track: ReadableTrack | None,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        sample_rate: int = 48000,
        num_channels: int = 1,
        frame_size_ms: int | None = None,
        noise_cancellation: NoiseCancellationOptions | FrameProcessor | None = None,
        auto_close_noise_cancellation: bool = True,
        *,
        participant: ReadableParticipant | None = None,
        track_source: TrackSource | int | None = None,
    ) -> None:
        """`loop` has no effect: the stream belongs to whoever iterates it.

        Raises `TrackError` for a track that is no audio, `FrameError` for a rate, channels or a size that cannot be
        had, `MediaError` for `NoiseCancellationOptions`, and TypeError or ValueError for what is none of these.
        """
        super().__init__(track, participant, track_source)
        check_whole("capacity", capacity, 0)
        # 0 is the default, as in livekit.rtc
        self._frame_ms = frame_size_ms or _DEFAULT_FRAME_MS
        if not is_whole(self._frame_ms) or not 1 <= self._frame_ms <= _MAX_FRAME_MS:
            raise FrameError(f"expected frames of 1 to {_MAX_FRAME_MS} ms, in whole numbers, got {frame_size_ms!r}")
        # a rate or channels that cannot be had are told here, not in the first iteration
        Resampler(AUDIO_CLOCK_HZ, num_channels, sample_rate, num_channels)
        if isinstance(noise_cancellation, NoiseCancellationOptions):
            raise MediaError(
                "noise cancellation modules of LiveKit Cloud do not run in lknb; pass a FrameProcessor or None"
            )
        if noise_cancellation is not None and not callable(getattr(noise_cancellation, "_process", None)):
            raise TypeError(f"noise_cancellation is a FrameProcessor or None, not {noise_cancellation!r}")
        self._sample_rate_hz = sample_rate
        self._channels = num_channels
        self._kept = capacity if capacity > 0 else max(1, round(_KEPT_S * 1000 / self._frame_ms))
        self._processor = noise_cancellation
        self._closes_processor = auto_close_noise_cancellation

    @classmethod
    def from_track(
        cls,
        *,
        track: ReadableTrack,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        sample_rate: int = 48000,
        num_channels: int = 1,
        frame_size_ms: int | None = None,
        noise_cancellation: NoiseCancellationOptions | FrameProcessor | None = None,
        auto_close_noise_cancellation: bool = False,
    ) -> AudioStream:
        """The sound of a track."""
        return cls(
            track,
            loop,
            capacity,
            sample_rate,
            num_channels,
            frame_size_ms,
            noise_cancellation,
            auto_close_noise_cancellation,
        )

    @classmethod
    def from_participant(
        cls,
        *,
        participant: ReadableParticipant,
        track_source: TrackSource | int,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        sample_rate: int = 48000,
        num_channels: int = 1,
        frame_size_ms: int | None = None,
        noise_cancellation: NoiseCancellationOptions | FrameProcessor | None = None,
        auto_close_noise_cancellation: bool = True,
    ) -> AudioStream:
        """The sound of whatever track a participant has from this source, now and later."""
        return cls(
            None,
            loop,
            capacity,
            sample_rate,
            num_channels,
            frame_size_ms,
            noise_cancellation,
            auto_close_noise_cancellation,
            participant=participant,
            track_source=track_source,
        )

    def __aiter__(self) -> AudioStream:
        return self

    async def aclose(self) -> None:
        """Stop reading; an iteration that waits ends. Harmless twice."""
        was_closed = self._closed
        await super().aclose()
        if self._processor is not None and self._closes_processor and not was_closed:
            self._processor._close()

    def _new_reader(self, track: ReadableTrack) -> FrameReader[AudioFrameEvent]:
        decoder = SoundDecoder(self._sample_rate_hz, self._channels, self._frame_ms)
        return FrameReader(track, decoder, kept=self._kept)

    def _event(self, result: AudioFrameEvent) -> AudioFrameEvent:
        if self._processor is not None and self._processor.enabled:
            result.frame = self._processor._process(result.frame)
        return result
