"""The estimate where the machine is busy and the path is not, and where the path really became narrow."""

from __future__ import annotations

import random

import pytest

from tests.kit.busy_sender import BusyCall, stalls
from tests.kit.impair import Conditions
from tests.kit.sender import Row, mean

WIDE = Conditions(delay_ms=10)
NARROW = Conditions(rate_bps=400_000, delay_ms=10)
STARTS_BPS = [1_000_000, 20_000_000]
"""Over a network, and within a machine."""


def until_all_layers(rows: list[Row]) -> float:
    """Seconds to the first of a second in which all layers are sent; more than there are, if there is none."""
    sent = [row.layers == "qhf" for row in rows]
    return next((index for index in range(len(rows) - 10) if all(sent[index : index + 10])), 9_999) / 10


@pytest.mark.parametrize("start_bps", STARTS_BPS)
@pytest.mark.parametrize("stall_s", [0.3, 1.0])
def test_one_stall_costs_no_layer(start_bps: float, stall_s: float) -> None:
    away = [(10.0, 10.0 + stall_s)]
    call = BusyCall(WIDE, start_bps=start_bps, sender_away=away, receiver_away=away)
    call.run(10.0)
    assert {row.layers for row in call.run(10.0)} == {"qhf"}


@pytest.mark.parametrize("start_bps", STARTS_BPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_stalls_several_times_a_second_cost_no_layer(start_bps: float, seed: int) -> None:
    call = BusyCall(
        WIDE, start_bps=start_bps, sender_away=stalls(seed, 10, 15, 0.05, 0.3),
        receiver_away=stalls(seed + 9, 10, 15, 0.05, 0.3),
    )  # fmt: skip
    call.run(10.0)
    assert {row.layers for row in call.run(15.0)} == {"qhf"}


@pytest.mark.parametrize("start_bps", STARTS_BPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_loop_that_waits_for_its_turn_after_a_send_is_no_queue(start_bps: float, seed: int) -> None:
    source = random.Random(seed)

    def send_s(at_s: float) -> float:
        return min(0.12, 0.004 * source.paretovariate(1.0)) if at_s > 5 and source.random() < 0.1 else 0.0

    call = BusyCall(WIDE, start_bps=start_bps, seed=seed, send_s=send_s)
    call.run(5.0)
    before_bps = call.log[-1].estimate_bps
    rows = call.run(15.0)
    assert min(row.estimate_bps for row in rows) >= before_bps


@pytest.mark.parametrize("seed", [1, 2])
def test_a_receiver_without_room_while_it_is_away_is_back_in_five_seconds(seed: int) -> None:
    call = BusyCall(WIDE, seed=seed, receiver_away=stalls(seed, 10, 15, 0.2, 0.6), room_packets=40)
    call.run(15.6)
    assert call.overflowed > 100
    assert until_all_layers(call.run(10.0)) < 5


@pytest.mark.parametrize("start_bps", STARTS_BPS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_path_that_becomes_narrow_is_seen_in_half_a_second_and_wide_again_in_five(
    start_bps: float, seed: int
) -> None:
    call = BusyCall(WIDE, start_bps=start_bps, seed=seed)
    call.run(10.0)
    call.up.conditions = NARROW
    rows = call.run(20.0)
    assert all("f" not in row.layers for row in rows[5:])
    # the queue is empty again, not fed by what was sent in good faith
    assert max(row.delay_ms for row in rows[10:]) < 150
    assert call.up.count.overflowed < 100
    call.up.conditions = WIDE
    assert until_all_layers(call.run(10.0)) < 5


@pytest.mark.parametrize("start_bps", STARTS_BPS)
def test_a_lost_packet_in_fifty_costs_no_layer(start_bps: float) -> None:
    call = BusyCall(Conditions(delay_ms=10, loss=0.02), start_bps=start_bps)
    call.run(3.0)
    rows = call.run(30.0)
    assert {row.layers for row in rows} == {"qhf"}
    assert mean(rows, "arrived_bps") > 2_100_000
