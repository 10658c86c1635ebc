from __future__ import annotations

from lknb.logic.pacer import BURST_S, CATCH_UP_S, QUEUE_S, Pacer

PACKET = bytes(1_000)


def drain(pacer: Pacer, now: float) -> list[tuple[float, bytes]]:
    """Everything that waits, and when it leaves."""
    left = []
    while (deadline := pacer.deadline()) is not None:
        now = max(now, deadline)
        packet = pacer.take(now)
        assert packet is not None
        left.append((now, packet))
    return left


def test_without_a_pace_everything_leaves_at_once() -> None:
    pacer = Pacer()
    for _ in range(100):
        pacer.put(1, PACKET)
    assert [now for now, _ in drain(pacer, 5.0)] == [5.0] * 100
    assert pacer.take(5.0) is None


def test_packets_leave_at_the_pace_after_a_short_burst() -> None:
    pacer = Pacer()
    pacer.rate_bps = 1_600_000  # 5 ms a packet
    pacer.begin(5.0)
    for _ in range(60):
        pacer.put(1, PACKET)
    times = [now for now, _ in drain(pacer, 5.0)]
    assert times[:3] == [5.0, 5.0, 5.0]
    assert abs(times[-1] - (5.0 + 59 * 0.005 - BURST_S)) < 1e-6


def take_late(pacer: Pacer, begin: float, late_s: float) -> float:
    """When the last of 60 packets leaves, if whoever takes them always comes too late."""
    pacer.rate_bps = 1_600_000
    pacer.begin(begin)
    for _ in range(60):
        pacer.put(1, PACKET)
    now = begin
    while (deadline := pacer.deadline()) is not None:
        now = max(now, deadline) + late_s
        while pacer.take(now) is not None:
            pass
    return now


def test_late_timers_do_not_cost_the_pace() -> None:
    due = 5.0 + 59 * 0.005 - BURST_S
    assert take_late(Pacer(), 5.0, 0.04) < due + 0.05
    # and what lies still for longer than that is not sent in one burst
    assert take_late(Pacer(), 5.0, 2 * CATCH_UP_S) > due + 0.1


def test_time_in_which_nothing_waited_is_not_caught_up_with() -> None:
    pacer = Pacer()
    assert abs(take_late(pacer, 5.0, 0.0) - take_late(pacer, 9.0, 0.0) + 4.0) < 1e-6


def test_pictures_that_fit_are_not_held_up() -> None:
    pacer = Pacer()
    pacer.rate_bps = 2_000_000
    for index in range(30):
        now = 5.0 + index / 30
        pacer.put(1, PACKET)
        pacer.put(1, PACKET)
        assert pacer.take(now) is not None
        assert pacer.take(now) is not None


def test_streams_take_turns_and_what_was_lost_goes_first() -> None:
    pacer = Pacer()
    pacer.rate_bps = 100_000
    for index in range(4):
        pacer.put(1, b"big%d" % index)
    pacer.put(2, b"small")
    pacer.put_urgent(1, b"again")
    assert [packet for _, packet in drain(pacer, 1.0)] == [b"again", b"big0", b"small", b"big1", b"big2", b"big3"]


def test_a_stream_can_be_dropped() -> None:
    pacer = Pacer()
    pacer.rate_bps = 1_000
    for _ in range(5):
        pacer.put(1, PACKET)
    pacer.put(2, b"x")
    # what is sent again of it goes with it: it would hold up all that is still wanted
    pacer.put_urgent(1, PACKET)
    assert pacer.waiting(1) == 5
    assert pacer.drop(1) == 5
    assert pacer.drop(1) == pacer.waiting(1) == 0
    assert [packet for _, packet in drain(pacer, 1.0)] == [b"x"]


def test_nothing_waits_longer_than_the_longest_queue() -> None:
    pacer = Pacer()
    pacer.rate_bps = 10_000
    for _ in range(500):
        pacer.put(1, PACKET)
    # the rest shrinks, and with it the pace it is owed: an e-fold in every second
    times = [now for now, _ in drain(pacer, 1.0)]
    assert times[250] < 1.0 + QUEUE_S
    assert times[450] < 1.0 + 3 * QUEUE_S
