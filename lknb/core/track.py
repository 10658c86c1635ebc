"""Tracks as views and readers see them inside the core: encoded frames, and a way to ask for a key frame."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeAlias

from lknb.wire.frame import EncodedFrame

logger = logging.getLogger(__name__)

Sink: TypeAlias = Callable[[EncodedFrame], None]


class EncodedTrack(Protocol):
    """A track of which encoded frames can be had.

    Sinks run on the core's event loop and must not block. Frames are shared: a sink treats them as read-only.
    """

    @property
    def sid(self) -> str:
        """Track sid, `TR_...`."""

    @property
    def kind(self) -> str:
        """`audio` or `video`."""

    @property
    def codec(self) -> str:
        """`vp8`, `h264` or `opus`."""

    @property
    def muted(self) -> bool:
        """Whether its publisher has muted it."""

    def attach(self, sink: Sink, *, keyframe: bool = True) -> None:
        """Deliver frames to `sink`. With `keyframe` a video sink gets nothing before a key frame, which is asked for."""

    def detach(self, sink: Sink) -> None:
        """Deliver no more to `sink`; harmless when it is not attached."""

    def request_keyframe(self) -> None:
        """Ask the publisher for a key frame; more often than it can be answered is harmless."""


class Fanout:
    """Frames of one track to its sinks."""

    def __init__(self, kind: str) -> None:
        self._waits_for_keyframe = kind == "video"
        self._started: dict[Sink, bool] = {}

    def __len__(self) -> int:
        return len(self._started)

    def add(self, sink: Sink, *, keyframe: bool) -> None:
        """See `EncodedTrack.attach`."""
        self._started[sink] = not (keyframe and self._waits_for_keyframe)

    def remove(self, sink: Sink) -> None:
        """See `EncodedTrack.detach`."""
        self._started.pop(sink, None)

    def deliver(self, frame: EncodedFrame) -> None:
        """Hand one frame to every sink that can begin with it. A sink's fault ends nothing."""
        for sink, started in list(self._started.items()):
            if not started:
                if not frame.keyframe or sink not in self._started:
                    continue
                self._started[sink] = True
            try:
                sink(frame)
            except Exception:
                logger.exception("a reader of encoded frames failed")


class RemoteTrack:
    """A track of another participant that the server sends us. `request_keyframe` is the receiver's."""

    def __init__(self, room: int, participant_sid: str, sid: str, kind: str, codec: str) -> None:
        self.room = room
        self.participant_sid = participant_sid
        self.sid = sid
        self.kind = kind
        self.codec = codec
        self.muted = False
        self.ask_keyframe: Callable[[], None] = _ask_nobody
        self._fanout = Fanout(kind)

    @property
    def watched(self) -> bool:
        """Whether anybody takes its frames."""
        return len(self._fanout) > 0

    def attach(self, sink: Sink, *, keyframe: bool = True) -> None:
        self._fanout.add(sink, keyframe=keyframe)
        if keyframe:
            self.request_keyframe()

    def detach(self, sink: Sink) -> None:
        self._fanout.remove(sink)

    def request_keyframe(self) -> None:
        if self.kind == "video" and not self.muted:
            self.ask_keyframe()

    def deliver(self, frame: EncodedFrame) -> None:
        """A frame arrived."""
        self._fanout.deliver(frame)


def _ask_nobody() -> None:
    """Of a track that is not received yet."""
