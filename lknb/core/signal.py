"""One signalling websocket of a client: requests up, responses down, and whether the server is still there.

LiveKit: pkg/service/wsprotocol.go, client-sdk-js src/api/SignalClient.ts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

import aiohttp
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from lknb.core.address import ServerAddress
from lknb.core.refusal import leave_error, status_error, timeout_error, transport_error
from lknb.errors import ConnectError

logger = logging.getLogger(__name__)

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
_CLOSE_TIMEOUT_S = 1.0
_EARLY_RESPONSES = 100


class SignalSocket:
    """A websocket on which the server has accepted us.

    `first` is its first answer: `join`, or `reconnect` after a resume. `start` begins to deliver what follows.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        first: rtc.SignalResponse,
        early: list[rtc.SignalResponse],
    ) -> None:
        self.first = first
        self._early = early
        self.rtt_ms = 0
        """Of the last ping."""
        self._http = http
        self._socket = socket
        self._outbox: asyncio.Queue[rtc.SignalRequest | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._on_response: Callable[[rtc.SignalResponse], None] = _ignore_response
        self._on_close: Callable[[str], None] = _ignore_reason
        self._heard_at = time.monotonic()
        self._closed = False

    @classmethod
    async def open(
        cls, address: ServerAddress, path: str, query: Mapping[str, str], token: str, *, timeout_s: float
    ) -> SignalSocket:
        """Connect and wait for the first answer. Raises `ConnectError`; kind unsupported when `path` is not served.

        `timeout_s` bounds the connection, and once more the wait for the answer.
        """
        # a proxy of the environment is for the world outside, never for a server on this machine
        http = aiohttp.ClientSession(trust_env=not address.is_loopback, headers={"Authorization": f"Bearer {token}"})
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    socket = await _upgrade(http, address.signal_url(path), query)
            except aiohttp.WSServerHandshakeError as error:
                body = await _refusal_body(http, address.http_url(path + "/validate"), query, timeout_s)
                # not `from error`: its text holds the query, and that the offer with its passwords
                raise status_error(error.status, body, address, token, time.time()) from None
            try:
                async with asyncio.timeout(timeout_s):
                    first, early = await _first_response(socket, address)
            except BaseException:
                await socket.close()
                raise
        except TimeoutError:
            await http.close()
            raise timeout_error(address, timeout_s) from None
        except (aiohttp.ClientError, OSError) as error:
            await http.close()
            raise transport_error(error, address) from None
        except BaseException:
            await http.close()
            raise
        return cls(http, socket, first, early)

    def start(
        self,
        on_response: Callable[[rtc.SignalResponse], None],
        on_close: Callable[[str], None],
        *,
        ping_interval_s: float,
        ping_timeout_s: float,
    ) -> None:
        """Deliver responses, and once the reason when the connection is lost (not after `close`).

        A ping goes out every `ping_interval_s`; hearing nothing for `ping_timeout_s` is a loss. 0 = no pings.
        """
        self._on_response = on_response
        self._on_close = on_close
        self._heard_at = time.monotonic()
        for response in self._early:
            self._deliver(response)
        self._early.clear()
        jobs = [self._read(), self._write()]
        if ping_interval_s > 0:
            jobs.append(self._ping(ping_interval_s, ping_timeout_s))
        self._tasks = [asyncio.create_task(job, name="signal") for job in jobs]

    def send(self, request: rtc.SignalRequest) -> None:
        """Queue one request, in order."""
        if not self._closed:
            self._outbox.put_nowait(request)

    async def flush_and_close(self) -> None:
        """Send what is queued, then `close`. Each takes at most a second."""
        if not self._closed and self._tasks:
            self._outbox.put_nowait(None)
            await asyncio.wait(self._tasks[1:2], timeout=_CLOSE_TIMEOUT_S)
        await self.close()

    async def close(self) -> None:
        """Close, when the server has said goodbye too, or after a second; idempotent."""
        self._closed = True
        try:
            # Before the reader ends: a socket that is not read any more hangs up without the server's goodbye. A server
            # that writes to it then gets a reset, and does not read our last words.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._socket.close()
        finally:
            current = asyncio.current_task()
            tasks = [task for task in self._tasks if task is not current]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._http.close()

    async def _read(self) -> None:
        async for message in self._socket:
            self._heard_at = time.monotonic()
            response = _parse(message)
            if response is None:
                continue
            if response.WhichOneof("message") == "pong_resp":
                self.rtt_ms = max(0, int(time.time() * 1000) - response.pong_resp.last_ping_timestamp)
                continue
            self._deliver(response)
        self._lose(f"the server closed the signal connection (code {self._socket.close_code})")

    def _deliver(self, response: rtc.SignalResponse) -> None:
        try:
            self._on_response(response)
        except Exception:
            logger.exception("the response %r of the server failed", response.WhichOneof("message"))

    async def _write(self) -> None:
        while (request := await self._outbox.get()) is not None:
            try:
                await self._socket.send_bytes(request.SerializeToString())
            except (ConnectionError, aiohttp.ClientError):
                return  # the reader sees the end and tells

    async def _ping(self, interval_s: float, timeout_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            if timeout_s > 0 and time.monotonic() - self._heard_at > timeout_s:
                self._lose(f"the server was silent for {timeout_s:g} s")
                return
            self.send(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=int(time.time() * 1000), rtt=self.rtt_ms)))

    def _lose(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._on_close(reason)


async def _upgrade(http: aiohttp.ClientSession, url: str, query: Mapping[str, str]) -> aiohttp.ClientWebSocketResponse:
    return await http.ws_connect(
        url,
        params=query,
        max_msg_size=MAX_RESPONSE_BYTES,
        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
    )


async def _refusal_body(http: aiohttp.ClientSession, url: str, query: Mapping[str, str], timeout_s: float) -> str:
    """A refused upgrade hides its body; the same request at /validate gives the same status with the text."""
    try:
        async with asyncio.timeout(timeout_s), http.get(url, params=query) as response:
            return (await response.content.read(4096)).decode(errors="replace") if response.status != 200 else ""
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""


async def _first_response(
    socket: aiohttp.ClientWebSocketResponse, address: ServerAddress
) -> tuple[rtc.SignalResponse, list[rtc.SignalResponse]]:
    """The answer to the join, and what a server said before it."""
    early: list[rtc.SignalResponse] = []
    async for message in socket:
        response = _parse(message)
        if response is None:
            continue
        kind = response.WhichOneof("message")
        if kind in ("join", "reconnect"):
            return response, early
        if kind == "leave":
            raise leave_error(response.leave.reason, address)
        if len(early) < _EARLY_RESPONSES:
            early.append(response)
    raise ConnectError(f"{address} closed the connection before the room was joined", "unavailable")


def _parse(message: aiohttp.WSMessage) -> rtc.SignalResponse | None:
    if message.type is not aiohttp.WSMsgType.BINARY:
        return None
    try:
        return rtc.SignalResponse.FromString(message.data)
    except DecodeError:
        logger.warning("the server sent a message that is no SignalResponse")
        return None


def _ignore_response(response: rtc.SignalResponse) -> None:
    del response


def _ignore_reason(reason: str) -> None:
    del reason
