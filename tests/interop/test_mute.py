"""A mute from the publisher and from RoomService: what clients are told, and what still reaches the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from livekit import api

import lknb
from lknb import rtc
from lknb.core.client import CoreClient
from tests.interop.conftest import OpenPeer
from tests.interop.row import GREEN
from tests.kit.meter import IDLE_BYTES_S, Meter
from tests.kit.peer import Peer, is_near
from tests.kit.relay import UdpRelay
from tests.kit.server import Server
from tests.kit.token import room_name
from tests.kit.ws_proxy import SignalProxy


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


@dataclass
class Call:
    """The notebook behind a meter, publishing picture and sound, and those who watch."""

    room: rtc.Room
    picture: rtc.LocalTrackPublication
    sound: rtc.LocalTrackPublication
    peers: list[Peer]
    meter: Meter

    async def told(self, event: str, sid: str, count: int = 1) -> None:
        """Every client was told so."""
        for peer in self.peers:
            await peer.wait_event(event, count=count, track_sid=sid, participant="notebook")
            # once, not more often
            assert len(await peer.events(event, track_sid=sid)) == count


@asynccontextmanager
async def call(server: Server, open_peer: OpenPeer) -> AsyncIterator[Call]:
    name = room_name()
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(UdpRelay(server.rtc_port))
        meter = Meter(relay)
        proxy = await stack.enter_async_context(
            SignalProxy(server.url, server_rtc_port=server.rtc_port, media_port=relay.port)
        )
        peers = [await open_peer("wheel", "wheel"), await open_peer("livekit-client", "page")]
        for peer in peers:
            await peer.connect(server.url, server.token(peer.identity, name), single_peer_connection=True)
        behind = replace(server, url=proxy.url)
        room = await stack.enter_async_context(
            await lknb.connect(name, url=behind.url, token=behind.token("notebook", name))
        )
        picture = await room.local_participant.publish_track(lknb.TestPattern(320, 180, color=GREEN))
        sound = await room.local_participant.publish_track(lknb.Tone(440.0))
        made = Call(room, picture, sound, peers, meter)
        for peer in peers:
            await sees_and_hears(peer, made)
        yield made


async def sees_and_hears(peer: Peer, made: Call) -> None:
    await peer.wait_video(made.picture.sid, lambda report: is_near(report.colour, GREEN))
    await peer.wait_audio(made.sound.sid, lambda report: abs(report.peak_hz - 440) < 6 and report.level > 0.05)


@pytest.mark.interop("mute by the publisher: events and bytes")
async def test_the_publisher_mutes(
    lknb_server: Server, core: None, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    async with call(lknb_server, open_peer) as made:
        sent, _ = await made.meter.second()
        for publication in (made.picture, made.sound):
            await publication.mute()
            await made.told("track_muted", publication.sid)
        muted, packets = await made.meter.second()
        assert packets == 0
        assert muted < IDLE_BYTES_S < sent
        for publication in (made.picture, made.sound):
            await publication.unmute()
            await made.told("track_unmuted", publication.sid)
        frames = [(await peer.video(made.picture.sid)) for peer in made.peers]
        for peer, before in zip(made.peers, frames, strict=True):
            assert before is not None
            await peer.wait_video(made.picture.sid, lambda report, before=before: report.frames > before.frames + 5)
            await sees_and_hears(peer, made)
    request.node.user_properties.append(
        ("evidence", f"{sent} bytes/s at the server before, {muted} bytes/s and no RTP packet muted")
    )


@pytest.mark.interop("mute by RoomService: events and bytes")
async def test_an_admin_mutes(
    lknb_server: Server, core: None, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    async with call(lknb_server, open_peer) as made, lknb_server.api() as admin:
        for publication in (made.picture, made.sound):
            # our own client is told, too
            waiting = asyncio.ensure_future(made.room.wait_for("track_muted"))
            await asyncio.sleep(0)
            await admin.room.mute_published_track(
                api.MuteRoomTrackRequest(
                    room=made.room.name, identity="notebook", track_sid=publication.sid, muted=True
                )
            )
            participant, told = await waiting
            assert (participant.identity, told.sid) == ("notebook", publication.sid)
            await made.told("track_muted", publication.sid)
            assert publication.muted
        muted, packets = await made.meter.second()
        assert packets == 0
        assert muted < IDLE_BYTES_S
        # a publisher may take it back, an admin may not
        for publication in (made.picture, made.sound):
            await publication.unmute()
            await made.told("track_unmuted", publication.sid)
        for peer in made.peers:
            await sees_and_hears(peer, made)
        assert (await made.meter.second())[1] > 20
    request.node.user_properties.append(("evidence", f"{muted} bytes/s and no RTP packet at the server"))
