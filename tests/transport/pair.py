"""Two peers in one process over loopback: a server on ICE-lite and a client on full ICE."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiortc.rtcdtlstransport import RTCCertificate

from lknb.transport.data_channel import DataChannel
from lknb.transport.ice import IceTransport
from lknb.transport.ice_full import FullIceTransport
from lknb.transport.ice_lite import UdpMux
from lknb.transport.peer import PeerTransport
from lknb.wire.sdp import TransportParameters
from tests.kit.poll import wait_until

CERTIFICATE = RTCCertificate.generateCertificate()
"""Shared: making one costs more than a handshake."""


def rtp_packet(sequence_number: int, *, ssrc: int = 7, size: int = 1100) -> bytes:
    """A VP8-like packet of `size` bytes that tells its sequence number all over."""
    header = struct.pack("!BBHII", 0x80, 96, sequence_number & 0xFFFF, sequence_number * 3000 & 0xFFFFFFFF, ssrc)
    body = struct.pack("!I", sequence_number) * (size // 4 + 1)
    return header + body[: size - len(header)]


def pli(ssrc: int = 7) -> bytes:
    """A picture loss indication."""
    return struct.pack("!BBHII", 0x81, 206, 2, 1, ssrc)


class Side:
    """One peer with all it was told."""

    def __init__(self, ice: IceTransport) -> None:
        self.ice = ice
        self.peer = PeerTransport(ice, certificate=CERTIFICATE)
        self.rtp: list[bytes] = []
        self.arrivals_us: list[int] = []
        self.rtcp: list[bytes] = []
        self.rtcp_arrivals_us: list[int] = []
        self.states: list[str] = []
        self.channels: list[DataChannel] = []
        self.messages: list[tuple[str, bytes]] = []
        self.peer.on_rtp = self._on_rtp
        self.peer.on_rtcp = self._on_rtcp
        self.peer.on_state = self.states.append
        self.peer.on_data_channel = self._on_data_channel

    def _on_rtp(self, packet: bytes, arrival_us: int) -> None:
        self.rtp.append(packet)
        self.arrivals_us.append(arrival_us)

    def _on_rtcp(self, packet: bytes, arrival_us: int) -> None:
        self.rtcp.append(packet)
        self.rtcp_arrivals_us.append(arrival_us)

    def _on_data_channel(self, channel: DataChannel) -> None:
        self.channels.append(channel)
        self.listen(channel)

    def listen(self, channel: DataChannel) -> DataChannel:
        """Collect the messages of a channel."""
        channel.on_message = lambda message: self.messages.append((channel.label, message))
        return channel


class Pair:
    """The two sides; `open_pair()` makes one and closes it."""

    def __init__(self, mux: UdpMux, server: Side, client: Side) -> None:
        self.mux, self.server, self.client = mux, server, client

    @property
    def lite(self) -> Any:
        """The server's path, with its private parts."""
        return self.server.ice

    @property
    def full(self) -> Any:
        """The client's path, with its private parts."""
        return self.client.ice

    @property
    def client_socket(self) -> Any:
        """The `UdpSocket` of the client's newest agent."""
        return self.full.agent._protocols[0].transport

    async def gather(self) -> None:
        await asyncio.gather(self.server.peer.gather(), self.client.peer.gather())

    def locals(self) -> tuple[TransportParameters, TransportParameters]:
        return self.server.peer.local("actpass"), self.client.peer.local("active")

    async def connect(self, *, client_setup: Literal["active", "passive"] = "active", sctp: bool = False) -> None:
        await self.gather()
        await asyncio.gather(*self.starting(client_setup=client_setup, sctp=sctp))

    def starting(
        self, *, client_setup: Literal["active", "passive"] = "active", sctp: bool = False, timeout_s: float = 10.0
    ) -> list[Any]:
        """The coroutines that start both sides."""
        server, client = self.locals()
        server_setup: Literal["active", "passive"] = "passive" if client_setup == "active" else "active"
        port = 5000 if sctp else None
        size = 262_144
        return [
            self.server.peer.start(
                client, setup=server_setup, sctp_port=port, max_message_size=size, timeout_s=timeout_s
            ),
            self.client.peer.start(
                server, setup=client_setup, sctp_port=port, max_message_size=size, timeout_s=timeout_s
            ),
        ]

    async def restart(self) -> None:
        """An ICE restart that the client offers; done when the client's new path is up."""
        await self.client.peer.restart_ice()
        await self.server.peer.update_remote(self.client.peer.local("actpass"))
        await self.client.peer.update_remote(self.server.peer.local("passive"))
        await self.client.peer.wait_restarted()

    async def exchange(self, count: int = 20, *, first: int = 0) -> None:
        """Send so many packets both ways and see them arrive, byte for byte."""
        sent = [rtp_packet(first + i) for i in range(count)]
        before = len(self.server.rtp), len(self.client.rtp)
        for packet in sent:
            self.client.peer.send_rtp(packet)
            self.server.peer.send_rtp(packet)
        await wait_until(lambda: len(self.server.rtp) >= before[0] + count, what="client -> server")
        await wait_until(lambda: len(self.client.rtp) >= before[1] + count, what="server -> client")
        assert self.server.rtp[before[0] :] == sent
        assert self.client.rtp[before[1] :] == sent

    async def close(self) -> None:
        await asyncio.gather(self.client.peer.close(), self.server.peer.close())
        self.mux.close()


@asynccontextmanager
async def open_pair(
    *,
    server_ice: Callable[[UdpMux], IceTransport] = lambda mux: mux.create_transport(),
    client_ice: Callable[[], IceTransport] = lambda: FullIceTransport(True),
) -> AsyncIterator[Pair]:
    """Two peers that are not connected yet."""
    mux = await UdpMux.open()
    pair = Pair(mux, Side(server_ice(mux)), Side(client_ice()))
    try:
        yield pair
    finally:
        await pair.close()


@asynccontextmanager
async def connected_pair(**options: Any) -> AsyncIterator[Pair]:
    """Two connected peers; options of `Pair.connect()`."""
    async with open_pair() as pair:
        await pair.connect(**options)
        yield pair


def stranger() -> socket.socket:
    """A UDP socket on loopback that belongs to nobody; the caller closes it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock
