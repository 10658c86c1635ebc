"""Arrival times -> transport-wide feedback."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.logic.twcc import PACKETS_MAX, PENDING_MAX, TwccRecorder
from lknb.wire.rtcp import TransportFeedback, build_rtcp, parse_rtcp


def told(feedbacks: list[TransportFeedback], first: int = 0) -> dict[int, int | None]:
    """{packets after `first`: arrival in us or None}, through the wire and back."""
    out: dict[int, int | None] = {}
    for feedback in feedbacks:
        data = build_rtcp([feedback])
        assert len(data) < 1000
        (parsed,) = parse_rtcp(data)
        assert isinstance(parsed, TransportFeedback)
        for index, arrival in enumerate(parsed.packets):
            number = (parsed.base_sequence_number + index - first) & 0xFFFF
            out[number] = None if arrival is None else parsed.reference_time_64ms * 64_000 + arrival
    return out


def fed(*packets: tuple[int, int]) -> TwccRecorder:
    recorder = TwccRecorder()
    for number, arrival_us in packets:
        recorder.add(number & 0xFFFF, arrival_us)
    return recorder


def test_nothing_arrived_nothing_to_say() -> None:
    assert TwccRecorder().build(1, 2) == []


def test_arrivals_are_told_once_from_a_reference_time() -> None:
    recorder = fed((10, 640_000), (11, 640_250), (12, 700_000))
    (feedback,) = recorder.build(1, 2)
    assert feedback == TransportFeedback(1, 2, 10, 0, 10, (0, 250, 60_000))
    assert recorder.build(1, 2) == []


def test_a_hole_is_told_as_missing_also_between_two_feedbacks() -> None:
    recorder = fed((10, 1000), (13, 2000))
    assert told(recorder.build(1, 2)) == {10: 1000, 11: None, 12: None, 13: 2000}
    recorder.add(16, 3000)
    assert told(recorder.build(1, 2)) == {14: None, 15: None, 16: 3000}


def test_reordered_packets_have_their_own_times() -> None:
    recorder = fed((10, 1000), (12, 2000), (11, 2500), (13, 3000))
    assert told(recorder.build(1, 2)) == {10: 1000, 11: 2500, 12: 2000, 13: 3000}


def test_one_that_comes_after_it_was_told_missing_is_told_alone() -> None:
    recorder = fed((10, 1000), (14, 2000))
    recorder.build(1, 2)
    for packet in ((11, 70_000), (12, 70_250), (15, 71_000)):
        recorder.add(*packet)
    late, fresh = recorder.build(1, 2)
    assert (late.base_sequence_number, late.packets) == (11, (6000, 6250))
    assert (fresh.base_sequence_number, fresh.packets) == (15, (7000,))
    recorder.add(13, 80_000)
    recorder.add(11, 80_000)
    (late,) = recorder.build(1, 2)
    assert (late.base_sequence_number, late.packets) == (13, (16_000,))


def test_late_ones_next_to_the_fresh_ones_share_a_feedback() -> None:
    recorder = fed((10, 1000), (13, 2000))
    recorder.build(1, 2)
    recorder.add(14, 3000)
    recorder.add(12, 3250)
    assert [f.base_sequence_number for f in recorder.build(1, 2)] == [12, 14]
    recorder = fed((10, 1000), (12, 2000))
    recorder.build(1, 2)
    recorder.add(11, 2250)
    recorder.add(15, 3000)
    recorder.add(13, 3250)
    assert [f.base_sequence_number for f in recorder.build(1, 2)] == [11, 13]


def test_a_duplicate_does_not_count() -> None:
    recorder = fed((10, 1000), (11, 1250), (11, 5000), (10, 6000))
    assert told(recorder.build(1, 2)) == {10: 1000, 11: 1250}
    recorder.add(11, 9000)
    recorder.add(10, 9000)
    assert recorder.build(1, 2) == []


def test_numbers_and_the_count_of_feedbacks_wrap() -> None:
    recorder = TwccRecorder()
    counts = []
    for index in range(400):
        for place in range(400):
            recorder.add((65_000 + index * 400 + place) & 0xFFFF, index * 50_000 + place * 100)
        (feedback,) = recorder.build(1, 2)
        assert feedback.base_sequence_number == (65_000 + index * 400) & 0xFFFF
        assert None not in feedback.packets
        counts.append(feedback.feedback_count)
    assert counts == [index & 0xFF for index in range(400)]


def test_the_reference_time_wraps_after_twelve_days() -> None:
    day_us = 86_400_000_000
    for arrival_us in (12 * day_us, 13 * day_us, 1_700_000_000_000_000):
        (feedback,) = fed((1, arrival_us)).build(1, 2)
        assert feedback.reference_time_64ms == arrival_us // 64_000 & 0xFFFFFF
        assert feedback.packets == (arrival_us % 64_000,)


def test_many_packets_are_split() -> None:
    recorder = fed(*((index, index * 300) for index in range(1000)))
    feedbacks = recorder.build(1, 2)
    assert [len(f.packets) for f in feedbacks] == [PACKETS_MAX, PACKETS_MAX, 200]
    assert [f.feedback_count for f in feedbacks] == [0, 1, 2]
    assert told(feedbacks) == {index: index * 300 // 250 * 250 + (250 if index * 300 % 250 >= 125 else 0)
                               for index in range(1000)}  # fmt: skip


def test_the_widest_steps_stay_below_a_packet() -> None:
    recorder = fed(*((index, (index * 8_000_000) if index % 2 else 0) for index in range(0, 40)))
    assert len(told(recorder.build(1, 2))) == 40
    # every seventh step is a small one, so that the symbols cannot be written as runs
    recorder = fed(*((index, 70_000 * (index - index // 7)) for index in range(PACKETS_MAX)))
    (feedback,) = recorder.build(1, 2)
    assert 850 < len(build_rtcp([feedback])) < 1000


def test_a_silence_of_more_than_8_seconds_begins_a_new_feedback() -> None:
    recorder = fed((1, 1_000_000), (2, 9_100_000), (3, 17_400_000), (5, 17_500_000))
    feedbacks = recorder.build(1, 2)
    assert [f.base_sequence_number for f in feedbacks] == [1, 3]
    assert told(feedbacks) == {1: 1_000_000, 2: 9_100_000, 3: 17_400_000, 4: None, 5: 17_500_000}


def test_a_clock_that_was_set_back_begins_a_new_feedback() -> None:
    recorder = fed((1, 100_000_000), (2, 1_000_000), (3, 1_000_250))
    assert told(recorder.build(1, 2)) == {1: 100_000_000, 2: 1_000_000, 3: 1_000_250}


def test_a_hole_that_fills_a_feedback_moves_to_the_next() -> None:
    recorder = fed(*((index, index * 250) for index in range(390)), (420, 200_000))
    feedbacks = recorder.build(1, 2)
    assert [(f.base_sequence_number, len(f.packets)) for f in feedbacks] == [(0, 390), (390, 31)]


def test_of_a_hole_longer_than_a_feedback_nothing_is_said() -> None:
    recorder = fed((0, 0), (PACKETS_MAX + 1, 250))
    assert told(recorder.build(1, 2)) == {0: 0, PACKETS_MAX + 1: 250}
    recorder.add(5, 500)
    assert recorder.build(1, 2) == []
    recorder.add(2 * PACKETS_MAX + 1, 1000)
    assert len(told(recorder.build(1, 2))) == PACKETS_MAX


def test_a_sender_that_begins_anew_is_followed_after_two_packets() -> None:
    recorder = fed((10, 250), (11, 500), (40_000, 750), (12, 1000))
    assert told(recorder.build(1, 2)) == {10: 250, 11: 500, 12: 1000}
    for packet in ((40_001, 1250), (50_000, 1250), (50_001, 1500), (50_002, 1750)):
        recorder.add(*packet)
    assert told(recorder.build(1, 2)) == {50_001: 1500, 50_002: 1750}


def test_without_anybody_to_fetch_it_only_the_newest_is_kept() -> None:
    recorder = TwccRecorder()
    for index in range(50_000):
        recorder.add(index & 0xFFFF, index * 1000)
    feedbacks = recorder.build(1, 2)
    assert PENDING_MAX // 2 <= sum(len(f.packets) for f in feedbacks) <= PENDING_MAX
    assert told(feedbacks)[49_999] == 49_999_000


def test_only_the_last_thousand_missing_ones_may_come_late() -> None:
    recorder = TwccRecorder()
    for index in range(0, 2900, 2):
        recorder.add(index, index * 250)
    recorder.build(1, 2)
    recorder.add(1, 800_000)
    recorder.add(2801, 800_000)
    assert told(recorder.build(1, 2)) == {2801: 800_000}


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 0xFFFF), seed=st.integers(0, 2**16), loss=st.sampled_from([0.0, 0.1, 0.5]))
def test_every_packet_is_told_as_received_once_at_its_time(first: int, seed: int, loss: float) -> None:
    random = Random(seed)
    arrivals = sorted(
        (index * 1000 + random.randrange(40_000 if random.random() < 0.1 else 900), index)
        for index in range(1, 500)
        if random.random() >= loss
    )
    recorder = fed((first, 0))
    expected: dict[int, int] = {0: 0}
    received: dict[int, int] = {}
    for place, (arrival_us, index) in enumerate(arrivals):
        recorder.add((first + index) & 0xFFFF, arrival_us)
        expected[index] = arrival_us
        if place % 50 == 0:
            for number, at in told(recorder.build(1, 2), first).items():
                if at is not None:
                    assert number not in received
                    received[number] = at
    received |= {n: at for n, at in told(recorder.build(1, 2), first).items() if at is not None}
    assert received.keys() == expected.keys()
    assert all(abs(received[n] - expected[n]) <= 125 for n in expected)
