"""Which packets to ask for again (RFC 4585 section 6.2.1).

A hole is requested as soon as it can be no mere reordering, then again and again with growing pauses, and given up
when it is too old or was asked for too often. Whoever decodes learns what was given up and asks for a key frame
instead.
"""

from __future__ import annotations

from math import inf

from lknb.logic.sequence import JUMP_PACKETS, RestartDetector, difference

MISSING_MAX = 1000
"""More holes than that are a stream that begins anew: only a key frame helps."""
REQUEST_MAX = 250
"""Numbers handed out at once; however they are scattered, their NACK stays below 1,100 bytes."""

REORDER_MAX_S = 0.06
"""How far the tolerance grows on a path that reorders."""

_BACKOFF = 1.25
# Each hole makes the tolerance a little smaller, each packet that was only late makes it twice as large as it was late.
_TOLERANCE_DECAY = 0.95
_TOLERANCE_GROWTH = 2.0
_PAUSE_MAX_S = 0.4
# The peer answers no second request within its own estimate of the round trip, which may be above ours.
_RTT_MARGIN = 1.5


class _Hole:
    __slots__ = ("due", "found_at", "requests")

    def __init__(self, found_at: float, due: float) -> None:
        self.found_at = found_at
        self.due = due
        self.requests = 0


class NackGenerator:
    """The holes of one stream. Sequence numbers are 16 bit everywhere.

    `rtt_s` may be set whenever it is known better; 0 for unknown.
    """

    __slots__ = (
        "_detector",
        "_due",
        "_holes",
        "_lost",
        "_next",
        "_tolerance_s",
        "attempts",
        "reorder_s",
        "retry_s",
        "rtt_s",
        "window_s",
    )

    def __init__(
        self,
        *,
        reorder_s: float = 0.01,
        retry_s: float = 0.02,
        attempts: int = 10,
        window_s: float = 1.0,
        rtt_s: float = 0.0,
    ) -> None:
        """A packet up to `reorder_s` late is never asked for; on a path where packets are late without having been
        asked for, that grows up to `REORDER_MAX_S`. A request is repeated after `retry_s`, or one and a half round
        trips if that is longer, then ever later; at most `attempts` times, within `window_s` of the discovery."""
        self.reorder_s = reorder_s
        self.retry_s = retry_s
        self.attempts = attempts
        self.window_s = window_s
        self.rtt_s = rtt_s
        self._next = -1
        self._tolerance_s = 0.0
        self._holes: dict[int, _Hole] = {}
        self._due = inf
        self._lost: list[int] = []
        self._detector = RestartDetector()

    def add(self, sequence_number: int, now: float) -> bool:
        """A packet arrived, padding too; True when it revealed a hole, so that `deadline` moved."""
        if sequence_number == self._next:
            self._next = (sequence_number + 1) & 0xFFFF
            return False
        return self._add_out_of_order(sequence_number, now)

    def _add_out_of_order(self, sequence_number: int, now: float) -> bool:
        ahead = difference(sequence_number, self._next) if self._next >= 0 else 0
        if -JUMP_PACKETS <= ahead < 0:
            self._fill(sequence_number, now)
            return False
        if ahead > JUMP_PACKETS or ahead < 0:
            if not self._detector.suspect(sequence_number):
                return False
            self._abandon()
            ahead = 0
        first, self._next = self._next, (sequence_number + 1) & 0xFFFF
        if not ahead:
            return False
        numbers = [(first + index) & 0xFFFF for index in range(ahead)]
        if ahead > MISSING_MAX:
            self._abandon()
            self._give_up(numbers)
            return False
        excess = list(self._holes)[: max(0, len(self._holes) + ahead - MISSING_MAX)]
        for number in excess:
            del self._holes[number]
        self._give_up(excess)
        due = now + max(self.reorder_s, self._tolerance_s)
        self._tolerance_s *= _TOLERANCE_DECAY
        for number in numbers:
            self._holes[number] = _Hole(now, due)
        self._due = min(self._due, due)
        return True

    def _fill(self, number: int, now: float) -> None:
        hole = self._holes.pop(number, None)
        if hole is not None and not hole.requests:
            late_s = now - hole.found_at
            self._tolerance_s = max(self._tolerance_s, min(late_s * _TOLERANCE_GROWTH, REORDER_MAX_S))
        if not self._holes:
            self._due = inf

    def _abandon(self) -> None:
        self._give_up(list(self._holes))
        self._holes.clear()
        self._due = inf

    def _give_up(self, numbers: list[int]) -> None:
        self._lost += numbers
        del self._lost[:-MISSING_MAX]

    def poll(self, now: float) -> tuple[int, ...]:
        """The numbers to request now, oldest first and at most `REQUEST_MAX`; call again until there are none."""
        if now < self._due:
            return ()
        requests: list[int] = []
        given_up: list[int] = []
        due = inf
        for number, hole in self._holes.items():
            if hole.due <= now:
                if hole.requests >= self.attempts or now - hole.found_at >= self.window_s:
                    given_up.append(number)
                    continue
                if len(requests) < REQUEST_MAX:
                    requests.append(number)
                    hole.due = now + self._pause_s(hole.requests)
                    hole.requests += 1
            due = min(due, hole.due)
        for number in given_up:
            del self._holes[number]
        self._give_up(given_up)
        self._due = due
        return tuple(requests)

    def _pause_s(self, requests: int) -> float:
        shortest = max(self.retry_s, _RTT_MARGIN * self.rtt_s)
        return max(shortest, min(shortest * _BACKOFF**requests, _PAUSE_MAX_S))

    def deadline(self) -> float | None:
        """When to call `poll` next; None while nothing is missing."""
        return None if self._due == inf else self._due

    @property
    def missing(self) -> int:
        """How many holes there are."""
        return len(self._holes)

    def take_lost(self) -> tuple[int, ...]:
        """The numbers given up since the last call, at most 1,000: what depends on them cannot be decoded."""
        lost, self._lost = tuple(self._lost), []
        return lost

    def discard_before(self, sequence_number: int) -> None:
        """Nothing before this number is of use any more (a key frame begins there): stop asking for it."""
        for number in [number for number in self._holes if difference(number, sequence_number) < 0]:
            del self._holes[number]
        if not self._holes:
            self._due = inf
