"""Negotiations as offerer and answerer, against a peer connection that only keeps what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from livekit.protocol import rtc

from lknb.core import offerer as offerer_module
from lknb.core.answerer import Answerer
from lknb.core.offerer import Offerer
from lknb.core.section import receiving_plan, sending_plan
from lknb.logic.negotiation import Negotiation, SectionPlan
from lknb.transport.error import TransportError
from lknb.wire.sdp import MediaSection, SessionDescription, TransportParameters, build_sdp, parse_sdp
from tests.kit.poll import wait_until


def parameters(setup: str = "actpass", ufrag: str = "serverfrag") -> TransportParameters:
    return TransportParameters(ufrag, "p" * 24, (("sha-256", "AA:BB"),), setup)


class FakePeer:
    """Stands for `PeerConnection`; it is its own transport."""

    def __init__(self) -> None:
        self.negotiation = Negotiation(1)
        self.transport = self
        self.applied: list[tuple[SessionDescription, str]] = []
        self.failures: list[str] = []
        self.error: TransportError | None = None

    def local(self, setup: str) -> TransportParameters:
        return parameters(setup, f"clientfrag{len(self.applied)}")

    async def apply(self, description: SessionDescription, *, setup: str) -> None:
        if self.error is not None:
            raise self.error
        self.applied.append((description, setup))

    def fail(self, reason: str) -> None:
        self.failures.append(reason)


class FakeServer:
    """Answers offers when the test says so."""

    def __init__(self) -> None:
        self.peer = FakePeer()
        self.offers: list[rtc.SessionDescription] = []
        self.answers: list[tuple[SessionDescription, dict[str, str]]] = []
        self.negotiation = Negotiation(2)
        self.offerer = Offerer(self.peer, self.offers.append, self._on_answer)  # type: ignore[arg-type]

    def _on_answer(self, answer: SessionDescription, mids: Mapping[str, str]) -> None:
        self.answers.append((answer, dict(mids)))

    def answer(self, *, id: int | None = None, setup: str = "active") -> None:
        """Answer the newest offer."""
        offer = self.offers[-1]
        answer = self.negotiation.create_answer(parse_sdp(offer.sdp), self._plan, parameters(setup))
        message = rtc.SessionDescription(
            type="answer", sdp=build_sdp(answer), id=offer.id if id is None else id, mid_to_track_id={"0": "TR_1"}
        )
        self.offerer.handle_answer(message)

    @staticmethod
    def _plan(section: MediaSection) -> SectionPlan:
        directions = {"recvonly": "sendonly", "sendonly": "recvonly", "inactive": "inactive"}
        return SectionPlan(directions.get(section.direction, "sendrecv"), section.codecs)

    async def offered(self, count: int) -> SessionDescription:
        await wait_until(lambda: len(self.offers) >= count, 5)
        return parse_sdp(self.offers[count - 1].sdp)


@pytest.fixture
async def server():
    server = FakeServer()
    server.offerer.add_section("audio", receiving_plan("audio"))
    server.offerer.add_section("application", SectionPlan("sendrecv"))
    yield server
    await server.offerer.close()


async def test_an_offer_is_in_force_when_its_answer_is(server):
    negotiating = asyncio.create_task(server.offerer.negotiate())
    offer = await server.offered(1)
    assert [(section.mid, section.kind) for section in offer.media] == [("0", "audio"), ("1", "application")]
    assert not negotiating.done()
    server.answer()
    await negotiating
    assert [setup for _, setup in server.peer.applied] == ["passive"]
    assert server.answers[0][1] == {"0": "TR_1"}
    assert server.peer.negotiation.remote is server.answers[0][0]


@pytest.mark.parametrize(("theirs", "ours"), [("active", "passive"), ("passive", "active")])
async def test_our_role_is_the_opposite_of_the_answers(server, theirs, ours):
    server.offerer.negotiate_later()
    await server.offered(1)
    server.answer(setup=theirs)
    await wait_until(lambda: server.peer.applied)
    assert server.peer.applied[0][1] == ours


async def test_one_offer_at_a_time_and_what_changes_meanwhile_goes_into_the_next(server):
    first = asyncio.create_task(server.offerer.negotiate())
    await server.offered(1)
    server.offerer.add_section("audio", sending_plan("opus", "cid", rids=(), ssrcs=(1,), cname="me"))
    later = [asyncio.create_task(server.offerer.negotiate()) for _ in range(5)]
    server.offerer.negotiate_later()
    await asyncio.sleep(0.02)
    assert len(server.offers) == 1
    server.answer()
    await first
    assert len((await server.offered(2)).media) == 3
    assert not any(task.done() for task in later)
    server.answer()
    await asyncio.gather(*later)
    assert len(server.offers) == 2
    assert [offer.id for offer in server.offers] == [1, 2]


async def test_the_first_offer_can_travel_with_the_join(server):
    server.offers.append(server.offerer.first_offer())
    later = asyncio.create_task(server.offerer.negotiate())
    await asyncio.sleep(0.01)
    assert len(server.offers) == 1
    server.answer(id=0)
    await server.offered(2)
    server.answer()
    await later


async def test_answers_to_other_offers_are_ignored(server):
    negotiating = asyncio.create_task(server.offerer.negotiate())
    await server.offered(1)
    server.answer(id=7)
    await asyncio.sleep(0.01)
    assert not negotiating.done()
    server.answer(id=0)
    await negotiating
    server.answer()
    assert len(server.peer.applied) == 1


async def test_an_ended_section_stays_in_its_place(server):
    section = server.offerer.add_section("audio", sending_plan("opus", "cid", rids=(), ssrcs=(1,), cname="me"))
    server.offerer.end_section(section)
    server.offerer.negotiate_later()
    offer = await server.offered(1)
    assert (offer.media[2].mid, offer.media[2].direction) == ("2", "inactive")
    assert offer.media[2].msid is None
    assert not offer.media[2].rejected


@pytest.mark.parametrize("sdp", ["", "v=0\r\n", "nonsense"])
async def test_a_bad_answer_is_an_error_and_the_next_negotiation_works(server, sdp):
    server.offerer.negotiate_later()
    await server.offered(1)
    server.answer()
    await wait_until(lambda: server.answers)
    failing = asyncio.create_task(server.offerer.negotiate())
    await server.offered(2)
    server.peer.error = TransportError("no transport") if sdp == "v=0\r\n" else None
    server.offerer.handle_answer(rtc.SessionDescription(type="answer", sdp=sdp, id=2))
    with pytest.raises(TransportError):
        await failing
    assert server.peer.failures == []
    server.peer.error = None
    again = asyncio.create_task(server.offerer.negotiate())
    await server.offered(3)
    server.answer()
    await again


async def test_without_a_first_answer_the_connection_has_failed(server, monkeypatch):
    monkeypatch.setattr(offerer_module, "ANSWER_TIMEOUT_S", 0.02)
    with pytest.raises(TransportError, match="did not answer"):
        await server.offerer.negotiate()
    assert len(server.peer.failures) == 1


async def test_closing_fails_whoever_waits(server):
    waiting = [asyncio.create_task(server.offerer.negotiate()) for _ in range(3)]
    await server.offered(1)
    await server.offerer.close()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, TransportError)
    with pytest.raises(TransportError):
        await server.offerer.negotiate()
    server.offerer.negotiate_later()
    server.answer()
    assert len(server.offers) == 1


async def test_a_cancelled_negotiation_goes_on_for_the_others(server):
    one, two = (asyncio.create_task(server.offerer.negotiate()) for _ in range(2))
    await server.offered(1)
    one.cancel()
    server.answer()
    await two
    assert one.cancelled()


class Answering:
    def __init__(self) -> None:
        self.peer = FakePeer()
        self.sent: list[rtc.SessionDescription] = []
        self.seen: list[Any] = []
        self.answerer = Answerer(self.peer, self.sent.append, self._on_offer)  # type: ignore[arg-type]
        self.server = Negotiation(3)

    def _on_offer(self, offer: SessionDescription, mids: Mapping[str, str]) -> None:
        self.seen.append((offer, dict(mids), len(self.sent)))

    def offer(self, id: int, *plans: SectionPlan, setup: str = "actpass") -> None:
        sections = [(str(index), "video", plan) for index, plan in enumerate(plans)]
        offer = self.server.create_offer([*sections, ("data", "application", SectionPlan())], parameters())
        sdp = build_sdp(offer).replace("a=setup:actpass", f"a=setup:{setup}")
        self.answerer.handle_offer(rtc.SessionDescription(type="offer", sdp=sdp, id=id, mid_to_track_id={"0": "TR_1"}))


@pytest.fixture
async def answering():
    answering = Answering()
    yield answering
    await answering.answerer.close()


def sent_track(direction: str = "sendonly") -> SectionPlan:
    return SectionPlan(direction, receiving_plan("video").codecs, msid=("PA_1|TR_1", "TR_1"), ssrcs=(5,))


async def test_offers_are_answered_in_order_with_their_id(answering):
    for id in (250, 251, 252):
        answering.offer(id, sent_track())
    await wait_until(lambda: len(answering.sent) == 3)
    assert [(answer.type, answer.id) for answer in answering.sent] == [
        ("answer", 250),
        ("answer", 251),
        ("answer", 252),
    ]
    assert [before for _, _, before in answering.seen] == [0, 1, 2]
    answer = parse_sdp(answering.sent[0].sdp)
    assert [section.direction for section in answer.media] == ["recvonly", "sendrecv"]
    assert answer.media[0].transport.setup == "active"
    assert {setup for _, setup in answering.peer.applied} == {"active"}


async def test_the_answer_has_the_credentials_that_the_offer_led_to(answering):
    answering.offer(1, sent_track())
    answering.offer(2, sent_track())
    await wait_until(lambda: len(answering.sent) == 2)
    fragments = [parse_sdp(answer.sdp).media[0].transport.ufrag for answer in answering.sent]
    assert fragments == ["clientfrag1", "clientfrag2"]


async def test_an_offer_that_is_active_is_answered_passive(answering):
    answering.offer(1, sent_track(), setup="active")
    await wait_until(lambda: answering.sent)
    assert parse_sdp(answering.sent[0].sdp).media[0].transport.setup == "passive"


async def test_a_bad_offer_costs_the_connection_only_when_it_is_the_first(answering):
    answering.answerer.handle_offer(rtc.SessionDescription(type="offer", sdp="nonsense", id=1))
    await wait_until(lambda: answering.peer.failures)
    answering.offer(2, sent_track())
    await wait_until(lambda: len(answering.sent) == 1)
    answering.answerer.handle_offer(rtc.SessionDescription(type="offer", sdp="nonsense", id=3))
    answering.offer(4, sent_track())
    await wait_until(lambda: len(answering.sent) == 2)
    assert len(answering.peer.failures) == 1
