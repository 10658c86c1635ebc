"""The lane of one video track: its frames to one page, and what the page says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lknb.core.lane_flow import COMM_WINDOW_FRAMES, WINDOW_FRAMES, LaneFlow
from lknb.core.lane_message import Ack, Hello, KeyframeRequest, Picture, Visible, parse_upward
from lknb.core.lane_port import NORMAL, LanePort
from lknb.core.lane_still import CODEC, StillTrack
from lknb.core.lane_ticket import Grant
from lknb.wire.frame import EncodedFrame

if TYPE_CHECKING:
    from lknb.core.track import EncodedTrack

LaneState: TypeAlias = Literal["waiting", "playing", "muted", "ended"]

STILLS_IN_FLIGHT = 2
"""JPEG pictures on their way; a page that decodes no video gets the next one when it has shown one of these."""
FAREWELL_S = 2.0
"""How long a page has after the end of its track to send its last picture."""


class VideoSession:
    """A `LaneSession` that sends the frames of a track.

    `track()` is what the room has under this sid by now, None when it is gone. `on_change` is called when `state` or
    `size` changes, `on_visible` when `visible` does, `on_picture` with every picture the page sends,
    `on_closed` when all is over.
    """

    def __init__(
        self,
        grant: Grant,
        port: LanePort,
        track: Callable[[], EncodedTrack | None],
        *,
        clock: Callable[[], float],
        on_change: Callable[[], None],
        on_visible: Callable[[], None],
        on_picture: Callable[[Picture], None],
        on_closed: Callable[[VideoSession], None],
    ) -> None:
        self.grant = grant
        self.state: LaneState = "waiting"
        self.size: tuple[int, int] | None = None
        """Width and height of what is received, in pixels."""
        self.visible = Visible(0.0, 0.0, 1.0, True)
        self.codecs: tuple[str, ...] = ()
        self._find_track = track
        self._track: EncodedTrack | None = None
        self._source: EncodedTrack | None = None
        """What is sent: the track, or stills of it."""
        self._port = port
        self._clock = clock
        self._on_change = on_change
        self._on_visible = on_visible
        self._on_picture = on_picture
        self._on_closed = on_closed
        self._flow = LaneFlow(clock(), COMM_WINDOW_FRAMES if port.name == "comm" else WINDOW_FRAMES)
        self._muted = False
        self._shape: tuple[str, int, int] | None = None
        self._leaving: asyncio.Task[None] | None = None

    def refresh(self) -> None:
        """Follow the track. Called at a steady pace, it is also what asks for a key frame while no frame comes."""
        if self.state == "ended":
            return
        track = self._find_track()
        if track is not self._track:
            self._attach(track)
        if track is None:
            self._end()
            return
        if track.muted != self._muted:
            self._muted = track.muted
            self._port.send({"type": "muted", "muted": self._muted})
            self._flow.restart()
            self._become("muted" if self._muted else "waiting")
        self._ask_for_keyframe()

    def handle(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        match parse_upward(header, buffers):
            case Ack(sequence):
                self._flow.acknowledge(sequence, self._clock())
                if self.state == "waiting":
                    self._become("playing")
            case KeyframeRequest():
                self._flow.restart()
            case Hello(codecs):
                self.codecs = codecs
                if self._track is not None and self._needs_stills(self._track) and self._source is self._track:
                    self._attach(self._track)
            case Visible() as visible:
                self._flow.show(visible=visible.visible, now=self._clock())
                if visible != self.visible:
                    self.visible = visible
                    self._on_visible()
            case Picture() as picture:
                self._on_picture(picture)
        self._ask_for_keyframe()

    def closed(self) -> None:
        self._attach(None)
        if self._leaving is not None:
            self._leaving.cancel()
        self._on_closed(self)

    def _attach(self, track: EncodedTrack | None) -> None:
        if self._source is not None:
            self._source.detach(self._receive)
        self._track = self._source = track
        if track is not None:
            self._flow.restart()
            self._source = StillTrack(track, self._size_of_still) if self._needs_stills(track) else track
            self._source.attach(self._receive)

    def _needs_stills(self, track: EncodedTrack) -> bool:
        return CODEC in self.codecs and track.codec not in self.codecs

    def _size_of_still(self, made: int) -> tuple[float, float] | None:
        if not self._flow.has_place(self._clock(), STILLS_IN_FLIGHT - made) or not self.visible.visible:
            return None
        return self.visible.width * self.visible.dpr, self.visible.height * self.visible.dpr

    def _receive(self, frame: EncodedFrame) -> None:
        """The track's next frame."""
        if self._muted or not frame.data:
            return
        waiting = self._port.waiting_bytes
        sequence = self._flow.offer(keyframe=frame.keyframe, waiting_bytes=waiting, now=self._clock())
        if sequence is None:
            self._ask_for_keyframe()
            return
        shape = (frame.codec, frame.width, frame.height)
        if frame.keyframe and shape != self._shape:
            self._shape = shape
            self._port.send({"type": "config", "codec": frame.codec, "width": frame.width, "height": frame.height})
            self.size = frame.width, frame.height
            self._on_change()
        header = {"type": "chunk", "sequence": sequence, "timestamp_us": frame.timestamp_us, "keyframe": frame.keyframe}
        self._port.send(header, (frame.data,))

    def _end(self) -> None:
        self._port.send({"type": "ended"})
        self._become("ended")
        self._leaving = asyncio.create_task(self._say_farewell())

    async def _say_farewell(self) -> None:
        await asyncio.sleep(FAREWELL_S)
        # closing calls `closed`, which must not cancel what closes
        self._leaving = None
        await self._port.close(NORMAL, "the track has ended")

    def _become(self, state: LaneState) -> None:
        if state != self.state:
            self.state = state
            self._on_change()

    def _ask_for_keyframe(self) -> None:
        if self._source is not None and not self._muted and self._flow.keyframe_due(self._clock()):
            self._source.request_keyframe()
