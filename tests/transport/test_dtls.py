from __future__ import annotations

import struct

import pytest

from lknb.transport import contract, dtls, srtp
from tests.kit.poll import wait_until
from tests.transport.pair import connected_pair, open_pair, pli, rtp_packet


async def test_a_replayed_packet_is_counted_and_not_handed_over() -> None:
    async with connected_pair() as pair:
        datagrams: list[bytes] = []
        dtls, send = pair.client.peer._dtls, pair.client.ice.send

        def record(data: bytes | memoryview) -> None:
            datagrams.append(bytes(data))
            send(data)

        dtls.send_rtp = srtp.rtp_sender(dtls._tx_srtp, record, dtls.counters)
        await pair.exchange(3)
        for data in datagrams:
            send(data)
        send(datagrams[0][:-1] + bytes([datagrams[0][-1] ^ 1]))
        await wait_until(lambda: pair.server.peer.counters.undecryptable == 4)
        assert len(pair.server.rtp) == 3
        await pair.exchange(3, first=10)


async def test_packets_too_long_for_libsrtp_are_dropped_and_counted() -> None:
    async with connected_pair() as pair:
        peer = pair.client.peer
        peer.send_rtp(rtp_packet(1, size=srtp.MAX_PACKET_BYTES + 1))
        peer.send_rtcp(pli() * 150)
        assert (peer.counters.send_oversize, peer.counters.rtp_sent) == (2, 0)
        largest = rtp_packet(2, size=srtp.MAX_PACKET_BYTES)
        peer.send_rtp(largest)
        await wait_until(lambda: pair.server.rtp == [largest])


async def test_what_libsrtp_refuses_is_counted() -> None:
    async with connected_pair() as pair:
        peer = pair.client.peer
        peer.send_rtp(b"")
        peer.send_rtcp(b"x")
        # further back than the window of repeats
        peer.send_rtp(rtp_packet(5000))
        peer.send_rtp(rtp_packet(1))
        assert (peer.counters.send_failed, peer.counters.rtp_sent) == (3, 1)
        await wait_until(lambda: pair.server.rtp)
        await pair.exchange(3, first=5001)


async def test_a_packet_sent_again_arrives_once() -> None:
    async with connected_pair() as pair:
        for number in (1, 2, 1, 3):
            pair.client.peer.send_rtp(rtp_packet(number))
        await wait_until(lambda: len(pair.server.rtp) == 3)
        assert pair.client.peer.counters.rtp_sent == 4
        await wait_until(lambda: pair.server.peer.counters.undecryptable == 1)


async def test_too_short_and_too_long_datagrams_from_the_peer() -> None:
    async with connected_pair() as pair:
        for data in (b"\x80", b"\x80" * 11, b"\x80" * 1501, b"\x80\xc8" + bytes(1600)):
            pair.client.ice.send(data)
        counters = pair.server.peer.counters
        await wait_until(lambda: (counters.too_short, counters.oversize) == (2, 2))
        await pair.exchange()


async def test_the_public_way_of_pylibsrtp_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "IN_PLACE_SRTP", False)
    async with connected_pair() as pair:
        await pair.exchange(50)
        pair.client.peer.send_rtcp(pli())
        await wait_until(lambda: pair.server.rtcp == [pli()])
        pair.client.peer.send_rtp(rtp_packet(100, size=srtp.MAX_PACKET_BYTES + 1))
        assert pair.client.peer.counters.send_oversize == 1


async def test_early_packets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_pair() as pair:
        receive = pair.server.peer._dtls._receive_srtp
        for i in range(dtls.MAX_EARLY_PACKETS + 5):
            receive(rtp_packet(i), 1)
        assert pair.server.peer.counters.early_dropped == 5
        await pair.connect()
        # strangers wrote them: none is authentic
        assert pair.server.peer.counters.undecryptable == dtls.MAX_EARLY_PACKETS
        await pair.exchange()


async def test_rtp_and_rtcp_are_told_apart_by_the_second_byte() -> None:
    async with connected_pair() as pair:
        packets: list[bytes] = []
        # RFC 5761 section 4: payload types 64 to 95 are left to RTCP
        for payload_type in (0, 63, 96, 127):
            for marker in (0, 128):
                packets.append(bytes([0x80, marker | payload_type]) + struct.pack("!HII", len(packets), 0, 7) + b"p")
        for packet in packets:
            pair.client.peer.send_rtp(packet)
        reports = [bytes([0x80, kind]) + struct.pack("!HI", 1, 7) for kind in (200, 201, 203, 205, 206, 207)]
        for report in reports:
            pair.client.peer.send_rtcp(report)
        await wait_until(lambda: len(pair.server.rtp) == len(packets) and len(pair.server.rtcp) == len(reports))
        assert (pair.server.rtp, pair.server.rtcp) == (packets, reports)


@pytest.mark.parametrize("lost", [1, 2])
async def test_handshake_survives_the_loss_of_a_flight(lost: int) -> None:
    async with open_pair() as pair:
        handler = pair.mux._socket._on_datagram
        seen: list[int] = []

        def lose_one(data: bytes, address: object, arrival_us: int) -> None:
            if 19 < data[0] < 64:
                seen.append(data[0])
                if len(seen) == lost:
                    return
            handler(data, address, arrival_us)  # type: ignore[arg-type]

        pair.mux._socket._on_datagram = lose_one
        await pair.connect()
        assert len(seen) > lost
        await pair.exchange()
