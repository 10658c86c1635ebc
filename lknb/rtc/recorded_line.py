"""A track that is recorded beside others: its frames in wait, and what is seen of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lknb.codec.video_decoder import VideoDecoder
from lknb.logic.timeline import Timeline
from lknb.wire.frame import EncodedFrame

if TYPE_CHECKING:
    import av


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
    ended: bool = False
    """Whether nothing more comes."""

    def put(self, frame: EncodedFrame) -> None:
        """Keep a frame; nothing can be made of pictures before the first key frame."""
        if self.kind == "video" and not (self.frames or self.decoder or frame.keyframe):
            return
        self.frames.append(frame)

    def next_us(self) -> int | None:
        """When the next frame was captured, by what is known when this is first asked; None when there is none."""
        if self.frames and self.placed_us is None:
            frame, newest = self.frames[0], self.frames[-1]
            if self.timeline.at(frame.timestamp) is None:
                self.timeline.settle(newest.timestamp, newest.timestamp_us)
            self.placed_us = self.timeline.place(frame.timestamp, frame.timestamp_us)
        return self.placed_us

    def next_until(self, until_us: int) -> tuple[EncodedFrame, int] | None:
        """The next frame, and when it was captured, if that was before `until_us`."""
        placed_us = self.next_us()
        if placed_us is None or placed_us >= until_us:
            return None
        self.placed_us = None
        return self.frames.popleft(), placed_us
