"""Values -> session description, in the order and with the lines that libwebrtc writes itself."""

from __future__ import annotations

from collections.abc import Iterator

from lknb.errors import WireError
from lknb.wire.sdp.model import (
    DIRECTIONS,
    SCTP_PORT_DEFAULT,
    Codec,
    MediaSection,
    SessionDescription,
    TransportParameters,
)


def build_sdp(description: SessionDescription) -> str:
    """The text of a description, lines ended by CR LF.

    Multiplexed RTCP, reduced-size RTCP and trickled candidates are always offered. A rejected section keeps only what
    an m-line needs. Raises WireError for a value with a line break or a NUL in it, which would be a line of its own, or
    an unknown direction.
    """
    lines = list(_session(description))
    for section in description.media:
        lines.extend(_section(section))
    for line in lines:
        if "\r" in line or "\n" in line or "\0" in line:
            raise WireError("an SDP value contains a line break")
    return "\r\n".join(lines) + "\r\n"


def _session(description: SessionDescription) -> Iterator[str]:
    yield "v=0"
    yield f"o=- {description.session_id} {description.session_version} IN IP4 127.0.0.1"
    yield "s=-"
    yield "t=0 0"
    if description.bundle:
        yield f"a=group:BUNDLE {' '.join(description.bundle)}"
    if description.extmap_allow_mixed:
        yield "a=extmap-allow-mixed"
    yield "a=msid-semantic: WMS *"
    if description.ice_lite:
        yield "a=ice-lite"


def _section(section: MediaSection) -> Iterator[str]:
    yield f"m={section.kind} {section.port} {section.protocol} {_formats(section)}"
    yield "c=IN IP4 0.0.0.0"
    if section.mid:
        yield f"a=mid:{section.mid}"
    if section.bundle_only:
        yield "a=bundle-only"
    if section.rejected:
        if section.kind != "application":
            yield "a=inactive"
            for codec in section.codecs:
                yield _rtpmap(codec)
        return
    if section.transport is not None:
        yield from _transport(section.transport)
    if section.kind == "application":
        yield f"a=sctp-port:{section.sctp_port or SCTP_PORT_DEFAULT}"
        yield f"a=max-message-size:{section.max_message_size}"
        return
    yield from _media(section)


def _formats(section: MediaSection) -> str:
    if section.kind == "application":
        return "webrtc-datachannel"
    # an m-line must name a format, also when nothing is left to offer
    return " ".join(str(codec.payload_type) for codec in section.codecs) or "0"


def _transport(transport: TransportParameters) -> Iterator[str]:
    for candidate in transport.candidates:
        yield f"a={candidate}"
    if transport.end_of_candidates:
        yield "a=end-of-candidates"
    yield f"a=ice-ufrag:{transport.ufrag}"
    yield f"a=ice-pwd:{transport.pwd}"
    yield "a=ice-options:trickle"
    for algorithm, value in transport.fingerprints:
        yield f"a=fingerprint:{algorithm} {value}"
    yield f"a=setup:{transport.setup}"


def _media(section: MediaSection) -> Iterator[str]:
    if section.direction not in DIRECTIONS:
        raise WireError("a media section has an unknown direction")
    for uri, id in section.extensions.items():
        yield f"a=extmap:{id} {uri}"
    yield f"a={section.direction}"
    msid = " ".join(section.msid).rstrip() if section.msid else ""
    if msid:
        yield f"a=msid:{msid}"
    yield "a=rtcp-mux"
    yield "a=rtcp-rsize"
    for codec in section.codecs:
        yield _rtpmap(codec)
        for feedback in codec.feedback:
            yield f"a=rtcp-fb:{codec.payload_type} {feedback}"
        if codec.fmtp:
            yield f"a=fmtp:{codec.payload_type} {codec.fmtp}"
    for rid, way in section.rids:
        yield f"a=rid:{rid} {way}"
    if section.simulcast is not None:
        way, rids = section.simulcast
        yield f"a=simulcast:{way} {';'.join(rids)}"
    for semantics, ssrcs in section.ssrc_groups:
        yield f"a=ssrc-group:{semantics} {' '.join(map(str, ssrcs))}"
    # RFC 5576 wants a cname with each source; without one the stream id is what LiveKit sends in its SDES
    cname = section.cname or (section.msid[0] if section.msid else "-")
    for ssrc in section.ssrcs:
        yield f"a=ssrc:{ssrc} cname:{cname}"
        if msid:
            yield f"a=ssrc:{ssrc} msid:{msid}"


def _rtpmap(codec: Codec) -> str:
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    return f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}"
