"""STUN and TURN servers as LiveKit names them in its JoinResponse (RFC 7064, RFC 7065 URIs)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IceServer:
    """One entry of `ice_servers`. The credential does not show in its repr."""

    urls: Sequence[str]
    username: str = ""
    credential: str = ""

    def __repr__(self) -> str:
        return f"IceServer({list(self.urls)!r})"


@dataclass(frozen=True, slots=True, repr=False)
class TurnServer:
    """One TURN address with its credential; `protocol` "udp" or "tcp"."""

    address: tuple[str, int]
    username: str
    credential: str
    protocol: str
    tls: bool


@dataclass(frozen=True, slots=True, repr=False)
class IceServers:
    """What one agent uses: at most one of each kind."""

    stun: tuple[str, int] | None = None
    turn: TurnServer | None = None


def select_servers(servers: Iterable[IceServer]) -> IceServers:
    """The first STUN and the best TURN server (UDP before TCP before TLS); what cannot be read is left out."""
    stun: tuple[str, int] | None = None
    turns: list[tuple[int, TurnServer]] = []
    for server in servers:
        for url in server.urls:
            scheme, _, rest = url.partition(":")
            scheme = scheme.lower()
            place, _, query = rest.partition("?")
            address = _address(place, 5349 if scheme in ("stuns", "turns") else 3478)
            if address is None:
                continue
            if scheme == "stun":
                stun = stun or address
            elif scheme in ("turn", "turns"):
                tls = scheme == "turns"
                protocol = "tcp" if tls or query.lower() == "transport=tcp" else "udp"
                rank = 2 if tls else 1 if protocol == "tcp" else 0
                turns.append((rank, TurnServer(address, server.username, server.credential, protocol, tls)))
    turns.sort(key=lambda item: item[0])
    return IceServers(stun, turns[0][1] if turns else None)


def _address(place: str, default_port: int) -> tuple[str, int] | None:
    place = place.removeprefix("//")
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        port = rest.removeprefix(":") if bracket else ""
    else:
        host, _, port = place.partition(":")
    if not host:
        return None
    if not port:
        return host, default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return None
    return host, int(port)
