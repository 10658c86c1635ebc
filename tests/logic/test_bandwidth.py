"""The estimate of a sender over modelled paths, in simulated time. The figures of all runs: `tests/bench/bandwidth.py`."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lknb.logic.bandwidth import BandwidthEstimator
from lknb.logic.bandwidth_rate import MAX_BPS, MIN_BPS
from lknb.logic.bandwidth_sent import PACKETS_MAX
from lknb.wire.rtcp import Remb, TransportFeedback
from tests.kit.impair import Conditions
from tests.kit.sender import Call, Row, mean

ONE_LAYER = {"": 5_000_000}
"""An encoder that can fill any of these paths."""


def arrived_bps(rows: list[Row]) -> float:
    return mean(rows, "arrived_bps")


def worst_delay_ms(rows: list[Row]) -> float:
    return max(row.delay_ms for row in rows)


@pytest.mark.parametrize("delay_ms", [1, 50, 100])
def test_a_path_without_limit_carries_all_layers_within_a_second(delay_ms: float) -> None:
    call = Call(Conditions(delay_ms=delay_ms))
    call.run(1.0)
    assert call.log[-1].layers == "qhf"
    rows = call.run(4.0)
    assert {row.layers for row in rows} == {"qhf"}
    assert arrived_bps(rows) > 2_200_000
    assert worst_delay_ms(rows) < delay_ms + 5


@pytest.mark.parametrize("rate_bps", [300_000, 1_000_000, 3_000_000])
def test_a_limit_is_found_within_four_seconds_and_kept(rate_bps: float) -> None:
    call = Call(Conditions(rate_bps=rate_bps, delay_ms=20), layers_bps=ONE_LAYER)
    call.run(5.0)
    rows = call.run(40.0)
    assert 0.72 * rate_bps < arrived_bps(rows) <= 1.01 * rate_bps
    assert all(0.6 * rate_bps < row.estimate_bps < 1.3 * rate_bps for row in rows)
    # a queue of 200 ms is there to be filled
    assert mean(rows, "delay_ms") < 90
    assert worst_delay_ms(rows) < 220
    # what is lost is lost while the limit is sought
    assert call.up.count.overflowed < 120


def test_a_long_path_is_no_worse() -> None:
    call = Call(Conditions(rate_bps=1_000_000, delay_ms=100), layers_bps=ONE_LAYER)
    call.run(6.0)
    rows = call.run(30.0)
    assert arrived_bps(rows) > 720_000
    assert mean(rows, "delay_ms") < 200


def test_a_queue_too_short_to_be_seen_in_the_delay_shows_in_the_losses() -> None:
    call = Call(Conditions(rate_bps=1_000_000, delay_ms=20, queue_ms=20), layers_bps=ONE_LAYER)
    call.run(5.0)
    sent, lost = call.up.count.sent, call.up.count.overflowed
    rows = call.run(20.0)
    assert arrived_bps(rows) > 600_000
    assert (call.up.count.overflowed - lost) / (call.up.count.sent - sent) < 0.08


def test_a_limit_that_comes_and_goes_is_followed_down_at_once_and_up_within_ten_seconds() -> None:
    call = Call(Conditions(delay_ms=20))
    call.run(5.0)
    call.up.conditions = Conditions(rate_bps=500_000, delay_ms=20)
    call.run(1.0)
    rows = call.run(14.0)
    assert rows[0].estimate_bps < 600_000
    assert {row.layers for row in rows[10:]} <= {"q", "qh"}
    assert worst_delay_ms(rows[10:]) < 200
    call.up.conditions = Conditions(delay_ms=20)
    rows = call.run(10.0)
    assert rows[-1].layers == "qhf"


def test_a_start_far_above_the_limit_is_over_in_a_second() -> None:
    call = Call(Conditions(rate_bps=300_000, delay_ms=1), start_bps=20_000_000)
    call.run(1.0)
    rows = call.run(10.0)
    assert {row.layers for row in rows} == {"q"}
    assert all(row.estimate_bps < 450_000 for row in rows)
    assert worst_delay_ms(rows[10:]) < 150


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.2])
def test_random_loss_without_a_queue_does_not_end_the_call(loss: float) -> None:
    call = Call(Conditions(loss=loss, delay_ms=20))
    call.run(5.0)
    rows = call.run(20.0)
    assert [row.layers for row in rows].count("qhf") > 0.95 * len(rows)
    assert arrived_bps(rows) > 0.9 * (1 - loss) * 2_300_000


def test_losses_of_a_full_queue_are_not_taken_for_random_ones() -> None:
    # two layers do not fit, at a rate that is below the estimate of the start
    call = Call(Conditions(rate_bps=500_000, delay_ms=20))
    call.run(10.0)
    assert call.up.count.overflowed < 150


@pytest.mark.parametrize("loss", [0.1, 0.2])
def test_a_limit_is_found_behind_random_loss(loss: float) -> None:
    call = Call(Conditions(loss=loss, rate_bps=1_000_000, delay_ms=20), layers_bps=ONE_LAYER)
    call.run(10.0)
    rows = call.run(50.0)
    assert arrived_bps(rows) > 0.8 * (1 - loss) * 1_000_000
    assert mean(rows, "delay_ms") < 90


def test_bursts_of_others_are_given_way_to_and_outlived() -> None:
    path = Conditions(rate_bps=3_000_000, delay_ms=20)
    call = Call(path, competing=lambda at_s: 2_000_000 if at_s % 20 > 14 else 0)
    call.run(14.0)
    assert call.log[-1].layers == "qhf"
    busy = call.run(6.0)
    assert mean(busy[20:], "arrived_bps") < 1_600_000
    assert mean(busy[20:], "delay_ms") < 170
    free = call.run(13.0)
    assert free[-1].layers == "qhf"


def test_a_path_that_was_away_is_used_again_at_once() -> None:
    call = Call(Conditions(delay_ms=20))
    call.run(5.0)
    call.up.black_out(call.now, 2.0)
    call.run(2.5)
    assert mean(call.run(1.0), "arrived_bps") > 2_000_000


def test_a_receiver_that_falls_silent_is_sent_less_until_it_speaks() -> None:
    call = Call(Conditions(delay_ms=20))
    call.run(5.0)
    before = call.log[-1].estimate_bps
    call.down.conditions = replace(call.down.conditions, loss=1.0)
    call.run(8.0)
    assert call.log[-1].estimate_bps < 0.5 * before
    call.down.conditions = replace(call.down.conditions, loss=0.0)
    assert call.run(3.0)[-1].layers == "qhf"


def test_a_radio_that_pauses_costs_easy_pictures_no_layer() -> None:
    # far less is sent than may be: every pause of the path looks as if that had been too much
    call = Call(Conditions(delay_ms=10, jitter_ms=3), used=0.4, stalled=lambda at_s: at_s > 2 and at_s % 1.3 < 0.06)
    call.run(2.0)
    rows = call.run(60.0)
    assert {row.layers for row in rows} == {"qhf"}
    assert worst_delay_ms(rows) > 60


def test_short_bursts_over_a_path_with_pauses_do_not_show_more_than_there_is() -> None:
    # pictures that leave half of the path unused: all that is known of it, eight packets have told
    estimates_bps: list[float] = []
    for seed in range(16):
        turns = random.Random(seed)
        pauses_s = [0.02 * turns.random() for _ in range(600)]
        call = Call(
            Conditions(delay_ms=1), seed=seed, used=0.8, late_s=0.005,
            stalled=lambda at_s, pauses_s=pauses_s: at_s % 0.04 < pauses_s[int(at_s / 0.04)],
        )  # fmt: skip
        call.run(3.0)
        call.up.conditions = Conditions(rate_bps=400_000, delay_ms=10)
        call.run(3.0)
        rows = call.run(12.0)
        estimates_bps += [row.estimate_bps for row in rows]
    # two may be wrong in a row, but that is rare; each was believed once, and a quarter of the time was spent up there
    assert sum(bps > 1.1 * 400_000 for bps in estimates_bps) < 0.08 * len(estimates_bps)
    assert 0.8 * 400_000 < sum(estimates_bps) / len(estimates_bps) < 400_000


@pytest.mark.parametrize("late_s", [0.02, 0.06, 0.1])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_machine_without_cpu_to_spare_finds_the_path_as_well(late_s: float, seed: int) -> None:
    call = Call(Conditions(delay_ms=1), seed=seed, late_s=late_s)
    call.run(4.0)
    rows = call.run(3.0)
    assert {row.layers for row in rows} == {"qhf"}
    assert arrived_bps(rows) > 2_100_000
    call.up.conditions = Conditions(rate_bps=400_000, delay_ms=10)
    call.run(3.0)
    assert {row.layers for row in call.run(4.0)} == {"q"}
    call.up.conditions = Conditions(delay_ms=1)
    assert call.run(10.0)[-1].layers == "qhf"


def test_nothing_to_send_is_not_a_receiver_that_falls_silent() -> None:
    call = Call(Conditions(delay_ms=20))
    call.run(5.0)
    estimator, before = call.outbox.estimator, call.outbox.estimate_bps
    for tenth in range(600):
        estimator.poll(call.now + tenth / 10)
    assert estimator.estimate_bps == before


def test_the_same_call_takes_the_same_course() -> None:
    path = Conditions(rate_bps=1_000_000, delay_ms=20, loss=0.01)
    assert Call(path).run(10.0) == Call(path).run(10.0)


def test_sound_waits_for_no_picture() -> None:
    call = Call(Conditions(rate_bps=300_000, delay_ms=20))
    call.run(20.0)
    assert call.sound_sent == pytest.approx(1_000, abs=2)
    assert call.outbox.sound_bps(call.now) == pytest.approx(50 * 8 * (80 + 12 + 8 + 38), rel=0.05)


# ---------------------------------------------------------------------- what others say


def test_nobody_says_anything_of_the_path() -> None:
    estimator = BandwidthEstimator()
    assert estimator.estimate_bps == float("inf")
    assert not estimator.poll(1.0)


def test_a_remb_is_kept_to() -> None:
    estimator = BandwidthEstimator()
    estimator.handle(Remb(1, 400_000, (7,)), 1.0)
    assert estimator.estimate_bps == 400_000
    estimator.expects_feedback = True
    assert estimator.estimate_bps == 400_000
    estimator.handle(Remb(1, 5_000_000, (7,)), 2.0)
    assert estimator.estimate_bps == 1_000_000
    estimator.handle(Remb(1, 0, ()), 3.0)
    assert estimator.estimate_bps == MIN_BPS


def test_losses_in_receiver_reports_count_where_nothing_better_comes() -> None:
    estimator = BandwidthEstimator()
    estimator.handle(Remb(1, 2_000_000, (7,)), 1.0)
    estimator.report_loss(0.2, 2.0)
    assert estimator.estimate_bps == 1_800_000
    estimator.report_loss(0.0, 3.0)
    assert 1_900_000 < estimator.estimate_bps <= 2_000_000


def hostile(source: random.Random) -> TransportFeedback:
    count = source.choice([1, 2, 30, 30, 30, 400, 8192])
    packets = [
        None if source.random() < 0.3 else source.choice([0, 250, -250, 8_000_000, -8_000_000]) * source.randrange(99)
        for _ in range(count)
    ]
    return TransportFeedback(
        sender_ssrc=source.getrandbits(32),
        media_ssrc=source.getrandbits(32),
        base_sequence_number=source.choice([0, 65_535, source.getrandbits(16)]),
        feedback_count=source.getrandbits(8),
        reference_time_64ms=source.choice([0, (1 << 24) - 1, source.getrandbits(24)]),
        packets=tuple(packets),
    )


@pytest.mark.parametrize("seed", range(12))
def test_hostile_feedback_neither_raises_nor_explodes(seed: int) -> None:
    source = random.Random(seed)
    estimator = BandwidthEstimator()
    estimator.expects_feedback = True
    estimator.wanted_bps = 10_000_000
    now = 50.0
    number = source.getrandbits(16)
    for _ in range(200):
        now += source.choice([0.0, 0.001, 0.05, 20.0])
        for _ in range(source.choice([0, 1, 40])):
            number = number + 1 & 0xFFFF
            estimator.sent(number, source.randrange(1, 1500), now)
        feedback = hostile(source)
        for _ in range(source.choice([1, 3])):
            estimator.handle(feedback, now)
        estimator.poll(now)
        assert MIN_BPS <= estimator.estimate_bps <= MAX_BPS
        assert 0 <= estimator.probe_bps <= 1.25 * estimator.wanted_bps
        assert len(estimator._sent) <= PACKETS_MAX


def test_feedback_that_is_never_given_is_not_waited_for() -> None:
    estimator = BandwidthEstimator()
    for index in range(3 * PACKETS_MAX):
        estimator.sent(index & 0xFFFF, 100, index * 1e-5)
    assert len(estimator._sent) == PACKETS_MAX


def test_an_honest_receiver_is_believed_after_a_liar() -> None:
    call = Call(Conditions(delay_ms=20))
    call.run(3.0)
    source = random.Random(3)
    for _ in range(200):
        call.outbox.estimator.handle(hostile(source), call.now)
    assert call.run(12.0)[-1].layers == "qhf"
