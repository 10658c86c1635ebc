"""Servers without `/rtc/v1`: joined over `/rtc`, with everything that comes after it."""

from __future__ import annotations

import dataclasses

import pytest
from livekit.protocol import models

from lknb.errors import ConnectError
from tests.core.room import Member
from tests.kit.poll import wait_until
from tests.kit.wheel import WheelPeer
from tests.kit.ws_proxy import SignalProxy

OLD = ("/rtc/v1", "/rtc/v1/validate")
RED = (200, 40, 40)


async def test_a_server_without_the_newer_path_is_joined_over_the_older_one(own_server, room):
    server = own_server
    async with SignalProxy(server.url, missing=OLD) as proxy:
        old = dataclasses.replace(server, url=proxy.url)
        async with Member(old, "alice", room) as alice, WheelPeer("bob") as bob:
            await alice.connect(auto_subscribe=False, adaptive_stream=True)
            assert not alice.single
            # the official client comes the same way
            await bob.connect(old.url, server.token("bob", room), single_peer_connection=True)
            theirs = await bob.publish_video(RED, width=1280, height=720, simulcast=True)
            ours = await alice.publish(alice.open("pattern", "video", width=640, height=360))
            await bob.wait_video(ours, lambda report: report.height == 360)
            await wait_until(lambda: alice.session.subscribing.published(theirs))
            alice.session.wishes.subscribe(theirs, True)
            await alice.read(theirs)
            alice.session.wishes.ask(theirs, enabled=True, quality=models.VideoQuality.LOW)
            frames = alice.frames[theirs]
            await wait_until(lambda: frames and frames[-1].height == 180, 20, what=lambda: frames[-1:])
            await bob.disconnect()
            await alice.wait("track_unsubscribed", track_sid=theirs)


async def test_who_insists_on_one_connection_is_told_why_not(own_server, room):
    async with SignalProxy(own_server.url, missing=OLD) as proxy:
        old = dataclasses.replace(own_server, url=proxy.url)
        async with Member(old, "alice", room) as alice:
            with pytest.raises(ConnectError, match="404") as refusal:
                await alice.connect(single=True)
        assert refusal.value.kind == "unsupported"


@pytest.mark.parametrize("adaptive", [True, False])
async def test_the_join_says_whether_views_decide(own_server, room, single, adaptive):
    async with SignalProxy(own_server.url) as proxy:
        seen = dataclasses.replace(own_server, url=proxy.url)
        async with Member(seen, "alice", room) as alice, Member(own_server, "bob", room) as bob:
            await bob.connect()
            camera = await bob.publish(bob.open("pattern", "video", width=1280, height=720, fps=15))
            await alice.connect(single=single, adaptive_stream=adaptive)
            await alice.read(camera)
            frames = alice.frames[camera]

            def asked():
                return [request.track_setting for request in proxy.up if request.HasField("track_setting")]

            # nobody of this test is a viewer: a server that was told of adaptive stream begins with its smallest layer
            if adaptive:
                await wait_until(lambda: [setting.disabled for setting in asked()] == [True])
                assert {frame.height for frame in frames} <= {180}
            else:
                await wait_until(lambda: frames and frames[-1].height == 720, 15)
                assert asked() == []
