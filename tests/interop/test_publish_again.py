"""A track that is published, ended and published again at once: the client has it still, the server must not mix them up."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import OpenPeer
from tests.interop.row import BLUE, RED
from tests.kit.peer import is_near
from tests.kit.server import Server
from tests.kit.together import side_by_side
from tests.kit.token import room_name

MODES = {"v1": True, "v0": False}
"""Whether there is one peer connection."""
TIMES = 3


@pytest.mark.interop("the same track published again at once")
@pytest.mark.parametrize("kind", ["wheel", "livekit-client", "lknb"])
async def test_a_track_is_published_again_at_once(
    kind: str, lknb_server: Server, open_peer: OpenPeer, subtests: pytest.Subtests
) -> None:
    await side_by_side(subtests, {mode: again(kind, single, lknb_server, open_peer) for mode, single in MODES.items()})


async def again(kind: str, single_peer_connection: bool, server: Server, open_peer: OpenPeer) -> None:
    room = room_name()
    alice, bob = await asyncio.gather(open_peer(kind, "alice"), open_peer("wheel", "bob"))
    for peer in (alice, bob):
        await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=single_peer_connection)
    stays = await alice.publish_video(BLUE)
    sids = [await alice.publish_video(RED)]
    for _ in range(TIMES):
        sids.append(await alice.publish_again(sids[-1]))
    await bob.wait_video(sids[-1], lambda report: report.frames > 3 and is_near(report.colour, RED))
    for sid in sids[:-1]:
        await bob.wait_event("track_unpublished", track_sid=sid)
    assert set(await bob.tracks()) == {stays, sids[-1]}
    await bob.wait_video(stays, lambda report: report.frames > 3 and is_near(report.colour, BLUE))
