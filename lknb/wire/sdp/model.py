"""The values a session description is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
SETUPS: Final = ("actpass", "active", "passive")

SCTP_PORT_DEFAULT: Final = 5_000
MAX_MESSAGE_SIZE_DEFAULT: Final = 65_536
"""Of an application section that does not say (RFC 8841 section 6.1)."""


@dataclass(slots=True)
class Codec:
    """One payload type of a media section.

    `name` is spelled as the peer spells it ("VP8", "H264", "opus", "rtx", ...): compare it in lower case. `fmtp` is the
    text after the payload type of the `a=fmtp` line; `feedback` the `a=rtcp-fb` items ("nack", "nack pli",
    "transport-cc", ...).
    """

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    fmtp: str = ""
    feedback: tuple[str, ...] = ()

    def parameters(self) -> dict[str, str]:
        """The `key=value` pairs of `fmtp`, keys in lower case; a bare word has the value ""."""
        pairs = (item.partition("=") for item in self.fmtp.split(";"))
        return {key.strip().lower(): value.strip() for key, _, value in pairs if key.strip()}


@dataclass(slots=True)
class TransportParameters:
    """ICE and DTLS of one side of a transport.

    `fingerprints` are (hash name in lower case, colon separated upper-case hex) pairs; a peer may give several.
    `candidates` are "candidate:..." lines without "a=", see `lknb.wire.candidate`.
    """

    ufrag: str
    pwd: str = field(repr=False)
    fingerprints: tuple[tuple[str, str], ...] = ()
    setup: str = "actpass"
    ice_lite: bool = False
    candidates: tuple[str, ...] = ()
    end_of_candidates: bool = False


@dataclass(slots=True)
class MediaSection:
    """One m-line and its attributes.

    `direction` is seen from the describing side. `extensions` maps header extension URI to id. `msid` is (stream id,
    track id); where there is no `a=msid` line it is taken from the `a=ssrc` lines. `rids` are (id, "send" |
    "recv") pairs without their restrictions; `simulcast` is ("send" | "recv", rids in order), of alternatives the
    first, paused ones included. `transport` has session-level values filled in; None when the section has no ICE
    credentials (rejected, or bundled).
    """

    kind: str
    mid: str = ""
    port: int = 9
    protocol: str = "UDP/TLS/RTP/SAVPF"
    direction: str = "sendrecv"
    codecs: list[Codec] = field(default_factory=list)
    extensions: dict[str, int] = field(default_factory=dict)
    msid: tuple[str, str] | None = None
    ssrcs: list[int] = field(default_factory=list)
    ssrc_groups: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    cname: str = ""
    rids: list[tuple[str, str]] = field(default_factory=list)
    simulcast: tuple[str, tuple[str, ...]] | None = None
    transport: TransportParameters | None = None
    sctp_port: int | None = None
    max_message_size: int = MAX_MESSAGE_SIZE_DEFAULT
    bundle_only: bool = False

    @property
    def rejected(self) -> bool:
        """Whether the m-line is refused or switched off: port 0, unless it is only waiting to be bundled (RFC 9143)."""
        return self.port == 0 and not self.bundle_only


@dataclass(slots=True)
class SessionDescription:
    """A whole description. `bundle` lists the mids of the first BUNDLE group."""

    media: list[MediaSection] = field(default_factory=list)
    bundle: list[str] = field(default_factory=list)
    ice_lite: bool = False
    session_id: int = 0
    session_version: int = 0
    extmap_allow_mixed: bool = False

    def section(self, mid: str) -> MediaSection | None:
        """The section with this mid."""
        return next((section for section in self.media if section.mid == mid), None)
