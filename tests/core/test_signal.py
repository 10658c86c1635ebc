"""A signalling websocket against a server played by the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSMsgType, web
from livekit.protocol import models, rtc

from lknb.core import signal
from lknb.core.address import ServerAddress
from lknb.core.signal import SignalSocket
from lknb.errors import ConnectError
from tests.kit.poll import wait_until


class FakeServer:
    """Takes one websocket at a time, says `first`, keeps what it hears; answers pings while `answers_pings`."""

    def __init__(self) -> None:
        self.first = [rtc.SignalResponse(join=rtc.JoinResponse(participant=models.ParticipantInfo(sid="PA_1")))]
        self.heard: list[rtc.SignalRequest] = []
        self.answers_pings = True
        self.autoclose = True
        """Whether a goodbye is answered at once; else the connection stays until `hang_up` is set."""
        self.hang_up = asyncio.Event()
        self.socket: web.WebSocketResponse | None = None
        self.closed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        self.socket = socket = web.WebSocketResponse(autoclose=self.autoclose)
        await socket.prepare(request)
        for response in self.first:
            await socket.send_bytes(response.SerializeToString())
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await self._hear(rtc.SignalRequest.FromString(message.data))
        self.closed.set()
        if not self.autoclose:
            await self.hang_up.wait()
        return socket

    async def _hear(self, request: rtc.SignalRequest) -> None:
        self.heard.append(request)
        if request.WhichOneof("message") == "ping_req" and self.answers_pings and self.socket is not None:
            pong = rtc.Pong(last_ping_timestamp=request.ping_req.timestamp, timestamp=1)
            await self.say(rtc.SignalResponse(pong_resp=pong))

    async def say(self, response: rtc.SignalResponse) -> None:
        assert self.socket is not None
        await self.socket.send_bytes(response.SerializeToString())

    def kinds(self) -> list[str | None]:
        return [request.WhichOneof("message") for request in self.heard]


@contextlib.asynccontextmanager
async def serving(server: FakeServer) -> AsyncIterator[ServerAddress]:
    app = web.Application()
    app.router.add_get("/rtc", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield ServerAddress.parse(f"ws://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


class Client:
    """A socket that is started, and what it heard."""

    def __init__(self, signal: SignalSocket, *, interval_s: float = 0, timeout_s: float = 0) -> None:
        self.signal = signal
        self.heard: list[rtc.SignalResponse] = []
        self.lost: list[str] = []
        signal.start(self.heard.append, self.lost.append, ping_interval_s=interval_s, ping_timeout_s=timeout_s)


async def connect(address: ServerAddress, **pings: float) -> Client:
    return Client(await SignalSocket.open(address, "/rtc", {"a": "b"}, "token", timeout_s=5), **pings)


async def test_requests_and_responses_pass_in_order(server):
    async with serving(server) as address:
        client = await connect(address)
        assert client.signal.first.join.participant.sid == "PA_1"
        for n in range(100):
            client.signal.send(rtc.SignalRequest(ping=n))
        await wait_until(lambda: len(server.heard) == 100)
        assert [request.ping for request in server.heard] == list(range(100))
        for n in range(100):
            await server.say(rtc.SignalResponse(pong=n))
        await wait_until(lambda: len(client.heard) == 100)
        assert [response.pong for response in client.heard] == list(range(100))
        await client.signal.close()
        await client.signal.close()
        assert client.lost == []


async def test_what_comes_before_the_join_is_not_lost(server):
    early = rtc.SignalResponse(refresh_token="t")
    server.first.insert(0, early)
    async with serving(server) as address:
        client = await connect(address)
        assert client.signal.first.WhichOneof("message") == "join"
        assert client.heard == [early]
        await client.signal.close()


async def test_leaving_sends_what_is_queued_first(server):
    async with serving(server) as address:
        client = await connect(address)
        for n in range(50):
            client.signal.send(rtc.SignalRequest(ping=n))
        client.signal.send(rtc.SignalRequest(leave=rtc.LeaveRequest()))
        await client.signal.flush_and_close()
        await wait_until(server.closed.is_set)
        assert server.kinds() == ["ping"] * 50 + ["leave"]
        client.signal.send(rtc.SignalRequest(ping=1))


async def test_whoever_leaves_hears_the_server_out(server, monkeypatch):
    # hanging up at once would reset a connection on which the server still talks, and lose it our last words
    monkeypatch.setattr(signal, "_CLOSE_TIMEOUT_S", 30.0)
    server.autoclose = False
    async with serving(server) as address:
        client = await connect(address)
        client.signal.send(rtc.SignalRequest(leave=rtc.LeaveRequest()))
        leaving = asyncio.create_task(client.signal.flush_and_close())
        await wait_until(server.closed.is_set)
        for n in range(20):
            await server.say(rtc.SignalResponse(pong=n))
            await asyncio.sleep(0)
        assert not leaving.done()
        assert server.kinds() == ["leave"]
        server.hang_up.set()
        await leaving


async def test_a_server_that_never_says_goodbye_is_left_all_the_same(server):
    server.autoclose = False
    async with serving(server) as address:
        client = await connect(address)
        leaving = asyncio.create_task(client.signal.flush_and_close())
        await wait_until(server.closed.is_set)

        async def talk() -> bool:
            with contextlib.suppress(ConnectionError):
                await server.say(rtc.SignalResponse(pong=1))
            return leaving.done()

        await wait_until(talk, 5.0)
        await leaving
        server.hang_up.set()


async def test_pings_go_out_and_measure_the_round_trip(server):
    async with serving(server) as address:
        client = await connect(address, interval_s=0.02, timeout_s=5)
        await wait_until(lambda: server.kinds().count("ping_req") >= 3)
        assert client.heard == []  # the answer is nobody else's business
        assert 0 <= client.signal.rtt_ms < 1000
        await client.signal.close()


async def test_a_silent_server_is_a_loss_told_once(server):
    server.answers_pings = False
    async with serving(server) as address:
        client = await connect(address, interval_s=0.02, timeout_s=0.1)
        await wait_until(lambda: client.lost)
        assert "silent" in client.lost[0]
        await client.signal.close()
        assert len(client.lost) == 1


async def test_any_message_counts_as_a_sign_of_life(server):
    server.answers_pings = False
    async with serving(server) as address:
        # server and client share a loop: while it stands still nobody says anything, and that is no silence of the server
        client = await connect(address, interval_s=0.02, timeout_s=1.0)
        until = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < until:
            await server.say(rtc.SignalResponse(pong=1))
            await asyncio.sleep(0.02)
        assert client.lost == []
        await client.signal.close()


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_server_that_hangs_up_is_a_loss_told_once(server, end):
    async with serving(server) as address:
        client = await connect(address)
        if end == "close":
            await server.socket.close(code=1011)
        else:
            server.socket._req.transport.abort()
        await wait_until(lambda: client.lost)
        client.signal.send(rtc.SignalRequest(ping=1))
        await client.signal.flush_and_close()
        assert len(client.lost) == 1


async def test_rubbish_and_faults_of_handlers_end_nothing(server, caplog):
    async with serving(server) as address:
        socket = await SignalSocket.open(address, "/rtc", {}, "token", timeout_s=5)
        heard: list[int] = []

        def fail_first(response: rtc.SignalResponse) -> None:
            heard.append(response.pong)
            if response.pong == 1:
                raise ZeroDivisionError

        socket.start(fail_first, lambda reason: None, ping_interval_s=0, ping_timeout_s=0)
        await server.socket.send_bytes(b"\xff\xff\xff")
        await server.socket.send_str("text")
        await server.say(rtc.SignalResponse(pong=1))
        await server.say(rtc.SignalResponse(pong=2))
        await wait_until(lambda: heard == [1, 2])
        assert "ZeroDivisionError" in caplog.text
        await socket.close()


async def test_closing_from_within_a_handler(server):
    async with serving(server) as address:
        socket = await SignalSocket.open(address, "/rtc", {}, "token", timeout_s=5)
        closing: list[asyncio.Task[None]] = []

        def close(response: rtc.SignalResponse) -> None:
            closing.append(asyncio.create_task(socket.close()))

        socket.start(close, lambda reason: None, ping_interval_s=0, ping_timeout_s=0)
        await server.say(rtc.SignalResponse(pong=1))
        await wait_until(lambda: closing and closing[0].done())


async def test_a_resume_is_answered_with_reconnect(server):
    server.first = [rtc.SignalResponse(reconnect=rtc.ReconnectResponse(last_message_seq=5))]
    async with serving(server) as address:
        client = await connect(address)
        assert client.signal.first.reconnect.last_message_seq == 5
        await client.signal.close()


def test_addresses():
    for url, signal_url, http in (
        ("ws://host", "ws://host/rtc", "http://host/rtc"),
        ("http://host:80/", "ws://host:80/rtc", "http://host:80/rtc"),
        ("wss://host/a/b/", "wss://host/a/b/rtc", "https://host/a/b/rtc"),
        ("https://[::1]:7880?x=1#y", "wss://[::1]:7880/rtc", "https://[::1]:7880/rtc"),
    ):
        address = ServerAddress.parse(url)
        assert (address.signal_url("/rtc"), address.http_url("/rtc")) == (signal_url, http)
    loopback = {
        "ws://127.0.0.1:1": True,
        "ws://[::1]": True,
        "ws://localhost": True,
        "ws://10.0.0.1": False,
        "ws://a.b": False,
    }
    assert {url: ServerAddress.parse(url).is_loopback for url in loopback} == loopback
    with pytest.raises(ConnectError):
        ServerAddress.parse("host:7880")
