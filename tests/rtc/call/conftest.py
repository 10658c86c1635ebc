"""Whole calls: a server and a core process for the tests of a module, a room of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

import lknb
from lknb.core.client import CoreClient
from lknb.rtc.room import Room
from tests.rtc.call import Join


@pytest.fixture(scope="module")
def server() -> Iterator[lknb.DevServer]:
    with lknb.DevServer() as made:
        yield made


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    # an answer, even a refusal, says that its threads and descriptors are there: the leak check counts them
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


@pytest.fixture
async def join(server: lknb.DevServer, core: None, request: pytest.FixtureRequest) -> AsyncIterator[Join]:
    """`await join("alice")` in the room of this test, or of one case of it; everybody is taken out after it."""
    async with AsyncExitStack() as stack:

        async def enter(identity: str, case: str = "", **options: Any) -> Room:
            room = await lknb.connect(f"{request.node.name}{case}", identity=identity, server=server, **options)
            return await stack.enter_async_context(room)

        yield enter
