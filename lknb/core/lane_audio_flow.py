"""Which sound goes to one page now, and which is too old to be worth a place in the queue.

A codec for sound goes on after any loss, so unlike video nothing needs a key frame: what cannot leave at once is dropped.
"""

from __future__ import annotations

from collections import deque

from lknb.errors import WireError

QUEUE_S = 0.5
"""Sound that would wait longer than this for the lane is dropped."""
ACK_TIMEOUT_S = 5.0
"""A page that acknowledges nothing for so long gets no more sound until it does: it may be closed, and then somebody else
keeps what we send."""
PROBE_S = 1.0
"""To such a page one message goes each so often. What it was to acknowledge may have been lost on the way."""


class AudioFlow:
    """The flow of one lane. `now` is in monotonic seconds; `others_bytes`: what others may have waiting in the same queue."""

    def __init__(self, now: float, *, others_bytes: int = 0) -> None:
        self._others_bytes = others_bytes
        self._next_sequence = 0
        self._acknowledged = -1
        self._progress_at = now
        self._offered_at = now
        self._recent: deque[tuple[float, int]] = deque()
        self._recent_bytes = 0

    @property
    def in_flight(self) -> int:
        """Messages sent and not acknowledged."""
        return self._next_sequence - 1 - self._acknowledged

    def offer(self, size: int, *, waiting_bytes: int, now: float) -> int | None:
        """The sequence number to send the next message with, or None: it is not sent.

        `size` is what it will add to the queue at most, `waiting_bytes` what the queue holds already.
        """
        self._forget(now)
        # a queue longer than all that was put into it of late has something older in it
        if waiting_bytes > self._recent_bytes + self._others_bytes:
            return None
        if self.in_flight and now - self._progress_at >= ACK_TIMEOUT_S and now - self._offered_at < PROBE_S:
            return None
        if not self.in_flight:
            self._progress_at = now
        self._offered_at = now
        self._recent.append((now, size))
        self._recent_bytes += size
        self._next_sequence += 1
        return self._next_sequence - 1

    def acknowledge(self, sequence: int, now: float) -> None:
        """The page has taken all messages up to this one. Raises `WireError` when it cannot have."""
        if not self._acknowledged <= sequence < self._next_sequence:
            raise WireError(f"acknowledged {sequence} after {self._acknowledged}, of {self._next_sequence} sent")
        self._acknowledged = sequence
        self._progress_at = now

    def _forget(self, now: float) -> None:
        while self._recent and now - self._recent[0][0] > QUEUE_S:
            self._recent_bytes -= self._recent.popleft()[1]
