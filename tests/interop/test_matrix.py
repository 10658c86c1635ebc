"""Every row of the interop matrix, in both signalling modes."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import OpenPeer
from tests.interop.row import ROWS, Direction, Row, check_data, check_leaving
from tests.kit.server import Server
from tests.kit.token import room_name


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id, marks=pytest.mark.interop(str(row))) for row in ROWS])
@pytest.mark.parametrize("single_peer_connection", [True, False], ids=["v1", "v0"])
async def test_row(
    row: Row,
    single_peer_connection: bool,
    server: Server,
    open_peer: OpenPeer,
    subtests: pytest.Subtests,
    request: pytest.FixtureRequest,
) -> None:
    room = room_name()
    alice, bob = await asyncio.gather(open_peer(row.publisher, "alice"), open_peer(row.subscriber, "bob"))
    for peer in (alice, bob):
        await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=single_peer_connection)
    directions = [Direction(row, alice, bob)]
    if row.mutual:
        directions.append(Direction(row, bob, alice))
    await asyncio.gather(*(direction.publish() for direction in directions))
    for direction in directions:
        evidence = await direction.check_media()
        request.node.user_properties.append(("evidence", evidence))
    for direction in directions:
        with subtests.test("mute and unmute"):
            await direction.check_mute()
    with subtests.test("data both ways"):
        await check_data(alice, bob)
        await check_data(bob, alice)
    for direction in directions:
        if row.simulcast:
            with subtests.test("layers"):
                await direction.check_layers()
        with subtests.test("unsubscribe and subscribe"):
            await direction.check_resubscription()
        with subtests.test("unpublish"):
            await direction.check_unpublishing()
    with subtests.test("leave"):
        await check_leaving(alice, bob)
