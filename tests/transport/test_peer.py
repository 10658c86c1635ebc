from __future__ import annotations

import asyncio
import itertools
import sys
import time
from dataclasses import replace
from typing import Any, Literal

import pytest

from lknb.transport.error import TransportError
from lknb.transport.ice_full import FullIceTransport
from lknb.transport.ice_lite import UdpMux
from lknb.transport.peer import PeerTransport
from tests.kit.poll import wait_until
from tests.transport.pair import CERTIFICATE, Pair, connected_pair, open_pair, pli, rtp_packet


@pytest.mark.parametrize("client_setup", ["active", "passive"])
async def test_connects_with_either_dtls_role_and_carries_media_both_ways(
    client_setup: Literal["active", "passive"],
) -> None:
    async with connected_pair(client_setup=client_setup) as pair:
        assert (pair.server.peer.state, pair.client.peer.state) == ("connected", "connected")
        assert pair.client.states == ["connecting", "connected"]
        await pair.exchange(200)
        pair.client.peer.send_rtcp(pli())
        pair.server.peer.send_rtcp(pli(9))
        await wait_until(lambda: pair.server.rtcp and pair.client.rtcp)
        assert (pair.server.rtcp, pair.client.rtcp) == ([pli()], [pli(9)])
        assert pair.server.peer.counters.undecryptable == 0


async def test_full_ice_on_both_ends() -> None:
    async with open_pair(server_ice=lambda mux: FullIceTransport(False)) as pair:
        await pair.connect()
        await pair.exchange()
        assert (pair.full.role, pair.lite.role) == ("controlling", "controlled")


@pytest.mark.parametrize("controlling", [True, False])
async def test_role_conflict_of_two_full_agents_is_settled(controlling: bool) -> None:
    async with open_pair(
        server_ice=lambda mux: FullIceTransport(controlling), client_ice=lambda: FullIceTransport(controlling)
    ) as pair:
        await pair.connect()
        await pair.exchange()
        assert {pair.full.role, pair.lite.role} == {"controlling", "controlled"}


async def test_lite_peer_makes_us_controlling() -> None:
    async with open_pair(client_ice=lambda: FullIceTransport(False)) as pair:
        await pair.connect()
        assert pair.full.role == "controlling"
        assert pair.mux.counters.role_conflicts == 0


async def test_arrival_is_on_the_monotonic_clock() -> None:
    async with connected_pair() as pair:
        before = time.monotonic_ns() // 1000
        await pair.exchange(5)
        after = time.monotonic_ns() // 1000
        for side in (pair.server, pair.client):
            assert before <= side.arrivals_us[0] <= side.arrivals_us[-1] <= after


@pytest.mark.skipif(sys.platform != "linux", reason="kernel timestamps are Linux's")
async def test_a_report_arrives_when_it_came_and_not_when_there_was_time_for_it() -> None:
    async with connected_pair() as pair:
        before_us = time.monotonic_ns() // 1000
        pair.client.peer.send_rtcp(pli())
        sent_us = time.monotonic_ns() // 1000
        time.sleep(0.1)  # the loop is busy while it waits
        await wait_until(lambda: pair.server.rtcp)
        assert before_us - 200 <= pair.server.rtcp_arrivals_us[0] <= sent_us + 5_000


async def test_sending_before_and_after_does_nothing() -> None:
    async with open_pair() as pair:
        pair.client.peer.send_rtp(rtp_packet(1))
        pair.client.peer.send_rtcp(pli())
        await pair.connect()
        await pair.exchange(1)
        await pair.client.peer.close()
        pair.client.peer.send_rtp(rtp_packet(2))
        pair.client.peer.send_rtcp(pli())
        assert pair.client.peer.counters.rtp_sent == 1


async def test_a_failing_callback_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with connected_pair() as pair:

        def fail(*_: object) -> None:
            raise RuntimeError("a fault of the caller")

        kept = pair.server.peer.on_rtp
        pair.server.peer.on_rtp = fail
        pair.client.peer.send_rtp(rtp_packet(1))
        await wait_until(lambda: pair.mux.udp_counters.handler_errors)
        pair.server.peer.on_rtp = kept
        await pair.exchange(first=2)
        assert "a fault of the caller" in caplog.text


async def test_wrong_fingerprint_is_refused() -> None:
    async with open_pair() as pair:
        await pair.gather()
        server, client = pair.locals()
        forged = replace(server, fingerprints=(("sha-256", ":".join(["AB"] * 32)),))
        results = await asyncio.gather(
            pair.server.peer.start(client, setup="passive", timeout_s=2.0),
            pair.client.peer.start(forged, setup="active", timeout_s=2.0),
            return_exceptions=True,
        )
        assert isinstance(results[1], TransportError)
        assert pair.client.states == ["connecting", "failed", "closed"]
        pair.client.peer.send_rtp(rtp_packet(1))
        assert pair.server.rtp == []


async def test_start_refuses_a_description_without_credentials() -> None:
    async with open_pair() as pair:
        await pair.gather()
        server, _ = pair.locals()
        for bad in (replace(server, fingerprints=()), replace(server, ufrag="")):
            with pytest.raises(TransportError, match="fingerprint"):
                await pair.client.peer.start(bad, setup="active")
        assert pair.client.peer.state == "new"


async def test_start_fails_in_time_when_nobody_answers() -> None:
    async with open_pair() as pair:
        await pair.gather()
        server, client = pair.locals()
        pair.mux.close()
        began = time.monotonic()
        with pytest.raises(TransportError, match=r"within 0\.3 s"):
            await pair.client.peer.start(server, setup="active", timeout_s=0.3)
        with pytest.raises(TransportError, match=r"within 0\.3 s"):
            await pair.server.peer.start(client, setup="passive", timeout_s=0.3)
        assert time.monotonic() - began < 2.0
        assert pair.client.states == ["connecting", "failed", "closed"]


async def test_start_runs_once() -> None:
    async with connected_pair() as pair:
        with pytest.raises(TransportError, match="is connected"):
            await pair.client.peer.start(pair.locals()[0], setup="active")
        await pair.exchange()


async def test_goodbye_of_the_peer_is_final() -> None:
    async with connected_pair() as pair:
        await pair.client.peer.close()
        await wait_until(lambda: pair.server.peer.state == "failed", 2.0)
        assert pair.server.states == ["connecting", "connected", "failed"]
        sent = pair.server.peer.counters.rtp_sent
        pair.server.peer.send_rtp(rtp_packet(1))
        assert pair.server.peer.counters.rtp_sent == sent


async def test_a_goodbye_right_behind_the_handshake_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_pair() as pair:
        await pair.gather()

        async def start_late(port: int, max_message_size: int) -> None:
            await wait_until(lambda: pair.client.peer.state == "connected", 2.0)
            await pair.client.peer.close()
            await wait_until(lambda: "failed" in pair.server.states, 2.0)

        monkeypatch.setattr(pair.server.peer, "start_sctp", start_late)
        server, _ = await asyncio.gather(*pair.starting(sctp=True), return_exceptions=True)
        assert isinstance(server, TransportError)
        assert "as soon as it was up" in str(server)


async def test_media_right_behind_the_handshake_is_not_lost() -> None:
    async with open_pair() as pair:
        await pair.gather()
        sent = [rtp_packet(i) for i in range(40)]

        def burst(state: str) -> None:
            if state == "connected":
                for packet in sent:
                    pair.server.peer.send_rtp(packet)

        # passive, so the server is through with the handshake first
        pair.server.peer.on_state = burst
        await asyncio.gather(*pair.starting())
        await wait_until(lambda: len(pair.client.rtp) == len(sent), what=lambda: pair.client.peer.counters)
        assert pair.client.rtp == sent


# ---------------------------------------------------------------------- the end


async def close_in(pair: Pair, order: tuple[str, ...]) -> None:
    channel = pair.client.peer.create_data_channel("late") if pair.client.peer.state != "closed" else None
    closing: list[Any] = []
    for what in order:
        if what == "server":
            closing.append(pair.server.peer.close())
        elif what == "client":
            closing.append(pair.client.peer.close())
        elif what == "channel" and channel is not None:
            channel.close()
        elif what == "mux":
            pair.mux.close()
    began = time.monotonic()
    await asyncio.gather(*closing)
    assert time.monotonic() - began < 1.0
    assert (pair.server.peer.state, pair.client.peer.state) == ("closed", "closed")
    assert channel is None or channel.is_closed


@pytest.mark.parametrize("order", list(itertools.permutations(("server", "client", "channel", "mux"))))
async def test_close_in_any_order(order: tuple[str, ...]) -> None:
    async with connected_pair(sctp=True) as pair:
        await close_in(pair, order)


@pytest.mark.parametrize("order", [("server", "client", "mux"), ("mux", "client", "server")])
async def test_close_of_what_never_started(order: tuple[str, ...]) -> None:
    async with open_pair() as pair:
        await close_in(pair, order)
        with pytest.raises(TransportError):
            pair.client.peer.create_data_channel("x")
        with pytest.raises(TransportError, match="closed"):
            await pair.client.peer.start(pair.server.peer.local("actpass"), setup="active")


async def test_close_twice_at_once_and_again() -> None:
    async with connected_pair(sctp=True) as pair:
        await asyncio.gather(*(pair.client.peer.close() for _ in range(3)))
        await pair.client.peer.close()
        assert pair.client.states.count("closed") == 1


async def test_close_in_a_callback() -> None:
    async with connected_pair() as pair:
        closing: list[asyncio.Task[None]] = []
        pair.server.peer.on_rtp = lambda *_: closing.append(asyncio.ensure_future(pair.server.peer.close()))
        for i in range(5):
            pair.client.peer.send_rtp(rtp_packet(i))
        await wait_until(lambda: pair.server.peer.state == "closed")
        await asyncio.gather(*closing)


STEPS = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40]


@pytest.mark.parametrize("side", ["client", "server"])
async def test_start_can_be_cancelled_at_any_step(side: str) -> None:
    stages = set()
    for steps in STEPS:
        async with open_pair() as pair:
            await pair.gather()
            server, client = (asyncio.ensure_future(coroutine) for coroutine in pair.starting(sctp=True, timeout_s=5.0))
            victim, other = (client, server) if side == "client" else (server, client)
            peer = pair.client.peer if side == "client" else pair.server.peer
            for _ in range(steps):
                await asyncio.sleep(0)
            stages.add((peer.state, peer._dtls.state))
            cancelled = victim.cancel()
            await asyncio.wait({victim})
            assert victim.cancelled() == cancelled
            if cancelled:
                assert peer.state == ("closed" if steps else "new")
            await (pair.server if side == "client" else pair.client).peer.close()
            assert isinstance((await asyncio.gather(other, return_exceptions=True))[0], TransportError | None)
    # the steps did hit different stages
    assert len(stages) >= 3, stages


@pytest.mark.parametrize("side", ["client", "server"])
async def test_close_while_starting(side: str) -> None:
    for steps in STEPS:
        async with open_pair() as pair:
            await pair.gather()
            tasks = [asyncio.ensure_future(coroutine) for coroutine in pair.starting(sctp=True, timeout_s=5.0)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for peer in (pair.client.peer, pair.server.peer)[:: 1 if side == "client" else -1]:
                await peer.close()
                assert peer._connecting is None or peer._connecting.done()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert result is None or isinstance(result, TransportError), repr(result)


async def test_gather_can_be_cancelled() -> None:
    for steps in range(4):
        peer = PeerTransport(FullIceTransport(True), certificate=CERTIFICATE)
        task = asyncio.ensure_future(peer.gather())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await peer.close()


def live_timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not handle.cancelled() for handle in loop._scheduled)


async def test_a_hundred_connections_leave_nothing() -> None:
    mux = await UdpMux.open()
    timers, tasks = live_timers(), len(asyncio.all_tasks())
    for _ in range(100):
        server = PeerTransport(mux.create_transport(), certificate=CERTIFICATE)
        client = PeerTransport(FullIceTransport(True), certificate=CERTIFICATE)
        await asyncio.gather(server.gather(), client.gather())
        client.create_data_channel("_reliable")
        await asyncio.gather(
            server.start(client.local("active"), setup="passive", sctp_port=5000, max_message_size=65_536),
            client.start(server.local("actpass"), setup="active", sctp_port=5000, max_message_size=65_536),
        )
        await asyncio.gather(server.close(), client.close())
        assert len(asyncio.all_tasks()) == tasks
    assert live_timers() <= timers + 1
    assert mux._by_address == {}
    assert mux._by_ufrag == {}
    mux.close()
