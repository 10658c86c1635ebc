"""How a sender's estimate behaves on modelled paths, and what a feedback packet costs.

    python -m tests.bench.bandwidth [--seconds 60] [--seed 1]

Simulated time: outbox, estimate and shares of the core against `tests/kit/impair.py`, with made-up frames of 720p in
three layers ("q h f", at most 2.3 Mbit/s) or of one encoder that fills any path ("one layer", at most 5 Mbit/s), with
50 packets of sound a second. The path has a queue of 200 ms unless it says otherwise.

    settled     seconds, from the last change of the path, to the first second in which at least 70 % of what it takes
                arrives (or of all layers) and the estimate is below 140 % of it
    used        of what the path takes, from then on
    estimate    mean from then on, and its 5th and 95th percentile in parts of the mean
    delay       mean and worst one way from then on, the path's own taken off
    lost        packets dropped by the queue, in all
    layers      at the end

The last lines are CPU time: of one feedback packet of the size a 720p publisher gets every 50 ms, and of everything the
sender does for one packet.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lknb.logic.bandwidth import BandwidthEstimator
from lknb.logic.twcc import TwccRecorder
from tests.kit.impair import Conditions
from tests.kit.sender import LAYERS_BPS, Call, Row, mean

ONE_LAYER = {"": 5_000_000}
ALL_BPS = 2_450_000
"""Three layers and sound, with headers."""


@dataclass(frozen=True)
class Case:
    """A path and what is sent over it. `steps`: after so many seconds the path becomes another."""

    name: str
    path: Conditions
    layers_bps: dict[str, int] = field(default_factory=lambda: LAYERS_BPS)
    steps: tuple[tuple[float, Conditions], ...] = ()
    start_bps: float = 1_000_000
    competing: Callable[[float], float] | None = None


def limited(rate_bps: float, delay_ms: float = 20, **more: float) -> Conditions:
    return Conditions(rate_bps=rate_bps, delay_ms=delay_ms, **more)


CASES = (
    Case("no limit, 1 ms", Conditions(delay_ms=1)),
    Case("no limit, 100 ms", Conditions(delay_ms=100)),
    Case("300 kbit/s, one layer", limited(300_000), ONE_LAYER),
    Case("1 Mbit/s, one layer", limited(1_000_000), ONE_LAYER),
    Case("3 Mbit/s, one layer", limited(3_000_000), ONE_LAYER),
    Case("1 Mbit/s, 100 ms, one layer", limited(1_000_000, 100), ONE_LAYER),
    Case("1 Mbit/s, queue 20 ms, one layer", limited(1_000_000, queue_ms=20), ONE_LAYER),
    Case("1 Mbit/s, queue 1 s, one layer", limited(1_000_000, queue_ms=1000), ONE_LAYER),
    Case("300 kbit/s, q h f, start 20 Mbit/s", limited(300_000, 1), start_bps=20_000_000),
    Case("1 Mbit/s, q h f", limited(1_000_000)),
    Case("3 Mbit/s, q h f", limited(3_000_000)),
    Case("no limit -> 500 kbit/s", Conditions(delay_ms=20), steps=((10, limited(500_000)),)),
    Case("500 kbit/s -> no limit", limited(500_000), steps=((10, Conditions(delay_ms=20)),)),
    Case("1 -> 3 Mbit/s, one layer", limited(1_000_000), ONE_LAYER, ((10, limited(3_000_000)),)),
    Case("3 -> 1 Mbit/s, one layer", limited(3_000_000), ONE_LAYER, ((10, limited(1_000_000)),)),
    Case("5 % lost at random", Conditions(loss=0.05, delay_ms=20)),
    Case("15 % lost at random", Conditions(loss=0.15, delay_ms=20)),
    Case("10 ms of jitter", Conditions(delay_ms=20, jitter_ms=10)),
    Case(
        "3 Mbit/s, others take 2 for 3 s in 10",
        limited(3_000_000),
        competing=lambda at_s: 2_000_000 if at_s % 10 > 7 else 0,
    ),
)


def capacity_bps(path: Conditions, layers_bps: dict[str, int]) -> float:
    """What may arrive: the path's rate, or all layers, without what is lost at random."""
    wanted = ALL_BPS if len(layers_bps) > 1 else 1.07 * sum(layers_bps.values())
    return min(path.rate_bps or wanted, wanted) * (1 - path.loss)


def settled_at(rows: list[Row], bps: float, limit_bps: float) -> int:
    """The first row of a second that carries enough, at an estimate that is not far too high."""
    for index in range(len(rows) - 10):
        second = rows[index : index + 10]
        if mean(second, "arrived_bps") > 0.7 * bps and max(row.estimate_bps for row in second) < 1.4 * limit_bps:
            return index
    return len(rows)


def run(case: Case, seconds: float, seed: int) -> str:
    call = Call(
        case.path, start_bps=case.start_bps, layers_bps=dict(case.layers_bps), seed=seed, competing=case.competing
    )
    for at_s, path in case.steps:
        call.run(at_s)
        call.up.conditions = path
    rows = call.run(max(1.0, seconds - (call.now - call.begin)))
    path = call.up.conditions
    # three layers do not fill every path: the highest that fits does not come in part
    bps = capacity_bps(path, case.layers_bps)
    if len(case.layers_bps) > 1 and path.rate_bps:
        bps = min(bps, statistics.median(row.arrived_bps for row in rows[len(rows) // 2 :]))
    index = settled_at(rows, bps, path.rate_bps or 1e9) if case.competing is None else 0
    settled_s = index / 10
    rest = rows[index:] or rows[-10:]
    estimate = mean(rest, "estimate_bps")
    twentieths = statistics.quantiles((row.estimate_bps for row in rest), n=20)
    spread = f"{twentieths[0] / estimate:4.2f}-{twentieths[-1] / estimate:4.2f}"
    own_ms = path.delay_ms
    delay = f"{mean(rest, 'delay_ms') - own_ms:4.0f} {max(row.delay_ms for row in rest) - own_ms:5.0f}"
    used = mean(rest, "arrived_bps") / (path.rate_bps or capacity_bps(path, case.layers_bps))
    return (
        f"{case.name:38} {settled_s:5.1f} s {100 * used:4.0f} % {estimate / 1000:6.0f} kbit/s {spread:>10} "
        f"{delay} ms {call.up.count.overflowed:5d} {rows[-1].layers:>4}"
    )


def feedback_cost_us(packets: int = 14, feedbacks: int = 20_000) -> tuple[float, float]:
    """CPU time of one feedback packet that covers `packets`, and of noting one packet that is sent, in microseconds."""
    estimator, recorder = BandwidthEstimator(), TwccRecorder()
    estimator.expects_feedback = True
    estimator.wanted_bps = ALL_BPS
    now, number = 10.0, 0
    handling_s = sending_s = 0.0
    for _ in range(feedbacks):
        began = time.process_time()
        for _ in range(packets):
            number = number + 1 & 0xFFFF
            now += 0.05 / packets
            estimator.sent(number, 1_100, now)
        sending_s += time.process_time() - began
        for back in range(packets):
            recorder.add(
                number - packets + 1 + back & 0xFFFF, int((now - (packets - back) * 0.05 / packets) * 1e6) + 20_000
            )
        (feedback,) = recorder.build(1, 1)
        began = time.process_time()
        estimator.handle(feedback, now)
        estimator.poll(now)
        handling_s += time.process_time() - began
    return handling_s / feedbacks * 1e6, sending_s / feedbacks / packets * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Convergence of the sender's estimate on modelled paths.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{'path':38} settled   used        estimate (spread)   delay mean, worst  lost layers")
    for case in CASES:
        print(run(case, arguments.seconds, arguments.seed), flush=True)
    handling_us, sending_us = feedback_cost_us()
    print(f"one feedback packet about 14 packets: {handling_us:.0f} us; one packet sent: {sending_us:.1f} us")


if __name__ == "__main__":
    main()
