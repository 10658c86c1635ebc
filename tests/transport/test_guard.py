"""The four faults of aiortc and aioice that this floor must not have, and junk of every kind while media flows."""

from __future__ import annotations

import asyncio
import os
import random
import struct

import psutil
import pytest

from lknb.errors import WireError
from lknb.wire.sdp import MediaSection, SessionDescription, build_sdp, parse_sdp
from tests.kit.poll import wait_until
from tests.transport.pair import Pair, connected_pair, open_pair, rtp_packet, stranger


async def test_empty_datagrams_end_nothing() -> None:
    """aiortc looks at data[0] of any sender's datagram: an empty one closes the connection."""
    async with connected_pair() as pair:
        foreign = stranger()
        for _ in range(10):
            foreign.sendto(b"", ("127.0.0.1", pair.mux.port))
            foreign.sendto(b"", pair.client_socket.address)
            pair.client.ice.send(b"")
            pair.server.ice.send(b"")
        await wait_until(lambda: pair.mux.udp_counters.empty == 20 and pair.client_socket.counters.empty == 20)
        await pair.exchange()
        assert (pair.server.peer.state, pair.client.peer.state) == ("connected", "connected")
        foreign.close()


async def test_short_header_extensions_end_nothing() -> None:
    """aiortc's `RtpPacket.parse` raises struct.error over them, which ends its receiver. Here they pass as bytes."""
    blocks = [
        b"\xbe\xde\x00\x01\x1f\x00\x00\x00",  # an element of 16 bytes in a block of 4
        b"\xbe\xde\x00\x01\x00\x00\x00\x12",  # an element that ends with the block
        b"\xbe\xde\x00\x01\x10\x00\x50\xab",  # elements too short for their kind
        b"\xbe\xde\x00\x00",
        b"\x10\x00\x00\x01\x01\xff\x00\x00",  # two-byte form, 255 bytes announced
        b"\x10\x00\x00\x01\x00\x00\x00\x07",
    ]
    async with connected_pair() as pair:
        sent = []
        for i, block in enumerate(blocks):
            sent.append(struct.pack("!BBHII", 0x90, 96, i, 0, 7) + block + b"payload")
            pair.client.peer.send_rtp(sent[-1])
        await wait_until(lambda: len(pair.server.rtp) == len(sent))
        assert pair.server.rtp == sent
        # a block longer than the packet does not even pass libsrtp
        pair.client.peer.send_rtp(struct.pack("!BBHII", 0x90, 96, 100, 0, 7) + b"\xbe\xde\xff\xff")
        assert pair.client.peer.counters.send_failed == 1
        await pair.exchange(first=200)


async def test_mutated_descriptions_are_values_or_wire_errors() -> None:
    """aiortc's `SessionDescription.parse` raises AssertionError, StopIteration, IndexError and KeyError over them."""
    async with open_pair() as pair:
        await pair.gather()
        transport = pair.client.peer.local("actpass")
    section = MediaSection(kind="application", mid="0", port=9, protocol="UDP/DTLS/SCTP", direction="sendrecv")
    section.transport = transport
    text = build_sdp(SessionDescription(media=[section], bundle=["0"], ice_lite=False, session_id=1, session_version=1))
    rng = random.Random(5)
    alphabet = "\r\n:= /a0\0é-"
    refused = 0
    for _ in range(3_000):
        mutant = list(text)
        for _ in range(rng.randint(1, 12)):
            place = rng.randrange(len(mutant))
            match rng.randrange(3):
                case 0:
                    mutant[place] = rng.choice(alphabet)
                case 1:
                    del mutant[place : place + rng.randint(1, 30)]
                case 2:
                    mutant[place:place] = mutant[rng.randrange(len(mutant)) :][: rng.randint(1, 60)]
        try:
            parse_sdp("".join(mutant))
        except WireError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("restart", [False, True])
async def test_no_socket_is_bound_wider_than_loopback(restart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice binds every interface but 127.0.0.1."""
    # the old path is still there, however long the look takes
    monkeypatch.setattr("lknb.transport.ice_full.RETIRE_AFTER_S", 60.0)
    process = psutil.Process()
    before = {(c.fd, c.laddr) for c in process.net_connections("inet")}
    async with open_pair() as pair:
        pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        if restart:
            await pair.restart()
        opened = [c.laddr for c in process.net_connections("inet") if (c.fd, c.laddr) not in before]
        assert len(opened) == (3 if restart else 2)
        assert {address.ip for address in opened} == {"127.0.0.1"}


def junk(rng: random.Random) -> bytes:
    """Datagrams nobody should send."""
    kinds = [
        b"",
        bytes([rng.randrange(256)]),
        rng.randbytes(rng.randrange(2, 64)),
        rng.randbytes(1400),
        # STUN look-alikes: a header with junk behind it, a cookie, an attribute of the wrong size
        b"\x00\x01" + struct.pack("!H", 8) + b"\x21\x12\xa4\x42" + rng.randbytes(20),
        b"\x00\x01\x00\x08\x21\x12\xa4\x42" + rng.randbytes(12) + b"\x00\x24\x00\x02ab\0\0",
        b"\x01\x01\x00\x08\x21\x12\xa4\x42" + rng.randbytes(12) + b"\x00\x20\x00\x04\x00\x01\x00\x00",
        b"\x00\x11\x00\x00\x21\x12\xa4\x42" + rng.randbytes(12),
        # DTLS look-alikes
        b"\x16\xfe\xfd" + rng.randbytes(60),
        b"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x05\x00\x20" + rng.randbytes(32),
        b"\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02\x02\x28",  # a plain-text fatal alert
        # SRTP and SRTCP look-alikes
        b"\x80" + rng.randbytes(rng.randrange(1, 200)),
        b"\x9f\x60" + rng.randbytes(100),
        b"\x80\xc8" + rng.randbytes(40),
        # TURN channel data
        b"\x40\x00\x00\x04abcd",
    ]
    return rng.choice(kinds)


async def media(pair: Pair, count: int) -> list[bytes]:
    sent = []
    for i in range(count):
        sent.append(rtp_packet(i))
        pair.client.peer.send_rtp(sent[-1])
        pair.server.peer.send_rtp(sent[-1])
        if i % 4 == 0:
            await asyncio.sleep(0.001)
    return sent


@pytest.mark.parametrize("source", ["strangers", "the peer's own address"])
async def test_junk_while_media_flows(source: str) -> None:
    rng = random.Random(11)
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        foreign = stranger()
        sending = asyncio.ensure_future(media(pair, 800))
        for i in range(3_000):
            data = junk(rng)
            if source == "strangers":
                foreign.sendto(data, ("127.0.0.1", pair.mux.port))
                foreign.sendto(data, pair.client_socket.address)
            else:
                pair.client.ice.send(data)
                pair.server.ice.send(data)
            if i % 16 == 0:
                await asyncio.sleep(0)
        for _ in range(20):
            for target in (("127.0.0.1", pair.mux.port), pair.client_socket.address):
                foreign.sendto(os.urandom(65_507), target)
            await asyncio.sleep(0)
        sent = await sending
        await wait_until(lambda: len(pair.server.rtp) == len(sent) and len(pair.client.rtp) == len(sent))
        assert pair.server.rtp == sent
        assert pair.client.rtp == sent
        channel.send(b"alive")
        await wait_until(lambda: pair.server.messages == [("_reliable", b"alive")])
        assert pair.mux.udp_counters.oversize == 20
        assert pair.mux.udp_counters.handler_errors == pair.client_socket.counters.handler_errors == 0
        assert (pair.server.peer.state, pair.client.peer.state) == ("connected", "connected")
        foreign.close()


async def test_junk_during_the_handshake() -> None:
    for seed in range(5):
        rng = random.Random(seed)
        async with open_pair() as pair:
            await pair.gather()
            foreign = stranger()
            starting = asyncio.gather(*pair.starting())
            for _ in range(300):
                data = junk(rng)
                foreign.sendto(data, ("127.0.0.1", pair.mux.port))
                foreign.sendto(data, pair.client_socket.address)
                await asyncio.sleep(0)
            await starting
            await pair.exchange()
            foreign.close()
