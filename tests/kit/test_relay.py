from __future__ import annotations

import asyncio
import socket
import time

from tests.kit.impair import Conditions
from tests.kit.meter import Meter
from tests.kit.poll import wait_until
from tests.kit.relay import UdpRelay


class End(asyncio.DatagramProtocol):
    """A UDP end that keeps what it gets, and sends it back when it is told to echo."""

    def __init__(self, *, echo: bool = False) -> None:
        self.echo, self.got, self.peers = echo, [], set()

    @classmethod
    async def open(cls, *, to: int = 0, echo: bool = False) -> End:
        where = {"remote_addr": ("127.0.0.1", to)} if to else {"local_addr": ("127.0.0.1", 0)}
        end = cls(echo=echo)
        end.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: end, **where)
        end.port = end.transport.get_extra_info("sockname")[1]
        return end

    def datagram_received(self, data, addr):
        self.got.append(data)
        self.peers.add(addr)
        if self.echo:
            self.transport.sendto(data, addr)


async def test_each_client_has_a_path_of_its_own_both_ways():
    server = await End.open(echo=True)
    async with UdpRelay(server.port) as relay:
        alice, bob = await End.open(to=relay.port), await End.open(to=relay.port)
        alice.transport.sendto(b"alice")
        bob.transport.sendto(b"bob")
        await wait_until(lambda: alice.got and bob.got)
        assert (alice.got, bob.got) == ([b"alice"], [b"bob"])
        assert len(server.peers) == 2
        alice.transport.close()
        bob.transport.close()
    server.transport.close()


async def test_a_meter_counts_what_goes_to_the_server_and_hands_it_on():
    server = await End.open()
    async with UdpRelay(server.port) as relay:
        meter = Meter(relay)
        client = await End.open(to=relay.port)
        media, report = b"\x80\x60media", b"\x80\xc8report"
        for packet in (media, report):
            client.transport.sendto(packet)
        await wait_until(lambda: len(server.got) == 2)
        assert (meter.rtp, meter.bytes) == (1, len(media) + len(report))
    for end in (server, client):
        end.transport.close()


async def test_conditions_hold_for_their_direction():
    server = await End.open(echo=True)
    async with UdpRelay(server.port, down=Conditions(loss=1.0)) as relay:
        client = await End.open(to=relay.port)
        client.transport.sendto(b"one")
        await wait_until(lambda: relay.down and relay.down[0].count.lost == 1)
        assert server.got == [b"one"]
        assert client.got == []
        relay.set_conditions(down=Conditions(delay_ms=30))
        client.transport.sendto(b"two")
        await wait_until(lambda: client.got == [b"two"])
        client.transport.close()
    server.transport.close()


async def test_a_packet_enters_the_path_when_it_came_and_not_when_somebody_has_time_for_it():
    server = await End.open()
    async with UdpRelay(server.port, up=Conditions(rate_bps=400_000, queue_ms=200)) as relay:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            # 280 kbit/s, while nothing else runs here: the queue holds 10,000 of these 21,000 bytes
            for _ in range(30):
                client.sendto(bytes(700), ("127.0.0.1", relay.port))
                time.sleep(0.02)
        await wait_until(lambda: len(server.got) + relay.up[0].count.overflowed == 30 if relay.up else False)
        assert relay.up[0].count.overflowed == 0
    server.transport.close()


async def test_a_blackout_ends():
    server = await End.open(echo=True)
    async with UdpRelay(server.port) as relay:
        client = await End.open(to=relay.port)
        client.transport.sendto(b"before")
        await wait_until(lambda: client.got)
        relay.black_out(0.2)
        for _ in range(4):
            client.transport.sendto(b"meanwhile")

        def answered() -> bool:
            client.transport.sendto(b"after")
            return b"after" in client.got

        await wait_until(answered)
        assert relay.up[0].count.blacked_out > 3
        assert b"meanwhile" not in client.got
        client.transport.close()
    server.transport.close()
