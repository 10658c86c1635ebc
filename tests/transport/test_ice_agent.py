"""STUN and TURN servers; the rest of the agent is seen through `test_ice_full.py`."""

from __future__ import annotations

import asyncio
import time

import pytest

from lknb.transport.ice_full import FullIceTransport
from lknb.transport.ice_server import IceServer
from lknb.wire.candidate import Candidate, parse_candidate
from tests.transport.pair import Pair, open_pair
from tests.transport.relay import open_relay


async def gathered(pair: Pair) -> list[Candidate]:
    await pair.gather()
    return [parse_candidate(text) for text in pair.client.peer.local("actpass").candidates]


async def test_servers_are_not_asked_on_loopback() -> None:
    async with open_relay() as relay:
        server = IceServer([f"stun:127.0.0.1:{relay.port}", f"turn:127.0.0.1:{relay.port}"], "u", "p")
        async with open_pair(client_ice=lambda: FullIceTransport(True, ice_servers=[server])) as pair:
            assert [candidate.type for candidate in await gathered(pair)] == ["host"]
        assert relay._server.counters.received == 0


async def test_stun_and_turn_candidates_are_gathered() -> None:
    async with open_relay() as relay:
        server = IceServer([f"stun:127.0.0.1:{relay.port}", f"turn:127.0.0.1:{relay.port}"], "u", "p")
        ice = FullIceTransport(True, interfaces="all", ice_servers=[server])
        async with open_pair(client_ice=lambda: ice) as pair:
            candidates = await gathered(pair)
            assert {candidate.type for candidate in candidates} == {"host", "srflx", "relay"}
            relayed = next(candidate for candidate in candidates if candidate.type == "relay")
            assert (relayed.host, relayed.port) == ("127.0.0.1", relay.relayed_port)
            await pair.connect()
            await pair.exchange()
        assert relay.deleted


async def test_everything_goes_through_the_relay_when_asked() -> None:
    async with open_relay() as relay:
        server = IceServer([f"turn:127.0.0.1:{relay.port}?transport=udp"], "u", "p")
        ice = FullIceTransport(True, interfaces="all", ice_servers=[server], relay_only=True)
        async with open_pair(client_ice=lambda: ice) as pair:
            assert [candidate.type for candidate in await gathered(pair)] == ["relay"]
            await pair.connect()
            await pair.exchange(50)
            assert pair.lite.remote_address == ("127.0.0.1", relay.relayed_port)
            assert relay.relayed > 100
        assert relay.deleted


async def test_servers_that_do_not_answer_cost_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lknb.transport.ice_agent.SERVER_TIMEOUT_S", 0.2)
    async with open_relay() as relay:
        relay.mute = True
        server = IceServer([f"stun:127.0.0.1:{relay.port}", f"turn:127.0.0.1:{relay.port}"], "u", "p")
        ice = FullIceTransport(True, interfaces="all", ice_servers=[server])
        async with open_pair(client_ice=lambda: ice) as pair:
            began = time.monotonic()
            assert {candidate.type for candidate in await gathered(pair)} == {"host"}
            assert time.monotonic() - began < 1.5
            await pair.connect()
            await pair.exchange()


@pytest.mark.parametrize("steps", [0, 1, 3, 6, 10])
async def test_gathering_from_servers_can_be_cancelled(steps: int) -> None:
    async with open_relay() as relay:
        relay.mute = True
        server = IceServer([f"turn:127.0.0.1:{relay.port}"], "u", "p")
        ice = FullIceTransport(True, interfaces="all", ice_servers=[server])
        async with open_pair(client_ice=lambda: ice) as pair:
            gathering = asyncio.ensure_future(pair.client.peer.gather())
            for _ in range(steps):
                await asyncio.sleep(0)
            gathering.cancel()
            await asyncio.wait({gathering})
            assert gathering.cancelled()


async def test_close_in_time_when_the_relay_is_gone() -> None:
    async with open_relay() as relay:
        server = IceServer([f"turn:127.0.0.1:{relay.port}"], "u", "p")
        ice = FullIceTransport(True, interfaces="all", ice_servers=[server], relay_only=True)
        async with open_pair(client_ice=lambda: ice) as pair:
            await pair.connect()
            relay.mute = True
            began = time.monotonic()
            await pair.client.peer.close()
            assert time.monotonic() - began < 1.0
            assert not [task for task in asyncio.all_tasks() if "TurnTransport" in repr(task)]
