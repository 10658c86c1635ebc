"""Offers and answers, coupled with each other and with what real clients send."""

from __future__ import annotations

from pathlib import Path

import pytest

from lknb.logic.negotiation import (
    Negotiation,
    SectionPlan,
    application_section,
    bundle_candidates,
    bundle_transport,
    find_codec,
    mirror_extensions,
    mirror_feedback,
)
from lknb.wire import extension
from lknb.wire.sdp import Codec, MediaSection, TransportParameters, build_sdp, parse_sdp

SAMPLES = Path(__file__).resolve().parents[1] / "wire" / "sample"
VP8 = Codec(96, "VP8", 90_000, 1, "", ("nack", "nack pli", "transport-cc"))
OURS = TransportParameters(
    "ours", "p" * 22, (("sha-256", "AA:BB"),), "actpass", candidates=("candidate:1 1 udp 1 127.0.0.1 9 typ host",)
)
THEIRS = TransportParameters("theirs", "q" * 22, (("sha-256", "CC:DD"),), "passive", ice_lite=True)


def offered() -> str:
    sections = [
        ("0", "application", SectionPlan()),
        ("1", "video", SectionPlan("sendonly", [VP8], {extension.MID: 1}, ("s", "t"), [77], (), "c", ("q", "h", "f"))),
        ("2", "video", SectionPlan("recvonly", [VP8])),
        ("3", "video", SectionPlan(rejected=True)),
    ]
    return build_sdp(Negotiation(5).create_offer(sections, OURS))


def test_an_offer_says_what_each_section_wants() -> None:
    offer = parse_sdp(offered())
    assert offer.bundle == ["0", "1", "2"]
    assert [s.direction for s in offer.media[1:3]] == ["sendonly", "recvonly"]
    assert [s.rejected for s in offer.media] == [False, False, False, True]
    sending, receiving = offer.media[1], offer.media[2]
    assert (sending.msid, sending.ssrcs, sending.cname) == (("s", "t"), [77], "c")
    assert sending.simulcast == ("send", ("q", "h", "f"))
    assert (receiving.msid, receiving.ssrcs) == (None, [])
    assert {s.transport.setup for s in offer.media if s.transport} == {"actpass"}


def test_an_answer_has_the_offers_sections_in_its_order_whatever_the_plan_says() -> None:
    offer = parse_sdp(offered())
    asked: list[str] = []

    def plan(section: MediaSection) -> SectionPlan:
        asked.append(section.mid)
        if section.mid == "1":
            return SectionPlan("recvonly", [mirror_feedback(VP8, ("nack",))], {extension.MID: 1}, rids=("q", "h"))
        return SectionPlan("sendonly") if section.mid == "2" else SectionPlan()

    machine = Negotiation(6)
    answer = parse_sdp(build_sdp(machine.create_answer(offer, plan, THEIRS)))
    assert asked == ["0", "1", "2"], "a section that is rejected already is not asked about"
    assert [s.mid for s in answer.media] == ["0", "1", "2", "3"]
    assert answer.bundle == ["0", "1"], "a section without a codec is refused"
    assert answer.media[2].codecs, "an m-line must name a format even when it is refused"
    assert answer.media[1].simulcast == ("recv", ("q", "h"))
    assert answer.media[1].codecs[0].feedback == ("nack",)
    assert answer.ice_lite
    assert machine.remote is offer


def test_versions_rise_and_the_session_id_stays() -> None:
    machine = Negotiation(9)
    made = [machine.create_offer([("0", "application", SectionPlan())], OURS) for _ in range(3)]
    assert [(d.session_id, d.session_version) for d in made] == [(9, 1), (9, 2), (9, 3)]


def test_the_bundles_transport_and_candidates_are_found_wherever_they_stand() -> None:
    offer = parse_sdp(offered())
    transport = bundle_transport(offer)
    assert transport is not None
    assert transport.ufrag == "ours"
    assert set(bundle_candidates(offer)) == set(OURS.candidates)
    assert bundle_transport(None) is None
    section = application_section(offer)
    assert section is not None
    assert section.mid == "0"


def test_extensions_and_feedback_are_what_both_know() -> None:
    assert mirror_extensions({extension.MID: 4, "x": 5}, (extension.MID, extension.RID)) == {extension.MID: 4}
    assert mirror_feedback(VP8, ("ccm fir", "nack pli")).feedback == ("nack pli",)


@pytest.mark.parametrize("sample", ["chromium_offer.sdp", "wheel_offer.sdp", "pion_offer.sdp"])
def test_h264_is_the_baseline_with_packetization_mode_1(sample: str) -> None:
    videos = [section for section in parse_sdp((SAMPLES / sample).read_text()).media if section.kind == "video"]
    codec = find_codec(videos[0], "h264")
    assert codec is not None
    parameters = codec.parameters()
    assert parameters["packetization-mode"] == "1"
    assert parameters["profile-level-id"].startswith("42")
    assert find_codec(videos[0], "no such codec") is None
