"""Every encoded picture between a page that sends and a page that receives, and what happened to it on the way.

Said in pictures and RTP timestamps, not by a clock: a machine that stalls takes fewer pictures and delivers them later, but
it leaves none of them out and moves none in time. Only a server can.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from lknb.logic.sequence import difference

_NEAR_MS = 1_000.0


@dataclass(frozen=True, slots=True)
class Picture:
    """As `tests/kit/page/tap.js` notes it; `at_ms` since 1970, on the clock of the machine."""

    at_ms: float
    source: int
    """SSRC."""
    timestamp: int
    key: bool
    mark: int
    """Of its content."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A picture that has arrived."""

    layer: int
    """SSRC of the sender."""
    captured: int
    """RTP timestamp, the same for all layers of a picture; rises by 90,000 a second without end."""
    sent_ms: float
    arrived_ms: float
    moved: int
    """How much later the server has put it, in ticks; 0 for the first that arrived."""
    left_out: int
    """Pictures of the layer before it that were sent and did not arrive."""
    begins: bool
    """Whether it is the first of another layer."""


class Journey:
    """What one page sent and another one received.

    Raises AssertionError when something arrived that was not sent.
    """

    def __init__(self, sent: list[dict[str, Any]], received: list[dict[str, Any]]) -> None:
        pictures = [Picture(**raw) for raw in sent]
        offsets = _offsets(pictures)
        self._captured: dict[int, list[int]] = defaultdict(list)
        known: dict[int, list[tuple[int, Picture]]] = defaultdict(list)
        for picture in pictures:
            captured = difference(picture.timestamp + offsets[picture.source], pictures[0].timestamp, 32)
            self._captured[picture.source].append(captured)
            known[picture.mark].append((captured, picture))
        self._taken = self._captured[pictures[0].source]
        self._taken_ms = [picture.at_ms for picture in pictures if picture.source == pictures[0].source]
        self.passed: list[Passed] = []
        first: tuple[int, int] | None = None
        for one in (Picture(**raw) for raw in received):
            assert one.mark in known, f"nobody sent this: {one}"
            after = self.passed[-1].captured if self.passed else -(1 << 31)
            captured, picture = next((two for two in known[one.mark] if two[0] >= after), known[one.mark][-1])
            first = first or (one.timestamp, captured)
            self.passed.append(self._arrive(one, picture, captured, first))

    def _arrive(self, one: Picture, sent: Picture, captured: int, first: tuple[int, int]) -> Passed:
        moved = difference(one.timestamp, first[0], 32) - (captured - first[1])
        before = self.passed[-1] if self.passed else None
        left_out = 0
        if before is not None:
            # as they were sent, so in order
            course = self._captured[before.layer]
            left_out = max(0, bisect_left(course, captured) - bisect_left(course, before.captured) - 1)
        begins = before is not None and before.layer != sent.source
        return Passed(sent.source, captured, sent.at_ms, one.at_ms, moved, left_out, begins)

    def taken_since(self, moment_ms: float, picture: Passed) -> int:
        """How many pictures were taken from a moment (since 1970) to this one."""
        return bisect_right(self._taken, picture.captured) - bisect_left(self._taken_ms, moment_ms)

    def stretches(self) -> list[list[Passed]]:
        """The pictures of one layer after those of another."""
        stretches: list[list[Passed]] = []
        for picture in self.passed:
            if picture.begins or not stretches:
                stretches.append([])
            stretches[-1].append(picture)
        return stretches


def _offsets(pictures: list[Picture]) -> dict[int, int]:
    """What to add to the timestamps of each layer to have those of the layer that was first: nearly all pictures are in all
    layers, so it is the most frequent distance."""
    reference = [picture for picture in pictures if picture.source == pictures[0].source]
    times = [picture.at_ms for picture in reference]
    distances: dict[int, Counter[int]] = defaultdict(Counter)
    for picture in pictures:
        begin, end = bisect_left(times, picture.at_ms - _NEAR_MS), bisect_left(times, picture.at_ms + _NEAR_MS)
        for other in itertools.islice(reference, begin, end):
            distances[picture.source][(other.timestamp - picture.timestamp) & 0xFFFFFFFF] += 1
    return {source: counter.most_common(1)[0][0] for source, counter in distances.items()}
