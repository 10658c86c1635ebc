"""ICE candidates (RFC 8839 section 5.1) as `a=candidate` lines and trickle messages carry them."""

from __future__ import annotations

from dataclasses import dataclass

from lknb import limits
from lknb.errors import WireError

_TYPES = ("host", "srflx", "prflx", "relay")
_PREFIX = "candidate:"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address of a peer.

    `protocol` is "udp" or "tcp", or what else the peer wrote, in lower case. `host` is an IPv4 or IPv6 address or a
    name (mDNS). `type` is "host", "srflx", "prflx" or "relay". `tcp_type` is "active", "passive" or "so" with TCP.
    `ufrag` names the ICE generation the candidate belongs to. Strings that were absent are empty, `related_port` is 0.
    """

    foundation: str
    component: int
    protocol: str
    priority: int
    host: str
    port: int
    type: str
    related_host: str = ""
    related_port: int = 0
    tcp_type: str = ""
    ufrag: str = ""


def parse_candidate(text: str) -> Candidate:
    """The candidate in "candidate:..." or "a=candidate:..."; extension attributes not known here are passed over.

    Raises WireError for missing or malformed fields, numbers out of range and an unknown type.
    """
    words = text.removeprefix("a=").split()
    if (
        len(text) > limits.CANDIDATE_BYTES
        or not text.isascii()
        or len(words) < 8
        or not words[0].startswith(_PREFIX)
        or words[6] != "typ"
    ):
        raise WireError("ICE candidate is too long, or lacks a field")
    foundation = words[0].removeprefix(_PREFIX)
    if not 0 < len(foundation) <= 32 or words[7] not in _TYPES:
        raise WireError("ICE candidate has a malformed foundation or type")
    # pairs of name and value; a name without its value is dropped
    attributes = dict(zip(words[8::2], words[9::2], strict=False))
    return Candidate(
        foundation=foundation,
        component=_number(words[1], 256),
        protocol=words[2].lower(),
        priority=_number(words[3], 0xFFFFFFFF),
        host=words[4],
        port=_number(words[5], 0xFFFF),
        type=words[7],
        related_host=attributes.get("raddr", ""),
        related_port=_number(attributes.get("rport", "0"), 0xFFFF),
        tcp_type=attributes.get("tcptype", ""),
        ufrag=attributes.get("ufrag", ""),
    )


def build_candidate(candidate: Candidate) -> str:
    """The candidate as "candidate:...". Raises WireError for a field that is empty or holds a blank."""
    words = [
        _PREFIX + candidate.foundation,
        str(candidate.component),
        candidate.protocol,
        str(candidate.priority),
        candidate.host,
        str(candidate.port),
        "typ",
        candidate.type,
    ]
    if candidate.related_host:
        words += ["raddr", candidate.related_host, "rport", str(candidate.related_port)]
    if candidate.tcp_type:
        words += ["tcptype", candidate.tcp_type]
    if candidate.ufrag:
        words += ["ufrag", candidate.ufrag]
    text = " ".join(words)
    if text.split() != words or not candidate.foundation:
        raise WireError("ICE candidate has a field that is empty or holds a blank")
    return text


def _number(text: str, maximum: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > maximum:
        raise WireError("ICE candidate has a number that is malformed or out of range")
    return int(text)
