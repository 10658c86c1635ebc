"""Audio levels -> who speaks, by LiveKit's figures (pkg/sfu/audio/audiolevel_test.go has the same cases)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.speaker import ACTIVE_THRESHOLD, AudioLevel, Speaker, SpeakerBoard


def linear(level: float) -> float:
    return 10 ** (-level / 20)


def observe(meter: AudioLevel, level: int, packets: int, now: float = 0.0) -> float:
    for _ in range(packets):
        meter.observe(level, 20, now)
        now += 0.02
    return now


def test_nobody_speaks_at_first() -> None:
    assert AudioLevel().level(0.0) == 0.0


def test_speech_counts_only_after_400_ms() -> None:
    meter = AudioLevel()
    now = observe(meter, 30, 19)
    assert meter.level(now) == 0.0
    now = observe(meter, 30, 1, now)
    assert meter.level(now) == pytest.approx(linear(30) * 2 / 3)
    assert meter.level(now) >= ACTIVE_THRESHOLD


def test_silence_is_none() -> None:
    meter = AudioLevel()
    now = observe(meter, 127, 40)
    assert meter.level(now) == 0.0


def test_35_is_speech_and_36_is_not() -> None:
    meter = AudioLevel()
    now = observe(meter, 36, 20)
    assert meter.level(now) == 0.0
    observe(meter, 35, 60, now)
    assert meter.level(now + 1.2) == pytest.approx(linear(35) * (1 - (1 / 3) ** 3))


def test_speech_in_less_than_40_percent_of_the_time_is_noise() -> None:
    meter = AudioLevel()
    now = observe(meter, 20, 7)
    now = observe(meter, 127, 13, now)
    assert meter.level(now) == 0.0


def test_a_window_partly_speech_counts_for_less() -> None:
    meter = AudioLevel()
    now = observe(meter, 25, 8)
    now = observe(meter, 127, 12, now)
    adjusted = 25 - 20 * math.log10(160 / 400)
    assert meter.level(now) == pytest.approx(linear(adjusted) * 2 / 3)


def test_the_loudest_packet_of_a_window_decides() -> None:
    meter = AudioLevel()
    now = observe(meter, 30, 10)
    now = observe(meter, 15, 1, now)
    now = observe(meter, 30, 9, now)
    assert meter.level(now) == pytest.approx(linear(15) * 2 / 3)


def test_levels_are_smoothed_over_two_windows_and_silence_is_not() -> None:
    meter = AudioLevel()
    now = observe(meter, 20, 20)
    first = meter.level(now)
    now = observe(meter, 20, 20, now)
    assert meter.level(now) == pytest.approx(first + (linear(20) - first) * 2 / 3)
    now = observe(meter, 127, 20, now)
    assert meter.level(now) == 0.0


def test_a_level_is_stale_after_800_ms() -> None:
    meter = AudioLevel()
    now = observe(meter, 20, 20) - 0.02
    assert meter.level(now + 0.799) > 0.0
    assert meter.level(now + 0.8) == 0.0
    assert meter.level(now) == 0.0


def test_a_stale_window_is_not_continued() -> None:
    meter = AudioLevel()
    now = observe(meter, 20, 19)
    meter.level(now + 1.0)
    observe(meter, 20, 1, now + 1.0)
    assert meter.level(now + 1.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 127), st.sampled_from([2.5, 10, 20, 60, 400, 1000])), max_size=80))
def test_a_level_stays_between_silence_and_what_the_durations_allow(packets: list[tuple[int, float]]) -> None:
    meter = AudioLevel()
    for level, duration_ms in packets:
        meter.observe(level, duration_ms, 0.0)
        assert 0.0 <= meter.level(0.0) <= 1400 / 400


def test_the_room_is_told_changes_only_loudest_first() -> None:
    board = SpeakerBoard()
    assert board.update({"PA_a": 0.05, "PA_b": 0.3}) == (
        Speaker("PA_b", 0.375, True),
        Speaker("PA_a", 0.125, True),
    )
    assert board.update({"PA_a": 0.06, "PA_b": 0.37}) == ()
    assert board.update({"PA_a": 0.2, "PA_b": 0.37}) == (Speaker("PA_a", 0.25, True),)
    assert board.active == (Speaker("PA_b", 0.375, True), Speaker("PA_a", 0.25, True))


def test_who_stopped_is_told_once_with_level_0() -> None:
    board = SpeakerBoard()
    board.update({"PA_a": 0.5, "PA_b": 0.5})
    assert board.update({"PA_a": 0.001}) == (Speaker("PA_a", 0.0, False), Speaker("PA_b", 0.0, False))
    assert board.update({"PA_a": 0.001}) == ()
    assert board.active == ()


def test_who_left_is_not_told() -> None:
    board = SpeakerBoard()
    board.update({"PA_a": 0.5})
    board.forget("PA_a")
    board.forget("PA_unknown")
    assert board.update({}) == ()


@pytest.mark.parametrize(("level", "told"), [(ACTIVE_THRESHOLD, 0.125), (0.125, 0.125), (0.126, 0.25), (1.0, 1.0)])
def test_levels_are_rounded_up_to_eighths(level: float, told: float) -> None:
    assert SpeakerBoard().update({"PA_a": level}) == (Speaker("PA_a", told, True),)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1)), max_size=20))
def test_changes_add_up_to_what_is_active(rounds: list[dict[str, float]]) -> None:
    board = SpeakerBoard()
    known: dict[str, Speaker] = {}
    for levels in rounds:
        for speaker in board.update(levels):
            assert known.get(speaker.sid) != speaker
            if speaker.active:
                known[speaker.sid] = speaker
            else:
                del known[speaker.sid]
        assert known == {speaker.sid: speaker for speaker in board.active}
        assert known.keys() == {sid for sid, level in levels.items() if level >= ACTIVE_THRESHOLD}
