from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.impair import Conditions, Impairment


def carry(conditions: Conditions, count: int, *, seed: int = 1, gap_s: float = 0.001, size: int = 1000) -> tuple:
    """Send `count` numbered packets, `gap_s` apart; the numbers that arrive with their delays in s, and the path."""
    path = Impairment(conditions, seed)
    arrived: list[tuple[int, float]] = []

    def receive_until(now: float) -> None:
        while (deadline := path.deadline()) is not None and deadline <= now:
            arrived.extend((packet, deadline) for packet in path.receive(deadline))

    for number in range(count):
        receive_until(number * gap_s)
        path.send(number.to_bytes(4, "big") + bytes(size - 4), number * gap_s)
    receive_until(float("inf"))
    numbers = [int.from_bytes(packet[:4], "big") for packet, _ in arrived]
    delays = [moment - number * gap_s for number, (_, moment) in zip(numbers, arrived, strict=True)]
    return numbers, delays, path


def test_a_good_path_delivers_everything_in_order():
    numbers, _, path = carry(Conditions(), 1000)
    assert numbers == list(range(1000))
    assert path.count.delivered == path.count.sent == 1000


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("burst", [1.0, 4.0])
def test_loss_is_what_was_asked_for(loss, burst):
    numbers, _, path = carry(Conditions(loss=loss, burst_packets=burst), 50_000)
    assert path.count.lost / 50_000 == pytest.approx(loss, rel=0.2)
    assert len(numbers) == 50_000 - path.count.lost


@pytest.mark.parametrize("burst", [1.0, 5.0])
def test_bursts_are_as_long_as_was_asked_for(burst):
    numbers, _, _ = carry(Conditions(loss=0.05, burst_packets=burst), 50_000)
    gaps = [after - before - 1 for before, after in itertools.pairwise(numbers) if after - before > 1]
    assert sum(gaps) / len(gaps) == pytest.approx(burst, rel=0.15)


def test_a_dead_path_delivers_nothing():
    assert carry(Conditions(loss=1.0), 100)[0] == []


def test_duplicates_arrive_twice():
    numbers, _, path = carry(Conditions(duplicate=0.1), 10_000)
    assert len(numbers) == 10_000 + path.count.duplicated
    assert path.count.duplicated == pytest.approx(1000, rel=0.2)


def test_reordered_packets_are_late_by_no_more_than_asked_for():
    numbers, delays, path = carry(Conditions(reorder=0.05, reorder_ms=50), 10_000)
    assert sorted(numbers) == list(range(10_000))
    assert numbers != sorted(numbers)
    assert path.count.reordered == pytest.approx(500, rel=0.2)
    assert 0.04 < max(delays) <= 0.0501


def test_jitter_alone_keeps_order():
    numbers, delays, _ = carry(Conditions(jitter_ms=30), 5_000, gap_s=0.001)
    assert numbers == list(range(5_000))
    assert max(delays) == pytest.approx(0.03, abs=0.001)


def test_jitter_adds_to_the_delay():
    _, delays, _ = carry(Conditions(delay_ms=20, jitter_ms=30), 5_000, gap_s=0.04)
    assert min(delays) == pytest.approx(0.02, abs=0.001)
    assert max(delays) == pytest.approx(0.05, abs=0.001)


def test_a_bottleneck_passes_its_rate_and_drops_the_rest():
    # 1000 packets of 1000 bytes in a second are 8 Mbit/s
    numbers, delays, path = carry(Conditions(rate_bps=2_000_000, queue_ms=100), 1000)
    assert len(numbers) == pytest.approx(250 + 25, rel=0.1)
    assert path.count.overflowed == 1000 - len(numbers)
    assert max(delays) == pytest.approx(0.1, rel=0.1)


def test_a_blackout_loses_what_is_under_way_and_what_is_sent():
    path = Impairment(Conditions(delay_ms=100))
    path.send(b"under way", 0.0)
    path.black_out(0.05, 2.0)
    path.send(b"dark", 1.0)
    path.send(b"light", 2.06)
    assert path.receive(10.0) == [b"light"]
    assert path.count.blacked_out == 2


def test_the_same_seed_is_the_same_fate():
    conditions = Conditions(loss=0.1, duplicate=0.1, reorder=0.1, jitter_ms=10)
    assert carry(conditions, 500, seed=7)[:2] == carry(conditions, 500, seed=7)[:2]
    assert carry(conditions, 500, seed=7)[0] != carry(conditions, 500, seed=8)[0]


@given(
    st.builds(
        Conditions,
        loss=st.floats(0, 1),
        burst_packets=st.floats(1, 20),
        duplicate=st.floats(0, 1),
        reorder=st.floats(0, 1),
        delay_ms=st.floats(0, 500),
        jitter_ms=st.floats(0, 100),
        rate_bps=st.sampled_from([0.0, 100_000.0, 1e7]),
    ),
    st.integers(0, 5),
)
def test_every_packet_is_accounted_for(conditions, seed):
    numbers, delays, path = carry(conditions, 60, seed=seed)
    count = path.count
    assert count.sent + count.duplicated == count.lost + count.overflowed + count.blacked_out + count.delivered
    assert len(numbers) == count.delivered
    assert all(delay >= conditions.delay_ms / 1000 - 1e-9 for delay in delays)


@pytest.mark.parametrize("wrong", [{"loss": 1.1}, {"duplicate": -0.1}, {"burst_packets": 0.5}])
def test_conditions_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Conditions(**wrong)
