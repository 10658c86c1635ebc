"""A track that is published, ended and published again at once: the client has it still, the server must not mix them up."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import MODES, OpenPeer
from tests.interop.row import BLUE, RED
from tests.kit.peer import is_near
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.together import side_by_side
from tests.kit.token import room_name

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
    sid = await alice.publish_video(RED)
    await bob.wait_video(sid, lambda report: report.frames > 3 and is_near(report.colour, RED))
    for _ in range(TIMES):
        sid = await alice.publish_again(sid)
    seen: set[str] = set()

    async def has_settled() -> bool:
        nonlocal seen
        seen = set(await bob.tracks())
        return seen == {stays, sid}

    await wait_until(has_settled, what=lambda: (seen, stays, sid))
    await bob.wait_video(sid, lambda report: report.frames > 3 and is_near(report.colour, RED))
    await bob.wait_video(stays, lambda report: report.frames > 3 and is_near(report.colour, BLUE))
    published = [event.track_sid for event in await bob.events("track_published")]
    unpublished = [event.track_sid for event in await bob.events("track_unpublished")]
    # one that was ended before the server had heard all of it is never told of
    assert sorted(published) == sorted([*unpublished, *({stays, sid} & set(published))])
