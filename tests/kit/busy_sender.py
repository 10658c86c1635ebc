"""The call of `tests/kit/sender.py` on machines without CPU to spare: whole processes that get no turn, sends that cost one.

The path itself stays as it is, and packets arrive when they arrive: the kernel of the receiver stamps them.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lknb.wire import rtcp
from tests.kit.sender import Call, Row

Span = tuple[float, float]
"""From and until, in seconds since the call began."""


def stalls(seed: int, begin_s: float, end_s: float, at_least_s: float, at_most_s: float) -> list[Span]:
    """Several times a second, of random length, one after the other."""
    source = random.Random(seed)
    spans: list[Span] = []
    at_s = begin_s
    while at_s < end_s:
        until_s = at_s + source.uniform(at_least_s, at_most_s)
        spans.append((at_s, until_s))
        at_s = until_s + source.uniform(0.05, 0.3)
    return spans


@dataclass
class BusyCall(Call):
    """A call whose ends are held up."""

    sender_away: Sequence[Span] = ()
    receiver_away: Sequence[Span] = ()
    room_packets: int = 2_000
    """What the socket of the receiver holds while nobody reads it; more is lost."""
    send_s: Callable[[float], float] | None = None
    """How long one send takes, by time: a thread that gives up its turn waits for the next."""
    overflowed: int = 0

    def __post_init__(self) -> None:
        self._waiting = 0
        super().__post_init__()

    def run(self, seconds: float) -> list[Row]:
        """Let time pass; the rows of it."""
        since = len(self.log)
        until = self.now + seconds
        while True:
            back_at = self._back_at(self.sender_away)
            heard_at = self.down.deadline() or until
            moments = [self._timers[0][0], self.up.deadline() or until, max(heard_at, back_at)]
            self.now = max(self.now, min(moments))
            if self.now >= until:
                self.now = until
                return self.log[since:]
            self._take_in()
            back_at = self._back_at(self.sender_away)
            if back_at > self.now:
                self._put_off(back_at)
            else:
                for packet in self.down.receive(self.now):
                    for one in rtcp.parse_rtcp(packet):
                        self.outbox.on_rtcp(one, self.now)
                    self._divide()
            while self._timers[0][0] <= self.now:
                heapq.heappop(self._timers)[2]()

    def _back_at(self, spans: Sequence[Span]) -> float:
        """When who is away comes back; 0 for who is there."""
        since_s = self.now - self.begin
        return self.begin + max(
            (until for begin, until in spans if begin <= since_s < until - 1e-6), default=-self.begin
        )

    def _take_in(self) -> None:
        """What has arrived, each packet at its own moment."""
        now = self.now
        while (arrival := self.up.deadline()) is not None and arrival <= now:
            self.now = arrival
            away = self._back_at(self.receiver_away) > 0
            for packet in self.up.receive(arrival):
                self._waiting = self._waiting + 1 if away else 0
                if self._waiting > self.room_packets:
                    self.overflowed += 1
                else:
                    self._arrive(packet)
        self.now = now

    def _put_off(self, until: float) -> None:
        """All that the sender would have done by then it does then, in order; only the receiver and the log go on."""
        others = (self._feedback_timer, self._note_timer)
        self._timers = [
            (at if timer in others else max(at, until), number, timer) for at, number, timer in sorted(self._timers)
        ]
        heapq.heapify(self._timers)

    def _send(self, packet: bytes) -> None:
        super()._send(packet)
        if self.send_s is not None:
            self.now += self.send_s(self.now - self.begin)

    def _feedback(self) -> None:
        if self._back_at(self.receiver_away) <= self.now:
            super()._feedback()

    def _every(self, period_s: float, callback: Callable[[], None]) -> None:
        super()._every(period_s, callback)
        timer = max(self._timers, key=lambda item: item[1])[2]
        if callback == self._feedback:
            self._feedback_timer = timer
        elif callback == self._note:
            self._note_timer = timer
