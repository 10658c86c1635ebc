"""Which packets are asked for again, when, how often, and when no more."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.logic.history import PacketHistory
from lknb.logic.nack import MISSING_MAX, REORDER_MAX_S, REQUEST_MAX, NackGenerator
from lknb.wire.rtcp import Nack, build_rtcp, parse_rtcp


def fed(*numbers: int, now: float = 0.0, **options: float) -> NackGenerator:
    nack = NackGenerator(**options)  # type: ignore[arg-type]
    for number in numbers:
        nack.add(number & 0xFFFF, now)
    return nack


def requests(nack: NackGenerator, until: float) -> list[tuple[float, tuple[int, ...]]]:
    """All requests up to a time, polling only at deadlines."""
    out = []
    while (deadline := nack.deadline()) is not None and deadline <= until:
        numbers = nack.poll(deadline)
        if numbers:
            out.append((round(deadline, 4), numbers))
    return out


def test_packets_in_order_ask_for_nothing() -> None:
    nack = fed(*range(65_500, 65_600))
    assert nack.deadline() is None
    assert nack.poll(99.0) == ()
    assert nack.missing == 0


def test_a_hole_is_asked_for_when_it_can_be_no_reordering() -> None:
    nack = NackGenerator(reorder_s=0.01)
    assert not nack.add(10, 1.0)
    assert nack.add(13, 1.0)
    assert nack.deadline() == 1.01
    assert nack.poll(1.009) == ()
    assert nack.poll(1.01) == (11, 12)
    assert nack.poll(1.01) == ()


def test_without_tolerance_a_hole_is_asked_for_at_once() -> None:
    nack = fed(10, 12, now=1.0, reorder_s=0.0)
    assert nack.poll(1.0) == (11,)


@pytest.mark.parametrize("late_s", [0.0, 0.02, 0.0499])
def test_a_packet_late_within_the_tolerance_is_never_asked_for(late_s: float) -> None:
    nack = fed(10, 12, 13, now=1.0, reorder_s=0.05)
    assert nack.poll(1.0 + late_s) == ()
    assert not nack.add(11, 1.0 + late_s)
    assert nack.deadline() is None
    assert nack.poll(2.0) == ()


def test_reordering_by_up_to_50_ms_causes_no_request() -> None:
    random = Random(3)
    arrivals = sorted((n * 0.005 + (random.random() * 0.05 if random.random() < 0.05 else 0), n) for n in range(4000))
    nack = NackGenerator(reorder_s=0.05)
    for at, number in arrivals:
        assert nack.poll(at) == ()
        nack.add(number, at)
    assert nack.missing == 0


def test_a_path_that_reorders_is_given_more_time_and_one_that_loses_less() -> None:
    nack = fed(10, 12, now=1.0)
    nack.add(11, 1.009)
    nack.add(14, 2.0)
    assert nack.deadline() == pytest.approx(2.018)
    nack.add(13, 2.017)
    nack.add(16, 3.0)
    assert nack.deadline() == pytest.approx(3.034)
    for index in range(40):
        nack.poll(4.0 + 2 * index)
        nack.add(18 + 2 * index, 5.0 + 2 * index)
    assert nack.deadline() == pytest.approx(83.01)


def test_the_answer_to_a_request_is_no_reordering() -> None:
    nack = fed(10, 12, now=1.0)
    nack.poll(1.01)
    nack.add(11, 1.05)
    nack.add(14, 2.0)
    assert nack.deadline() == pytest.approx(2.01)


def test_more_time_has_a_bound_but_what_was_asked_for_holds() -> None:
    for reorder_s, tolerance_s in ((0.05, REORDER_MAX_S), (0.2, 0.2)):
        nack = fed(10, 12, now=1.0, reorder_s=reorder_s)
        nack.add(11, 1.049)
        nack.add(14, 2.0)
        assert nack.deadline() == pytest.approx(2.0 + tolerance_s)


def test_reordering_is_learnt_so_that_few_packets_are_asked_for_in_vain() -> None:
    random = Random(3)
    arrivals = sorted((n * 0.005 + (random.random() * 0.05 if random.random() < 0.05 else 0), n) for n in range(20_000))
    nack, in_vain = NackGenerator(), 0
    for at, number in arrivals:
        in_vain += len(nack.poll(at))
        nack.add(number & 0xFFFF, at)
    assert in_vain <= 0.05 * 1000


def test_requests_are_repeated_ever_later_then_given_up() -> None:
    nack = fed(10, 12, attempts=4, retry_s=0.02)
    asked = requests(nack, 10.0)
    assert asked == [(0.01, (11,)), (0.03, (11,)), (0.055, (11,)), (0.0862, (11,))]
    assert nack.missing == 0
    assert nack.take_lost() == (11,)
    assert nack.take_lost() == ()


def test_a_long_round_trip_is_waited_for() -> None:
    nack = fed(10, 12, rtt_s=0.2)
    asked = [at for at, _ in requests(nack, 10.0)]
    assert asked == [0.01, 0.31, 0.685]
    nack = fed(10, 12, rtt_s=0.4)
    assert [at for at, _ in requests(nack, 10.0)] == [0.01, 0.61]


def test_pauses_do_not_grow_for_ever() -> None:
    nack = fed(10, 12, attempts=30, window_s=100.0)
    at = [at for at, _ in requests(nack, 100.0)]
    assert len(at) == 30
    assert at[-1] - at[-2] == pytest.approx(0.4)


def test_what_is_too_old_is_given_up() -> None:
    nack = fed(10, 12, attempts=1000, window_s=0.5)
    assert requests(nack, 10.0)[-1][0] < 0.5
    assert nack.take_lost() == (11,)


def test_a_late_poll_gives_up_what_is_too_old_without_asking() -> None:
    nack = fed(10, 12)
    assert nack.poll(5.0) == ()
    assert nack.take_lost() == (11,)


def test_what_arrives_is_asked_for_no_more() -> None:
    nack = fed(10, 14)
    nack.poll(0.01)
    nack.add(12, 0.02)
    nack.add(12, 0.02)
    assert requests(nack, 0.1)[0][1] == (11, 13)
    nack.add(11, 0.1)
    nack.add(13, 0.1)
    assert nack.deadline() is None


def test_ten_requests_are_made_at_most_unless_told_otherwise() -> None:
    nack = fed(10, 12, window_s=100.0)
    assert len(requests(nack, 100.0)) == 10


def test_holes_across_the_wrap() -> None:
    assert fed(65_535, 2).poll(0.01) == (0, 1)
    nack = fed(65_533, 2)
    assert nack.poll(0.01) == (65_534, 65_535, 0, 1)
    nack.add(65_535, 0.02)
    nack.add(0, 0.02)
    assert nack.poll(0.04) == (65_534, 1)


def test_400_missing_packets_are_asked_for_in_parts_that_fit_a_packet() -> None:
    nack = NackGenerator()
    nack.add(0, 0.0)
    for number in range(2, 802, 2):
        nack.add(number, 0.0)
    first, second, third = (nack.poll(0.01) for _ in range(3))
    assert (len(first), len(second), len(third)) == (REQUEST_MAX, 400 - REQUEST_MAX, 0)
    assert first + second == tuple(range(1, 801, 2))
    for numbers in (first, second):
        packet = build_rtcp([Nack(1, 2, numbers)])
        assert len(packet) < 1100
        (parsed,) = parse_rtcp(packet)
        assert isinstance(parsed, Nack)
        assert parsed.lost == numbers


def test_400_in_one_hole_and_1000_too() -> None:
    for count in (400, MISSING_MAX):
        nack = fed(0, count + 1)
        asked: tuple[int, ...] = ()
        while numbers := nack.poll(0.01):
            asked += numbers
        assert asked == tuple(range(1, count + 1))


def test_a_hole_beyond_that_is_lost_at_once() -> None:
    nack = fed(0, 2)
    assert not nack.add(3 + MISSING_MAX + 1, 0.0)
    assert nack.poll(0.01) == ()
    assert nack.missing == 0
    lost = nack.take_lost()
    assert len(lost) == MISSING_MAX
    assert lost[-1] == 3 + MISSING_MAX


def test_never_more_than_1000_are_missing_and_the_oldest_go() -> None:
    nack = NackGenerator()
    for number in range(0, 2 * MISSING_MAX + 41, 2):
        nack.add(number, 0.0)
    assert nack.missing == MISSING_MAX
    assert nack.take_lost() == tuple(range(1, 41, 2))


def test_what_is_lost_is_kept_for_1000_numbers_only() -> None:
    nack = NackGenerator(attempts=0)
    for number in range(0, 4000, 2):
        nack.add(number & 0xFFFF, 0.0)
        nack.poll(0.01)
    assert len(nack.take_lost()) == MISSING_MAX


def test_a_source_that_begins_anew_is_followed_after_two_packets() -> None:
    nack = fed(10, 12)
    assert not nack.add(30_000, 0.0)
    assert nack.missing == 1
    assert not nack.add(30_001, 0.0)
    assert nack.take_lost() == (11,)
    assert nack.deadline() is None
    nack.add(30_003, 0.0)
    assert nack.poll(0.01) == (30_002,)


def test_a_source_that_begins_anew_behind_is_followed_too() -> None:
    nack = fed(30_000, 20_000, 20_001, 20_003)
    assert nack.poll(0.01) == (20_002,)


def test_a_stray_packet_changes_nothing() -> None:
    nack = fed(10, 12, 30_000, 13, 14)
    assert nack.poll(0.01) == (11,)


def test_nothing_before_a_key_frame_is_asked_for() -> None:
    nack = fed(65_530, 65_533, 3)
    nack.discard_before(1)
    assert nack.poll(0.01) == (1, 2)
    nack.discard_before(3)
    assert nack.deadline() is None
    assert nack.take_lost() == ()


@settings(max_examples=60, deadline=None)
@given(
    first=st.integers(0, 0xFFFF),
    fate=st.lists(st.sampled_from(["comes", "comes", "comes", "lost", "late", "twice"]), min_size=1, max_size=120),
)
def test_exactly_what_is_missing_is_asked_for(first: int, fate: list[str]) -> None:
    nack = NackGenerator(reorder_s=0.0)
    held: list[int] = []
    received: list[int] = []
    for index, what in enumerate(fate):
        number = (first + index) & 0xFFFF
        if what == "lost":
            continue
        if what == "late":
            held.append(number)
            continue
        for _ in range(1 + (what == "twice")):
            nack.add(number, 0.0)
        received.append(index)
    for number in held:
        nack.add(number, 0.0)
        received.append((number - first) & 0xFFFF)
    asked: set[int] = set()
    while numbers := nack.poll(0.0):
        assert len(set(numbers)) == len(numbers) <= REQUEST_MAX
        asked |= set(numbers)
    in_time = [index for index, what in enumerate(fate) if what in ("comes", "twice")]
    begin = min([in_time[0]] if in_time else received, default=0)
    expected = {(first + i) & 0xFFFF for i in range(begin, max(received, default=0)) if i not in received}
    assert asked == expected


@pytest.mark.parametrize(("loss", "most"), [(0.01, 1.5), (0.05, 1.5), (0.1, 1.5), (0.2, 1.5)])
def test_under_loss_both_ways_nearly_all_is_recovered_with_few_resends(loss: float, most: float) -> None:
    """F7: resent at most 1.5 times what is lost; a round trip of 10 ms, 300 packets a second."""
    random = Random(7)
    nack, history = NackGenerator(rtt_s=0.01), PacketHistory(500)
    missing: set[int] = set()
    on_the_way: list[tuple[float, int]] = []
    lost = resent = 0
    for index in range(20_000):
        now = index / 300
        number = index & 0xFFFF
        history.put(number, b"x")
        if random.random() < loss:
            lost += 1
            missing.add(number)
        else:
            nack.add(number, now)
        for wanted in nack.poll(now):
            if random.random() >= loss and history.take(wanted, now, 0.01):
                resent += 1
                if random.random() >= loss:
                    on_the_way.append((now + 0.01, wanted))
        while on_the_way and on_the_way[0][0] <= now:
            nack.add(on_the_way[0][1], now)
            missing.discard(on_the_way.pop(0)[1])
    assert resent <= most * lost
    assert len(missing) <= 0.02 * lost + 5
