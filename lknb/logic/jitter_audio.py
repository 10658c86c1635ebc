"""Opus packets -> the same in order, at once; what is lost is marked.

For a consumer that paces itself, as a player with its own buffer or a reader of samples does. Nothing is delayed unless a
packet is missing: then what follows is held for a moment, since the packet may be late or on its way again.
"""

from __future__ import annotations

from lknb import limits
from lknb.logic.sequence import JUMP_PACKETS, RestartDetector, Unwrapper
from lknb.wire.frame import AUDIO_LEVEL_SILENT, EncodedFrame

CLOCK_RATE_HZ = 48_000
STEP = 960
"""Timestamp units of a 20 ms packet, the duration every LiveKit client uses; others are learnt."""
STEP_MIN, STEP_MAX = 120, 5760
"""An Opus packet lasts 2.5 to 120 ms (RFC 6716 section 2.1.4)."""
CONCEALED_MAX = 5
"""Of one hole: more would be noise, and sound that comes too late. The rest of it is silence, a leap of the timestamp."""
PENDING_MAX = 64


class AudioStep:
    """The duration of the packets of one stream, in timestamp units: what two successive steps agree on."""

    __slots__ = ("_candidate", "_timestamp", "value")

    def __init__(self) -> None:
        self.value = STEP
        self._candidate = 0
        self._timestamp = 0

    def observe(self, timestamp: int, follows: bool) -> None:
        """The next packet in order; `follows`: with the number right after that of the last."""
        step = timestamp - self._timestamp
        self._timestamp = timestamp
        if not follows or not STEP_MIN <= step <= STEP_MAX:
            self._candidate = 0
            return
        # One long step alone is a pause of the sender (DTX).
        if step == self._candidate:
            self.value = step
        self._candidate = step


def audio_frame(timestamp: int, payload: bytes, arrival_us: int, audio_level: int) -> EncodedFrame | None:
    """The frame of one packet; None for padding, and for what no Opus packet can be."""
    if not 0 < len(payload) <= limits.OPUS_PACKET_BYTES:
        return None
    return EncodedFrame("opus", payload, timestamp, keyframe=True, timestamp_us=arrival_us, audio_level=audio_level)


def concealed_frame(before: EncodedFrame, timestamp: int) -> EncodedFrame:
    """The mark of a lost packet some time after `before`."""
    passed_us = (timestamp - before.timestamp) * 1_000_000 // CLOCK_RATE_HZ
    return EncodedFrame("opus", b"", timestamp, timestamp_us=before.timestamp_us + passed_us, concealed=True)
