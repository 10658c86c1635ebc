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


RECENT_FRAMES = 12
"""Kept since the last key frame; a longer run is not worth hurrying through."""


class Fanout:
    """Frames of one track to its sinks.

    A key frame and the few frames after it are kept for who comes just then: a reader that opens when a track begins is
    served at once, and the publisher spared a key frame.
    """

    def __init__(self, kind: str) -> None:
        self._waits_for_keyframe = kind == "video"
        self._started: dict[Sink, bool] = {}
        self._recent: list[EncodedFrame] = []

    def __len__(self) -> int:
        return len(self._started)

    def add(self, sink: Sink, *, keyframe: bool) -> bool:
        """See `EncodedTrack.attach`. Whether the sink could begin, so that no key frame is needed for it."""
        started = not (keyframe and self._waits_for_keyframe)
        self._started[sink] = started or bool(self._recent)
        if not started:
            for frame in self._recent:
                self._hand(sink, frame)
        return self._started.get(sink, True)

    def forget(self) -> None:
        """What was kept is no part of what comes next."""
        self._recent.clear()

    def remove(self, sink: Sink) -> None:
        """See `EncodedTrack.detach`."""
        self._started.pop(sink, None)

    def deliver(self, frame: EncodedFrame) -> None:
        """Hand one frame to every sink that can begin with it. A sink's fault ends nothing."""
        if self._waits_for_keyframe:
            self._keep(frame)
        for sink, started in list(self._started.items()):
            if not started:
                if not frame.keyframe or sink not in self._started:
                    continue
                self._started[sink] = True
            self._hand(sink, frame)

    def _keep(self, frame: EncodedFrame) -> None:
        if frame.keyframe:
            self._recent = [frame]
        elif 0 < len(self._recent) < RECENT_FRAMES:
            self._recent.append(frame)
        else:
            self._recent.clear()

    @staticmethod
    def _hand(sink: Sink, frame: EncodedFrame) -> None:
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
        self._muted = False
        self.ask_keyframe: Callable[[], None] = _ask_nobody
        self._fanout = Fanout(kind)

    @property
    def muted(self) -> bool:
        """Whether its publisher has muted it."""
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = muted
        if muted:
            self._fanout.forget()

    @property
    def watched(self) -> bool:
        """Whether anybody takes its frames."""
        return len(self._fanout) > 0

    def attach(self, sink: Sink, *, keyframe: bool = True) -> None:
        if not self._fanout.add(sink, keyframe=keyframe):
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
