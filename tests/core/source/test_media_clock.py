"""Which moment of a file is due when."""

from __future__ import annotations

import threading

import pytest

from lknb.core.source import media_clock
from lknb.core.source.media_clock import MediaClock

NEVER = threading.Event()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time of the clock, to be set by the test."""
    time_us = [1_000_000]
    monkeypatch.setattr(media_clock, "now_us", lambda: time_us[0])
    return time_us


def clock(**settings: bool) -> MediaClock:
    return MediaClock(threading.Condition(), **settings)


def test_play_time_is_due_as_long_after_the_start_as_it_says(now: list[int]) -> None:
    target = clock()
    assert target.position_us is None
    target.set(0)
    now[0] += 300_000
    assert target.position_us == 300_000
    assert target.wait(250_000, 0, NEVER) == 1_250_000


def test_a_pause_moves_everything_behind_it(now: list[int]) -> None:
    target = clock()
    target.set(0)
    now[0] += 100_000
    target.pause()
    now[0] += 5_000_000
    assert target.paused
    assert target.position_us == 100_000
    target.resume()
    target.resume()
    assert target.position_us == 100_000
    assert target.wait(100_000, 0, NEVER) == 6_100_000


def test_a_clock_may_begin_paused(now: list[int]) -> None:
    target = clock(paused=True)
    now[0] += 1_000_000
    target.set(40_000)
    now[0] += 1_000_000
    assert target.position_us == 40_000
    target.resume()
    now[0] += 1
    assert target.position_us == 40_001


def test_far_behind_the_rest_is_moved_instead_of_played_in_a_burst(now: list[int]) -> None:
    target = clock()
    target.set(0)
    now[0] += 400_000
    assert target.wait(0, 0, NEVER) == 1_000_000
    now[0] += 10_000_000
    assert target.wait(0, 0, NEVER) == 11_400_000
    assert target.wait(0, 0, NEVER) == 11_400_000
    assert target.position_us == 0


def test_what_belongs_to_an_older_epoch_is_not_played(now: list[int]) -> None:
    target = clock()
    target.set(0)
    assert target.new_epoch() == 1
    assert target.position_us is None
    assert target.wait(0, 0, NEVER) is None
    target.set(7_000_000)
    assert target.wait(7_000_000, 1, NEVER) == 1_000_000


def test_a_wait_ends_when_it_is_interrupted_or_the_clock_is_set() -> None:
    changed = threading.Condition()
    target = MediaClock(changed)
    interrupted = threading.Event()

    def interrupt() -> None:
        with changed:
            interrupted.set()
            changed.notify_all()

    threading.Timer(0.05, interrupt).start()
    assert target.wait(0, 0, interrupted) is None
    threading.Timer(0.05, target.set, (10,)).start()
    assert target.wait(0, 0, NEVER) is not None
