"""Connects that do not come to a session: cancelled anywhere, refused, misled, or left alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any

import jwt
import pytest
from aiohttp import web
from livekit import api
from livekit.protocol import models, rtc

from lknb.core.options import ConnectOptions
from lknb.core.refusal import token_hint
from lknb.core.session import RoomSession
from lknb.errors import ConnectError
from tests.core.room import Member
from tests.kit.leaks import Held, assert_no_leak, assert_no_task_left
from tests.kit.poll import wait_until
from tests.kit.server import Server

TOKEN = "s3cr3t"


class CancelledAt(Awaitable[Any]):
    """Awaits a coroutine and cancels the awaiting task at the `at`th time it is suspended."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int) -> None:
        self._coroutine = coroutine
        self._left = at
        self.cancelled = False

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        value = None
        while True:
            try:
                waits_for = steps.send(value)
            except StopIteration as end:
                return end.value
            self._left -= 1
            if self._left == 0:
                self.cancelled = True
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                value = yield waits_for
            except BaseException as error:
                waits_for = steps.throw(error)
                # what is awaited while it unwinds is awaited in peace
                while True:
                    try:
                        value = yield waits_for
                        waits_for = steps.send(value)
                    except StopIteration as end:
                        return end.value


async def test_connect_can_be_cancelled_at_every_await(server, room, single):
    async def cancelled_connect(at: int) -> bool:
        """Whether it was cancelled before it was through."""
        member = Member(server, "alice", room)
        connecting = CancelledAt(member.connect(single=single), at)

        async def run() -> None:
            await connecting

        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.create_task(run())
        if not connecting.cancelled:
            await member.leave()
        assert [header["state"] for header in member.heard("state")][-1:] in (["disconnected"], [])
        return connecting.cancelled

    await cancelled_connect(1_000_000)  # what a library opens once is open from here on
    before = Held.now()
    at = 1
    while await cancelled_connect(at):
        await assert_no_task_left()
        assert_no_leak(before)
        at += 1
    assert at > 5
    async with Member(server, "alice", room) as alice, server.api() as admin:
        await alice.connect(single=single)
        listing = api.ListParticipantsRequest(room=room)

        async def participants() -> list[str]:
            return [p.sid for p in (await admin.room.list_participants(listing)).participants]

        await wait_until(lambda: _equals(participants, [alice.join.participant.sid]), 15.0)


async def _equals(ask: Callable[[], Awaitable[Any]], value: Any) -> bool:
    return await ask() == value


async def connect_error(url: str, token: str, **options: Any) -> ConnectError:
    """The error of a connect, of which nothing is left."""
    events: list[Any] = []
    session = RoomSession(1, lambda header, buffers: events.append(header), lambda: None)
    with pytest.raises(ConnectError) as caught:
        await session.connect(url, token, ConnectOptions.parse(options))
    assert token not in str(caught.value)
    assert not [header for header in events if header["event"] == "disconnected"]
    return caught.value


async def test_refused_tokens_are_told_apart(server, room):
    def token(**changes: Any) -> str:
        return server.token("alice", room, **changes)

    claims = {**jwt.decode(token(), options={"verify_signature": False})}
    wrong = Server(server.url, server.key, "another secret of at least 32 bytes")
    for bad, said in (
        ("nonsense", "not a LiveKit token"),
        (wrong.token("alice", room), "API key and secret"),
        (Server(server.url, "nobody", server.secret).token("alice", room), "API key and secret"),
        (token(ttl_s=-3600), "expired 60 minutes ago"),
        (token(grants=api.VideoGrants(room_list=True)), "room_join"),
        (jwt.encode({**claims, "video": {"roomJoin": True}}, server.secret, "HS256"), "names no room"),
    ):
        error = await connect_error(server.url, bad)
        assert (error.kind, said in error.message) in (("not_allowed", True), ("bad_request", False)), error.message


def test_a_token_from_the_future_is_explained():
    claims = {"sub": "alice", "nbf": 20_000, "exp": 40_000, "video": {"roomJoin": True, "room": "r"}}
    token = jwt.encode(claims, "a secret of 32 bytes or more, really", "HS256")
    assert token_hint(token, 20_001) == ""
    assert "3 hours" in token_hint(token, 20_000 - 3 * 3600)


async def test_nobody_there():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    error = await connect_error(f"ws://127.0.0.1:{port}", TOKEN)
    assert error.kind == "unavailable"
    assert "lknb serve" in error.message
    assert str(port) in error.message


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:7880", "ftp://host", "ws://", "ws://host:port", "eyJhbGciOi.eyJzdWIi.signature"]
)
async def test_what_is_no_url(url):
    error = await connect_error(url, TOKEN)
    assert error.kind == "bad_url"
    assert "eyJ" not in error.message


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(*routes: tuple[str, Handler]) -> AsyncIterator[str]:
    """An HTTP server of these routes; its ws:// url."""
    app = web.Application()
    for path, handler in routes:
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(status: int, text: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    return answer


@pytest.mark.parametrize(
    ("status", "text", "kind", "said"),
    [
        (401, "invalid token", "not_allowed", "invalid token"),
        (403, "", "not_allowed", "403"),
        (404, "requested room does not exist", "room_not_found", "create_room"),
        (404, "404 page not found", "unsupported", "not a LiveKit server"),
        (200, "<html>", "unsupported", "not a LiveKit server"),
        (400, "bad room", "bad_request", "bad room"),
        (503, "too many", "unavailable", "too many"),
        (429, "", "unavailable", "429"),
    ],
)
async def test_refusals_by_status(status, text, kind, said):
    handler = answering(status, text)
    paths = ("/base/rtc", "/base/rtc/v1", "/base/rtc/validate", "/base/rtc/v1/validate")
    async with serving(*((path, handler) for path in paths)) as url:
        error = await connect_error(url + "/base/", TOKEN)
    assert error.kind == kind
    assert said in error.message


async def test_a_server_without_v1_is_joined_by_the_old_way(own_server, room):
    """The 404 of /rtc/v1 leads to /rtc, with a leave there as the answer."""
    paths: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=404, text="404 page not found")

    async def send_away(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        assert request.query["protocol"] == "16"
        assert request.query["sdk"] == "python"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        leave = rtc.LeaveRequest(reason=models.DisconnectReason.DUPLICATE_IDENTITY)
        await ws.send_bytes(rtc.SignalResponse(leave=leave).SerializeToString())
        await ws.close()
        return ws

    routes = (("/rtc/v1", refuse), ("/rtc/v1/validate", refuse), ("/rtc", send_away))
    async with serving(*routes) as url:
        error = await connect_error(url, TOKEN)
        assert (error.kind, "DUPLICATE_IDENTITY" in error.message) == ("leave", True)
        assert paths == ["/rtc/v1", "/rtc/v1/validate", "/rtc"]
        insisting = await connect_error(url, TOKEN, single_peer_connection=True)
        assert insisting.kind == "unsupported"
        paths.clear()
        await connect_error(url, TOKEN, single_peer_connection=False)
        assert paths == ["/rtc"]


async def test_a_server_that_is_silent_times_out():
    async def stall(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async def upgrade_only(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        return ws

    async with serving(("/rtc", stall), ("/rtc/v1", upgrade_only)) as url:
        for single in (True, False):
            error = await connect_error(url, TOKEN, single_peer_connection=single, connect_timeout_s=0.2)
            assert error.kind == "timeout"
            assert "0.2 s" in error.message


async def test_a_server_that_hangs_up_at_once():
    async def hang_up(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_bytes(b"\xff\xff\xff not protobuf")
        await ws.send_str("text")
        await ws.close()
        return ws

    async with serving(("/rtc/v1", hang_up)) as url:
        assert (await connect_error(url, TOKEN)).kind == "unavailable"


def join_response() -> rtc.SignalResponse:
    me = models.ParticipantInfo(sid="PA_1", identity="alice")
    return rtc.SignalResponse(join=rtc.JoinResponse(participant=me, ping_interval=5, ping_timeout=15))


@pytest.mark.parametrize("end", ["leave", "close", "bad answer"])
async def test_a_join_without_media_is_a_connect_error(end):
    async def join_only(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_bytes(join_response().SerializeToString())
        if end == "leave":
            leave = rtc.LeaveRequest(reason=models.DisconnectReason.ROOM_CLOSED)
            await ws.send_bytes(rtc.SignalResponse(leave=leave).SerializeToString())
        elif end == "bad answer":
            answer = rtc.SessionDescription(type="answer", sdp="v=0\r\n", id=1)
            await ws.send_bytes(rtc.SignalResponse(answer=answer).SerializeToString())
        else:
            await ws.close()
            return ws
        async for _ in ws:
            pass
        return ws

    async with serving(("/rtc/v1", join_only)) as url:
        error = await connect_error(url, TOKEN)
    assert error.kind == {"leave": "leave", "close": "unavailable", "bad answer": "media"}[end]


async def test_tls_to_a_plain_server_is_explained(own_server):
    error = await connect_error(own_server.url.replace("ws://", "wss://"), TOKEN)
    assert error.kind == "unavailable"
    assert "TLS" in error.message
