"""Layer liveness and choice."""

from __future__ import annotations

import pytest

from lknb.logic.layer import CYCLE_S, LayerActivity, choose_layer


def run_cycles(activity: LayerActivity, now: float, packets: list[int]) -> tuple[float, list[bool]]:
    """Feed cycles of so many packets each; whether it was live after each."""
    live = []
    for count in packets:
        for _ in range(count):
            activity.packet()
        now += CYCLE_S
        activity.tick(now)
        live.append(activity.live)
    return now, live


def test_a_layer_is_live_on_its_first_packet() -> None:
    activity = LayerActivity(2)
    assert not activity.live
    assert activity.packet()
    assert activity.live
    assert not activity.packet()


def test_one_bad_cycle_ends_it_and_only_good_ones_in_a_row_bring_it_back() -> None:
    activity = LayerActivity(0)
    activity.packet()
    activity.tick(0.0)
    now, live = run_cycles(activity, 0.0, [3, 0, 1, 1, 1, 1])
    assert live == [True, False, False, False, False, True]
    _, live = run_cycles(activity, now, [0, 1, 1, 0, 1, 1, 1, 1])
    assert live == [False] * 7 + [True]


def test_upper_layers_need_two_packets_a_cycle() -> None:
    activity = LayerActivity(1)
    activity.packet()
    activity.tick(0.0)
    _, live = run_cycles(activity, 0.0, [2, 1, 2, 2, 2, 2])
    assert live == [True, False, False, False, False, True]


def test_after_a_reset_the_next_packet_makes_it_live() -> None:
    activity = LayerActivity(1)
    activity.packet()
    activity.reset()
    assert not activity.live
    assert not activity.tick(99.0)
    assert activity.packet()


@pytest.mark.parametrize(
    ("live", "wanted", "chosen"),
    [([0, 1, 2], 2, 2), ([0, 1, 2], 1, 1), ([0, 2], 1, 0), ([1, 2], 0, 1), ([2], 0, 2), ([], 2, None), ([0], -1, 0)],
)
def test_the_best_live_layer_up_to_the_wanted_one_else_the_lowest(
    live: list[int], wanted: int, chosen: int | None
) -> None:
    assert choose_layer(live, wanted) == chosen
