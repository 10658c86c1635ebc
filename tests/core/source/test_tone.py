"""The tone as a source."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from lknb.codec.audio_decoder import AudioDecoder
from lknb.core.source.tone import Tone
from lknb.errors import MediaError
from tests.codec.content import frequency_hz
from tests.core.source.media import Recorder
from tests.kit.poll import TIME_FACTOR, wait_until_sync


def test_packets_come_every_20_ms_without_drift_or_gap() -> None:
    source, recorder = Tone(), Recorder()
    source.start(recorder)
    frames = recorder.wait(40)
    source.stop()
    for (earlier, later), came_us in zip(itertools.pairwise(frames), recorder.times_us[1:], strict=False):
        step = later.timestamp - earlier.timestamp
        # a machine that was so late that these would all have come at once leaves them out
        was_late = came_us - earlier.timestamp_us > 6 * 20_000
        assert step == 960 or (was_late and step % 960 == 0)
    assert recorder.lateness_ms[len(recorder.frames) // 2] < 15 * TIME_FACTOR
    assert (source.kind, source.codec, source.width, source.rids) == ("audio", "opus", 0, ())


@pytest.mark.parametrize("hz", [440.0, 1000.0])
def test_the_tone_has_its_frequency_and_its_volume(hz: float) -> None:
    source, recorder = Tone(frequency_hz=hz, volume=0.5), Recorder()
    source.start(recorder)
    frames = recorder.wait(30)
    source.stop()
    decoder = AudioDecoder()
    sound = np.concatenate([decoder.decode(frame) for frame in frames])[9600:]
    assert frequency_hz(sound) == pytest.approx(hz, abs=5)
    assert np.abs(sound.astype(int)).max() == pytest.approx(16_384, rel=0.2)
    # 0.5 of full scale is -6 dBFS at its peak, and a sine 3 dB less on average
    assert frames[10].audio_level == 9


def test_beeps_begin_on_the_multiples_of_their_time() -> None:
    source, recorder = Tone(beep_every_s=0.4, beep_s=0.1), Recorder()
    source.start(recorder)
    frames = recorder.wait(60)
    source.stop()
    for frame in frames:
        since_us = frame.timestamp_us % 400_000
        if since_us < 80_000:
            assert frame.audio_level < 40
        elif 100_000 <= since_us < 380_000:
            assert frame.audio_level == 127


def test_the_volume_can_be_changed() -> None:
    source, recorder = Tone(volume=0.0), Recorder()
    source.start(recorder)
    recorder.wait(3)
    assert {frame.audio_level for frame in recorder.frames} == {127}
    source.control("volume", volume=1.0)
    wait_until_sync(lambda: recorder.frames[-1].audio_level == 3)
    with pytest.raises(MediaError, match="0 to 1, not 2"):
        source.control("volume", volume=2)
    source.stop()


def test_muting_stops_packets_and_not_the_clock() -> None:
    source, recorder = Tone(), Recorder()
    source.start(recorder)
    recorder.wait(3)
    source.control("mute", muted=True)
    time.sleep(0.3)  # so long that of what was due meanwhile most is too old to be made up for
    held = len(recorder.frames)
    source.control("mute", muted=False)
    recorder.wait(held + 3)
    source.stop()
    gap = recorder.frames[held].timestamp - recorder.frames[held - 1].timestamp
    assert gap > 5 * 960
    assert gap % 960 == 0


@pytest.mark.parametrize(
    "parameters", [{"frequency_hz": 0}, {"frequency_hz": 30_000}, {"volume": 2}, {"beep_every_s": -1}, {"beep_s": 0}]
)
def test_what_cannot_sound_is_refused(parameters: dict[str, float]) -> None:
    with pytest.raises(MediaError):
        Tone(**parameters)  # type: ignore[arg-type]
