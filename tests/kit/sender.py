"""A sender of a camera and a microphone over a modelled path, in simulated time: outbox, estimate and shares as in the
core, layers of made-up frames, a receiver that answers with transport-wide feedback.

`Call.run(seconds)` moves time; `log` has a row for every 100 ms. A minute takes a few seconds of CPU.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lknb.core.outbox import Outbox
from lknb.logic.bandwidth import START_BPS
from lknb.logic.bandwidth_share import BandwidthShare, Demand
from lknb.logic.twcc import TwccRecorder
from lknb.wire import extension, rtcp
from lknb.wire.rtp import build_rtp, pack_extensions, parse_rtp
from tests.kit.impair import Conditions, Impairment

TWCC_ID = 5
FEEDBACK_S = 0.05
LAYERS_BPS = {"q": 160_000, "h": 450_000, "f": 1_700_000}
"""Of 720p, as `plan_layers` has it."""
FPS = 30
SOUND_BYTES = 80
KEYFRAME_FACTOR = 5
_WIRE_BYTES = 38
_PAYLOAD_BYTES = 1_150
_TIMER_S = 0.001
"""How late a loop's timers are, more or less."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was true at `at_s`."""

    at_s: float
    estimate_bps: float
    sent_bps: float
    arrived_bps: float
    delay_ms: float
    """The worst of the last 100 ms, on the way there."""
    layers: str


@dataclass
class Call:
    """`up` and `down` are the two directions; their conditions may be replaced between runs."""

    conditions: Conditions
    start_bps: float = START_BPS
    layers_bps: dict[str, int] = field(default_factory=lambda: dict(LAYERS_BPS))
    seed: int = 1
    log: list[Row] = field(default_factory=list)
    competing: Callable[[float], float] | None = None
    """Bit/s of somebody else's packets in the same queue, by time."""
    used: float = 1.0
    """Of the bitrate an encoder may take: what easy pictures need."""
    late_s: float = _TIMER_S
    """A timer of the sender is late by up to this: a loop that is busy, or has no CPU."""
    stalled: Callable[[float], bool] | None = None
    """Whether the path holds everything back just now, as radio does, by time."""

    def __post_init__(self) -> None:
        self.now = 100.0
        self.begin = self.now
        self.up = Impairment(self.conditions, self.seed)
        self.down = Impairment(Conditions(delay_ms=self.conditions.delay_ms), self.seed + 1)
        self._random = random.Random(self.seed)
        self._lateness = random.Random(self.seed)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._rtp = {rid: itertools.count() for rid in (*self.layers_bps, "audio", "padding")}
        self.recorder = TwccRecorder()
        self.share = BandwidthShare()
        self.shares: dict[str, int] = {}
        self._keyframe_due: set[str] = set()
        self._sent_at: dict[bytes, float] = {}
        self._window = [0, 0, 0.0]
        self._next_sound = 0.0
        self.sound_sent = self.sound_late = 0
        self.outbox = Outbox(self._send, self._call_later, start_bps=self.start_bps, clock=lambda: self.now)
        self.outbox.number_by(TWCC_ID)
        self.outbox.padding = lambda: self._packet("padding", 255)
        self._every(0.02, self._sound)
        self._every(1 / FPS, self._picture)
        self._every(0.02, self._tick)
        self._every(FEEDBACK_S, self._feedback)
        self._every(0.1, self._note)
        if self.competing is not None:
            self._every(0.005, self._compete)

    # ------------------------------------------------------------------ time

    def run(self, seconds: float) -> list[Row]:
        """Let time pass; the rows of it."""
        since = len(self.log)
        until = self.now + seconds
        while True:
            moments = [self._timers[0][0], self.up.deadline() or until, self.down.deadline() or until]
            if self.stalled is not None:
                moments[1] = max(moments[1], self.now + 0.001)
            self.now = max(self.now, min(moments))
            if self.now >= until:
                self.now = until
                return self.log[since:]
            if self.stalled is None or not self.stalled(self.now - self.begin):
                for packet in self.up.receive(self.now):
                    self._arrive(packet)
            for packet in self.down.receive(self.now):
                for one in rtcp.parse_rtcp(packet):
                    self.outbox.on_rtcp(one, self.now)
                self._divide()
            while self._timers[0][0] <= self.now:
                heapq.heappop(self._timers)[2]()

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        at = self.now + delay_s + self.late_s * self._random.random()
        heapq.heappush(self._timers, (at, next(self._numbers), callback))

    def _every(self, period_s: float, callback: Callable[[], None]) -> None:
        due = self.now
        late_s = self.late_s - _TIMER_S

        def fire() -> None:
            nonlocal due
            callback()
            due += period_s
            heapq.heappush(self._timers, (due + late_s * self._lateness.random(), next(self._numbers), fire))

        heapq.heappush(self._timers, (due, next(self._numbers), fire))

    # ------------------------------------------------------------------ the sender

    def _tick(self) -> None:
        self.outbox.tick(self.now)
        self._divide()

    def _divide(self) -> None:
        sound_bps = self.outbox.sound_bps(self.now)
        demand = Demand(self.layers_bps)
        self.outbox.estimator.wanted_bps = demand.total_bps / 0.93 + sound_bps
        budget_bps = max(0.0, self.outbox.estimate_bps - sound_bps) * 0.93
        shares = self.share.update({"camera": demand}, budget_bps, self.now)["camera"]
        self._keyframe_due |= shares.keys() - self.shares.keys()
        self.shares = shares

    def _sound(self) -> None:
        self.sound_sent += 1
        self.outbox.send_now(self._packet("audio", SOUND_BYTES))

    def _picture(self) -> None:
        for number, rid in enumerate(self.layers_bps):
            if rid not in self.shares:
                self.outbox.drop(number + 1)
                continue
            size = self.used * self.shares[rid] / 8 / FPS * self._random.uniform(0.6, 1.4)
            if rid in self._keyframe_due:
                self._keyframe_due.discard(rid)
                size *= KEYFRAME_FACTOR
            whole, rest = divmod(int(size), _PAYLOAD_BYTES)
            sizes = [_PAYLOAD_BYTES] * whole + [rest]
            self.outbox.put(number + 1, [self._packet(rid, one) for one in sizes if one])

    def _packet(self, stream: str, size: int) -> bytes:
        return build_rtp(
            payload_type=111 if stream == "audio" else 96,
            marker=False,
            sequence_number=next(self._rtp[stream]) & 0xFFFF,
            timestamp=0,
            ssrc=list(self._rtp).index(stream) + 1,
            payload=bytes(size),
            extensions=pack_extensions([(TWCC_ID, extension.pack_transport_sequence(0))]),
        )

    def _send(self, packet: bytes) -> None:
        packet += bytes(_WIRE_BYTES)
        self._window[0] += len(packet)
        self._sent_at[packet[:24]] = self.now
        self.up.send(packet, self.now)

    # ------------------------------------------------------------------ the receiver

    def _arrive(self, packet: bytes) -> None:
        if packet[:1] == b"\0":
            return
        self._window[1] += len(packet)
        delay_s = self.now - self._sent_at.pop(packet[:24], self.now)
        self._window[2] = max(self._window[2], delay_s)
        view = parse_rtp(packet)
        number = view.extension(TWCC_ID)
        assert number is not None
        self.recorder.add(extension.parse_transport_sequence(number), int(self.now * 1e6))

    def _feedback(self) -> None:
        for feedback in self.recorder.build(1, 2):
            self.down.send(rtcp.build_rtcp([feedback]), self.now)

    def _compete(self) -> None:
        assert self.competing is not None
        for _ in range(round(self.competing(self.now - self.begin) * 0.005 / 8 / 600)):
            self.up.send(bytes(600), self.now)

    def _note(self) -> None:
        sent, arrived, delay_s = self._window
        self._window = [0, 0, 0.0]
        row = Row(
            self.now - self.begin,
            self.outbox.estimate_bps,
            sent * 80,
            arrived * 80,
            delay_s * 1000,
            "".join(self.shares),
        )
        self.log.append(row)


def mean(rows: list[Row], name: str) -> float:
    """Of one column."""
    values: list[Any] = [getattr(row, name) for row in rows]
    return float(sum(values) / len(values))
