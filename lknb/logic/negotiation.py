"""Offer and answer (RFC 3264, RFC 8829, RFC 9143) for one bundled peer connection, from either end.

The machine writes descriptions and remembers what was agreed; who wants which track is the caller's business, told as a
`SectionPlan` for each m-line. Client and server use the same machine: the client offers with its own plans and reads the
answer, the server answers with plans it makes for each section it is offered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lknb.wire import extension
from lknb.wire.sdp import Codec, MediaSection, SessionDescription, TransportParameters

SCTP_PORT = 5000
MAX_MESSAGE_SIZE_BYTES = 262_144
MEDIA_PROTOCOL = "UDP/TLS/RTP/SAVPF"
DATA_PROTOCOL = "UDP/DTLS/SCTP"
H264_PROFILE = "42e01f"


@dataclass(slots=True)
class SectionPlan:
    """What one side wants of one m-line.

    `direction` is ours. `rids` are the layers we send, or the ones we are ready to receive, as the direction says.
    A section whose plan has no codec, or `rejected`, gets port 0.
    """

    direction: str = "inactive"
    codecs: Sequence[Codec] = ()
    extensions: Mapping[str, int] = field(default_factory=dict)
    msid: tuple[str, str] | None = None
    ssrcs: Sequence[int] = ()
    ssrc_groups: Sequence[tuple[str, tuple[int, ...]]] = ()
    cname: str = ""
    rids: Sequence[str] = ()
    rejected: bool = False


class Negotiation:
    """The descriptions of one peer connection, in order."""

    def __init__(self, session_id: int) -> None:
        self._session_id = session_id
        self._version = 0
        self.remote: SessionDescription | None = None
        self.local: SessionDescription | None = None

    def create_offer(
        self, sections: Iterable[tuple[str, str, SectionPlan]], transport: TransportParameters
    ) -> SessionDescription:
        """An offer of these sections, in this order; (mid, kind, plan), kind "application" for data channels."""
        transport = replace(transport, setup="actpass")
        media = [_section(mid, kind, plan, transport, _protocol(kind), offer=True) for mid, kind, plan in sections]
        return self._describe(media, transport)

    def create_answer(
        self,
        offer: SessionDescription,
        plan: Callable[[MediaSection], SectionPlan],
        transport: TransportParameters,
    ) -> SessionDescription:
        """The answer to `offer`; `plan` is asked once for each media section that is not rejected already."""
        self.remote = offer
        media = []
        for offered in offer.media:
            wanted = SectionPlan(rejected=True) if offered.rejected else plan(offered)
            section = _section(offered.mid, offered.kind, wanted, transport, offered.protocol, offer=False)
            if section.rejected and not section.codecs:
                # an m-line must name a format even when it is refused
                section.codecs = offered.codecs[:1]
            media.append(section)
        return self._describe(media, transport)

    def accept_answer(self, answer: SessionDescription) -> None:
        """Remember the peer's answer to our last offer."""
        self.remote = answer

    def _describe(self, media: list[MediaSection], transport: TransportParameters) -> SessionDescription:
        self._version += 1
        self.local = SessionDescription(
            media=media,
            bundle=[section.mid for section in media if not section.rejected],
            ice_lite=transport.ice_lite,
            session_id=self._session_id,
            session_version=self._version,
            extmap_allow_mixed=True,
        )
        return self.local


def bundle_transport(description: SessionDescription | None) -> TransportParameters | None:
    """The transport of the section that carries the bundle: the first one not rejected that has one."""
    if description is None:
        return None
    return next((s.transport for s in description.media if s.transport is not None and not s.rejected), None)


def bundle_candidates(description: SessionDescription) -> tuple[str, ...]:
    """All candidates of a bundled description, whichever section they stand in."""
    return tuple(c for s in description.media if s.transport is not None for c in s.transport.candidates)


def application_section(description: SessionDescription) -> MediaSection | None:
    """The section of the data channels, if there is a live one."""
    return next((s for s in description.media if s.kind == "application" and not s.rejected), None)


def mirror_extensions(offered: Mapping[str, int], wanted: Iterable[str]) -> dict[str, int]:
    """The wanted header extensions that were offered, under the offerer's ids (RFC 8285 section 6)."""
    return {uri: offered[uri] for uri in wanted if uri in offered}


def mirror_feedback(codec: Codec, wanted: Sequence[str]) -> Codec:
    """The codec with only the feedback both sides know (RFC 4585 section 4.2)."""
    both = tuple(item for item in wanted if item in codec.feedback)
    return replace(codec, feedback=both)


def find_codec(section: MediaSection, name: str) -> Codec | None:
    """The offered form of a codec by name; of H264 the one with packetization-mode 1, baseline first."""
    matches = [c for c in section.codecs if c.name.lower() == name.lower()]
    if name.lower() != "h264":
        return matches[0] if matches else None
    matches = [c for c in matches if "packetization-mode=1" in c.fmtp.replace(" ", "")]
    baseline = [c for c in matches if "profile-level-id=42" in c.fmtp.lower()]
    return next(iter(baseline or matches), None)


def h264_profile(codec: Codec) -> str:
    """The profile and level of an H264 codec, six hexadecimal digits; constrained baseline 3.1 when it names none."""
    found = re.search(r"(?:^|;)\s*profile-level-id=([0-9a-fA-F]{6})\s*(?:;|$)", codec.fmtp)
    return found[1].lower() if found else H264_PROFILE


def _protocol(kind: str) -> str:
    return DATA_PROTOCOL if kind == "application" else MEDIA_PROTOCOL


def _section(
    mid: str, kind: str, plan: SectionPlan, transport: TransportParameters, protocol: str, *, offer: bool
) -> MediaSection:
    if kind == "application":
        return MediaSection(
            kind=kind,
            mid=mid,
            port=0 if plan.rejected else 9,
            protocol=protocol,
            direction="sendrecv",
            transport=None if plan.rejected else transport,
            sctp_port=SCTP_PORT,
            max_message_size=MAX_MESSAGE_SIZE_BYTES,
        )
    rejected = plan.rejected or not plan.codecs
    section = MediaSection(
        kind=kind,
        mid=mid,
        port=0 if rejected else 9,
        protocol=protocol,
        direction="inactive" if rejected else plan.direction,
        codecs=list(plan.codecs),
        transport=None if rejected else transport,
    )
    if rejected:
        return section
    section.extensions = dict(plan.extensions)
    sends = plan.direction in ("sendonly", "sendrecv")
    if sends:
        section.msid = plan.msid
        section.cname = plan.cname
        section.ssrcs = list(plan.ssrcs)
        section.ssrc_groups = list(plan.ssrc_groups)
    if plan.rids:
        way = "send" if sends else "recv"
        section.rids = [(rid, way) for rid in plan.rids]
        section.simulcast = (way, tuple(plan.rids))
    return section


EXTENSIONS_RECEIVED = {
    "audio": (extension.MID, extension.AUDIO_LEVEL, extension.TRANSPORT_CC),
    "video": (extension.MID, extension.RID, extension.REPAIRED_RID, extension.TRANSPORT_CC),
}
