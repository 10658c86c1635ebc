"""The side of a negotiation that answers: our subscriber connection in dual mode, on which the server offers tracks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from livekit.protocol import rtc

from lknb.core.peer_connection import PeerConnection
from lknb.core.section import answering_plan
from lknb.errors import WireError
from lknb.logic.negotiation import SectionPlan
from lknb.transport.error import TransportError
from lknb.wire.sdp import MediaSection, SessionDescription, build_sdp, parse_sdp

logger = logging.getLogger(__name__)


class Answerer:
    """Answers the server's offers, one after the other.

    `send(answer)` hands the answer to the signalling; `on_offer(description, mid_to_track_sid)` gets every offer first, so
    that receivers exist before packets can arrive.
    """

    def __init__(
        self,
        peer: PeerConnection,
        send: Callable[[rtc.SessionDescription], None],
        on_offer: Callable[[SessionDescription, Mapping[str, str]], None],
    ) -> None:
        self.peer = peer
        self._send = send
        self._on_offer = on_offer
        self._offers: asyncio.Queue[rtc.SessionDescription] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def handle_offer(self, offer: rtc.SessionDescription) -> None:
        """An offer of the server."""
        self._offers.put_nowait(offer)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="answers")

    async def close(self) -> None:
        """Answer no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            offer = await self._offers.get()
            try:
                await self._answer(offer)
            except (TransportError, WireError, ConnectionError) as error:
                # the session as it is goes on; without an answer the server starts anew with us
                logger.warning("an offer of the server was refused: %s", error)
                if self.peer.negotiation.remote is None:
                    self.peer.fail(str(error))

    async def _answer(self, message: rtc.SessionDescription) -> None:
        offer = parse_sdp(message.sdp)
        offered = next((section.transport.setup for section in offer.media if section.transport is not None), "actpass")
        setup = "passive" if offered == "active" else "active"
        # first, because an ICE restart puts new credentials into the answer
        await self.peer.apply(offer, setup=setup)
        self._on_offer(offer, message.mid_to_track_id)
        answer = self.peer.negotiation.create_answer(offer, _plan, self.peer.transport.local(setup))
        self._send(rtc.SessionDescription(type="answer", sdp=build_sdp(answer), id=message.id))


def _plan(section: MediaSection) -> SectionPlan:
    if section.kind == "application":
        return SectionPlan("sendrecv")
    return answering_plan(section) if section.kind in ("audio", "video") else SectionPlan(rejected=True)
