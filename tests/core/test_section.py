from __future__ import annotations

import pytest

from lknb.core.section import (
    EXTENSION_IDS,
    answering_plan,
    offered_codecs,
    payload_types,
    receiving_plan,
    sending_plan,
    sent_tracks,
)
from lknb.logic.negotiation import Negotiation, SectionPlan
from lknb.wire.sdp import Codec, MediaSection, SessionDescription, TransportParameters, build_sdp, parse_sdp

TRANSPORT = TransportParameters("ufrag", "a-password-of-22-chars", (("sha-256", "AA:BB"),))


def offer(*sections: tuple[str, str, SectionPlan]) -> SessionDescription:
    return parse_sdp(build_sdp(Negotiation(1).create_offer(sections, TRANSPORT)))


def test_payload_types_and_extension_ids_are_the_same_in_every_section_and_never_twice():
    video, audio = offered_codecs("video"), offered_codecs("audio")
    numbers = [codec.payload_type for codec in (*video, *audio)]
    assert len(set(numbers)) == len(numbers)
    assert len(set(EXTENSION_IDS.values())) == len(EXTENSION_IDS)
    described = offer(
        ("0", "audio", receiving_plan("audio")),
        ("1", "video", receiving_plan("video")),
        ("2", "video", sending_plan("vp8", "cid", rids=("q", "h", "f"), ssrcs=(1, 2, 3), cname="me")),
    )
    ids = {(uri, id) for section in described.media for uri, id in section.extensions.items()}
    assert len({uri for uri, _ in ids}) == len(ids)


def test_a_sending_section_names_one_codec_and_our_track():
    described = offer(("7", "video", sending_plan("h264", "cid", rids=(), ssrcs=(77,), cname="me")))
    (section,) = described.media
    assert [codec.name for codec in section.codecs] == ["H264"]
    assert (section.msid, section.ssrcs, section.cname, section.direction) == (("-", "cid"), [77], "me", "sendonly")
    assert section.simulcast is None


def test_simulcast_is_offered_by_rid_alone():
    described = offer(("7", "video", sending_plan("vp8", "cid", rids=("q", "h"), ssrcs=(1, 2), cname="me")))
    (section,) = described.media
    assert section.rids == [("q", "send"), ("h", "send")]
    assert section.simulcast == ("send", ("q", "h"))
    assert section.ssrcs == []


@pytest.mark.parametrize("stereo", [False, True])
def test_stereo_is_said(stereo):
    described = offer(("7", "audio", sending_plan("opus", "cid", rids=(), ssrcs=(1,), cname="me", stereo=stereo)))
    assert ("stereo" in described.media[0].codecs[0].parameters()) is stereo


def server_section(kind: str, codecs: list[Codec], direction: str = "sendrecv", **fields: object) -> MediaSection:
    fields.setdefault("msid", ("PA_1|TR_1", "TR_1"))
    return MediaSection(kind=kind, mid="3", direction=direction, codecs=codecs, **fields)  # type: ignore[arg-type]


VP8 = Codec(120, "VP8", 90_000, feedback=("goog-remb", "nack", "nack pli", "transport-cc", "unknown"))
RTX = Codec(121, "rtx", 90_000, fmtp="apt=120")
AV1 = Codec(122, "AV1", 90_000)


def test_what_the_server_sends_is_received_in_what_we_know():
    plan = answering_plan(
        server_section("video", [AV1, VP8, RTX], extensions={next(iter(EXTENSION_IDS)): 9, "urn:new": 2})
    )
    assert plan.direction == "recvonly"
    assert [(codec.payload_type, codec.feedback) for codec in plan.codecs] == [
        (120, ("transport-cc", "nack", "nack pli"))
    ]
    assert plan.extensions == {next(iter(EXTENSION_IDS)): 9}


def test_a_section_without_a_track_is_inactive_and_one_without_a_codec_of_ours_refused():
    assert answering_plan(server_section("video", [VP8], "recvonly")).direction == "inactive"
    assert answering_plan(server_section("video", [VP8], "sendrecv", msid=None)).direction == "inactive"
    assert answering_plan(server_section("video", [AV1])).rejected


def test_payload_types_are_those_of_known_codecs_in_lower_case():
    section = server_section("video", [AV1, VP8, RTX, Codec(96, "H264", 90_000)])
    assert payload_types(section) == {120: "vp8", 96: "h264"}


def description(*sections: MediaSection) -> SessionDescription:
    return SessionDescription(media=list(sections))


def section(mid: str, direction: str, msid: tuple[str, str] | None, port: int = 9) -> MediaSection:
    return MediaSection(kind="video", mid=mid, direction=direction, msid=msid, port=port)


def test_sent_tracks_come_from_msid_and_from_the_message():
    tracks = sent_tracks(
        description(
            section("0", "sendonly", ("PA_1|camera", "TR_a")),
            section("1", "sendrecv", ("PA_2|x", "TR_b")),
            section("2", "sendonly", None),  # reserved
            section("3", "sendonly", ("stream", "uuid")),
            section("4", "sendonly", ("PA_4|x", "uuid")),
            section("5", "inactive", ("PA_5|x", "TR_e")),
            section("6", "recvonly", ("PA_6|x", "TR_f")),
            section("7", "sendonly", ("PA_7|x", "TR_g"), port=0),
            MediaSection(kind="application", mid="8", direction="sendrecv"),
        ),
        {"4": "TR_d", "1": "TR_new", "5": "TR_e"},
    )
    assert {mid: (track.track_sid, track.participant_sid) for mid, track in tracks.items()} == {
        "0": ("TR_a", "PA_1"),
        "1": ("TR_new", "PA_2"),
        "4": ("TR_d", "PA_4"),
    }
