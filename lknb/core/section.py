"""What this client writes into its m-lines, and what it reads in the server's.

Ids of header extensions are one map for the whole bundle (RFC 9143 section 9.2). RTX and RED are not offered: the server
then sends lost packets again on the media SSRC, and plain Opus, which costs the receiver nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lknb.logic.negotiation import SectionPlan, mirror_extensions, mirror_feedback
from lknb.wire import extension
from lknb.wire.sdp import Codec, MediaSection, SessionDescription

AUDIO_SECTIONS = VIDEO_SECTIONS = 3
"""Receiving sections of the first offer of a single peer connection, as LiveKit's clients have."""

EXTENSION_IDS = {
    extension.MID: 1,
    extension.RID: 2,
    extension.REPAIRED_RID: 3,
    extension.AUDIO_LEVEL: 4,
    extension.TRANSPORT_CC: 5,
}
_EXTENSIONS = {
    "audio": (extension.MID, extension.AUDIO_LEVEL, extension.TRANSPORT_CC),
    "video": (extension.MID, extension.RID, extension.REPAIRED_RID, extension.TRANSPORT_CC),
}
_FEEDBACK = {
    "audio": ("transport-cc", "nack"),
    # no goog-remb: we send none, and a server that was promised it would wait for it
    "video": ("transport-cc", "ccm fir", "nack", "nack pli"),
}
_H264_PROFILES = ("42e01f", "42001f", "4d001f", "64001f")
_H264_FMTP = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="

SUPPORTED = {"audio": ("opus",), "video": ("vp8", "h264")}
"""Codecs that can be read and written, lower case."""


def offered_codecs(kind: str) -> list[Codec]:
    """All codecs this client can receive, as it offers them."""
    if kind == "audio":
        return [Codec(111, "opus", 48_000, 2, "minptime=10;useinbandfec=1", _FEEDBACK["audio"])]
    profiles = enumerate(_H264_PROFILES)
    h264 = [Codec(97 + i, "H264", 90_000, 1, _H264_FMTP + profile, _FEEDBACK["video"]) for i, profile in profiles]
    return [Codec(96, "VP8", 90_000, 1, "", _FEEDBACK["video"]), *h264]


def receiving_plan(kind: str) -> SectionPlan:
    """A section the server may send a track on."""
    return SectionPlan("recvonly", offered_codecs(kind), _extensions(kind))


def sending_plan(
    codec: str, cid: str, *, rids: Sequence[str], ssrcs: Sequence[int], cname: str, stereo: bool = False
) -> SectionPlan:
    """A section we send one track on: one codec, and `a=msid:- <cid>`, by which the server finds its AddTrackRequest."""
    kind = "audio" if codec == "opus" else "video"
    codecs = [offered for offered in offered_codecs(kind) if offered.name.lower() == codec][:1]
    if stereo:
        codecs = [replace(opus, fmtp=f"{opus.fmtp};stereo=1;sprop-stereo=1") for opus in codecs]
    return SectionPlan(
        "sendonly",
        codecs,
        _extensions(kind),
        msid=("-", cid),
        # layers are told apart by their rid; a server does not look at their SSRCs in the description
        ssrcs=() if rids else tuple(ssrcs),
        cname=cname,
        rids=tuple(rids),
    )


def answering_plan(offered: MediaSection) -> SectionPlan:
    """Our side of a section the server offers: receive what it sends, refuse what nobody here can read."""
    codecs = [mirror_feedback(codec, _FEEDBACK[offered.kind]) for codec in supported_codecs(offered)]
    if not codecs:
        return SectionPlan(rejected=True)
    sends = offered.direction in ("sendonly", "sendrecv") and offered.msid is not None
    extensions = mirror_extensions(offered.extensions, _EXTENSIONS[offered.kind])
    return SectionPlan("recvonly" if sends else "inactive", codecs, extensions)


def supported_codecs(section: MediaSection) -> list[Codec]:
    """The codecs of a section that can be read here."""
    names = SUPPORTED.get(section.kind, ())
    return [codec for codec in section.codecs if codec.name.lower() in names]


def payload_types(section: MediaSection) -> dict[int, str]:
    """Payload type -> codec in lower case, of what can be read."""
    return {codec.payload_type: codec.name.lower() for codec in supported_codecs(section)}


@dataclass(frozen=True, slots=True)
class SentTrack:
    """A track that the server sends us, as its description says."""

    mid: str
    track_sid: str
    participant_sid: str
    section: MediaSection


def sent_tracks(description: SessionDescription, mid_to_track_sid: Mapping[str, str]) -> dict[str, SentTrack]:
    """The tracks in a description of the server, by mid.

    LiveKit writes `a=msid:<participant sid>|<stream> <track sid>`; `mid_to_track_sid` comes with the description and wins.
    Sections it has reserved but does not use are `sendonly` too, without msid.
    """
    tracks = {}
    for section in description.media:
        if section.kind == "application" or section.rejected or section.direction not in ("sendonly", "sendrecv"):
            continue
        stream, track = section.msid or ("", "")
        track_sid = mid_to_track_sid.get(section.mid) or (track if track.startswith("TR_") else "")
        if track_sid:
            tracks[section.mid] = SentTrack(section.mid, track_sid, stream.partition("|")[0], section)
    return tracks


def _extensions(kind: str) -> dict[str, int]:
    return {uri: EXTENSION_IDS[uri] for uri in _EXTENSIONS[kind]}
