"""Where packets enter a receiver: unwrapped numbers, and notice when the source begins a new numbering."""

from __future__ import annotations

from typing import Generic, TypeVar

from lknb.logic.sequence import JUMP_PACKETS, RestartDetector, Unwrapper

P = TypeVar("P")


class Intake(Generic[P]):
    """Numbers the packets `P` of one stream.

    A packet belongs to another numbering when its number is far from the newest, or when its turn is over and yet its
    timestamp is the newest of all. One such packet is kept back as a stray; with the next in a row both are let in and
    `restarted` is True.
    """

    __slots__ = (
        "_begun",
        "_detector",
        "_newest",
        "_newest_timestamp",
        "_number_of",
        "_suspect",
        "_timestamp_of",
        "restarted",
    )

    def __init__(self) -> None:
        self._number_of = Unwrapper(16)
        self._timestamp_of = Unwrapper(32)
        self._detector = RestartDetector()
        self._suspect: tuple[int, P] | None = None
        self._begun = False
        self._newest = 0
        self._newest_timestamp = 0
        self.restarted = False
        """Whether what `take` returned last begins a numbering, as the first packet of all does."""

    def timestamp(self, timestamp: int) -> int:
        """The unwrapped form of an RTP timestamp (32 bit)."""
        return self._timestamp_of(timestamp)

    def take(self, sequence_number: int, timestamp: int, packet: P, next_number: int) -> tuple[tuple[int, P], ...]:
        """The packets to go on with, as (unwrapped number, packet): this one, none, or two.

        `timestamp` is unwrapped, `next_number` the number whose turn it is.
        """
        number = self._number_of(sequence_number)
        self.restarted = not self._begun
        taken: tuple[tuple[int, P], ...] = ((number, packet),)
        if self._begun and (
            abs(number - self._newest) > JUMP_PACKETS or (number < next_number and timestamp > self._newest_timestamp)
        ):
            before, self._suspect = self._suspect, taken[0]
            if not self._detector.suspect(sequence_number) or before is None:
                return ()
            taken = (before, *taken)
            self.restarted = True
        if self.restarted or number > self._newest:
            self._begun = True
            self._newest = number
            self._newest_timestamp = timestamp
            self._suspect = None
        return taken
