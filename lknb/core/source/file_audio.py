"""The sound of a media file."""

from __future__ import annotations

from collections.abc import Callable

from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.audio_encoder import FRAME_SAMPLES, FRAME_US, AudioEncoder, Samples, audio_level
from lknb.codec.clock import AUDIO_CLOCK_HZ, audio_timestamp, now_us
from lknb.codec.resample import FrameResampler
from lknb.codec.sample_queue import SampleQueue
from lknb.core.source.file_playback import FilePlayback
from lknb.core.source.packet_queue import MediaPacket
from lknb.core.source.player import MediaPlayer
from lknb.errors import MediaError, NoSuchStreamError
from lknb.wire.frame import EncodedFrame

_US_PER_S = 1_000_000
_LATE_US = 200_000

# Times in files are rounded, in Matroska to a millisecond; a gap is more than that.
_GAP_US = 100_000


class PassedAudio(FilePlayback):
    """Opus packets sent as they are. They are decoded all the same: the level of each goes with it."""

    def __init__(self, player: MediaPlayer, on_stopped: Callable[[], None]) -> None:
        assert player.audio is not None
        super().__init__(player, "audio", "opus", on_stopped, stereo=player.audio.channels == 2)
        self._decoder = AudioDecoder(1)
        self._next_us: int | None = None

    def _play_packet(self, item: MediaPacket) -> None:
        play_us = item.play_us
        if self._next_us is not None and abs(play_us - self._next_us) < _GAP_US:
            play_us = self._next_us
        self._next_us = play_us + FRAME_US
        due_us = self._wait(play_us)
        if due_us is None or self._muted or now_us() - due_us > _LATE_US:
            return
        frame = EncodedFrame("opus", bytes(item.packet), audio_timestamp(due_us), timestamp_us=due_us)
        try:
            frame.audio_level = audio_level(self._decoder.decode(frame))
        except MediaError:
            # nobody else could decode it either
            return
        self._emit(frame)

    def _forget(self) -> None:
        self._next_us = None


class EncodedAudio(FilePlayback):
    """Sound of any kind, encoded as Opus in one or two channels."""

    def __init__(
        self, player: MediaPlayer, on_stopped: Callable[[], None], *, max_bitrate_bps: int | None, dtx: bool
    ) -> None:
        assert player.audio is not None
        channels = min(2, player.audio.channels or 1)
        super().__init__(player, "audio", "opus", on_stopped, stereo=channels == 2)
        self._encoder = AudioEncoder(channels, bitrate_bps=max_bitrate_bps, dtx=dtx and channels == 1)
        self._decoder = player.audio_decoder()
        self._resampler = FrameResampler(AUDIO_CLOCK_HZ, channels)
        self._samples = SampleQueue(channels)
        self._next_us: int | None = None

    def _play_packet(self, item: MediaPacket) -> None:
        for frame in self._decoder.decode(item.packet):
            if frame.pts is not None and frame.time_base is not None:
                self._align(int(frame.pts * frame.time_base * _US_PER_S) + self._offset_us)
            else:
                self._align(item.play_us)
            self._samples.push(self._resampler.push(frame))
            self._play_samples()

    def _drain(self) -> None:
        for frame in self._decoder.decode(None):
            self._samples.push(self._resampler.push(frame))
        self._samples.push(self._resampler.flush())
        self._play_samples()

    def _finish(self) -> None:
        if len(self._samples):
            self._play_piece(self._samples.pop_padded(FRAME_SAMPLES))

    def _restart(self) -> None:
        self._decoder.flush_buffers()

    def _forget(self) -> None:
        self._restart()
        self._resampler.flush()
        self._samples.clear()
        self._next_us = None

    def _align(self, play_us: int) -> None:
        """Follow the times of the file where they leave the count of samples."""
        play_us -= len(self._samples) * _US_PER_S // AUDIO_CLOCK_HZ
        if self._next_us is None or abs(play_us - self._next_us) > _GAP_US:
            self._next_us = play_us

    def _play_samples(self) -> None:
        while (piece := self._samples.pop(FRAME_SAMPLES)) is not None:
            self._play_piece(piece)

    def _play_piece(self, piece: Samples) -> None:
        assert self._next_us is not None
        due_us = self._wait(self._next_us)
        self._next_us += FRAME_US
        if due_us is None or self._muted or now_us() - due_us > _LATE_US:
            return
        frame = self._encoder.encode(piece, due_us)
        if frame is not None:
            self._emit(frame)


def open_audio(
    player: MediaPlayer, on_stopped: Callable[[], None], *, max_bitrate_bps: int | None, dtx: bool
) -> FilePlayback:
    """The sound of a file, as it is where that is possible. Raises `MediaError`."""
    if player.audio is None:
        raise NoSuchStreamError(f"{player.path!r} holds no sound")
    if player.passes_audio:
        return PassedAudio(player, on_stopped)
    return EncodedAudio(player, on_stopped, max_bitrate_bps=max_bitrate_bps, dtx=dtx)
