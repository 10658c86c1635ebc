"""One peer connection of a client: a transport, its media, its data channels, and the descriptions that drive them.

Who offers is decided one floor up (`offerer`, `answerer`); both end in `apply`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lknb.core.media_session import TICK_S, MediaSession
from lknb.core.outbox import Outbox
from lknb.logic.bandwidth import START_BPS
from lknb.logic.negotiation import Negotiation, application_section, bundle_candidates, bundle_transport
from lknb.transport.data_channel import DataChannel
from lknb.transport.error import TransportError
from lknb.transport.ice_full import FullIceTransport
from lknb.transport.ice_server import IceServer
from lknb.transport.peer import PeerTransport
from lknb.wire.sdp import SessionDescription, TransportParameters

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0
"""As LiveKit's clients wait for a peer connection."""

_LOOPBACK_START_BPS = 20_000_000
"""Within a machine there is no path to find out about; feedback is heeded all the same."""

_SCTP_PORT = 5_000
_EARLY_CANDIDATES = 50


class PeerConnection:
    """A peer connection to the SFU.

    `on_failed(reason)` is called once when it does not come up, or is lost for good.
    """

    def __init__(
        self,
        *,
        loopback: bool,
        controlling: bool,
        cname: str,
        ice_servers: Sequence[IceServer] = (),
        relay_only: bool = False,
        on_failed: Callable[[str], None],
    ) -> None:
        """`loopback`: the server is on this machine, nothing leaves 127.0.0.1."""
        ice = FullIceTransport(
            controlling,
            interfaces="loopback" if loopback else "all",
            ice_servers=ice_servers,
            relay_only=relay_only,
        )
        self.transport = PeerTransport(ice)
        self.negotiation = Negotiation(secrets.randbits(62))
        # looked up at each packet: before the connection is up it is another function that sends nothing
        outbox = Outbox(
            lambda packet: self.transport.send_rtp(packet),
            asyncio.get_running_loop().call_later,
            start_bps=_LOOPBACK_START_BPS if loopback else START_BPS,
        )
        self.media = MediaSession(cname, outbox, self.transport.send_rtcp)
        self.on_data_channel: Callable[[DataChannel], None] | None = None
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._starting: asyncio.Task[None] | None = None
        self._early_candidates: list[str | None] | None = []
        self._sctp: tuple[int, int] | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.transport.on_rtp = self._on_rtp
        self.transport.on_rtcp = self._on_rtcp
        self.transport.on_state = self._on_state
        self.transport.on_data_channel = self._on_data_channel

    @property
    def connected(self) -> bool:
        """Whether packets can flow."""
        return self.transport.state in ("connected", "disconnected")

    async def open(self) -> None:
        """Bind the sockets and find the local candidates. Raises `TransportError`."""
        try:
            await self.transport.gather()
        except OSError as error:
            raise TransportError(f"no local address for media: {error}") from error

    async def apply(self, remote: SessionDescription, *, setup: str) -> None:
        """Take the server's side of a completed negotiation; `setup` is our DTLS role, "active" or "passive".

        The first one starts the transport in the background, see `wait_connected`. Raises `TransportError` when the
        description has no transport.
        """
        parameters = _transport_of(remote)
        application = application_section(remote)
        sctp = (application.sctp_port or _SCTP_PORT, application.max_message_size) if application is not None else None
        for section in remote.media:
            self.media.learn_extensions(section.extensions)
        if self._starting is None:
            self._sctp = sctp
            self._starting = asyncio.create_task(self._start(parameters, setup, sctp), name="peer connection start")
            return
        await self.transport.update_remote(parameters)
        if sctp is not None and self._sctp is None:
            self._sctp = sctp
            await self.transport.start_sctp(*sctp)

    async def add_candidate(self, candidate: str, *, final: bool) -> None:
        """A trickled candidate; what comes before the first description waits for it."""
        for item in ([candidate] if candidate else []) + ([None] if final else []):
            if self._early_candidates is None:
                await self.transport.add_candidate(item)
            elif len(self._early_candidates) < _EARLY_CANDIDATES:
                self._early_candidates.append(item)

    async def wait_connected(self) -> None:
        """Return when packets can flow. Raises `TransportError`."""
        await asyncio.shield(self._connected)

    async def close(self) -> None:
        """Release everything. Idempotent."""
        self._closed = True
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        if not self._connected.done():
            self._connected.set_exception(TransportError("the peer connection was closed"))
        # nobody may be waiting for it
        self._connected.exception()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self.transport.close()

    def wake(self) -> None:
        """There is something to send or receive: keep the timers of the media going."""
        if self._tick_timer is None and not self._closed and self.connected:
            self._tick()

    async def _start(self, remote: TransportParameters, setup: str, sctp: tuple[int, int] | None) -> None:
        early, self._early_candidates = self._early_candidates or [], None
        for candidate in early:
            await self.transport.add_candidate(candidate)
        port, max_message_size = sctp or (None, 65_536)
        try:
            await self.transport.start(
                remote,
                setup="active" if setup == "active" else "passive",
                sctp_port=port,
                max_message_size=max_message_size,
                timeout_s=CONNECT_TIMEOUT_S,
            )
        except (TransportError, ConnectionError) as error:
            self.fail(str(error))
            return
        if not self._connected.done():
            self._connected.set_result(None)
        self.wake()

    def fail(self, reason: str) -> None:
        """It will never come up, or never again: tell whoever waits for it, and the owner."""
        if self._closed:
            return
        if not self._connected.done():
            self._connected.set_exception(TransportError(reason))
            self._connected.exception()
        self._on_failed(reason)

    def _on_state(self, state: str) -> None:
        logger.info("a peer connection is %s", state)
        if state == "failed" and self._connected.done() and not self._closed:
            self.fail("the network path to the server is gone")

    def _on_rtp(self, data: bytes, arrival_us: int) -> None:
        self.media.receive_rtp(data, arrival_us, time.monotonic())

    def _on_rtcp(self, data: bytes, arrival_us: int) -> None:
        self.media.receive_rtcp(data, arrival_us, time.time_ns() // 1000, time.monotonic())

    def _on_data_channel(self, channel: DataChannel) -> None:
        if self.on_data_channel is None:
            channel.close()
        else:
            self.on_data_channel(channel)

    def _tick(self) -> None:
        self._tick_timer = None
        if self._closed or self.media.idle:
            return
        self._tick_timer = self._loop.call_later(TICK_S, self._tick)
        try:
            self.media.tick(time.time_ns() // 1000, time.monotonic())
        except Exception:
            # one stream's fault must not end the feedback of all others
            logger.exception("the timers of the media failed")


def _transport_of(description: SessionDescription) -> TransportParameters:
    transport = bundle_transport(description)
    if transport is None or not transport.ufrag or not transport.fingerprints:
        raise TransportError("the server's description has no section with ICE credentials and a fingerprint")
    return replace(transport, candidates=bundle_candidates(description))
