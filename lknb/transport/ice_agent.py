"""One generation of full ICE: an aioice `Connection` on sockets of our own.

What differs from aioice: only loopback is bound unless told otherwise, datagrams are taken only from addresses the peer
named or authenticated (aioice hands over everybody's), packets do not pass through STUN parser or queue, consent is
checked every two seconds, and the path is known when a pair is nominated, not at the next 20 ms step.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aioice import stun
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import (
    CandidatePair,
    Connection,
    StunProtocol,
    TransportPolicy,
    relayed_candidate,
    server_reflexive_candidate,
)

from lknb import limits
from lknb.transport.ice_server import IceServers
from lknb.transport.udp import Address, UdpSocket
from lknb.wire.candidate import parse_candidate

logger = logging.getLogger(__name__)

CONSENT_INTERVAL_S = 2.0
CONSENT_EXPIRY_S = 30.0
"""Without an authenticated answer for so long nothing may be sent (RFC 7675 section 5.1)."""
SERVER_TIMEOUT_S = 3.0
"""What STUN and TURN servers may take; later candidates are left out."""

_MAX_SOURCES = 2 * limits.CANDIDATES
_RELAY_CLOSE_S = 0.5


@dataclass(slots=True)
class AgentCounters:
    """What was dropped below."""

    unknown_source: int = 0
    malformed_stun: int = 0
    candidates_ignored: int = 0


class IceAgent(Connection):
    """`begin()` it after `gather_candidates()`, with the remote credentials; `nominated` is done when there is a path.

    The task `begin()` returns ends earlier than that only when there is none.
    """

    def __init__(
        self,
        *,
        controlling: bool,
        hosts: Sequence[str],
        loopback_only: bool,
        servers: IceServers,
        relay_only: bool,
        on_data: Callable[[bytes, int], None],
        on_heard: Callable[[int], None],
        on_path: Callable[[IceAgent], None],
        on_expired: Callable[[IceAgent], None],
    ) -> None:
        """`hosts`: the addresses to bind; `loopback_only`: take only remote candidates of this machine."""
        turn = servers.turn
        super().__init__(
            ice_controlling=controlling,
            stun_server=servers.stun,
            turn_server=turn.address if turn else None,
            turn_username=turn.username if turn else None,
            turn_password=turn.credential if turn else None,
            turn_ssl=turn.tls if turn else False,
            turn_transport=turn.protocol if turn else "udp",
            transport_policy=TransportPolicy.RELAY if relay_only else TransportPolicy.ALL,
        )
        self.counters = AgentCounters()
        self.path: tuple[Callable[[bytes, Address], None], Address] | None = None
        """How to send on the nominated pair: function and address."""
        self.nominated: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.checks: asyncio.Task[None] | None = None
        self.sources: set[tuple[str, int]] = set()
        """Addresses whose datagrams are taken."""
        self._hosts = hosts
        self._loopback_only = loopback_only
        self._on_data = on_data
        self._on_heard = on_heard
        self._on_path = on_path
        self._on_expired = on_expired
        self._remote_count = 0
        self._remote_ended = False

    def begin(self) -> asyncio.Task[None]:
        """Start the checks."""
        self.checks = asyncio.create_task(self.connect())
        return self.checks

    async def add_candidate(self, text: str | None) -> None:
        """One remote candidate; None or "" ends them. What is not a usable UDP address is counted and ignored."""
        if self._remote_ended or self._closing:
            return
        if not text or text.strip() in ("", "candidate:"):
            self._remote_ended = True
            await self.add_remote_candidate(None)
            return
        candidate = usable_candidate(text, loopback_only=self._loopback_only)
        if candidate is None or self._remote_count >= limits.CANDIDATES:
            self.counters.candidates_ignored += 1
            return
        self._remote_count += 1
        self._add_source((candidate.host, candidate.port))
        await self.add_remote_candidate(candidate)

    def mute(self) -> None:
        """Neither send nor hand over anything any more; `close()` follows."""
        self.path = None
        self._on_data, self._on_heard = _ignore_data, _ignore_heard

    async def close(self) -> None:
        """Free everything. Idempotent."""
        self.mute()
        # first: connect() would start the consent checks of a closed connection
        if self.checks is not None:
            self.checks.cancel()
            await asyncio.gather(self.checks, return_exceptions=True)
        if not self.nominated.done():
            self.nominated.cancel()
        await super().close()

    # what aioice calls

    async def get_component_candidates(self, component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        """Bind our own sockets, ask the STUN and TURN servers if there are any."""
        candidates: list[Candidate] = []
        bound: list[AgentProtocol] = []
        for host in self._hosts:
            protocol = AgentProtocol(self)
            try:
                candidate = protocol.open(host, component)
            except OSError as error:
                logger.info("cannot bind to %s: %s", host, error)
                continue
            self._protocols.append(protocol)
            bound.append(protocol)
            candidates.append(candidate)
        tasks: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]] = [
            asyncio.create_task(server_reflexive_candidate(protocol, self.stun_server))
            for protocol in bound
            if self.stun_server and ":" not in protocol.local_candidate.host
        ]
        if self.turn_server:
            relay = relayed_candidate(
                component=component,
                hide_related_address=self._transport_policy == TransportPolicy.RELAY,
                protocol_factory=lambda: AgentProtocol(self),
                turn_server=self.turn_server,
                turn_username=self.turn_username,
                turn_password=self.turn_password,
                turn_ssl=self.turn_ssl,
                turn_transport=self.turn_transport,
            )
            tasks.append(asyncio.create_task(relay))
        if not tasks:
            return candidates
        try:
            await asyncio.wait(tasks, timeout=SERVER_TIMEOUT_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if task.cancelled():
                    continue
                if (failure := task.exception()) is not None:
                    logger.info("an ICE server did not help: %r", failure)
                    continue
                candidate, relay_protocol = task.result()
                candidates.append(candidate)
                if relay_protocol is not None:
                    self._protocols.append(relay_protocol)
        return candidates

    def check_complete(self, pair: CandidatePair) -> None:
        super().check_complete(pair)
        nominated = self._nominated.get(1)
        if nominated is None or self._closing:
            return
        address = nominated.remote_addr
        self._add_source(address)
        path = (cast(Callable[[bytes, Address], None], nominated.protocol.transport.sendto), address)
        if path != self.path:
            self.path = path
            self._on_path(self)
        if not self.nominated.done():
            self.nominated.set_result(None)

    async def query_consent(self) -> None:
        """Ask the peer again and again (RFC 7675); its answers are also what keeps a quiet path alive."""
        answered = time.monotonic()
        while True:
            await asyncio.sleep(CONSENT_INTERVAL_S * random.uniform(0.8, 1.2))
            pair = self._nominated.get(1)
            if pair is None:
                continue
            request = self.build_request(pair, nominate=False)
            key = cast(str, self.remote_password).encode()
            try:
                await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=1)
            except stun.TransactionError:
                if time.monotonic() - answered > CONSENT_EXPIRY_S:
                    self._on_expired(self)
                    return
            else:
                answered = time.monotonic()

    def data_received(self, data: bytes, component: int) -> None:
        """aioice hands over here what looked like STUN and was not."""
        self.counters.malformed_stun += 1

    # for AgentProtocol

    def authenticate(self, request: stun.Message, address: tuple[str, int]) -> None:
        """A check with our password makes its address known, before the peer's candidates have come."""
        ufrag = request.attributes.get("USERNAME", "").partition(":")[0]
        if ufrag == self.local_username and request.check_message_integrity(self.local_password.encode()):
            self._add_source(address)

    def _add_source(self, address: tuple[str, int]) -> None:
        if len(self.sources) < _MAX_SOURCES:
            self.sources.add(address)


class AgentProtocol(StunProtocol):
    """One local address of an agent: a `UdpSocket` of ours, or a TURN allocation of aioice."""

    receiver: IceAgent

    def open(self, host: str, component: int) -> Candidate:
        """Bind to an ephemeral port of `host`; OSError when that fails."""
        udp = UdpSocket(host, 0, self._on_datagram)
        self.connection_made(cast(asyncio.BaseTransport, udp))
        self.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=host,
            port=udp.address[1],
            type="host",
        )
        return self.local_candidate

    async def close(self) -> None:
        if isinstance(self.transport, UdpSocket):
            self.transport.close()
            return
        self.transport.close()
        giving_back = cast(asyncio.Task[None] | None, getattr(self.transport, "_TurnTransport__close_task", None))
        if giving_back is not None:
            # giving an allocation back is a courtesy to the TURN server, and not worth aioice's 30 s
            await asyncio.wait({giving_back}, timeout=_RELAY_CLOSE_S)
            giving_back.cancel()
            await asyncio.gather(giving_back, return_exceptions=True)

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """From a TURN allocation."""
        if data:
            self._on_datagram(cast(bytes, data), addr, time.monotonic_ns() // 1000)

    def _on_datagram(self, data: bytes, address: Address, arrival_us: int) -> None:
        agent = self.receiver
        source = (address[0], address[1])
        if data[0] > 3:
            if source in agent.sources:
                agent._on_data(data, arrival_us)
            else:
                agent.counters.unknown_source += 1
            return
        try:
            if data[:2] == b"\x00\x01":
                agent.authenticate(stun.parse_message(data), source)
            super().datagram_received(data, source)
        except (ValueError, KeyError, AssertionError, struct.error):
            agent.counters.malformed_stun += 1
            return
        if source in agent.sources:
            agent._on_heard(arrival_us)


def usable_candidate(text: str, *, loopback_only: bool) -> Candidate | None:
    """A remote candidate, or None for one we do not use: TCP, mDNS, RTCP, multicast, port 0, malformed."""
    try:
        parsed = parse_candidate(text.strip())
        address = ipaddress.ip_address(parsed.host)
    except ValueError:
        return None
    usable = (
        parsed.component == 1
        and parsed.protocol == "udp"
        and parsed.type != "prflx"
        and parsed.port > 0
        and not (address.is_multicast or address.is_unspecified)
        and (address.is_loopback or not loopback_only)
    )
    if not usable:
        return None
    return Candidate(
        foundation=parsed.foundation,
        component=1,
        transport="udp",
        priority=parsed.priority,
        host=str(address),
        port=parsed.port,
        type=parsed.type,
    )


def _ignore_data(data: bytes, arrival_us: int) -> None:
    del data, arrival_us


def _ignore_heard(arrival_us: int) -> None:
    del arrival_us
