"""One peer connection, only the client offers (`/rtc/v1`).

The client keeps sections for receiving in its offers; the answers put subscriptions into free ones. When there are too few,
or an answer would say something new, the server sends `media_sections_requirement` and the client offers again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.logic.negotiation import SectionPlan, find_codec
from lknb.server import data
from lknb.server.connection import Connection
from lknb.server.publishing import Publishing
from lknb.server.section import PUBLISHED, answer_send_plan
from lknb.wire.sdp import MediaSection, build_sdp, parse_sdp

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.publication import Publication
    from lknb.server.subscription import Subscription
    from lknb.transport.ice_lite import UdpMux

logger = logging.getLogger(__name__)

REQUIREMENT_DELAY_S = 0.02
APPLY_ANSWER_S = 0.05
"""Time for a client to apply an answer before media of a new section arrives; what comes earlier it drops."""


@dataclass(slots=True)
class _Slot:
    kind: str
    subscription: Subscription | None = None
    receiving: bool = False
    """Whether the client can receive in it, by its latest offer."""
    codecs: frozenset[str] = frozenset()
    shown: bool = False
    """Whether the last answer had a track here: until one shows the section empty, another track, or the same, would be no
    event to libwebrtc."""


class SinglePeer:
    """The peer of a `/rtc/v1` participant."""

    def __init__(self, participant: Participant, mux: UdpMux) -> None:
        self._participant = participant
        self._connection = Connection(
            mux,
            on_connected=self._on_connected,
            on_failed=participant.on_failed,
            on_data=lambda label, raw: data.receive(participant, label, raw),
        )
        self._publishing = Publishing(participant, self._connection.uplink)
        self._slots: dict[str, _Slot] = {}
        self._waiting: list[Subscription] = []
        self._requested = {"audio": 0, "video": 0}
        self._requirement: asyncio.TimerHandle | None = None
        self._starts: set[asyncio.TimerHandle] = set()
        self._answered = False

    async def open(self) -> None:
        """Nothing to do: the client offers."""

    async def handle_offer(self, offer: rtc.SessionDescription) -> None:
        """Answer; the only negotiation there is."""
        description = parse_sdp(offer.sdp)
        mapping: dict[str, str] = {}
        started: list[tuple[Subscription, int]] = []
        fresh: list[str] = []

        def plan(section: MediaSection) -> SectionPlan:
            if section.kind == "application":
                return SectionPlan()
            sending = self._publishing.plan(section)
            if sending is not None:
                return sending
            if section.kind not in PUBLISHED:
                return SectionPlan(rejected=True)
            if section.mid not in self._slots:
                fresh.append(section.mid)
            slot = self._slots.setdefault(section.mid, _Slot(section.kind))
            slot.receiving = section.direction in ("recvonly", "sendrecv")
            slot.codecs = frozenset(codec.name.lower() for codec in section.codecs)
            if slot.subscription is None and slot.receiving:
                slot.subscription = self._next(section, slot)
                if slot.subscription is not None:
                    slot.subscription.mid = section.mid
            slot.shown = slot.subscription is not None
            wanted = answer_send_plan(section, slot.subscription)
            if slot.subscription is not None and not wanted.rejected:
                mapping[section.mid] = slot.subscription.publication.sid
                started.append((slot.subscription, wanted.codecs[0].payload_type))
            return wanted

        self._publishing.read(description)
        self._requested = {"audio": 0, "video": 0}
        was_connected = self._connection.connected
        answer = await self._connection.accept(description, plan)
        self._connection.uplink.learn_extensions(
            {uri: id for section in answer.media for uri, id in section.extensions.items()}
        )
        message = rtc.SessionDescription(type="answer", sdp=build_sdp(answer), id=offer.id, mid_to_track_id=mapping)
        self._participant.send(rtc.SignalResponse(answer=message))
        self._answered = True
        self._publishing.settle()
        for subscription, payload_type in started:
            if not subscription.ready:
                subscription.payload_type = payload_type
                if was_connected:
                    self._start_later(subscription)
        self._refuse_undecodable(fresh)
        if self._waiting:
            self._require()

    async def handle_answer(self, answer: rtc.SessionDescription) -> None:
        """The server never offers on a single connection: an answer means nothing."""
        logger.info("%s answers, but nothing was offered", self._participant.sid)

    async def add_candidate(self, target: rtc.SignalTarget, candidate: str) -> None:
        """ICE-lite takes the client's address from its checks."""
        await self._connection.transport.add_candidate(candidate)

    def uplink_pending(self) -> None:
        """See Peer."""
        self._publishing.match_parked()

    def end_publication(self, publication: Publication) -> None:
        """See Peer."""
        self._publishing.end(publication.mid)

    def subscribe(self, subscription: Subscription) -> None:
        """Put it into the next answer."""
        self._waiting.append(subscription)
        self._require_soon()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Free its section; the next answer says so."""
        self._connection.downlink.remove(subscription)
        if subscription in self._waiting:
            self._waiting.remove(subscription)
        slot = self._slots.get(subscription.mid)
        if slot is not None and slot.subscription is subscription:
            slot.subscription = None
            self._require_soon()

    def send_data(self, label: str, raw: bytes) -> None:
        """The JavaScript client listens only on the channels it created itself: send on those."""
        self._connection.send_data(label, raw)

    def restart(self) -> None:
        """The client offers with new credentials when it resumes."""

    def tick(self, now: float) -> None:
        """Timers of the connection."""
        self._connection.tick(now)

    async def close(self) -> None:
        """Release everything."""
        if self._requirement is not None:
            self._requirement.cancel()
        for handle in self._starts:
            handle.cancel()
        await self._connection.close()

    def _next(self, section: MediaSection, slot: _Slot) -> Subscription | None:
        for subscription in self._waiting:
            if self._fits(subscription, slot) and find_codec(section, subscription.publication.codec) is not None:
                self._waiting.remove(subscription)
                return subscription
        return None

    @staticmethod
    def _fits(subscription: Subscription, slot: _Slot) -> bool:
        return subscription.kind == slot.kind and subscription.publication.codec in slot.codecs and not slot.shown

    def _refuse_undecodable(self, fresh: list[str]) -> None:
        """A codec that even the newest sections of its kind do not offer is one the client cannot decode."""
        for subscription in list(self._waiting):
            newest = [self._slots[mid] for mid in fresh if self._slots[mid].kind == subscription.kind]
            if newest and not any(subscription.publication.codec in slot.codecs for slot in newest):
                error = models.SubscriptionError.SE_CODEC_UNSUPPORTED
                subscription.subscriber.refuse(subscription.publication, error)

    def _on_connected(self) -> None:
        self._participant.on_connected()
        for slot in self._slots.values():
            if slot.subscription is not None and slot.subscription.payload_type and not slot.subscription.ready:
                self._start(slot.subscription)

    def _start_later(self, subscription: Subscription) -> None:
        def start() -> None:
            self._starts.discard(handle)
            if self._connection.connected:
                self._start(subscription)

        handle = asyncio.get_running_loop().call_later(APPLY_ANSWER_S, start)
        self._starts.add(handle)

    def _start(self, subscription: Subscription) -> None:
        slot = self._slots.get(subscription.mid)
        if slot is None or slot.subscription is not subscription or subscription.ready:
            return
        self._connection.downlink.add(subscription)
        subscription.start(subscription.payload_type, self._connection.transport.send_rtp, time.monotonic())
        subscription.publication.tell_subscribed()

    def _require_soon(self) -> None:
        if self._requirement is None and self._answered:
            self._requirement = asyncio.get_running_loop().call_later(REQUIREMENT_DELAY_S, self._require)

    def _require(self) -> None:
        if self._requirement is not None:
            self._requirement.cancel()
            self._requirement = None
        missing = {}
        for kind in ("audio", "video"):
            free = [s for s in self._slots.values() if s.kind == kind and s.subscription is None and s.receiving]
            wanted = [subscription for subscription in self._waiting if subscription.kind == kind]
            unplaced = 0
            for subscription in wanted:
                slot = next((slot for slot in free if self._fits(subscription, slot)), None)
                if slot is None:
                    unplaced += 1
                else:
                    free.remove(slot)
            missing[kind] = max(0, unplaced - self._requested[kind])
            self._requested[kind] += missing[kind]
        requirement = rtc.MediaSectionsRequirement(num_audios=missing["audio"], num_videos=missing["video"])
        self._participant.send(rtc.SignalResponse(media_sections_requirement=requirement))
