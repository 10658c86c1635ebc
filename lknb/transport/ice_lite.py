"""ICE-lite (RFC 8445 section 2.5) for a server: one UDP port for all peers, demultiplexed by address.

An address belongs to a peer once a STUN binding request from it named the user fragment we gave that peer and carried
a MESSAGE-INTEGRITY made with our password. Everything from any other address is dropped and counted.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from aioice import stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import get_host_addresses
from aioice.utils import random_string

from lknb.transport.ice import IceTransport
from lknb.transport.udp import Address, UdpCounters, UdpSocket
from lknb.wire.sdp import TransportParameters

MAX_ADDRESSES = 16
"""Addresses one peer may have checked from; the least recently new is forgotten first."""

_BINDING_REQUEST = b"\x00\x01"
_BINDING_INDICATION = b"\x00\x11"
_COOKIE = stun.COOKIE.to_bytes(4, "big")


@dataclass(slots=True)
class MuxCounters:
    """What was dropped on the shared port."""

    unknown_source: int = 0
    malformed_stun: int = 0
    unauthenticated: int = 0
    role_conflicts: int = 0


def host_addresses() -> tuple[str, ...]:
    """This machine's addresses, for the candidates of a socket that listens on all of them."""
    return ("127.0.0.1", *get_host_addresses(use_ipv4=True, use_ipv6=False))


class UdpMux:
    """One UDP port that many `IceLiteTransport`s share. Made by `await UdpMux.open(...)`."""

    def __init__(self, host: str, port: int, advertised_hosts: Sequence[str]) -> None:
        self.counters = MuxCounters()
        self._by_address: dict[Address, IceLiteTransport] = {}
        self._by_ufrag: dict[str, IceLiteTransport] = {}
        self._socket = UdpSocket(host, port, self._on_datagram)
        self.sendto = self._socket.sendto
        """Send one datagram to an address, or drop and count it."""
        self.host = host
        self.port: int = self._socket.address[1]
        self._hosts = tuple(advertised_hosts) or (host,)

    @classmethod
    async def open(cls, host: str = "127.0.0.1", port: int = 0, *, advertised_hosts: Sequence[str] = ()) -> UdpMux:
        """Bind; OSError if the port is taken. `advertised_hosts`: the addresses to name in candidates, else `host`."""
        return cls(host, port, advertised_hosts)

    @property
    def udp_counters(self) -> UdpCounters:
        """The counters of the socket itself."""
        return self._socket.counters

    def create_transport(self, *, disconnected_after_s: float = 10.0, failed_after_s: float = 20.0) -> IceLiteTransport:
        """A transport for one more peer; silence makes it disconnected and failed after so many seconds."""
        return IceLiteTransport(self, disconnected_after_s=disconnected_after_s, failed_after_s=failed_after_s)

    def candidates(self) -> tuple[str, ...]:
        """The host candidates of this port, best first."""
        return tuple(
            f"candidate:{candidate_foundation('host', 'udp', host)[:8]} 1 udp "
            f"{candidate_priority(1, 'host', 65535 - i)} {host} {self.port} typ host"
            for i, host in enumerate(self._hosts)
        )

    def close(self) -> None:
        """Give the port back. Transports still open send nothing any more; close them too."""
        self._socket.close()
        self._by_address.clear()
        self._by_ufrag.clear()

    # for IceLiteTransport

    def register(self, ufrag: str, transport: IceLiteTransport) -> None:
        self._by_ufrag[ufrag] = transport

    def unregister(self, ufrag: str) -> None:
        self._by_ufrag.pop(ufrag, None)

    def bind_address(self, address: Address, transport: IceLiteTransport) -> None:
        self._by_address[address] = transport

    def unbind_address(self, address: Address, transport: IceLiteTransport) -> None:
        if self._by_address.get(address) is transport:
            del self._by_address[address]

    # reception

    def _on_datagram(self, data: bytes, address: Address, arrival_us: int) -> None:
        if data[0] > 3:
            transport = self._by_address.get(address)
            if transport is None:
                self.counters.unknown_source += 1
            else:
                transport.receive(data, arrival_us)
        else:
            self._on_stun(data, address, arrival_us)

    def _on_stun(self, data: bytes, address: Address, arrival_us: int) -> None:
        # The cheap look comes first: parsing and the HMAC cost 50 times a packet's share of the loop.
        if data[:2] != _BINDING_REQUEST or data[4:8] != _COOKIE:
            transport = self._by_address.get(address)
            if transport is None:
                self.counters.unknown_source += 1
            elif data[:2] == _BINDING_INDICATION:
                transport.seen(arrival_us)
            else:
                self.counters.malformed_stun += 1
            return
        try:
            request = stun.parse_message(data)
        except (ValueError, struct.error):
            self.counters.malformed_stun += 1
            return
        ufrag = request.attributes.get("USERNAME", "").partition(":")[0]
        transport = self._by_ufrag.get(ufrag)
        if transport is None or not transport.authenticate(request, ufrag):
            self.counters.unauthenticated += 1
            return
        key = transport.password(ufrag).encode()
        if "ICE-CONTROLLED" in request.attributes:
            # a lite agent can only be controlled (RFC 8445 section 7.3.1.1)
            self.counters.role_conflicts += 1
            self._respond(request, stun.Class.ERROR, {"ERROR-CODE": (487, "Role Conflict")}, key, address)
            return
        self._respond(request, stun.Class.RESPONSE, {"XOR-MAPPED-ADDRESS": address[:2]}, key, address)
        transport.on_check(ufrag, address, "USE-CANDIDATE" in request.attributes, arrival_us)

    def _respond(
        self,
        request: stun.Message,
        message_class: stun.Class,
        attributes: dict[str, object],
        key: bytes,
        address: Address,
    ) -> None:
        response = stun.Message(stun.Method.BINDING, message_class, request.transaction_id, attributes)
        response.add_message_integrity(key)
        self.sendto(bytes(response), address)


class IceLiteTransport(IceTransport):
    """One peer of a `UdpMux`. It only answers checks; the peer chooses the path and may change it at any time."""

    lite = True

    def __init__(self, mux: UdpMux, *, disconnected_after_s: float, failed_after_s: float) -> None:
        super().__init__(disconnected_after_s=disconnected_after_s, failed_after_s=failed_after_s)
        self._mux = mux
        self._sendto = mux.sendto
        self._passwords: dict[str, str] = {}
        """By user fragment; the last one is the current one, an earlier one lives until the current one is seen."""
        self._addresses: list[Address] = []
        self._address: Address | None = None
        self._remote: tuple[str, str] | None = None
        self._restart_offered = False
        self._checked = asyncio.Event()
        self._new_credentials()

    @property
    def remote_address(self) -> Address | None:
        """Where packets are sent to."""
        return self._address

    async def gather(self) -> None:
        """Nothing to do: the port is open."""

    def credentials(self) -> tuple[str, str]:
        return next(reversed(self._passwords.items()))

    def candidates(self) -> tuple[str, ...]:
        return self._mux.candidates()

    async def connect(self, remote: TransportParameters) -> None:
        if self._remote is None:
            self._remote = (remote.ufrag, remote.pwd)
        await self._checked.wait()
        if self._state == "closed":
            raise ConnectionError("the ICE transport is closed")

    async def update_remote(self, remote: TransportParameters) -> None:
        before, self._remote = self._remote, (remote.ufrag, remote.pwd)
        if before is None or before == self._remote:
            return
        if self._restart_offered:
            self._restart_offered = False  # the answer to our own restart
        else:
            self._new_credentials()

    async def restart(self) -> None:
        if not self._restart_offered:
            self._restart_offered = True
            self._new_credentials()

    async def add_candidate(self, candidate: str | None) -> None:
        """A lite agent learns addresses from checks; candidates are of no use to it."""

    async def wait_restarted(self) -> None:
        """Nothing to wait for: the peer does the checks."""
        if self._state == "closed":
            raise ConnectionError("the ICE transport is closed")

    def send(self, data: bytes | memoryview) -> None:
        if self._address is not None:
            self._sendto(data, self._address)

    async def close(self) -> None:
        for ufrag in self._passwords:
            self._mux.unregister(ufrag)
        for address in self._addresses:
            self._mux.unbind_address(address, self)
        self._addresses.clear()
        self._address = None
        await super().close()
        self._checked.set()

    # for UdpMux

    def password(self, ufrag: str) -> str:
        return self._passwords[ufrag]

    def authenticate(self, request: stun.Message, ufrag: str) -> bool:
        return ufrag in self._passwords and request.check_message_integrity(self._passwords[ufrag].encode())

    def on_check(self, ufrag: str, address: Address, nominated: bool, arrival_us: int) -> None:
        """A valid check came from `address`."""
        if ufrag == self.credentials()[0]:
            for old in list(self._passwords)[:-1]:
                del self._passwords[old]
                self._mux.unregister(old)
        if address not in self._addresses:
            self._addresses.append(address)
            if len(self._addresses) > MAX_ADDRESSES:
                forgotten = next(a for a in self._addresses if a != self._address)
                self._addresses.remove(forgotten)
                self._mux.unbind_address(forgotten, self)
        self._mux.bind_address(address, self)
        if nominated or self._address is None or self._silent:
            self._address = address
        self.seen(arrival_us)
        self._checked.set()

    def _new_credentials(self) -> None:
        ufrag, password = random_string(8), random_string(24)
        current = list(self._passwords)[-1:]
        for old in [u for u in self._passwords if u not in current]:
            del self._passwords[old]
            self._mux.unregister(old)
        self._passwords[ufrag] = password
        self._mux.register(ufrag, self)
