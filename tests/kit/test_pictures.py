"""What is found out about pictures on their way."""

from __future__ import annotations

import pytest

from tests.kit.pictures import Journey

STEP_MS, STEP = 33.0, 3_000
OFFSETS = {1: 17, 2: 4_294_960_000}


def picture(source, number, *, late_ms=0.0, moved=0, received=False):
    timestamp = STEP * number + moved + (0 if received else OFFSETS[source])
    return {
        "at_ms": STEP_MS * number + late_ms, "source": 9 if received else source, "timestamp": timestamp & 0xFFFFFFFF,
        "key": False, "mark": 1_000 * source + number,
    }  # fmt: skip


def sent(count=200, without=()):
    # the second layer always 50 ms after the first, and once a second and a half
    return [
        picture(source, number, late_ms=50 * (source - 1) + (1_450 if (source, number) == (2, 70) else 0))
        for number in range(count)
        for source in OFFSETS
        if (source, number) not in without
    ]


def got(*pieces, moved=0):
    return [
        picture(source, number, late_ms=100, moved=moved, received=True)
        for source, numbers in pieces
        for number in numbers
    ]


def test_nothing_is_left_out_and_nothing_moved():
    journey = Journey(sent(), got((2, range(5, 60)), (1, range(60, 100)), (2, range(100, 150))))
    assert {picture.left_out for picture in journey.passed} == {0}
    assert {picture.moved for picture in journey.passed} == {0}
    assert [len(stretch) for stretch in journey.stretches()] == [55, 40, 50]
    assert [picture.captured // STEP for picture in journey.passed if picture.begins] == [60, 100]
    assert {picture.arrived_ms - picture.sent_ms for picture in journey.passed[:55]} == {50.0}


def test_a_picture_of_both_layers_is_not_left_out():
    journey = Journey(sent(), got((1, range(60)), (2, range(58, 100))))
    assert {picture.left_out for picture in journey.passed} == {0}


def test_what_was_sent_and_did_not_arrive_is_left_out():
    journey = Journey(sent(), got((1, range(60)), (2, range(64, 80)), (2, range(82, 90))))
    assert [(p.captured // STEP, p.left_out, p.begins) for p in journey.passed if p.left_out] == [
        (64, 4, True),
        (82, 2, False),
    ]


def test_what_was_not_sent_is_not_left_out():
    journey = Journey(sent(without={(1, 60), (1, 61), (1, 62)}), got((1, range(60)), (2, range(63, 80))))
    assert {picture.left_out for picture in journey.passed} == {0}


def test_pictures_that_are_put_at_a_later_time_are_seen():
    journey = Journey(sent(), [*got((1, range(60))), *got((2, range(60, 90)), moved=900)])
    assert {picture.moved for picture in journey.stretches()[0]} == {0}
    assert {picture.moved for picture in journey.stretches()[1]} == {900}


def test_pictures_since_a_moment_are_counted():
    journey = Journey(sent(), got((1, range(60)), (2, range(64, 80))))
    assert journey.taken_since(STEP_MS * 60 - 1, journey.stretches()[1][0]) == 5


def test_what_nobody_sent_is_told():
    with pytest.raises(AssertionError, match="nobody sent this"):
        Journey(sent(50), got((1, range(60))))
