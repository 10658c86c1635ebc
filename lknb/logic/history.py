"""The packets last sent on one stream, kept to answer NACKs (LiveKit: pkg/sfu/sequencer.go)."""

from __future__ import annotations

RESENDS_MAX = 3
"""LiveKit's. Under 20 % loss it is these three that run out: six recover four fifths of what three do not."""


class PacketHistory:
    """A ring of sent packets by sequence number.

    A packet is handed out a few times at most, and not again before one round trip has passed: until then the answer to
    the last request is still on its way.
    """

    __slots__ = ("_mask", "_numbers", "_packets", "_resends", "_resends_max", "_resent_at")

    def __init__(self, capacity: int, *, resends_max: int = RESENDS_MAX) -> None:
        """`capacity`: packets to keep, rounded up to a power of two so that the ring's order survives the wrap at
        2^16."""
        size = 1 << max(0, capacity - 1).bit_length()
        self._mask = size - 1
        self._resends_max = resends_max
        self._numbers = [-1] * size
        self._packets = [b""] * size
        self._resends = [0] * size
        self._resent_at = [0.0] * size

    def put(self, sequence_number: int, packet: bytes) -> None:
        """Remember a packet that was sent under this number (16 bit)."""
        slot = sequence_number & self._mask
        self._numbers[slot] = sequence_number
        self._packets[slot] = packet
        self._resends[slot] = 0

    def take(self, sequence_number: int, now: float, rtt_s: float) -> bytes | None:
        """The packet to send once more, or None: not there any more, resent often enough, or resent just now.

        `rtt_s` is the round trip to the one who asks, 0 when it is not known.
        """
        slot = sequence_number & self._mask
        if self._numbers[slot] != sequence_number:
            return None
        resends = self._resends[slot]
        if resends >= self._resends_max or (resends and now - self._resent_at[slot] < rtt_s):
            return None
        self._resends[slot] = resends + 1
        self._resent_at[slot] = now
        return self._packets[slot]

    def clear(self) -> None:
        """Forget all packets: the numbers begin anew, or what they hold may not be sent any more."""
        self._numbers = [-1] * len(self._numbers)
        self._packets = [b""] * len(self._packets)
