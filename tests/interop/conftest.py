"""The servers and the clients of the matrix."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.kit.chromium import Chromium, ChromiumPeer
from tests.kit.peer import Peer
from tests.kit.server import Server, ServerProcess, external_server
from tests.kit.wheel import WheelPeer

MODES = {"v1": True, "v0": False}
"""Whether there is one peer connection."""

OpenPeer = Callable[[str, str], Awaitable[Peer]]
"""`await open_peer(kind, identity)`: a participant, not connected yet. Kinds: "wheel", "livekit-client", "lknb"."""


@pytest.fixture(scope="session")
def lknb_server() -> Iterator[Server]:
    """lknb's own server, one process for the whole run: tests share it and take a room of their own."""
    with ServerProcess() as process:
        yield process.server


@pytest.fixture(scope="session", params=["lknb", pytest.param("livekit", marks=pytest.mark.livekit_server)])
def server(request: pytest.FixtureRequest) -> Server:
    """Each test runs against lknb's server, and against the real LiveKit where its environment variables are set."""
    if request.param == "livekit":
        return external_server()
    own: Server = request.getfixturevalue("lknb_server")
    return own


@pytest_asyncio.fixture
async def open_peer() -> AsyncIterator[OpenPeer]:
    """Clients by name, closed after the test. All pages of a test share one browser, started when the first is asked for."""
    async with AsyncExitStack() as stack:
        browsers: list[Chromium] = []
        starting = asyncio.Lock()  # two are asked for at once

        async def open_one(kind: str, identity: str) -> Peer:
            peer: Peer
            if kind == "livekit-client":
                async with starting:
                    if not browsers:
                        browsers.append(await stack.enter_async_context(Chromium()))
                peer = ChromiumPeer(identity, browsers[0])
            else:
                peer = WheelPeer(identity, {"wheel": "livekit.rtc", "lknb": "lknb.rtc"}[kind])
            return await stack.enter_async_context(peer)

        yield open_one
