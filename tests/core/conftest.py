"""A server for the tests that join rooms: lknb's own, and the real one where its environment variables are set."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from livekit import api

from tests.kit.server import Server, ServerProcess, external_server
from tests.kit.token import room_name


@pytest.fixture(scope="session")
def own_server() -> Iterator[Server]:
    """lknb's own server, one process for the whole run."""
    with ServerProcess() as process:
        yield process.server


@pytest.fixture(scope="session", params=["lknb", pytest.param("livekit", marks=pytest.mark.livekit_server)])
def server(request: pytest.FixtureRequest) -> Server:
    """Each test runs against lknb's server, and against the real LiveKit."""
    if request.param == "livekit":
        return external_server()
    own: Server = request.getfixturevalue("own_server")
    return own


@pytest.fixture(params=[True, False], ids=["single", "dual"])
def single(request: pytest.FixtureRequest) -> bool:
    """Whether the session has one peer connection."""
    return bool(request.param)


@pytest_asyncio.fixture
async def room(server: Server) -> AsyncIterator[str]:
    """The name of a room of the test's own, deleted after it: a server keeps an empty one for a while."""
    name = room_name()
    yield name
    async with server.api() as admin:
        with contextlib.suppress(api.ServerError):  # it may be gone already, or never have been
            await admin.room.delete_room(api.DeleteRoomRequest(room=name))
