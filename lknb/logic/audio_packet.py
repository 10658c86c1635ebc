"""Opus packets as a receiver sees them: how long one lasts, and the mark of one that was lost."""

from __future__ import annotations

from lknb import limits
from lknb.wire.frame import EncodedFrame

CLOCK_RATE_HZ = 48_000
STEP = 960
"""Timestamp units of a 20 ms packet, what every LiveKit client sends; other durations are learnt."""
STEP_MIN, STEP_MAX = 120, 5760
"""An Opus packet lasts 2.5 to 120 ms (RFC 6716 section 2.1.4, RFC 7587 section 4.2)."""


class PacketStep:
    """The duration of the packets of one stream, in timestamp units: what two steps in a row agree on."""

    __slots__ = ("_candidate", "_timestamp", "value")

    def __init__(self) -> None:
        self.value = STEP
        self._candidate = 0
        self._timestamp = 0

    def observe(self, timestamp: int, *, follows: bool) -> None:
        """The next packet in order; `follows`: no packet between it and the one before is missing."""
        step = timestamp - self._timestamp
        self._timestamp = timestamp
        if not follows or not STEP_MIN <= step <= STEP_MAX:
            self._candidate = 0
            return
        # A longer step alone is a sender that was silent for a moment (DTX).
        if step == self._candidate:
            self.value = step
        self._candidate = step


def audio_frame(timestamp: int, payload: bytes, arrival_us: int, audio_level: int) -> EncodedFrame | None:
    """The frame of a packet; None for padding, and for what is too long to be an Opus packet."""
    if not 0 < len(payload) <= limits.OPUS_PACKET_BYTES:
        return None
    return EncodedFrame("opus", payload, timestamp, timestamp_us=arrival_us, audio_level=audio_level)


def concealed_frame(before: EncodedFrame, timestamp: int) -> EncodedFrame:
    """The mark of a packet that was lost some time after `before`."""
    passed_us = (timestamp - before.timestamp) * 1_000_000 // CLOCK_RATE_HZ
    return EncodedFrame("opus", b"", timestamp, timestamp_us=before.timestamp_us + passed_us, concealed=True)
