"""Opus packets in, samples out, also for those that never came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.codec.audio_decoder import AudioDecoder
from lknb.codec.audio_encoder import FRAME_SAMPLES, AudioEncoder
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame
from tests.codec.content import frequency_hz, sine

LOST = EncodedFrame("opus", b"", 0, concealed=True)


def packets(count: int, channels: int = 1, **tone: float) -> list[EncodedFrame]:
    encoder = AudioEncoder(channels)
    sound = sine(count, channels=channels, **tone).reshape(count, FRAME_SAMPLES, channels)
    frames = [encoder.encode(piece, index * 20_000) for index, piece in enumerate(sound)]
    return [frame for frame in frames if frame is not None]


@pytest.mark.parametrize("sent", [1, 2])
@pytest.mark.parametrize("heard", [1, 2])
def test_channels_are_what_was_asked_for_whatever_was_sent(sent: int, heard: int) -> None:
    decoder = AudioDecoder(heard)
    pieces = [decoder.decode(frame) for frame in packets(25, sent)]
    assert {piece.shape for piece in pieces} == {(FRAME_SAMPLES, heard)}
    assert {piece.dtype for piece in pieces} == {np.dtype(np.int16)}
    sound = np.concatenate(pieces[5:])
    assert frequency_hz(sound) == pytest.approx(440, abs=5)
    for channel in range(heard):
        assert 6000 < np.abs(sound[:, channel].astype(int)).max() < 11_000


def test_a_lost_packet_is_concealed_with_what_was_heard() -> None:
    decoder = AudioDecoder()
    for frame in packets(30):
        decoder.decode(frame)
    concealed = decoder.decode(LOST)
    assert concealed.shape == (FRAME_SAMPLES, 1)
    assert np.abs(concealed.astype(int)).max() > 1000


def test_a_long_loss_fades_into_silence() -> None:
    decoder = AudioDecoder()
    for frame in packets(30):
        decoder.decode(frame)
    loudness = [int(np.abs(decoder.decode(LOST).astype(int)).max()) for _ in range(60)]
    assert loudness[-1] < 100 < loudness[0]


def test_a_loss_before_anything_was_heard_is_silence() -> None:
    assert not AudioDecoder(2).decode(LOST).any()


def test_sound_goes_on_after_a_loss() -> None:
    decoder = AudioDecoder()
    pieces = [decoder.decode(LOST if index in (20, 21) else frame) for index, frame in enumerate(packets(60))]
    assert frequency_hz(np.concatenate(pieces[30:])) == pytest.approx(440, abs=5)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=0, max_size=1500))
def test_hostile_packets_give_samples_or_a_media_error(data: bytes) -> None:
    decoder = AudioDecoder()
    frame, *_ = packets_of_one
    decoder.decode(frame)
    try:
        samples = decoder.decode(replace(frame, data=data))
    except MediaError:
        pass
    else:
        assert samples.ndim == 2
        # never more than the 120 ms an Opus packet may hold
        assert len(samples) <= 6 * FRAME_SAMPLES
    assert len(decoder.decode(frame)) == FRAME_SAMPLES
    assert len(decoder.decode(LOST)) == FRAME_SAMPLES


packets_of_one = packets(1)


def test_empty_oversized_and_foreign_packets_are_refused() -> None:
    with pytest.raises(MediaError, match="1 to 7650 bytes, not 0"):
        AudioDecoder().decode(EncodedFrame("opus", b"", 0))
    with pytest.raises(MediaError, match="not 8000"):
        AudioDecoder().decode(EncodedFrame("opus", bytes(8000), 0))
    with pytest.raises(MediaError, match="expected a packet of opus, got vp8"):
        AudioDecoder().decode(EncodedFrame("vp8", b"\0", 0))
    with pytest.raises(MediaError, match="1 or 2 channels"):
        AudioDecoder(3)
