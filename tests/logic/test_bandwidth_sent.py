from __future__ import annotations

import pytest

from lknb.logic.bandwidth_sent import SentPackets
from lknb.wire.rtcp import TransportFeedback


def feedback(base: int, *packets: int | None, reference: int = 0) -> TransportFeedback:
    return TransportFeedback(1, 2, base & 0xFFFF, 0, reference & 0xFFFFFF, packets)


def sent(count: int, *, first: int = 1, at_s: float = 10.0, every_s: float = 0.01) -> SentPackets:
    packets = SentPackets()
    for index in range(count):
        packets.add(first + index & 0xFFFF, 100 + index, at_s + index * every_s)
    return packets


def test_feedback_names_packets_by_number_and_gives_their_arrival() -> None:
    report = sent(5).match(feedback(2, 1_000, None, 3_000, reference=10))
    assert [(a.size_bytes, round(a.sent_s, 3), a.arrival_s) for a in report.arrivals] == [
        (101, 10.01, 0.641),
        (103, 10.03, 0.643),
    ]
    assert report.lost == 1


def test_arrivals_come_in_order_of_arrival() -> None:
    report = sent(3).match(feedback(1, 5_000, 1_000, 3_000))
    assert [arrival.size_bytes for arrival in report.arrivals] == [101, 102, 100]


def test_what_is_repeated_or_was_never_sent_says_nothing() -> None:
    packets = sent(3)
    assert len(packets.match(feedback(1, 0, None, 0)).arrivals) == 2
    again = packets.match(feedback(1, 0, None, 0))
    assert (again.arrivals, again.lost) == ([], 0)
    for base in (4, 100, 30_000, 65_530):
        report = packets.match(feedback(base, 0, None, 250))
        assert (report.arrivals, report.lost) == ([], 0)


def test_a_packet_that_was_lost_may_come_after_all_once() -> None:
    packets = sent(2)
    assert packets.match(feedback(1, None, 0)).lost == 1
    assert len(packets.match(feedback(1, 4_000)).arrivals) == 1
    assert packets.match(feedback(1, 4_000)).arrivals == []


@pytest.mark.parametrize("first", [65_530, 0, 40_000])
def test_numbers_wrap(first: int) -> None:
    packets = sent(20, first=first)
    report = packets.match(feedback(first, *range(0, 20_000, 1_000)))
    assert [arrival.size_bytes for arrival in report.arrivals] == list(range(100, 120))
    assert len(packets) == 0


def test_the_receivers_clock_wraps_and_runs_backwards() -> None:
    packets = sent(3)
    last = (1 << 24) - 1
    (before,) = packets.match(feedback(1, 0, reference=last)).arrivals
    (after,) = packets.match(feedback(2, 0, reference=0)).arrivals
    assert after.arrival_s - before.arrival_s == pytest.approx(0.064)
    (earlier,) = packets.match(feedback(3, 0, reference=last - 1)).arrivals
    assert earlier.arrival_s - before.arrival_s == pytest.approx(-0.064)


def test_a_path_that_was_away_has_lost_nothing() -> None:
    packets = sent(60)
    # thirty packets in a row are 0.3 s
    report = packets.match(feedback(1, 0, *[None] * 30, 0, None, None, 0))
    assert (len(report.arrivals), report.lost) == (3, 2)


def test_old_packets_are_forgotten() -> None:
    packets = sent(10)
    packets.add(11, 100, 16.0)
    assert len(packets) == 1
    assert packets.match(feedback(1, *[0] * 11)).arrivals[0].size_bytes == 100
