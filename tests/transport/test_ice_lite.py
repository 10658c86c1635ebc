from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aioice import stun

from lknb.transport.ice_lite import MAX_ADDRESSES, IceLiteTransport, UdpMux
from lknb.wire.candidate import parse_candidate
from lknb.wire.sdp import TransportParameters
from tests.kit.poll import wait_until
from tests.transport.pair import open_pair, rtp_packet, stranger


def binding_request(
    ufrag: str, password: str, *, nominate: bool = False, controlled: bool = False, integrity: bool = True
) -> bytes:
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{ufrag}:remote"
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLED" if controlled else "ICE-CONTROLLING"] = 5
    if nominate:
        request.attributes["USE-CANDIDATE"] = None
    if integrity:
        request.add_message_integrity(password.encode())
    return bytes(request)


class Port:
    """A bare UDP port that talks to a mux."""

    def __init__(self, mux: UdpMux) -> None:
        self.sock = stranger()
        self.target = ("127.0.0.1", mux.port)
        self.address = self.sock.getsockname()

    def send(self, data: bytes) -> None:
        self.sock.sendto(data, self.target)

    async def receive(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 2048), 5.0)

    async def check(self, transport: IceLiteTransport, **options: Any) -> stun.Message:
        ufrag, password = transport.credentials()
        self.send(binding_request(ufrag, password, **options))
        response = stun.parse_message(await self.receive())
        assert response.check_message_integrity(password.encode())
        return response


async def test_a_check_is_answered_and_makes_the_address_known() -> None:
    mux = await UdpMux.open()
    transport, port = mux.create_transport(), Port(mux)
    packets: list[bytes] = []
    transport.on_srtp = lambda data, arrival_us: packets.append(data)
    connecting = asyncio.ensure_future(transport.connect(TransportParameters("remote", "p" * 24)))
    port.send(rtp_packet(1))
    await wait_until(lambda: mux.counters.unknown_source == 1)
    assert transport.state == "new"
    response = await port.check(transport)
    assert response.message_class == stun.Class.RESPONSE
    assert response.attributes["XOR-MAPPED-ADDRESS"] == port.address
    await connecting
    assert (transport.state, transport.remote_address) == ("connected", port.address)
    port.send(rtp_packet(2))
    await wait_until(lambda: packets == [rtp_packet(2)])
    transport.send(b"\x80 to the peer")
    assert await port.receive() == b"\x80 to the peer"
    await transport.close()
    mux.close()
    port.sock.close()


async def test_a_lite_agent_does_not_take_the_controlling_role() -> None:
    mux = await UdpMux.open()
    transport, port = mux.create_transport(), Port(mux)
    response = await port.check(transport, controlled=True)
    assert (response.message_class, response.error_code) == (stun.Class.ERROR, 487)
    assert (transport.state, mux.counters.role_conflicts) == ("new", 1)
    await transport.close()
    mux.close()
    port.sock.close()


async def test_requests_without_our_password_are_dropped() -> None:
    mux = await UdpMux.open()
    transport, port = mux.create_transport(), Port(mux)
    ufrag, password = transport.credentials()
    port.send(binding_request(ufrag, "wrong"))
    port.send(binding_request("nobody", password))
    port.send(binding_request(ufrag, password, integrity=False))
    await wait_until(lambda: mux.counters.unauthenticated == 3)
    assert transport.state == "new"
    with pytest.raises(BlockingIOError):
        port.sock.recv(1)
    await transport.close()
    # a closed transport is forgotten
    port.send(binding_request(ufrag, password))
    await wait_until(lambda: mux.counters.unauthenticated == 4)
    mux.close()
    port.sock.close()


async def test_malformed_stun_is_dropped() -> None:
    mux = await UdpMux.open()
    transport, port = mux.create_transport(), Port(mux)
    ufrag, password = transport.credentials()
    good = binding_request(ufrag, password)
    short_priority = b"\x00\x01\x00\x08" + good[4:20] + b"\x00\x24\x00\x02ab\0\0"
    username_not_utf8 = b"\x00\x01\x00\x08" + good[4:20] + b"\x00\x06\x00\x04\xff\xff\xff\xff"
    for data in (short_priority, username_not_utf8, good[:-1], good + b"x", good[:20], good[:-1] + b"\0"):
        port.send(data)
    await wait_until(lambda: mux.counters.malformed_stun == 6)
    assert mux.udp_counters.handler_errors == 0
    await transport.close()
    mux.close()
    port.sock.close()


async def test_the_nominated_address_is_followed() -> None:
    mux = await UdpMux.open()
    transport = mux.create_transport()
    first, second = Port(mux), Port(mux)
    await first.check(transport, nominate=True)
    await second.check(transport)
    assert transport.remote_address == first.address
    await second.check(transport, nominate=True)
    assert transport.remote_address == second.address
    await transport.close()
    mux.close()
    first.sock.close()
    second.sock.close()


async def test_a_peer_keeps_only_so_many_addresses() -> None:
    mux = await UdpMux.open()
    transport = mux.create_transport()
    ports = [Port(mux) for _ in range(MAX_ADDRESSES + 5)]
    for port in ports:
        await port.check(transport)
    assert len(mux._by_address) == MAX_ADDRESSES
    assert transport.remote_address == ports[0].address
    await transport.close()
    assert mux._by_address == {}
    mux.close()
    for port in ports:
        port.sock.close()


async def test_restart_by_the_peer_makes_new_credentials_and_keeps_the_old_until_seen() -> None:
    mux = await UdpMux.open()
    transport, port = mux.create_transport(), Port(mux)
    connecting = asyncio.ensure_future(transport.connect(TransportParameters("aaaa", "p" * 24)))
    await port.check(transport, nominate=True)
    await connecting
    old = transport.credentials()
    await transport.update_remote(TransportParameters("aaaa", "p" * 24))
    assert transport.credentials() == old
    await transport.update_remote(TransportParameters("bbbb", "q" * 24))
    new = transport.credentials()
    assert new[0] != old[0]
    assert new[1] != old[1]
    port.send(binding_request(*old))
    assert stun.parse_message(await port.receive()).check_message_integrity(old[1].encode())
    moved = Port(mux)
    await moved.check(transport, nominate=True)
    assert transport.remote_address == moved.address
    unauthenticated = mux.counters.unauthenticated
    port.send(binding_request(*old))
    await wait_until(lambda: mux.counters.unauthenticated == unauthenticated + 1)
    await transport.close()
    mux.close()
    port.sock.close()
    moved.sock.close()


async def test_restart_by_us_is_answered_once() -> None:
    mux = await UdpMux.open()
    transport, port = mux.create_transport(), Port(mux)
    connecting = asyncio.ensure_future(transport.connect(TransportParameters("aaaa", "p" * 24)))
    await port.check(transport)
    await connecting
    old = transport.credentials()
    await transport.restart()
    offered = transport.credentials()
    assert offered != old
    await transport.update_remote(TransportParameters("bbbb", "q" * 24))
    assert transport.credentials() == offered
    await transport.close()
    mux.close()
    port.sock.close()


async def test_silence_disconnects_then_fails_and_a_packet_brings_it_back() -> None:
    mux = await UdpMux.open()
    # far apart, so that a machine that stands still for a moment misses no state on the way
    transport = mux.create_transport(disconnected_after_s=0.15, failed_after_s=1.0)
    port = Port(mux)
    states: list[str] = []
    transport.on_state = states.append
    await port.check(transport)
    await wait_until(lambda: transport.state == "disconnected", 2.0, interval_s=0.005)
    port.send(rtp_packet(1))
    await wait_until(lambda: states.count("connected") == 2, 2.0, interval_s=0.005)
    await wait_until(lambda: transport.state == "failed", 5.0)
    await port.check(transport)
    assert states[:6] == ["connected", "disconnected", "connected", "disconnected", "failed", "connected"]
    # an indication is a sign of life too (RFC 8445 section 11)
    await wait_until(lambda: transport.state == "disconnected", 2.0, interval_s=0.005)
    port.send(bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION)))
    await wait_until(lambda: states[7:8] == ["connected"], 2.0, interval_s=0.005)
    await transport.close()
    mux.close()
    port.sock.close()


async def test_a_vanished_client_is_noticed_by_the_server() -> None:
    async with open_pair(
        server_ice=lambda mux: mux.create_transport(disconnected_after_s=0.5, failed_after_s=1.5)
    ) as pair:
        await pair.connect()
        pair.client_socket.close()
        await wait_until(lambda: "disconnected" in pair.server.states, 3.0, interval_s=0.005)
        await wait_until(lambda: pair.server.peer.state == "failed", 3.0)
        assert pair.server.states == ["connecting", "connected", "disconnected", "failed"]


async def test_connect_ends_when_closed() -> None:
    mux = await UdpMux.open()
    transport = mux.create_transport()
    connecting = asyncio.ensure_future(transport.connect(TransportParameters("aaaa", "p" * 24)))
    receiving = asyncio.ensure_future(transport._recv())
    await asyncio.sleep(0)
    await transport.close()
    with pytest.raises(ConnectionError):
        await connecting
    with pytest.raises(ConnectionError):
        await receiving
    with pytest.raises(ConnectionError):
        await transport._recv()
    mux.close()


async def test_candidates_name_the_port_and_the_advertised_hosts() -> None:
    mux = await UdpMux.open(advertised_hosts=("192.0.2.1", "2001:db8::1"))
    parsed = [parse_candidate(candidate) for candidate in mux.candidates()]
    assert [(c.host, c.port, c.type, c.protocol) for c in parsed] == [
        ("192.0.2.1", mux.port, "host", "udp"),
        ("2001:db8::1", mux.port, "host", "udp"),
    ]
    assert parsed[0].priority > parsed[1].priority
    transport = mux.create_transport()
    assert transport.candidates() == mux.candidates()
    await transport.close()
    mux.close()


async def test_ipv6_loopback() -> None:
    mux = await UdpMux.open("::1")
    transport = mux.create_transport()
    port = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    port.setblocking(False)
    port.bind(("::1", 0))
    port.sendto(binding_request(*transport.credentials()), ("::1", mux.port))
    data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(port, 2048), 5.0)
    assert stun.parse_message(data).attributes["XOR-MAPPED-ADDRESS"] == port.getsockname()[:2]
    await transport.close()
    mux.close()
    port.close()


async def test_an_address_taken_is_an_error() -> None:
    mux = await UdpMux.open()
    with pytest.raises(OSError):
        await UdpMux.open(port=mux.port)
    mux.close()
    mux.close()
