"""One participant's websocket: protobuf messages in and out, in order, bounded.

A client that does not read is closed, not waited for: messages to it are queued up to a limit. One that sends too much is
read more slowly: nothing it says is lost, and the others do not notice. Text frames switch to protobuf's JSON form, as the
real server does (pkg/service/wsprotocol.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator

from aiohttp import WSCloseCode, WSMsgType, web
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from lknb import limits
from lknb.logic.budget import Budget

logger = logging.getLogger(__name__)

QUEUE_BYTES_MAX = 8 << 20


class SignalLink:
    """Sends without waiting, receives with a rate limit."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._json = False
        self._closing: int | None = None
        self._writer = asyncio.create_task(self._write())

    @property
    def open(self) -> bool:
        """Whether messages may still get through."""
        return self._closing is None and not self._socket.closed

    def send(self, message: rtc.SignalResponse) -> None:
        """Queue one message. Messages to a closed link are dropped."""
        if not self.open:
            return
        raw = message.SerializeToString() if not self._json else MessageToJson(message).encode()
        self._queue.append(raw)
        self._queued_bytes += len(raw)
        if self._queued_bytes > QUEUE_BYTES_MAX:
            logger.warning("a client does not read its signalling; closed")
            self._queue.clear()
            self._closing = WSCloseCode.TRY_AGAIN_LATER
        self._wake.set()

    async def messages(self) -> AsyncIterator[rtc.SignalRequest]:
        """Requests as they come, until the socket closes."""
        loop = asyncio.get_running_loop()
        budget = Budget(limits.SIGNAL_COST_PER_S, limits.SIGNAL_COST_PER_S / 4)
        async for frame in self._socket:
            if frame.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                budget.spend(1 + len(frame.data) / 1024, loop.time())
                if wait_s := budget.wait_s(loop.time()):
                    await asyncio.sleep(wait_s)
            try:
                if frame.type is WSMsgType.BINARY:
                    yield rtc.SignalRequest.FromString(frame.data)
                elif frame.type is WSMsgType.TEXT:
                    request = Parse(frame.data, rtc.SignalRequest(), ignore_unknown_fields=True)
                    self._json = True
                    yield request
                elif frame.type is WSMsgType.ERROR:
                    return
            except (DecodeError, ParseError):
                logger.info("a signal message could not be read; ignored")

    async def close(self, code: int = WSCloseCode.OK) -> None:
        """Send what is queued, then close. Idempotent."""
        if self._closing is None:
            self._closing = code
        self._wake.set()
        if asyncio.current_task() is not self._writer:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._writer], timeout=1.0)
            self._writer.cancel()

    async def _write(self) -> None:
        try:
            while True:
                while self._queue:
                    raw = self._queue.popleft()
                    self._queued_bytes -= len(raw)
                    if self._json:
                        await self._socket.send_str(raw.decode())
                    else:
                        await self._socket.send_bytes(raw)
                if self._closing is not None:
                    break
                self._wake.clear()
                await self._wake.wait()
        except (ConnectionError, RuntimeError) as error:
            logger.debug("signal link broke: %r", error)
            self._closing = self._closing or WSCloseCode.GOING_AWAY
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._socket.close(code=self._closing or WSCloseCode.OK)
