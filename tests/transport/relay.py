"""A STUN and TURN server (RFC 8489, RFC 8656) for one client, without authentication, as small as can be."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioice import stun

from lknb.transport.udp import Address, UdpSocket


class Relay:
    """`port` is the server's. `mute` makes it answer nothing."""

    def __init__(self) -> None:
        self.mute = False
        self.relayed = 0
        self.deleted = False
        self._client: Address | None = None
        self._peers: dict[int, Address] = {}
        self._server = UdpSocket("127.0.0.1", 0, self._on_client)
        self._relay = UdpSocket("127.0.0.1", 0, self._on_peer)
        self.port: int = self._server.address[1]
        self.relayed_port: int = self._relay.address[1]

    def close(self) -> None:
        self._server.close()
        self._relay.close()

    def _on_client(self, data: bytes, address: Address, arrival_us: int) -> None:
        if self.mute:
            return
        if data[0] & 0xC0 == 0x40:
            channel, length = struct.unpack("!HH", data[:4])
            self.relayed += 1
            self._relay.sendto(data[4 : 4 + length], self._peers[channel])
            return
        request = stun.parse_message(data)
        attributes: dict[str, Any] = {"XOR-MAPPED-ADDRESS": address}
        if request.message_method == stun.Method.ALLOCATE:
            self._client = address
            attributes |= {"XOR-RELAYED-ADDRESS": self._relay.address, "LIFETIME": 600}
        elif request.message_method == stun.Method.REFRESH:
            self.deleted = request.attributes["LIFETIME"] == 0
            attributes["LIFETIME"] = request.attributes["LIFETIME"]
        elif request.message_method == stun.Method.CHANNEL_BIND:
            self._peers[request.attributes["CHANNEL-NUMBER"]] = request.attributes["XOR-PEER-ADDRESS"]
        response = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id, attributes)
        self._server.sendto(bytes(response), address)

    def _on_peer(self, data: bytes, address: Address, arrival_us: int) -> None:
        channel = next((number for number, peer in self._peers.items() if peer == address), None)
        if channel is not None and self._client is not None and not self.mute:
            self.relayed += 1
            self._server.sendto(struct.pack("!HH", channel, len(data)) + data, self._client)


@asynccontextmanager
async def open_relay() -> AsyncIterator[Relay]:
    relay = Relay()
    try:
        yield relay
    finally:
        relay.close()
        await asyncio.sleep(0)
