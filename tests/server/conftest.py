"""A server inside the test's own loop, and raw clients that are closed with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from lknb.server.app import Server
from lknb.server.config import ServerConfig
from tests.kit.raw import RawClient, RawTrack
from tests.kit.token import API_KEY, API_SECRET, make_token
from tests.server.feed import camera

Join = Callable[..., Awaitable[RawClient]]
Call = Callable[..., Awaitable[tuple[RawTrack, RawClient, RawClient]]]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """On 127.0.0.1, ports chosen by the system."""
    running = Server(ServerConfig(keys={API_KEY: API_SECRET}, port=0, dynacast_lower_delay_s=0.3, resume_window_s=1.0))
    await running.start()
    yield running
    await running.close()


@pytest.fixture
def url(server: Server) -> str:
    """ws://127.0.0.1:port."""
    return f"ws://127.0.0.1:{server.port}"


@pytest.fixture
async def join(url: str) -> AsyncIterator[Join]:
    """`await join("alice", track, ...)` -> a connected RawClient."""
    clients: list[RawClient] = []

    async def connect(
        identity: str, *tracks: RawTrack, room: str = "room", grants: Any = None, receive: int = 2,
        auto_subscribe: bool = True, **options: Any,
    ) -> RawClient:  # fmt: skip
        token = make_token(identity, room, grants=grants)
        client = RawClient(url, token, receive=receive, auto_subscribe=auto_subscribe)
        clients.append(client)
        return await client.connect(*tracks, **options)

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
def call(join: Join) -> Call:
    """`track, alice, bob = await call("q", "h", "f")`: alice has a camera in these layers, and bob comes after her."""

    async def begin(*rids: str, codec: str = "vp8") -> tuple[RawTrack, RawClient, RawClient]:
        track = camera(*rids, codec=codec)
        return track, await join("alice", track), await join("bob")

    return begin
