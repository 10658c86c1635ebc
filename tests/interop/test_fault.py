"""Official clients on lknb's server, over a path that fails."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import MODES, OpenPeer
from tests.interop.row import RED
from tests.kit.impair import Conditions
from tests.kit.peer import Peer, is_near
from tests.kit.relay import UdpRelay
from tests.kit.server import Server
from tests.kit.together import side_by_side
from tests.kit.token import room_name
from tests.kit.ws_proxy import SignalProxy


async def frames(peer: Peer, track_sid: str) -> int:
    report = await peer.video(track_sid)
    return report.frames if report is not None else 0


@pytest.mark.parametrize("kind", ["wheel", "livekit-client"])
async def test_a_cut_signal_connection_is_resumed_without_a_new_subscription(
    kind: str, lknb_server: Server, open_peer: OpenPeer, subtests: pytest.Subtests
) -> None:
    await side_by_side(subtests, {mode: cut(kind, single, lknb_server, open_peer) for mode, single in MODES.items()})


async def cut(kind: str, single_peer_connection: bool, lknb_server: Server, open_peer: OpenPeer) -> None:
    room = room_name()
    async with SignalProxy(lknb_server.url) as proxy:
        alice, bob = await asyncio.gather(open_peer("wheel", "alice"), open_peer(kind, "bob"))
        for peer, url in ((alice, lknb_server.url), (bob, proxy.url)):
            await peer.connect(
                url, lknb_server.token(peer.identity, room), single_peer_connection=single_peer_connection
            )
        camera = await alice.publish_video(RED)
        before = (await bob.wait_video(camera, lambda report: report.frames > 3)).frames
        assert await proxy.cut("rst") == 1
        await bob.wait_event("reconnected", deadline_s=15)
        # media never stopped: the same reader, not a new subscription
        seen = await bob.wait_video(camera, lambda report: report.frames > before + 10)
        assert seen.subscription == 1
        assert len(await bob.events("track_subscribed", track_sid=camera)) == 1
        assert not await alice.events("participant_disconnected")
        await alice.send_data(b"after", reliable=True)
        await bob.wait_event("data_received", payload=b"after")
        await bob.disconnect()
        await alice.disconnect()


async def test_lost_packets_are_sent_again(lknb_server: Server, open_peer: OpenPeer, subtests: pytest.Subtests) -> None:
    await side_by_side(subtests, {mode: lose(single, lknb_server, open_peer) for mode, single in MODES.items()})


async def lose(single_peer_connection: bool, lknb_server: Server, open_peer: OpenPeer) -> None:
    room = room_name()
    bad = Conditions(loss=0.05, delay_ms=10)
    async with (
        UdpRelay(lknb_server.rtc_port, up=bad, down=bad, seed=1) as relay,
        SignalProxy(lknb_server.url, server_rtc_port=lknb_server.rtc_port, media_port=relay.port) as proxy,
    ):
        alice, bob = await asyncio.gather(open_peer("wheel", "alice"), open_peer("wheel", "bob"))
        for peer in (alice, bob):
            await peer.connect(
                proxy.url, lknb_server.token(peer.identity, room), single_peer_connection=single_peer_connection
            )
        camera = await alice.publish_video(RED)
        await bob.wait_video(camera, lambda report: report.frames > 60 and is_near(report.colour, RED), deadline_s=20)
        # the media did take this path, and lost packets on it
        assert sum(direction.count.lost for direction in (*relay.up, *relay.down)) > 10
        assert len(relay.up) >= 2
        relay.black_out(1.0)
        before = await frames(bob, camera)
        await bob.wait_video(camera, lambda report: report.frames > before + 20)
        assert len(await bob.events("track_subscribed", track_sid=camera)) == 1
