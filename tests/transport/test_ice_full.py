from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from aioice import stun

from lknb import limits
from lknb.transport.error import TransportError
from lknb.transport.ice_agent import usable_candidate
from lknb.transport.ice_full import FullIceTransport
from lknb.wire.candidate import parse_candidate
from lknb.wire.sdp import TransportParameters
from tests.kit.poll import wait_until
from tests.transport.pair import Pair, connected_pair, open_pair, rtp_packet, stranger


async def test_only_loopback_is_offered_by_default() -> None:
    async with open_pair() as pair:
        await pair.gather()
        candidates = [parse_candidate(text) for text in pair.client.peer.local("actpass").candidates]
        assert [(c.host, c.type, c.protocol) for c in candidates] == [("127.0.0.1", "host", "udp")]


async def test_all_interfaces_on_request() -> None:
    async with open_pair(client_ice=lambda: FullIceTransport(True, interfaces="all")) as pair:
        await pair.gather()
        hosts = [parse_candidate(text).host for text in pair.client.peer.local("actpass").candidates]
        assert hosts[0] == "127.0.0.1"
        assert len(set(hosts)) == len(hosts)
        await pair.connect()
        await pair.exchange()


async def test_gather_fails_when_nothing_can_be_bound() -> None:
    async with open_pair(client_ice=lambda: FullIceTransport(True, relay_only=True)) as pair:
        with pytest.raises(TransportError, match="TURN"):
            await pair.client.peer.gather()


@pytest.mark.parametrize("ended", [False, True])
async def test_candidates_may_be_trickled(ended: bool) -> None:
    async with open_pair() as pair:
        await pair.gather()
        server, client = pair.locals()
        bare = replace(server, candidates=(), end_of_candidates=False)
        starting = asyncio.gather(
            pair.server.peer.start(client, setup="passive"), pair.client.peer.start(bare, setup="active")
        )
        for _ in range(5):
            await asyncio.sleep(0)
        assert pair.client.peer.state == "connecting"
        await pair.client.peer.add_candidate(server.candidates[0])
        if ended:
            await pair.client.peer.add_candidate("")
            await pair.client.peer.add_candidate(None)
            await pair.client.peer.add_candidate(server.candidates[0])
        await starting
        await pair.exchange()


async def test_candidates_before_the_description_count() -> None:
    async with open_pair() as pair:
        await pair.gather()
        server, client = pair.locals()
        await pair.client.peer.add_candidate(server.candidates[0])
        await asyncio.gather(
            pair.server.peer.start(client, setup="passive"),
            pair.client.peer.start(replace(server, candidates=()), setup="active"),
        )
        await pair.exchange()


@pytest.mark.parametrize(
    "text",
    [
        "candidate:1 1 tcp 2130706431 127.0.0.1 7881 typ host tcptype passive",
        "candidate:1 1 udp 2130706431 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 5000 typ host",
        "candidate:1 1 udp 2130706431 127.0.0.1 0 typ host",
        "candidate:1 1 udp 2130706431 224.0.0.1 5000 typ host",
        "candidate:1 1 udp 2130706431 0.0.0.0 5000 typ host",
        "candidate:1 2 udp 2130706431 127.0.0.1 5000 typ host",
        "candidate:1 1 udp 2130706431 127.0.0.1 5000 typ prflx",
        "candidate:1 1 udp 2130706431 127.0.0.1 99999 typ host",
        "candidate:1 1 udp 2130706431 example.com 5000 typ host",
        "candidate:1 1 udp x 127.0.0.1 5000 typ host",
        "candidate:",
        "",
        "candidate:1 1 udp 1 127.0.0.1 5000 typ host " + "x" * limits.CANDIDATE_BYTES,
        "\0",
    ],
)
async def test_candidates_we_cannot_use_are_ignored(text: str) -> None:
    assert usable_candidate(text, loopback_only=False) is None


def test_only_loopback_candidates_on_loopback() -> None:
    text = "candidate:1 1 UDP 2130706431 {} 5000 typ srflx raddr 10.0.0.1 rport 9 generation 0 ufrag abcd network-id 1"
    for host, anywhere, loopback in (
        ("192.0.2.7", True, False),
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("2001:DB8::0:1", True, False),
    ):
        assert (usable_candidate(text.format(host), loopback_only=False) is not None) == anywhere
        assert (usable_candidate(text.format(host), loopback_only=True) is not None) == loopback


async def test_only_so_many_candidates_are_kept() -> None:
    async with open_pair() as pair:
        await pair.gather()
        for port in range(1, 1001):
            await pair.client.peer.add_candidate(f"candidate:{port} 1 udp 5 127.0.0.1 {port} typ host")
        agent = pair.full.agent
        assert len(agent.remote_candidates) == limits.CANDIDATES
        assert agent.counters.candidates_ignored == 1000 - limits.CANDIDATES


async def test_foreign_candidates_alone_fail_at_once_and_say_why() -> None:
    async with open_pair() as pair:
        await pair.gather()
        server, _ = pair.locals()
        foreign = replace(
            server,
            candidates=("candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host",),
            end_of_candidates=True,
        )
        began = time.monotonic()
        with pytest.raises(TransportError, match='interfaces="all"'):
            await pair.client.peer.start(foreign, setup="active")
        assert time.monotonic() - began < 2.0


async def send_steadily(pair: Pair, sent: list[bytes], stop: asyncio.Event) -> None:
    while not stop.is_set():
        packet = rtp_packet(len(sent))
        sent.append(packet)
        pair.client.peer.send_rtp(packet)
        pair.server.peer.send_rtp(packet)
        await asyncio.sleep(0.002)


async def test_ice_restart_under_media_loses_nothing() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        session = pair.client.peer._dtls._ssl
        sent: list[bytes] = []
        stop = asyncio.Event()
        sending = asyncio.ensure_future(send_steadily(pair, sent, stop))
        for _ in range(3):
            before = pair.lite.remote_address, pair.full.credentials(), pair.lite.credentials()
            count = len(sent)
            await pair.restart()
            await wait_until(lambda count=count: len(sent) > count + 20)  # type: ignore[misc]
            after = pair.lite.remote_address, pair.full.credentials(), pair.lite.credentials()
            assert all(x != y for x, y in zip(before, after, strict=True))
        # beyond the time the old path is kept
        await wait_until(lambda: len(pair.full._agents) == 1)
        stop.set()
        await sending
        await wait_until(lambda: len(pair.server.rtp) == len(sent) and len(pair.client.rtp) == len(sent))
        assert pair.server.rtp == sent
        assert pair.client.rtp == sent
        assert pair.client.peer._dtls._ssl is session
        assert pair.client.states == pair.server.states == ["connecting", "connected"]
        channel.send(b"still here")
        await wait_until(lambda: pair.server.messages == [("_reliable", b"still here")])


async def test_restart_offered_by_the_server() -> None:
    async with connected_pair() as pair:
        before = pair.full.credentials()
        await pair.server.peer.restart_ice()
        await pair.client.peer.update_remote(pair.server.peer.local("actpass"))
        assert pair.full.credentials() != before
        await pair.server.peer.update_remote(pair.client.peer.local("active"))
        await pair.client.peer.wait_restarted()
        await pair.exchange()


async def test_restart_between_two_full_agents() -> None:
    async with open_pair(server_ice=lambda mux: FullIceTransport(False)) as pair:
        await pair.connect()
        await pair.restart()
        await pair.exchange()


async def test_restart_answered_with_unchanged_credentials() -> None:
    # what a server without ICE restart does when a client resumes
    async with connected_pair() as pair:
        await pair.client.peer.restart_ice()
        await pair.client.peer.update_remote(pair.server.peer.local("passive"))
        await pair.client.peer.wait_restarted()
        await pair.exchange()


async def test_restart_brings_a_dead_path_back() -> None:
    # longer than this machine stands still meanwhile
    async with open_pair(client_ice=lambda: FullIceTransport(True, disconnected_after_s=1.0)) as pair:
        await pair.connect()
        pair.client_socket.close()
        await wait_until(lambda: pair.client.peer.state == "disconnected", 5.0)
        await pair.restart()
        assert pair.client.peer.state == "connected"
        await pair.exchange()
        assert pair.client.states == ["connecting", "connected", "disconnected", "connected"]


async def test_a_restart_that_fails_keeps_the_old_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lknb.transport.ice_full.RESTART_TIMEOUT_S", 0.2)
    async with connected_pair() as pair:
        await pair.client.peer.restart_ice()
        answer = replace(pair.server.peer.local("passive"), ufrag="nobody", pwd="x" * 24)
        await pair.client.peer.update_remote(answer)
        with pytest.raises(TransportError, match="no path within"):
            await pair.client.peer.wait_restarted()
        await pair.exchange()
        await pair.restart()
        await pair.exchange(first=100)
        await wait_until(lambda: len(pair.full._agents) == 1)


async def test_restarts_one_after_another_settle_on_the_last() -> None:
    async with connected_pair() as pair:
        for _ in range(4):
            await pair.client.peer.restart_ice()
            await pair.server.peer.update_remote(pair.client.peer.local("actpass"))
            await pair.client.peer.update_remote(pair.server.peer.local("passive"))
        await pair.client.peer.restart_ice()
        await pair.client.peer.restart_ice()
        await pair.server.peer.update_remote(pair.client.peer.local("actpass"))
        await pair.client.peer.update_remote(pair.server.peer.local("passive"))
        await pair.client.peer.wait_restarted()
        await pair.exchange()
        await wait_until(lambda: len(pair.full._agents) == 1)
        assert pair.lite.remote_address == pair.client_socket.address


async def test_restart_without_answer_changes_nothing() -> None:
    async with connected_pair() as pair:
        await pair.client.peer.restart_ice()
        await pair.exchange()
        assert pair.client.peer.state == "connected"


@pytest.mark.parametrize("steps", range(8))
async def test_close_during_a_restart(steps: int) -> None:
    async with connected_pair() as pair:
        restarting = asyncio.ensure_future(pair.restart())
        for _ in range(steps):
            await asyncio.sleep(0)
        await pair.client.peer.close()
        await asyncio.gather(restarting, return_exceptions=True)


async def test_server_gone_is_noticed_in_time() -> None:
    async with open_pair(
        client_ice=lambda: FullIceTransport(True, disconnected_after_s=0.3, failed_after_s=1.5)
    ) as pair:
        began = time.monotonic()
        await pair.connect()
        closed = time.monotonic()
        pair.mux.close()
        await wait_until(lambda: "disconnected" in pair.client.states, 3.0)
        assert time.monotonic() - began > 0.3
        assert time.monotonic() - closed < 1.5
        await wait_until(lambda: pair.client.peer.state == "failed", 3.0)
        assert pair.client.states == ["connecting", "connected", "disconnected", "failed"]


async def test_a_quiet_path_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lknb.transport.ice_agent.CONSENT_INTERVAL_S", 0.05)
    async with open_pair(
        # longer than this machine stands still
        client_ice=lambda: FullIceTransport(True, disconnected_after_s=1.0, failed_after_s=3.0),
        server_ice=lambda mux: mux.create_transport(disconnected_after_s=1.0, failed_after_s=3.0),
    ) as pair:
        await pair.connect()
        end = time.monotonic() + 2.0
        await wait_until(lambda: time.monotonic() > end)
        assert pair.client.states == pair.server.states == ["connecting", "connected"]


async def test_without_consent_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lknb.transport.ice_agent.CONSENT_INTERVAL_S", 0.05)
    monkeypatch.setattr("lknb.transport.ice_agent.CONSENT_EXPIRY_S", 0.2)
    monkeypatch.setattr("aioice.stun.RETRY_RTO", 0.05)
    async with connected_pair() as pair:
        # the server does not answer checks any more, but still sends
        pair.mux._by_ufrag.clear()
        stop = asyncio.Event()
        sending = asyncio.ensure_future(send_steadily(pair, [], stop))
        await wait_until(lambda: pair.client.peer.state == "failed", 5.0)
        received = len(pair.server.rtp)
        for i in range(20):
            pair.client.peer.send_rtp(rtp_packet(60_000 + i))
        await asyncio.sleep(0.05)
        stop.set()
        await sending
        assert len(pair.server.rtp) == received


async def test_media_that_still_comes_does_not_bring_an_expired_path_back() -> None:
    async with connected_pair() as pair:
        agent = pair.full.agent
        pair.full._on_expired(agent)
        pair.client_socket._on_datagram(rtp_packet(1), ("127.0.0.1", pair.mux.port), 1)
        await wait_until(lambda: agent not in pair.full._agents)
        assert pair.client.peer.state == "failed"
        await pair.restart()
        await pair.exchange(first=2)
        assert pair.client.states == ["connecting", "connected", "failed", "connected"]


async def test_a_check_with_our_password_makes_its_address_known() -> None:
    transport: Any = FullIceTransport(False)
    await transport.gather()
    peer = stranger()
    target = transport.agent._protocols[0].transport.address
    ufrag, password = transport.credentials()
    for key, known in (("wrong", False), (password, True)):
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{ufrag}:remote"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        request.add_message_integrity(key.encode())
        peer.sendto(bytes(request), target)
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 2048), 5.0)
        assert (peer.getsockname() in transport.agent.sources) == known
    await transport.close()
    peer.close()


async def test_close_does_not_wait_for_the_old_path_of_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lknb.transport.ice_full.RETIRE_AFTER_S", 60.0)
    async with connected_pair() as pair:
        await pair.restart()
        assert len(pair.full._agents) == 2
        await asyncio.wait_for(pair.client.peer.close(), 10.0)


async def test_datagrams_of_strangers_are_dropped() -> None:
    async with connected_pair() as pair:
        foreign = stranger()
        target = pair.client_socket.address
        for data in (rtp_packet(1), b"\x16\xfe\xfd" + bytes(30), b"\x00", b"\x00\x01\x00\x00" + bytes(16)):
            foreign.sendto(data, target)
        counters = pair.full.agent.counters
        await wait_until(lambda: counters.unknown_source == 2 and counters.malformed_stun >= 1)
        await pair.exchange()
        assert pair.client.peer.counters.undecryptable == 0
        foreign.close()


async def test_a_closed_transport_stays_closed() -> None:
    transport = FullIceTransport(True)
    await transport.gather()
    await transport.close()
    await transport.close()
    remote: Any = TransportParameters("abcd", "p" * 24)
    with pytest.raises(ConnectionError):
        await transport.connect(remote)
    with pytest.raises(ConnectionError):
        transport.credentials()
    with pytest.raises(ConnectionError):
        await transport.wait_restarted()
    await transport.restart()
    await transport.update_remote(remote)
    await transport.add_candidate("candidate:1 1 udp 5 127.0.0.1 5 typ host")
    transport.send(b"x")
    assert transport.state == "closed"
