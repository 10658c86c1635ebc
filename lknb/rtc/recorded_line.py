"""A track that is recorded beside others: its frames in wait, and what is seen of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import av

from lknb.codec.video_decoder import VideoDecoder
from lknb.logic.timeline import Timeline
from lknb.wire.frame import EncodedFrame


@dataclass
class RecordedLine:
    """One of the tracks. Not locked."""

    kind: str
    """"video" or "audio"."""
    timeline: Timeline
    frames: deque[EncodedFrame] = field(default_factory=deque)
    placed_us: int | None = None
    """When the first of the frames was captured, once that has been reckoned."""
    decoder: VideoDecoder | None = None
    picture: av.VideoFrame | None = None

    def next_until(self, until_us: int) -> tuple[EncodedFrame, int] | None:
        """The next frame, and when it was captured, if that was before `until_us`."""
        if not self.frames:
            return None
        frame = self.frames[0]
        if self.placed_us is None:
            if self.timeline.at(frame.timestamp) is None:
                self.timeline.settle(self.frames[-1].timestamp, self.frames[-1].timestamp_us)
            self.placed_us = self.timeline.place(frame.timestamp, frame.timestamp_us)
        if self.placed_us >= until_us:
            return None
        placed_us, self.placed_us = self.placed_us, None
        return self.frames.popleft(), placed_us
