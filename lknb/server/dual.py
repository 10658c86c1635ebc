"""Two peer connections (`/rtc`): the client offers what it publishes, the server offers what it forwards."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.logic.negotiation import SectionPlan
from lknb.logic.offer_turn import OfferTurn
from lknb.server import data
from lknb.server.connection import Connection
from lknb.server.publishing import Publishing
from lknb.server.section import OFFERED_TYPES, PUBLISHED, answer_send_plan, offer_send_plan
from lknb.wire.sdp import MediaSection, SessionDescription, build_sdp, parse_sdp

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.publication import Publication
    from lknb.server.subscription import Subscription
    from lknb.transport.ice_lite import UdpMux

logger = logging.getLogger(__name__)

OFFER_DELAY_S = 0.01
SE_CODEC_UNSUPPORTED = models.SubscriptionError.SE_CODEC_UNSUPPORTED


@dataclass(slots=True)
class _Slot:
    mid: str
    codec: str
    subscription: Subscription | None = None
    past: set[str] = field(default_factory=set)
    shown: bool = False
    """Whether the client was offered a track here last: another one in its place would be no event to libwebrtc."""
    rejected: bool = False
    """Whether the client has refused it: such a section stays as it is for the life of the connection."""

    @property
    def kind(self) -> str:
        return "audio" if self.codec == "opus" else "video"


class DualPeer:
    """The peers of a `/rtc` participant. The subscriber connection is the primary one if it may subscribe."""

    def __init__(self, participant: Participant, mux: UdpMux) -> None:
        self._participant = participant
        self.subscriber_primary = participant.info.permission.can_subscribe
        self._publisher = Connection(
            mux,
            on_connected=lambda: self._on_connected(primary=not self.subscriber_primary),
            on_failed=participant.on_failed,
            on_data=self._on_data,
        )
        self._subscriber = Connection(
            mux,
            on_connected=lambda: self._on_connected(primary=self.subscriber_primary),
            on_failed=participant.on_failed,
            on_data=self._on_data,
        )
        self._publishing = Publishing(participant, self._publisher.uplink)
        self._slots: list[_Slot] = []
        self._undecodable: set[str] = set()
        self._offered: list[Subscription] = []
        self._turn = OfferTurn(secrets.randbelow(256) + 1)
        self._timer: asyncio.TimerHandle | None = None
        self._offering: asyncio.Task[None] | None = None
        self._opened = False

    async def open(self) -> None:
        """Offer the data channels, and the tracks that are there already, in the very first offer."""
        self._subscriber.create_channels()
        self._opened = True
        await self._offer()

    async def handle_offer(self, offer: rtc.SessionDescription) -> None:
        """The publisher connection."""

        def plan(section: MediaSection) -> SectionPlan:
            if section.kind == "application":
                return SectionPlan()
            if section.kind not in PUBLISHED:
                return SectionPlan(rejected=True)
            # sections for receiving are left over from an attempt at /rtc/v1: nothing is ever sent there
            return self._publishing.plan(section) or answer_send_plan(section, None)

        description = parse_sdp(offer.sdp)
        self._publishing.read(description)
        answer = await self._publisher.accept(description, plan)
        message = rtc.SessionDescription(type="answer", sdp=build_sdp(answer), id=offer.id)
        self._participant.send(rtc.SignalResponse(answer=message))
        self._publishing.settle()

    async def handle_answer(self, answer: rtc.SessionDescription) -> None:
        """The subscriber connection."""
        if not self._turn.accepts(answer.id):
            logger.info("%s answers, but nothing was offered", self._participant.sid)
            return
        description = parse_sdp(answer.sdp)
        await self._subscriber.complete(description)
        self._turn.end()
        self._note_rejected(description)
        if self._subscriber.connected:
            self._start_offered()
        self._offer_when_due()

    def _note_rejected(self, answer: SessionDescription) -> None:
        """A section with a subscription that the client refuses is of a codec it cannot decode."""
        refused = {section.mid for section in answer.media if section.rejected}
        for slot in self._slots:
            subscription = slot.subscription
            if slot.mid not in refused or slot.rejected:
                continue
            slot.rejected = True
            if subscription is not None:
                self._undecodable.add(slot.codec)
                subscription.subscriber.refuse(subscription.publication, SE_CODEC_UNSUPPORTED)

    async def add_candidate(self, target: rtc.SignalTarget, candidate: str) -> None:
        """ICE-lite takes the client's address from its checks."""
        connection = self._publisher if target == rtc.SignalTarget.PUBLISHER else self._subscriber
        await connection.transport.add_candidate(candidate)

    def uplink_pending(self) -> None:
        """See Peer."""
        self._publishing.match_parked()

    def end_publication(self, publication: Publication) -> None:
        """See Peer."""
        self._publishing.end(publication.mid)

    def subscribe(self, subscription: Subscription) -> None:
        """Put it into a section of its codec that the client knows to be empty, or a new one.

        Never into one that was offered with the same track: the Rust SDK remembers (mid, stream id) pairs it has told of, and
        would not tell of the track a second time.
        """
        publication = subscription.publication
        if publication.codec in self._undecodable:
            subscription.subscriber.refuse(publication, SE_CODEC_UNSUPPORTED)
            return
        slot = next(
            (
                slot
                for slot in self._slots
                if slot.subscription is None
                and not slot.shown
                and slot.codec == publication.codec
                and publication.sid not in slot.past
                and not slot.rejected
            ),
            None,
        )
        if slot is None:
            slot = _Slot(str(len(self._slots) + 1), publication.codec)
            self._slots.append(slot)
        slot.subscription = subscription
        subscription.mid = slot.mid
        self._offer_soon()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Free its section."""
        self._subscriber.downlink.remove(subscription)
        for slot in self._slots:
            if slot.subscription is subscription:
                slot.subscription = None
                self._offer_soon()

    def send_data(self, label: str, raw: bytes) -> None:
        """Towards the client data goes on the subscriber connection."""
        self._subscriber.send_data(label, raw)

    def restart(self) -> None:
        """New ICE credentials on the subscriber connection, which is ours to offer."""
        for pending in (self._timer, self._offering):
            if pending is not None:
                pending.cancel()
        self._timer = None
        self._offering = asyncio.create_task(self._restart_subscriber())

    async def _restart_subscriber(self) -> None:
        await self._subscriber.transport.restart_ice()
        await self._offer()

    def tick(self, now: float) -> None:
        """Timers of both connections."""
        if self._turn.overdue(now):
            logger.info("%s does not answer an offer", self._participant.sid)
            self._turn.end()
            self._participant.on_failed()
        self._publisher.tick(now)
        self._subscriber.tick(now)

    async def close(self) -> None:
        """Release everything."""
        if self._timer is not None:
            self._timer.cancel()
        if self._offering is not None:
            self._offering.cancel()
        await asyncio.gather(self._publisher.close(), self._subscriber.close())

    def _on_data(self, label: str, raw: bytes) -> None:
        data.receive(self._participant, label, raw)

    def _on_connected(self, *, primary: bool) -> None:
        if primary:
            self._participant.on_connected()
        if self._subscriber.connected and not self._turn.waiting:
            self._start_offered()

    def _start_offered(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            subscription = slot.subscription
            if subscription is None or subscription.ready or subscription not in self._offered:
                continue
            self._subscriber.downlink.add(subscription)
            subscription.start(OFFERED_TYPES[slot.codec], self._subscriber.transport.send_rtp, now)
            subscription.publication.tell_subscribed()

    def _offer_soon(self) -> None:
        self._turn.request()
        self._offer_when_due()

    def _offer_when_due(self) -> None:
        # the very first offer, at the opening, has everything
        if self._opened and self._turn.due and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(OFFER_DELAY_S, self._offer_now)

    def _offer_now(self) -> None:
        self._timer = None
        if self._turn.due:
            self._offering = asyncio.create_task(self._offer())

    async def _offer(self) -> None:
        id = self._turn.begin(time.monotonic())
        sections = [("0", "application", SectionPlan())]
        mapping = {}
        self._offered = []
        for slot in self._slots:
            subscription = slot.subscription
            plan = SectionPlan(rejected=True) if slot.rejected else offer_send_plan(slot.codec, subscription)
            sections.append((slot.mid, slot.kind, plan))
            slot.shown = subscription is not None
            if subscription is not None:
                slot.past.add(subscription.publication.sid)
                mapping[slot.mid] = subscription.publication.sid
                self._offered.append(subscription)
        offer = await self._subscriber.offer(sections)
        message = rtc.SessionDescription(type="offer", sdp=build_sdp(offer), id=id, mid_to_track_id=mapping)
        self._participant.send(rtc.SignalResponse(offer=message))
