"""Every row of the interop matrix, in both signalling modes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tests.interop.conftest import MODES, OpenPeer
from tests.interop.row import ROWS, Direction, Row, check_data, check_leaving
from tests.kit.server import Server
from tests.kit.together import side_by_side
from tests.kit.token import room_name


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id, marks=pytest.mark.interop(str(row))) for row in ROWS])
async def test_row(
    row: Row, server: Server, open_peer: OpenPeer, subtests: pytest.Subtests, request: pytest.FixtureRequest
) -> None:
    async def in_mode(mode: str) -> None:
        for evidence in await call(row, MODES[mode], server, open_peer):
            request.node.user_properties.append(("evidence", f"{mode}: {evidence}"))

    if row.mutual:
        # two who send and receive three layers each are enough for a small machine
        for mode in MODES:
            await side_by_side(subtests, {mode: in_mode(mode)})
    else:
        await side_by_side(subtests, {mode: in_mode(mode) for mode in MODES})


async def call(row: Row, single_peer_connection: bool, server: Server, open_peer: OpenPeer) -> list[str]:
    """Two participants from joining to leaving; how it looked. A part that fails does not keep the others from being tried."""
    room = room_name()
    alice, bob = await asyncio.gather(open_peer(row.publisher, "alice"), open_peer(row.subscriber, "bob"))
    for peer in (alice, bob):
        await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=single_peer_connection)
    directions = [Direction(row, alice, bob)]
    if row.mutual:
        directions.append(Direction(row, bob, alice))
    await asyncio.gather(*(direction.publish() for direction in directions))
    seen = await asyncio.gather(*(direction.check_media() for direction in directions))
    failures: list[Exception] = []

    async def part(name: str, check: Awaitable[None]) -> None:
        try:
            await check
        except Exception as failure:
            failure.add_note(name)
            failures.append(failure)

    async def until_it_ends(direction: Direction) -> None:
        if row.simulcast:
            await part("layers", direction.check_layers())
        await part("unsubscribe and subscribe", direction.check_resubscription())
        await part("unpublish", direction.check_unpublishing())

    await asyncio.gather(*(part("mute and unmute", direction.check_mute()) for direction in directions))
    for sender, receiver in ((alice, bob), (bob, alice)):
        await part("data both ways", check_data(sender, receiver))
    await asyncio.gather(*map(until_it_ends, directions))
    await part("leave", check_leaving(alice, bob))
    if failures:
        raise ExceptionGroup("parts of a call", failures)
    return seen
