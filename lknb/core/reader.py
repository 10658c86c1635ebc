"""Encoded frames of a track on their way to the kernel, which may be too busy to take them."""

from __future__ import annotations

import time
from collections import deque

from lknb.core.link import KernelLink
from lknb.core.source.frames import frame_header
from lknb.core.track import EncodedTrack
from lknb.logic.audience import Viewer
from lknb.logic.throttle import Throttle
from lknb.wire.frame import EncodedFrame

_AUDIO_KEPT = 50
"""Packets of sound kept for a kernel that does not read: one second, the newest."""
_KEYFRAME_INTERVAL_S = 0.5


class KernelReader:
    """A sink of one track that sends its frames over the link.

    When the link is full video stops until a key frame finds room, and sound keeps its newest second. To adaptive stream
    it is one more view, of the size its readers asked for.
    """

    def __init__(self, link: KernelLink, room: int, track: EncodedTrack) -> None:
        self.dropped = 0
        self.viewer = Viewer(None)
        self.track = track
        self._link = link
        self._room = room
        self._video = track.kind == "video"
        self._broken = False
        self._kept: deque[EncodedFrame] = deque(maxlen=_AUDIO_KEPT)
        self._throttle = Throttle(_KEYFRAME_INTERVAL_S)
        self._open = False

    def open(self) -> None:
        """Begin to read."""
        self._open = True
        self.track.attach(self.take)

    def close(self) -> None:
        """Read no more. Idempotent."""
        self._open = False
        self.track.detach(self.take)
        self._kept.clear()

    def take(self, frame: EncodedFrame) -> None:
        """One frame of the track."""
        if self._video:
            self._take_picture(frame)
        elif self._link.has_room and not self._kept:
            self._send(frame)
        else:
            if not self._kept:
                self._link.on_room(self._send_kept)
            self.dropped += len(self._kept) == _AUDIO_KEPT
            self._kept.append(frame)

    def _take_picture(self, frame: EncodedFrame) -> None:
        if not self._link.has_room:
            self._broken = True
        elif frame.keyframe:
            self._broken = False
        elif self._broken and self._throttle.allow(time.monotonic()):
            self.track.request_keyframe()
        if self._broken:
            self.dropped += 1
        else:
            self._send(frame)

    def _send_kept(self) -> None:
        if not self._open:
            return
        while self._kept and self._link.has_room:
            self._send(self._kept.popleft())
        if self._kept:
            self._link.on_room(self._send_kept)

    def _send(self, frame: EncodedFrame) -> None:
        header = {"event": "frame", "room": self._room, "track_sid": self.track.sid, **frame_header(frame)}
        self._link.send(header, (frame.data,))
