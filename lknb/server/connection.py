"""One peer connection of a participant: a transport, its negotiation, media both ways and data channels."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from lknb.errors import LimitExceeded, WireError
from lknb.logic.negotiation import (
    Negotiation,
    SectionPlan,
    application_section,
    bundle_candidates,
    bundle_transport,
)
from lknb.server import data
from lknb.server.downlink import Downlink
from lknb.server.uplink import Uplink
from lknb.transport.error import TransportError
from lknb.transport.peer import PeerTransport
from lknb.wire.rtcp import parse_rtcp
from lknb.wire.sdp import MediaSection, SessionDescription, TransportParameters

if TYPE_CHECKING:
    from lknb.transport.data_channel import DataChannel
    from lknb.transport.ice_lite import UdpMux

logger = logging.getLogger(__name__)

Setup = Literal["active", "passive"]

LOSSY_BUFFER_BYTES_MAX = 256 << 10
RELIABLE_BUFFER_BYTES_MAX = 8 << 20
EARLY_BYTES_MAX = 100 << 10


class Connection:
    """ICE-lite on the server's one port, DTLS, SRTP, SCTP, and the books of one bundle."""

    def __init__(
        self,
        mux: UdpMux,
        *,
        on_connected: Callable[[], None],
        on_failed: Callable[[], None],
        on_data: Callable[[str, bytes], None],
    ) -> None:
        self.transport = PeerTransport(mux.create_transport())
        self.negotiation = Negotiation(secrets.randbits(62))
        self.uplink = Uplink(self.transport, time.monotonic)
        self.downlink = Downlink(self.transport)
        self.transport.on_rtp = self.uplink.on_rtp
        self.transport.on_rtcp = self._on_rtcp
        self.transport.on_state = self._on_state
        self.transport.on_data_channel = self._on_data_channel
        self._channels: dict[str, DataChannel] = {}
        self._early: dict[str, list[bytes]] = {}
        self._on_connected, self._on_failed, self._on_data = on_connected, on_failed, on_data
        self._start: asyncio.Task[None] | None = None
        self._connected = False
        self._sctp_started = False
        self.lossy_dropped = 0
        self.data_dropped = 0

    @property
    def connected(self) -> bool:
        """Whether packets can be sent."""
        return self._connected

    async def accept(
        self, offer: SessionDescription, plan: Callable[[MediaSection], SectionPlan]
    ) -> SessionDescription:
        """Answer an offer; the transport starts, or restarts, as the offer says."""
        await self.transport.gather()
        remote = remote_transport(offer)
        if self._start is not None:
            await self.transport.update_remote(remote)
        answer = self.negotiation.create_answer(offer, plan, self.transport.local("passive"))
        self._begin(remote, offer, "passive")
        return answer

    async def offer(self, sections: list[tuple[str, str, SectionPlan]]) -> SessionDescription:
        """Offer these sections."""
        await self.transport.gather()
        return self.negotiation.create_offer(sections, self.transport.local("actpass"))

    async def complete(self, answer: SessionDescription) -> None:
        """Take the answer to our offer."""
        remote = remote_transport(answer)
        self.negotiation.accept_answer(answer)
        if self._start is not None:
            await self.transport.update_remote(remote)
        self._begin(remote, answer, "passive" if remote.setup == "active" else "active")

    def _begin(self, remote: TransportParameters, description: SessionDescription, setup: Setup) -> None:
        application = application_section(description)
        sctp_port = application.sctp_port or 5000 if application else None
        max_message_size = application.max_message_size if application else 65_536
        if self._start is None:
            self._sctp_started = sctp_port is not None
            self._start = asyncio.create_task(
                self._run(
                    self.transport.start(remote, setup=setup, sctp_port=sctp_port, max_message_size=max_message_size)
                )
            )
        elif sctp_port is not None and not self._sctp_started:
            self._sctp_started = True
            self._later = asyncio.create_task(self._start_sctp(sctp_port, max_message_size))

    async def _start_sctp(self, port: int, max_message_size: int) -> None:
        if self._start is not None:
            await asyncio.wait([self._start])
        if self._connected:
            await self.transport.start_sctp(port, max_message_size)

    async def _run(self, starting: Coroutine[None, None, None]) -> None:
        try:
            await starting
        except (TransportError, ConnectionError) as error:
            logger.info("a peer connection did not come up: %s", error)
            self._on_failed()
            return
        self._connected = True
        self._on_connected()

    def _on_state(self, state: str) -> None:
        if state in ("failed", "closed") and self._connected:
            self._connected = False
            self._on_failed()

    def _on_rtcp(self, packet: bytes, arrival_us: int) -> None:
        try:
            reports = parse_rtcp(packet)
        except WireError:
            return
        now = time.monotonic()
        for report in reports:
            self.uplink.on_rtcp(report, arrival_us)
            self.downlink.on_rtcp(report, now)

    # data channels

    def create_channels(self) -> None:
        """The server's own channels, for a connection that the server offers."""
        self._adopt(self.transport.create_data_channel(data.RELIABLE, ordered=True))
        self._adopt(self.transport.create_data_channel(data.LOSSY, ordered=False, max_retransmits=0))
        self._adopt(self.transport.create_data_channel(data.DATA_TRACK, ordered=False, max_retransmits=0))

    def _on_data_channel(self, channel: DataChannel) -> None:
        if channel.label in self._channels or channel.label not in (data.RELIABLE, data.LOSSY, data.DATA_TRACK):
            return
        self._adopt(channel)

    def _adopt(self, channel: DataChannel) -> None:
        label = channel.label
        self._channels[label] = channel
        channel.on_message = lambda raw: self._on_data(label, raw)
        channel.on_open = lambda: self._flush(label)
        if channel.is_open:
            self._flush(label)

    def _flush(self, label: str) -> None:
        for raw in self._early.pop(label, ()):
            self._hand(self._channels[label], raw)

    def send_data(self, label: str, raw: bytes) -> None:
        """Send on a channel; what comes before a reliable channel is open waits for it, up to a limit."""
        channel = self._channels.get(label)
        if channel is None or not channel.is_open:
            waiting = self._early.setdefault(label, [])
            if label == data.RELIABLE and sum(map(len, waiting)) + len(raw) <= EARLY_BYTES_MAX:
                waiting.append(raw)
            return
        buffered = channel.buffered_amount_bytes
        if label != data.RELIABLE and buffered > LOSSY_BUFFER_BYTES_MAX:
            self.lossy_dropped += 1
        elif buffered > RELIABLE_BUFFER_BYTES_MAX:
            logger.warning("a subscriber does not read its data; disconnected")
            self._on_failed()
        else:
            self._hand(channel, raw)

    def _hand(self, channel: DataChannel, raw: bytes) -> None:
        try:
            channel.send(raw)
        except (LimitExceeded, TransportError):
            # larger than this one takes, or just closed: nobody else's business
            self.data_dropped += 1

    def tick(self, now: float) -> None:
        """Feedback and reports."""
        if self._connected:
            self.uplink.tick(now)
            self.downlink.tick(now)

    async def close(self) -> None:
        """Release everything. Idempotent."""
        self._connected = False
        if self._start is not None:
            self._start.cancel()
        await self.transport.close()


def remote_transport(description: SessionDescription) -> TransportParameters:
    """The bundle's transport with all its candidates. Raises WireError when a description has none."""
    transport = bundle_transport(description)
    if transport is None or not transport.ufrag or not transport.fingerprints:
        raise WireError("the description has no section with ICE credentials and a fingerprint")
    return replace(transport, candidates=bundle_candidates(description))
