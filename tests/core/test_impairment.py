"""Sessions over a bad network: lost, late and doubled packets, a path that is away for a while, signalling that breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from livekit.protocol import models

from tests.core.room import Member, decode_video
from tests.kit.impair import Conditions
from tests.kit.poll import TIME_FACTOR, wait_until
from tests.kit.relay import UdpRelay
from tests.kit.server import Server
from tests.kit.ws_proxy import SignalProxy

PATTERN = {"width": 640, "height": 360, "fps": 25, "simulcast": False}


@pytest.fixture
def server(own_server: Server) -> Server:
    """Ours alone: of the real one the port of the media is not known."""
    return own_server


@dataclass
class Bench:
    """A publisher and a subscriber, both behind the same bad path, and when frames arrived."""

    alice: Member
    bob: Member
    relay: UdpRelay
    proxy: SignalProxy
    arrivals: list[float]


@asynccontextmanager
async def bench(server: Server, room: str, single: bool, **conditions: Any) -> AsyncIterator[Bench]:
    path = Conditions(**conditions)
    async with (
        UdpRelay(server.rtc_port, up=path, down=path, seed=7) as relay,
        SignalProxy(server.url, server_rtc_port=server.rtc_port, media_port=relay.port) as proxy,
    ):
        behind = replace(server, url=proxy.url)
        async with Member(behind, "alice", room) as alice, Member(behind, "bob", room) as bob:
            await alice.connect(single=single)
            await bob.connect(single=single)
            camera = await alice.publish(alice.open("pattern", "video", **PATTERN))
            track = await bob.read(camera)
            arrivals: list[float] = []
            track.attach(lambda frame: arrivals.append(time.monotonic()), keyframe=False)
            await wait_until(lambda: len(arrivals) > 10, 20)
            yield Bench(alice, bob, relay, proxy, arrivals)


def freeze_s(arrivals: list[float]) -> float:
    return max(after - before for before, after in pairwise(arrivals))


@pytest.mark.parametrize(("loss", "share", "freeze"), [(0.05, 0.95, 0.9), (0.10, 0.9, 1.3)])
async def test_lost_packets_are_sent_again(server, room, loss, share, freeze):
    async with bench(server, room, single=True, loss=loss) as path:
        sid = next(iter(path.bob.frames))
        sent = path.alice.session.stats()["sent"][sid][0]
        begin, packets = len(path.arrivals), sent["frames_sent"]
        await asyncio.sleep(4)
        made = path.alice.session.stats()["sent"][sid][0]["frames_sent"] - packets
        arrived = path.arrivals[begin:]
        assert len(arrived) >= share * made, (len(arrived), made)
        assert freeze_s(arrived) < freeze * TIME_FACTOR
        stats = path.alice.session.stats()["sent"][sid][0]
        assert stats["packets_retransmitted"] > 0
        assert stats["keyframe_requests"] <= 2 * 8
        frames = path.bob.frames[sid]
        assert len(decode_video(frames[next(i for i, f in enumerate(frames) if f.keyframe) :])) > 50
        assert all(before.timestamp < after.timestamp for before, after in pairwise(frames))


async def test_late_and_doubled_packets_cost_nothing(server, room):
    conditions = {"reorder": 0.05, "reorder_ms": 30, "duplicate": 0.02, "jitter_ms": 10}
    async with bench(server, room, single=False, **conditions) as path:
        frames = await path.bob.wait_frames(next(iter(path.bob.frames)), 75)
        assert all(before.timestamp < after.timestamp for before, after in pairwise(frames))


async def test_a_path_that_comes_back_brings_the_picture_at_once(server, room, single):
    async with bench(server, room, single) as path:
        path.relay.black_out(2.0)
        back = time.monotonic() + 2.0
        await asyncio.sleep(2.0)
        await wait_until(lambda: path.arrivals[-1] > back, 5)
        first = next(arrival for arrival in path.arrivals if arrival > back)
        assert first - back < 0.7 * TIME_FACTOR
        assert not path.bob.heard("disconnected")
        assert not path.alice.heard("disconnected")


async def test_signalling_that_breaks_ends_the_session_with_its_reason(server, room, single):
    async with bench(server, room, single) as path:
        await path.proxy.cut("rst" if single else "fin")
        for member in (path.alice, path.bob):
            disconnected = await member.wait("disconnected")
            assert disconnected["reason"] == models.DisconnectReason.SIGNAL_CLOSE
            assert member.ended
