"""A proxy for signalling that can be cut or stalled, and that can send the media of its clients through a relay.

It speaks HTTP and websockets on both sides, so whole signal messages can be counted, held back and rewritten: `media_port`
replaces the server's UDP port in every candidate a client is told, in descriptions and in trickle.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from typing import Literal

from aiohttp import ClientSession, ClientWebSocketResponse, WSMessage, WSMsgType, WSServerHandshakeError, web
from livekit.protocol import rtc as signalling

HOP_BY_HOP = {"host", "connection", "upgrade", "content-length", "transfer-encoding", "content-encoding"}
Cut = Literal["rst", "fin"]


class SignalProxy:
    """ws://127.0.0.1:`port` in front of a server's `url`; `async with`. `missing` are paths it does not have: 404."""

    def __init__(
        self, url: str, *, server_rtc_port: int = 0, media_port: int = 0, missing: tuple[str, ...] = ()
    ) -> None:
        self._missing = missing
        self._upstream = url.replace("ws", "http", 1).rstrip("/")
        self._server_rtc_port, self._media_port = server_rtc_port, media_port
        self._open: dict[web.WebSocketResponse, tuple[web.Request, ClientWebSocketResponse]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._cut_after: int | None = None
        self._session: ClientSession
        self._runner: web.AppRunner
        self.connections = 0
        """Websockets that were opened so far."""
        self.up: list[signalling.SignalRequest] = []
        """What clients sent so far, in order."""
        self.down: list[signalling.SignalResponse] = []
        """What the server sent so far, in order."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> SignalProxy:
        self._session = ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.resume()
        await self.cut("rst")
        await self._session.close()
        await self._runner.cleanup()

    async def cut(self, how: Cut = "rst") -> int:
        """End every websocket, as a reset or as an orderly end of the connection; how many there were."""
        for request, upstream in (cut := list(self._open.values())):
            transport = request.transport
            if transport is not None:
                if how == "fin":
                    transport.close()
                else:
                    # a close with a linger of zero seconds is a reset
                    linger = struct.pack("ii", 1, 0)
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    transport.abort()
            await upstream.close()
        return len(cut)

    def cut_after(self, messages: int) -> None:
        """Reset the next websocket that carries this many messages, both ways counted, from now on."""
        self._cut_after = messages

    def stall(self) -> None:
        """Carry nothing more, and keep every connection open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Carry on, what was held back first."""
        self._flowing.set()

    def refuse(self, refusing: bool) -> None:
        """Answer 503 to everything new, as a server that restarts behind a balancer."""
        self._refusing = refusing

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._refusing:
            return web.Response(status=503)
        if request.path in self._missing:
            return web.Response(status=404, text="404 page not found")
        url = self._upstream + str(request.rel_url)
        websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in HOP_BY_HOP and not name.lower().startswith("sec-websocket")
        }
        if not websocket:
            body = await request.read()
            async with self._session.request(request.method, url, headers=headers, data=body) as reply:
                kept = {name: value for name, value in reply.headers.items() if name.lower() not in HOP_BY_HOP}
                return web.Response(status=reply.status, body=await reply.read(), headers=kept)
        try:
            upstream = await self._session.ws_connect(url.replace("http", "ws", 1), headers=headers, max_msg_size=0)
        except WSServerHandshakeError as refused:
            return web.Response(status=refused.status, text=refused.message)
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        self.connections += 1
        self._open[client] = (request, upstream)
        try:
            await self._carry(client, upstream)
        finally:
            self._open.pop(client, None)
            await upstream.close()
        return client

    async def _carry(self, client: web.WebSocketResponse, upstream: ClientWebSocketResponse) -> None:
        up = asyncio.ensure_future(self._pump(client, upstream))
        down = asyncio.ensure_future(self._pump(upstream, client))
        _, left = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        # the other side says goodbye by itself, unless nobody is there any more
        if left:
            await asyncio.wait(left, timeout=0.5)
        for task in left:
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)

    async def _pump(
        self,
        source: web.WebSocketResponse | ClientWebSocketResponse,
        target: web.WebSocketResponse | ClientWebSocketResponse,
    ) -> None:
        upward = isinstance(source, web.WebSocketResponse)
        async for message in source:
            await self._flowing.wait()
            if self._cut_after is not None:
                self._cut_after -= 1
                if self._cut_after < 0:
                    self._cut_after = None
                    await self.cut("rst")
                    return
            await self._carry_one(message, target, upward=upward)
        await target.close(code=source.close_code or 1000)

    async def _carry_one(
        self, message: WSMessage, target: web.WebSocketResponse | ClientWebSocketResponse, *, upward: bool
    ) -> None:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY and upward:
            self.up.append(signalling.SignalRequest.FromString(message.data))
            await target.send_bytes(message.data)
        elif message.type is WSMsgType.BINARY:
            response = signalling.SignalResponse.FromString(message.data)
            self._lead_media(response)
            self.down.append(response)
            await target.send_bytes(response.SerializeToString())

    def _lead_media(self, response: signalling.SignalResponse) -> None:
        if not self._media_port:
            return
        # "candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host": the port is a word of its own before " typ"
        told, wanted = f" {self._server_rtc_port} typ", f" {self._media_port} typ"
        for name in ("offer", "answer"):
            if response.HasField(name):
                description = getattr(response, name)
                description.sdp = description.sdp.replace(told, wanted)
        if response.HasField("trickle"):
            response.trickle.candidateInit = response.trickle.candidateInit.replace(told, wanted)
