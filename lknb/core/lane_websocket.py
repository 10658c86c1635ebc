"""The websocket carrier of lanes: direct, or through the proxy of the notebook's server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import WSMsgType, web

from lknb.core.lane_port import GOING_AWAY, NOT_ALLOWED, UNSUPPORTED, LaneName
from lknb.core.message import Buffer, encode_message
from lknb.errors import WireError

logger = logging.getLogger(__name__)


class WebSocketPort:
    """A `LanePort` over one websocket that is open already. `name` may be set once it is known."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.WriteTransport | None) -> None:
        self.name: LaneName = "direct"
        self.page_left = False
        self._socket = socket
        self._transport = transport
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()

    @property
    def waiting_bytes(self) -> int:
        held = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return self._queued_bytes + held

    def send(self, header: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> None:
        if self._socket.closed:
            return
        data = encode_message(header, buffers)
        self._queue.append(data)
        self._queued_bytes += len(data)
        self._wake.set()

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode())

    async def run(self, receive: Callable[[bytes], None]) -> None:
        """Give every message of the page to `receive`, until the websocket is closed.

        A `WireError` of it closes the websocket.
        """
        writer = asyncio.create_task(self._write())
        try:
            await self._read(receive)
        finally:
            # browsers say so for a page that is closed or reloaded (HTML, 9.3.6)
            self.page_left = self._socket.close_code == GOING_AWAY
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _write(self) -> None:
        # the page is gone; the reading side ends the lane
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    data = self._queue.popleft()
                    await self._socket.send_bytes(data)
                    self._queued_bytes -= len(data)

    async def _read(self, receive: Callable[[bytes], None]) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY:
                # an error frame: aiohttp has closed the socket with the code that says why, 1009 for one too large
                if message.type is WSMsgType.TEXT:
                    await self.close(UNSUPPORTED, "binary messages only")
                return
            try:
                receive(message.data)
            except WireError as error:
                logger.warning("a page's lane is closed: %s", error)
                await self.close(NOT_ALLOWED, "not a message of this lane")
                return
