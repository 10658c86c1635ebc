from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError, web
from livekit.protocol import rtc as signalling

from tests.kit.poll import wait_until
from tests.kit.ws_proxy import SignalProxy

OFFER = "v=0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host\r\n"


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[str]:
    """A server that answers each request with an offer, a status at /status, and 401 at /refused."""

    async def join(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for message in websocket:
            assert message.type is WSMsgType.BINARY
            offer = signalling.SignalResponse(offer=signalling.SessionDescription(type="offer", sdp=OFFER))
            await websocket.send_bytes(offer.SerializeToString())
        return websocket

    async def status(request: web.Request) -> web.Response:
        return web.Response(text=request.query["word"], headers={"Access-Control-Allow-Origin": "*"})

    async def refused(_: web.Request) -> web.Response:
        return web.Response(status=401)

    app = web.Application()
    app.add_routes([web.get("/rtc", join), web.get("/status", status), web.get("/refused", refused)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


PING = signalling.SignalRequest(ping=7).SerializeToString()


async def test_messages_pass_and_are_kept(upstream, session):
    async with SignalProxy(upstream) as proxy, session.ws_connect(f"{proxy.url}/rtc") as websocket:
        await websocket.send_bytes(PING)
        answer = signalling.SignalResponse.FromString((await websocket.receive(5)).data)
        assert answer.offer.sdp == OFFER
        assert [request.ping for request in proxy.up] == [7]
        assert [response.offer.type for response in proxy.down] == ["offer"]


async def test_candidates_lead_to_the_media_port(upstream, session):
    async with (
        SignalProxy(upstream, server_rtc_port=7882, media_port=50_000) as proxy,
        session.ws_connect(f"{proxy.url}/rtc") as websocket,
    ):
        await websocket.send_bytes(PING)
        answer = signalling.SignalResponse.FromString((await websocket.receive(5)).data)
        assert answer.offer.sdp == OFFER.replace("7882", "50000")


async def test_http_passes_with_its_query_and_headers(upstream, session):
    async with SignalProxy(upstream) as proxy:
        url = proxy.url.replace("ws", "http", 1)
        async with session.get(f"{url}/status?word=hello") as answer:
            assert await answer.text() == "hello"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        with pytest.raises(WSServerHandshakeError, match="401"):
            await session.ws_connect(f"{url}/refused")
        proxy.refuse(True)
        async with session.get(f"{url}/status?word=hello") as answer:
            assert answer.status == 503


@pytest.mark.parametrize("how", ["rst", "fin"])
async def test_a_cut_ends_the_websocket_without_a_goodbye(upstream, session, how):
    async with SignalProxy(upstream) as proxy, session.ws_connect(f"{proxy.url}/rtc") as websocket:
        await websocket.send_bytes(PING)
        await websocket.receive(5)
        raw = websocket.get_extra_info("socket")
        assert await proxy.cut(how) == 1
        message = await websocket.receive(5)
        assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        assert websocket.close_code in (None, 1006)
        assert raw is not None
        async with session.ws_connect(f"{proxy.url}/rtc") as second:
            await second.send_bytes(PING)
            assert (await second.receive(5)).type is WSMsgType.BINARY
        assert proxy.connections == 2


async def test_a_cut_can_wait_for_a_number_of_messages(upstream, session):
    async with SignalProxy(upstream) as proxy, session.ws_connect(f"{proxy.url}/rtc") as websocket:
        proxy.cut_after(2)
        await websocket.send_bytes(PING)
        assert (await websocket.receive(5)).type is WSMsgType.BINARY
        await websocket.send_bytes(PING)
        assert (await websocket.receive(5)).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        assert (len(proxy.up), len(proxy.down)) == (1, 1)


async def test_a_stall_holds_messages_back_and_keeps_the_connection(upstream, session):
    async with SignalProxy(upstream) as proxy, session.ws_connect(f"{proxy.url}/rtc") as websocket:
        proxy.stall()
        await websocket.send_bytes(PING)
        with pytest.raises(asyncio.TimeoutError):
            await websocket.receive(0.2)
        assert not websocket.closed
        proxy.resume()
        await wait_until(lambda: proxy.up)
        assert (await websocket.receive(5)).type is WSMsgType.BINARY
