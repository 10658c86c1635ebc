"""How the delay-based estimate moves: additive or multiplicative increase, multiplicative decrease
(draft-ietf-rmcat-gcc-02 section 5.5)."""

from __future__ import annotations

from collections import deque
from itertools import pairwise, takewhile
from math import inf, sqrt

from lknb.logic.bandwidth_delay import Usage
from lknb.logic.bandwidth_sent import Arrival

MIN_BPS = 50_000
MAX_BPS = 100_000_000

_BETA = 0.85
_MULTIPLICATIVE_PER_S = 1.08
_RESPONSE_S = 0.1
_PACKET_BITS = 1_200 * 8
_ADDITIVE_MIN_BPS_PER_S = 4_000.0
_APPLICATION_RATIO = 1.5
_APPLICATION_SLACK_BPS = 10_000

_DOUBT_SHARE = 0.7
_DOUBT_S = 0.4
_DOUBT_MAX_S = 0.8

_CAPACITY_GAIN = 0.05
_CAPACITY_SIGMAS = 3.0

_WINDOW_S = 0.5
_FULL_WINDOW_S = 0.15
_PROOF_S = 0.1
_PROOF_PACKETS = 6
_PAUSE_MAX_S = 0.06
_SPREAD_SHARE = 0.6
_NARROWED = 1.5


class ArrivedRate:
    """What arrives in bit/s, over the last half second of the receiver's clock (section 5.5, R_hat)."""

    __slots__ = ("_arrivals", "_bytes")

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0

    def add(self, arrival: Arrival) -> None:
        """One packet, in order of arrival."""
        arrivals = self._arrivals
        if arrivals and not -_WINDOW_S < arrival.arrival_s - arrivals[-1].arrival_s < 2 * _WINDOW_S:
            # after a pause, or a clock that was set, the old rate says nothing
            arrivals.clear()
            self._bytes = 0
        arrivals.append(arrival)
        self._bytes += arrival.size_bytes
        while arrival.arrival_s - arrivals[0].arrival_s > _WINDOW_S:
            self._bytes -= arrivals.popleft().size_bytes

    @property
    def bps(self) -> float | None:
        """None until there is a third of the window: of less, one picture would make any rate."""
        span_s = self._arrivals[-1].arrival_s - self._arrivals[0].arrival_s if self._arrivals else 0.0
        if span_s <= _WINDOW_S / 3:
            return None
        return (self._bytes - self._arrivals[0].size_bytes) * 8 / span_s

    @property
    def full_bps(self) -> float | None:
        """The rate while a queue grows: the path is full, so the last 150 ms say what it takes. Half a second would
        say what was sent, after a layer has begun or a burst."""
        long_bps = self.bps
        if long_bps is None:
            return None
        return self.narrow_bps or max(
            long_bps, sum(arrival.size_bytes for arrival in self._recent()) * 8 / _FULL_WINDOW_S
        )

    @property
    def narrow_bps(self) -> float | None:
        """What a path takes that has just become narrow; None for what is no proof of one.

        The proof is that the last packets have come evenly, far more slowly than before and than they were sent. What is
        held up at one end, for want of a CPU, or by a radio, comes at once thereafter, or not more slowly than it was sent.
        """
        long_bps, recent = self.bps, self._recent()
        if long_bps is None or len(recent) < _PROOF_PACKETS:
            return None
        arrived_s = recent[0].arrival_s - recent[-1].arrival_s
        sent_s = max(arrival.sent_s for arrival in recent) - min(arrival.sent_s for arrival in recent)
        pause_s = max(after.arrival_s - before.arrival_s for after, before in pairwise(recent))
        if arrived_s < _PROOF_S or pause_s > _PAUSE_MAX_S or sent_s > _SPREAD_SHARE * arrived_s:
            return None
        narrow_bps = sum(arrival.size_bytes for arrival in recent[:-1]) * 8 / arrived_s
        return narrow_bps if long_bps > _NARROWED * narrow_bps else None

    def _recent(self) -> list[Arrival]:
        """Of the last 150 ms, the last one first."""
        arrivals = self._arrivals
        last_s = arrivals[-1].arrival_s if arrivals else 0.0
        return list(takewhile(lambda arrival: last_s - arrival.arrival_s <= _FULL_WINDOW_S, reversed(arrivals)))


class RateController:
    """The delay-based estimate `bps`."""

    __slots__ = ("_capacity_bps", "_decreased_at", "_deviation", "_doubted_at", "_holding", "_updated_at", "bps")

    def __init__(self, start_bps: float) -> None:
        self.bps = start_bps
        self._capacity_bps: float | None = None
        """Average of what arrived when the path was full, and its variance, relative to it."""
        self._deviation = 0.4
        self._holding = False
        self._decreased_at = self._doubted_at = -inf
        self._updated_at: float | None = None

    def set(self, bps: float, now: float) -> None:
        """A probe has measured it."""
        self.bps = min(max(bps, MIN_BPS), MAX_BPS)
        self._capacity_bps = None
        self._updated_at = now

    def update(self, usage: Usage, arrived: ArrivedRate, rtt_s: float, now: float) -> bool:
        """Move by the present verdict; True when it went down."""
        if usage is Usage.OVER:
            return self._decrease(arrived.full_bps, rtt_s, now, sure=arrived.narrow_bps is not None)
        if usage is Usage.UNDER or self._holding:
            # queues empty themselves: wait until they have, and one step more
            self._holding = usage is Usage.UNDER
            self._updated_at = now
            return False
        passed_s = 0.0 if self._updated_at is None else min(now - self._updated_at, 1.0)
        self._updated_at = now
        self._increase(arrived.bps, rtt_s, passed_s)
        return False

    def _increase(self, arrived_bps: float | None, rtt_s: float, passed_s: float) -> None:
        near = False
        if arrived_bps is not None and self._capacity_bps is not None:
            if arrived_bps > self._upper_bps(self._capacity_bps):
                self._capacity_bps = None
            else:
                near = True
        if near:
            step_bps = max(_ADDITIVE_MIN_BPS_PER_S, _PACKET_BITS / (rtt_s + _RESPONSE_S)) * passed_s
        else:
            step_bps = self.bps * (_MULTIPLICATIVE_PER_S**passed_s - 1)
        limit_bps = MAX_BPS + 0.0
        if arrived_bps is not None:
            # what is not used is not known to be there (section 5.5)
            limit_bps = min(limit_bps, _APPLICATION_RATIO * arrived_bps + _APPLICATION_SLACK_BPS)
        if self.bps < limit_bps:
            self.bps = min(self.bps + step_bps, limit_bps)

    def _decrease(self, arrived_bps: float | None, rtt_s: float, now: float, *, sure: bool) -> bool:
        self._holding = True
        self._updated_at = now
        if not sure and self._is_doubtful(arrived_bps, now):
            return False
        if now - self._decreased_at < min(max(rtt_s, 0.01), 0.2) + _RESPONSE_S:
            # the last decrease has not reached the receiver yet
            return False
        self._decreased_at = now
        if arrived_bps is None:
            self.bps = max(self.bps * _BETA, MIN_BPS)
            return True
        self._learn_capacity(arrived_bps)
        before_bps = self.bps
        self.bps = max(min(self.bps, _BETA * arrived_bps), MIN_BPS)
        return self.bps < before_bps

    def _is_doubtful(self, arrived_bps: float | None, now: float) -> bool:
        """Whether it is too early to believe in a queue: far less was sent than the path took before, so that it can
        hardly be full. A radio that pauses for a moment looks the same, but does not go on."""
        if arrived_bps is None or arrived_bps > _DOUBT_SHARE * self.bps:
            return False
        since_s = now - self._doubted_at
        if since_s > _DOUBT_MAX_S:
            self._doubted_at = now
            return True
        return since_s < _DOUBT_S

    def _learn_capacity(self, arrived_bps: float) -> None:
        """The path is full: what arrives is its capacity (section 5.5, the average and deviation of R_hat)."""
        capacity_bps = self._capacity_bps
        if capacity_bps is None or arrived_bps < 2 * capacity_bps - self._upper_bps(capacity_bps):
            self._capacity_bps = arrived_bps
            return
        error_bps = capacity_bps - arrived_bps
        capacity_bps += _CAPACITY_GAIN * -error_bps
        self._capacity_bps = capacity_bps
        # libwebrtc normalises by the rate in kbit/s and bounds it (link_capacity_estimator.cc)
        variance = error_bps * error_bps / max(capacity_bps, 1.0) / 1000
        self._deviation = min(max((1 - _CAPACITY_GAIN) * self._deviation + _CAPACITY_GAIN * variance, 0.4), 2.5)

    def _upper_bps(self, capacity_bps: float) -> float:
        return capacity_bps + _CAPACITY_SIGMAS * sqrt(self._deviation * capacity_bps * 1000)
