"""Which frames of a live track go to one page, so that what the page shows is never old.

A frame that cannot be shown in time must not be sent at all: it would only make the next ones later. But a codec cannot
skip one frame and go on. So when the page falls behind, all is dropped up to the next key frame, which is asked for.

The window counts frames that were sent and not acknowledged. It must count the sent ones: counting the frames of the
track would never come down again after the first drop.
"""

from __future__ import annotations

from lknb.errors import WireError

WINDOW_FRAMES = 15
"""Half a second at 30 frames a second; a page acknowledges every 40 ms."""
COMM_WINDOW_FRAMES = 24
"""Over the comm a page acknowledges every 200 ms, and later when it is busy showing something else."""
WINDOW_BYTES = 1024 * 1024
"""Waiting in our queue and in the socket."""
ACK_TIMEOUT_S = 2.0
"""A page that acknowledges nothing for so long gets no more video until it does."""
PROBE_S = 5.0
"""To such a page one key frame goes each so often: what it was to acknowledge may have been lost on the way."""
KEYFRAME_INTERVAL_S = 0.5
"""At most two requests a second: each costs the publisher a large frame."""
HIDDEN_PAUSE_S = 2.0
"""A view that nobody sees gets no more video after so long; scrolling past it does not stop it."""


class LaneFlow:
    """The flow of one lane. `now` is in monotonic seconds, `window_frames` how many may be on their way."""

    def __init__(self, now: float, window_frames: int = WINDOW_FRAMES) -> None:
        self._window_frames = window_frames
        self._next_sequence = 0
        self._acknowledged = -1
        self._progress_at = now
        self._waiting_bytes = 0
        self._keyframe_needed = True
        # attaching to the track asked for one
        self._keyframe_asked_at = now
        self._sent_at = now
        self._hidden_since: float | None = None

    @property
    def in_flight(self) -> int:
        """Frames sent and not acknowledged."""
        return self._next_sequence - 1 - self._acknowledged

    def offer(self, *, keyframe: bool, waiting_bytes: int, now: float) -> int | None:
        """The sequence number to send the track's next frame with, or None: it is not sent.

        `waiting_bytes` is what our queue and the socket hold already.
        """
        self._waiting_bytes = waiting_bytes
        if not self.has_place(now, self._window_frames):
            self._keyframe_needed = True
            return None
        if self._keyframe_needed or self._silent(now):
            # at the very edge of the window the key frame would be the last one to fit
            if not keyframe or not self.has_place(now, self._window_frames // 2, WINDOW_BYTES // 2):
                self._keyframe_needed = True
                return None
            self._keyframe_needed = False
        if not self.in_flight:
            self._progress_at = now
        self._sent_at = now
        self._next_sequence += 1
        return self._next_sequence - 1

    def acknowledge(self, sequence: int, now: float) -> None:
        """The page has decoded, or given up, all frames up to this one. Raises `WireError` when it cannot have."""
        if not self._acknowledged <= sequence < self._next_sequence:
            raise WireError(f"acknowledged {sequence} after {self._acknowledged}, of {self._next_sequence} sent")
        self._acknowledged = sequence
        self._progress_at = now
        self._waiting_bytes = 0

    def restart(self) -> None:
        """The page cannot go on without a key frame, or the frames so far are not to be continued."""
        self._keyframe_needed = True

    def show(self, *, visible: bool, now: float) -> None:
        """Whether any view of the page can be seen."""
        if visible:
            self._hidden_since = None
        elif self._hidden_since is None:
            self._hidden_since = now

    def keyframe_due(self, now: float) -> bool:
        """Whether to ask the track for a key frame now; True counts as asked."""
        if not self._keyframe_needed or now - self._keyframe_asked_at < KEYFRAME_INTERVAL_S:
            return False
        if not self.has_place(now, self._window_frames // 2, WINDOW_BYTES // 2):
            return False
        self._keyframe_asked_at = now
        return True

    def has_place(self, now: float, frames: int, waiting_bytes: int = WINDOW_BYTES) -> bool:
        """Whether one more may go, when so many may be on their way."""
        if self._hidden_since is not None and now - self._hidden_since >= HIDDEN_PAUSE_S:
            return False
        if self._waiting_bytes > waiting_bytes:
            return False
        if self._silent(now):
            return now - self._sent_at >= PROBE_S
        return self.in_flight < frames

    def _silent(self, now: float) -> bool:
        return self.in_flight > 0 and now - self._progress_at >= ACK_TIMEOUT_S
