"""One lane: a websocket on which one page gets the frames of one track."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from aiohttp import WSCloseCode, WSMsgType, web

from lknb.core.lane_flow import LaneFlow
from lknb.core.lane_message import Ack, Hello, KeyframeRequest, Picture, Visible, parse_upward
from lknb.core.lane_ticket import Grant
from lknb.core.message import encode_message
from lknb.errors import WireError
from lknb.wire.frame import EncodedFrame

if TYPE_CHECKING:
    from lknb.core.track import EncodedTrack

logger = logging.getLogger(__name__)

LaneState: TypeAlias = Literal["waiting", "playing", "muted", "ended"]

UPWARD_MESSAGES_PER_S = 200
FAREWELL_S = 2.0
"""How long a page has after the end of its track to send its last picture."""


class LaneSession:
    """Sends a track down one open websocket until either ends.

    `on_state` is called when `state` changes, `on_visible` when `visible` does, and `on_picture` with every picture the
    page sends. Everything runs on the event loop's thread.
    """

    def __init__(
        self,
        grant: Grant,
        socket: web.WebSocketResponse,
        transport: asyncio.WriteTransport | None,
        *,
        clock: Callable[[], float],
        on_state: Callable[[], None],
        on_picture: Callable[[Picture], None],
        on_visible: Callable[[], None] = lambda: None,
    ) -> None:
        self.grant = grant
        self.state: LaneState = "waiting"
        self.visible = Visible(0.0, 0.0, 1.0, True)
        self.codecs: tuple[str, ...] = ()
        self._track: EncodedTrack | None = None
        self._socket = socket
        self._transport = transport
        self._clock = clock
        self._on_state = on_state
        self._on_picture = on_picture
        self._on_visible = on_visible
        self._flow = LaneFlow(clock())
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._open = True
        self._muted = False
        self._shape: tuple[str, int, int] | None = None
        self._second = clock()
        self._second_messages = 0
        self._closing: asyncio.Task[None] | None = None

    async def run(self, track: EncodedTrack) -> None:
        """Serve the page, beginning with this track, until its websocket closes."""
        writer = asyncio.create_task(self._write())
        try:
            self.refresh(track)
            await self._read()
        finally:
            # from here on the track is not followed any more, though others may still ask for it
            self._open = False
            self._attach(None)
            for task in (writer, self._closing):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    def refresh(self, track: EncodedTrack | None) -> None:
        """Follow the track; `track` is what the room has under this sid by now, None when it is gone.

        Called at a steady pace, it is also what asks for a key frame while no frame comes.
        """
        if self.state == "ended" or not self._open:
            return
        if track is not self._track:
            self._attach(track)
        if track is None:
            self._end()
            return
        if track.muted != self._muted:
            self._muted = track.muted
            self._send({"type": "muted", "muted": self._muted})
            self._flow.restart()
            self._become("muted" if self._muted else "waiting")
        self._ask_for_keyframe()

    async def close(self, code: WSCloseCode, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode())

    def _attach(self, track: EncodedTrack | None) -> None:
        if self._track is not None:
            self._track.detach(self._receive)
        self._track = track
        if track is not None:
            self._flow.restart()
            track.attach(self._receive)

    def _receive(self, frame: EncodedFrame) -> None:
        """The track's next frame."""
        if self._muted or not frame.data:
            return
        waiting = self._queued_bytes
        if self._transport is not None:
            waiting += self._transport.get_write_buffer_size()
        sequence = self._flow.offer(keyframe=frame.keyframe, waiting_bytes=waiting, now=self._clock())
        if sequence is None:
            self._ask_for_keyframe()
            return
        shape = (frame.codec, frame.width, frame.height)
        if frame.keyframe and shape != self._shape:
            self._shape = shape
            self._send({"type": "config", "codec": frame.codec, "width": frame.width, "height": frame.height})
        header = {"type": "chunk", "sequence": sequence, "timestamp_us": frame.timestamp_us, "keyframe": frame.keyframe}
        self._send(header, frame.data)

    def _end(self) -> None:
        self._send({"type": "ended"})
        self._become("ended")
        self._closing = asyncio.create_task(self._say_farewell())

    async def _say_farewell(self) -> None:
        await asyncio.sleep(FAREWELL_S)
        await self.close(WSCloseCode.OK, "the track has ended")

    def _become(self, state: LaneState) -> None:
        if state != self.state:
            self.state = state
            self._on_state()

    def _ask_for_keyframe(self) -> None:
        if self._track is not None and not self._muted and self._flow.keyframe_due(self._clock()):
            self._track.request_keyframe()

    def _send(self, header: dict[str, object], *buffers: bytes) -> None:
        data = encode_message(header, buffers)
        self._queue.append(data)
        self._queued_bytes += len(data)
        self._wake.set()

    async def _write(self) -> None:
        # the page is gone; the reading side ends the session
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    data = self._queue.popleft()
                    await self._socket.send_bytes(data)
                    self._queued_bytes -= len(data)

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY:
                # an error frame: aiohttp has closed the socket with the code that says why, 1009 for one too large
                if message.type is WSMsgType.TEXT:
                    await self.close(WSCloseCode.UNSUPPORTED_DATA, "binary messages only")
                return
            try:
                self._count_message()
                self._handle(message.data)
            except WireError as error:
                logger.warning("a page's lane is closed: %s", error)
                await self.close(WSCloseCode.POLICY_VIOLATION, "not a message of this lane")
                return

    def _count_message(self) -> None:
        now = self._clock()
        if now - self._second >= 1.0:
            self._second, self._second_messages = now, 0
        self._second_messages += 1
        if self._second_messages > UPWARD_MESSAGES_PER_S:
            raise WireError(f"more than {UPWARD_MESSAGES_PER_S} messages a second")

    def _handle(self, data: bytes) -> None:
        match parse_upward(data):
            case Ack(sequence):
                self._flow.acknowledge(sequence, self._clock())
                if self.state == "waiting":
                    self._become("playing")
            case KeyframeRequest():
                self._flow.restart()
            case Hello(codecs):
                self.codecs = codecs
            case Visible() as visible:
                self.visible = visible
                self._flow.show(visible=visible.visible, now=self._clock())
                self._on_visible()
            case Picture() as picture:
                self._on_picture(picture)
        self._ask_for_keyframe()
