"""Microseconds <-> RTP timestamps.

Everything this process captures is stamped on one axis, `now_us()`: the monotonic clock, which all processes of a
machine share. RTP timestamps are counted from the same zero, so the layers of a picture and the sound that belongs to
it carry times that can be compared; whoever sends them adds the random offset of RFC 3550.
"""

from __future__ import annotations

import time

VIDEO_CLOCK_HZ = 90_000
AUDIO_CLOCK_HZ = 48_000


def now_us() -> int:
    """The monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


def video_timestamp(timestamp_us: int) -> int:
    """The RTP timestamp of a picture, in units of 1/90,000 s, rounded down."""
    return timestamp_us * 9 // 100


def audio_timestamp(timestamp_us: int) -> int:
    """The RTP timestamp of a packet of Opus, in units of 1/48,000 s (RFC 7587 section 4.1), rounded down."""
    return timestamp_us * 6 // 125
