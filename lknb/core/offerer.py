"""The side of a negotiation that offers: our publisher connection, which in single mode receives too.

One offer is under way at a time; whatever changes meanwhile goes into the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from livekit.protocol import rtc

from lknb.core.peer_connection import PeerConnection
from lknb.errors import WireError
from lknb.logic.negotiation import SectionPlan
from lknb.logic.offer_turn import ANSWER_TIMEOUT_S, OfferTurn
from lknb.transport.error import TransportError
from lknb.wire.sdp import SessionDescription, build_sdp, parse_sdp

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class OfferedSection:
    """One m-line of ours. It stays at its place for the life of the connection; what it is for may end."""

    mid: str
    kind: str
    plan: SectionPlan


class Offerer:
    """Offers and their answers.

    `send(offer)` hands an offer to the signalling; `on_answer(description, mid_to_track_sid)` gets every accepted answer,
    after the transport has.
    """

    def __init__(
        self,
        peer: PeerConnection,
        send: Callable[[rtc.SessionDescription], None],
        on_answer: Callable[[SessionDescription, Mapping[str, str]], None],
    ) -> None:
        self.peer = peer
        self.sections: list[OfferedSection] = []
        self._send = send
        self._on_answer = on_answer
        self._turn = OfferTurn()
        self._answer: asyncio.Future[rtc.SessionDescription] | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def add_section(self, kind: str, plan: SectionPlan) -> OfferedSection:
        """A new m-line, to be offered by the next `negotiate`. Kind "application" is the one of the data channels."""
        section = OfferedSection(str(len(self.sections)), kind, plan)
        self.sections.append(section)
        return section

    def end_section(self, section: OfferedSection) -> None:
        """Nothing is sent there any more; like LiveKit's clients we do not use the m-line again."""
        section.plan = replace(section.plan, direction="inactive")

    def first_offer(self) -> rtc.SessionDescription:
        """The offer that goes with the join request. `handle_answer` takes its answer like any other."""
        self._turn.request()
        offer = self._create_offer()
        self._task = asyncio.create_task(self._run(offered=True), name="negotiation")
        return offer

    async def negotiate(self) -> None:
        """Offer the sections as they are now; return when the answer is in force. Raises `TransportError`."""
        if self._closed:
            raise TransportError("the peer connection is closed")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._turn.request(), done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(offered=False), name="negotiation")
        await done

    def negotiate_later(self) -> None:
        """Offer the sections as they are now, without anybody waiting for the answer."""
        if self._closed:
            return
        self._turn.request()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(offered=False), name="negotiation")

    def handle_answer(self, answer: rtc.SessionDescription) -> None:
        """An answer of the server. One to an older offer is ignored; servers that do not count say 0."""
        if not self._turn.accepts(answer.id):
            logger.info("the server answered offer %d, the newest is %d", answer.id, self._turn.id)
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    async def close(self) -> None:
        """Give up what is under way. Idempotent; the peer connection is closed by its owner."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._settle(self._turn.requested, TransportError("the peer connection was closed"))

    async def _run(self, *, offered: bool) -> None:
        """Offer until nobody has asked for more since the last offer."""
        while offered or self._turn.due:
            try:
                if not offered:
                    self._send(self._create_offer())
                offered = False
                await self._complete()
            except TransportError as error:
                self._turn.end()
                logger.warning("a negotiation failed: %s", error)
                self._settle(self._turn.covered, error)
                if self.peer.negotiation.remote is None:
                    # nothing is agreed on: this connection will never come up
                    self.peer.fail(error.message)
            else:
                self._turn.end()
                self._settle(self._turn.covered, None)

    def _create_offer(self) -> rtc.SessionDescription:
        loop = asyncio.get_running_loop()
        id = self._turn.begin(loop.time())
        self._answer = loop.create_future()
        sections = [(section.mid, section.kind, section.plan) for section in self.sections]
        try:
            local = self.peer.transport.local("actpass")
        except ConnectionError as error:
            raise TransportError(str(error)) from error
        offer = self.peer.negotiation.create_offer(sections, local)
        return rtc.SessionDescription(type="offer", sdp=build_sdp(offer), id=id)

    async def _complete(self) -> None:
        if self._answer is None:
            return
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await self._answer
        except TimeoutError:
            raise TransportError(f"the server did not answer an offer within {ANSWER_TIMEOUT_S:g} s") from None
        try:
            description = parse_sdp(answer.sdp)
        except WireError as error:
            raise TransportError(f"the server's answer cannot be read: {error}") from error
        setup = next((s.transport.setup for s in description.media if s.transport is not None), "active")
        await self.peer.apply(description, setup="active" if setup == "passive" else "passive")
        self.peer.negotiation.accept_answer(description)
        self._on_answer(description, answer.mid_to_track_id)

    def _settle(self, done: int, error: TransportError | None) -> None:
        settled = [future for requested, future in self._waiters if requested <= done]
        self._waiters = [waiter for waiter in self._waiters if waiter[0] > done]
        for future in settled:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
