"""M-lines -> plans: which codec, extensions and direction the server answers or offers with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lknb.logic.negotiation import (
    EXTENSIONS_RECEIVED,
    H264_PROFILE,
    SectionPlan,
    find_codec,
    mirror_extensions,
    mirror_feedback,
)
from lknb.wire.sdp import Codec, MediaSection

if TYPE_CHECKING:
    from lknb.server.publication import Publication
    from lknb.server.subscription import Subscription

PUBLISHED = {"audio": ("opus",), "video": ("vp8", "h264")}
FEEDBACK_RECEIVED = {"audio": ("transport-cc", "nack"), "video": ("transport-cc", "ccm fir", "nack", "nack pli")}
FEEDBACK_SENT = {"audio": ("nack",), "video": ("ccm fir", "nack", "nack pli", "goog-remb")}
OFFERED_TYPES = {"vp8": 96, "h264": 102, "opus": 111}
OPUS_FMTP = "minptime=10;useinbandfec=1"
H264_FMTP = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="


def choose_published_codec(section: MediaSection, publication: Publication) -> Codec | None:
    """The codec a publisher is to send: the one it asked for in AddTrack, else the first offered that we forward."""
    for name in (publication.wanted_codec, *PUBLISHED[section.kind]):
        codec = find_codec(section, name) if name else None
        if codec is not None:
            return codec
    return None


def choose_any_codec(section: MediaSection) -> Codec | None:
    """A codec for a section whose track is not announced yet."""
    return next((codec for name in PUBLISHED[section.kind] if (codec := find_codec(section, name))), None)


def receive_plan(section: MediaSection, codec: Codec) -> SectionPlan:
    """Take what the publisher sends in this section, all simulcast layers of it."""
    fmtp = codec.fmtp
    if codec.name.lower() == "opus" and "usedtx" not in fmtp:
        fmtp = f"{fmtp};usedtx=1" if fmtp else "usedtx=1"
    agreed = mirror_feedback(codec, FEEDBACK_RECEIVED[section.kind])
    agreed.fmtp = fmtp
    return SectionPlan(
        direction="recvonly",
        codecs=[agreed],
        extensions=mirror_extensions(section.extensions, EXTENSIONS_RECEIVED[section.kind]),
        rids=[rid for rid, way in section.rids if way == "send"],
    )


def answer_send_plan(section: MediaSection, subscription: Subscription | None) -> SectionPlan:
    """Send a subscription in a section the client keeps for receiving, or keep it empty.

    The ids of the RID extensions are agreed on here too: libwebrtc refuses a later simulcast offer that uses extensions
    the bundle did not agree on.
    """
    name = subscription.publication.codec if subscription else PUBLISHED[section.kind][0]
    codec = find_codec(section, name)
    if codec is None:
        return SectionPlan(rejected=True)
    plan = SectionPlan(
        direction="inactive",
        codecs=[mirror_feedback(codec, FEEDBACK_SENT[section.kind])],
        extensions=mirror_extensions(section.extensions, EXTENSIONS_RECEIVED[section.kind]),
    )
    return _sending(plan, subscription)


def offer_send_plan(codec_name: str, subscription: Subscription | None) -> SectionPlan:
    """The server's own offer of a section, with or without a subscription in it."""
    payload_type = OFFERED_TYPES[codec_name]
    if codec_name == "opus":
        codec = Codec(payload_type, "opus", 48_000, 2, OPUS_FMTP, FEEDBACK_SENT["audio"])
    elif codec_name == "h264":
        profile = subscription.publication.h264_profile if subscription else H264_PROFILE
        codec = Codec(payload_type, "H264", 90_000, 1, H264_FMTP + profile, FEEDBACK_SENT["video"])
    else:
        codec = Codec(payload_type, "VP8", 90_000, 1, "", FEEDBACK_SENT["video"])
    return _sending(SectionPlan(direction="inactive", codecs=[codec]), subscription)


def _sending(plan: SectionPlan, subscription: Subscription | None) -> SectionPlan:
    if subscription is None:
        return plan
    publication = subscription.publication
    plan.direction = "sendonly"
    # clients read the participant from the stream id, the track from the track id
    plan.msid = (f"{publication.publisher.sid}|{publication.sid}", publication.sid)
    plan.ssrcs = [subscription.ssrc]
    plan.cname = publication.publisher.sid
    return plan
