"""Numbers that wrap: RTP sequence numbers (16 bit) and RTP timestamps (32 bit).

Compared by the shorter way round, as RFC 1982 section 3.2 says. Two numbers exactly half a cycle apart have no order
there; here neither is newer, and the `Unwrapper` takes the later one to arrive for the older.
"""

from __future__ import annotations

JUMP_PACKETS = 3000
"""A sequence number farther than this from the newest is not loss or reordering but another numbering (RFC 3550
A.1)."""


def difference(a: int, b: int, bits: int = 16) -> int:
    """`a - b` by the shorter way round: -2^(bits-1) to 2^(bits-1) - 1."""
    half = 1 << (bits - 1)
    return ((a - b + half) & ((half << 1) - 1)) - half


def newer(a: int, b: int, bits: int = 16) -> bool:
    """Whether `a` comes after `b` (RFC 1982 section 3.2)."""
    return 0 < ((a - b) & ((1 << bits) - 1)) < 1 << (bits - 1)


class Unwrapper:
    """Wrapping numbers -> integers without bound, congruent to them modulo 2^bits.

    The first number is taken as it is, every other as the nearest to the highest so far: late ones fall below it, and
    one that belongs before the very first may become negative.
    """

    __slots__ = ("_half", "_mask", "_span", "highest")

    def __init__(self, bits: int) -> None:
        self._half = 1 << (bits - 1)
        self._span = 1 << bits
        self._mask = self._span - 1
        self.highest: int | None = None

    def __call__(self, number: int) -> int:
        """The unwrapped form of `number` (0 to 2^bits - 1)."""
        highest = self.highest
        if highest is None:
            self.highest = number
            return number
        ahead = (number - highest) & self._mask
        if ahead < self._half:
            self.highest = highest = highest + ahead
            return highest
        return highest + ahead - self._span


class RestartDetector:
    """Tells a source that began a new numbering from a stray packet, by a run of successive suspects (RFC 3550 A.1).

    What a suspect is, the caller knows: a number far away from all others, or one that was there already.
    """

    __slots__ = ("_expected", "_needed", "_run")

    def __init__(self, run: int = 2) -> None:
        self._needed = run
        self._run = 0
        self._expected = -1

    def suspect(self, sequence_number: int) -> bool:
        """One suspect (16 bit); True when with it the run is long enough. The next run begins from nothing then."""
        self._run = self._run + 1 if sequence_number == self._expected else 1
        self._expected = (sequence_number + 1) & 0xFFFF
        if self._run < self._needed:
            return False
        self.calm()
        return True

    def calm(self) -> None:
        """A packet in its place came: the run, if there was one, is over."""
        self._run = 0
        self._expected = -1
