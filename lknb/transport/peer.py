"""One bundled transport to a peer: ICE, DTLS, SRTP and SCTP. Descriptions are the caller's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities
from OpenSSL import SSL

from lknb.transport.data_channel import MAX_REMOTE_CHANNELS, DataChannel, SctpTransport, settle
from lknb.transport.dtls import DtlsCounters, DtlsTransport
from lknb.transport.error import TransportError
from lknb.transport.ice import IceState, IceTransport
from lknb.wire.sdp import TransportParameters

logger = logging.getLogger(__name__)

PeerState = Literal["new", "connecting", "connected", "disconnected", "failed", "closed"]

DEFAULT_CONNECT_TIMEOUT_S = 20.0


class PeerTransport:
    """The transport of one bundle. Make it, `gather()`, exchange parameters, `start()`; `close()` in the end.

    `on_rtp(packet, arrival_us)` and `on_rtcp(compound, arrival_us)` run synchronously for each decrypted packet;
    `arrival_us` is microseconds of the monotonic clock, the kernel's where it has one. `on_data_channel` gets the
    channels the peer opens, and must set their `on_message` before it returns; without it they are refused. A fault in
    a callback is logged and ends nothing.

    `state` goes new -> connecting -> connected <-> disconnected -> failed -> closed. Disconnected means that nothing
    was heard for a while, failed that it was long; an ICE restart or a packet makes it connected again. Failed because
    the peer said goodbye in DTLS is final.
    """

    def __init__(self, ice: IceTransport, *, certificate: RTCCertificate | None = None) -> None:
        """`certificate` may be shared by many transports; by default each has its own."""
        certificate = certificate or RTCCertificate.generateCertificate()
        self.on_state: Callable[[PeerState], None] | None = None
        self.on_data_channel: Callable[[DataChannel], None] | None = None
        self._fingerprints = tuple(
            (f.algorithm, f.value) for f in certificate.getFingerprints() if f.algorithm == "sha-256"
        )
        self._ice = ice
        self._dtls = DtlsTransport(ice, certificate)
        self._sctp: SctpTransport | None = None
        self._sctp_wanted: tuple[int, int] | None = None
        self._channels: set[DataChannel] = set()
        self._remote_channels = 0
        self._state: PeerState = "new"
        self._dtls_up = False
        self._connecting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        ice.on_state = self._on_ice_state
        self._dtls.on("statechange", self._on_dtls_state)

    # ------------------------------------------------------------------ state

    @property
    def state(self) -> PeerState:
        return self._state

    @property
    def ice(self) -> IceTransport:
        """The path below."""
        return self._ice

    @property
    def counters(self) -> DtlsCounters:
        """What happened to packets."""
        return self._dtls.counters

    @property
    def on_rtp(self) -> Callable[[bytes, int], None]:
        """Called with each RTP packet and its arrival time in microseconds."""
        return self._dtls.on_rtp

    @on_rtp.setter
    def on_rtp(self, callback: Callable[[bytes, int], None]) -> None:
        self._dtls.on_rtp = callback

    @property
    def on_rtcp(self) -> Callable[[bytes, int], None]:
        """Called with each RTCP compound and its arrival time in microseconds."""
        return self._dtls.on_rtcp

    @on_rtcp.setter
    def on_rtcp(self, callback: Callable[[bytes, int], None]) -> None:
        self._dtls.on_rtcp = callback

    # ------------------------------------------------------------------ connecting

    async def gather(self) -> None:
        """Make the local candidates; idempotent. TransportError when no address can be bound."""
        try:
            await self._ice.gather()
        except ConnectionError as error:
            raise TransportError(str(error)) from error

    def local(self, setup: str) -> TransportParameters:
        """Our side of a description, after `gather()`; `setup` as it shall stand there (actpass, active, passive)."""
        ufrag, pwd = self._ice.credentials()
        return TransportParameters(
            ufrag=ufrag,
            pwd=pwd,
            fingerprints=self._fingerprints,
            setup=setup,
            ice_lite=self._ice.lite,
            candidates=self._ice.candidates(),
            end_of_candidates=True,
        )

    async def start(
        self,
        remote: TransportParameters,
        *,
        setup: Literal["active", "passive"],
        sctp_port: int | None = None,
        max_message_size: int = 65_536,
        timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
    ) -> None:
        """Connect, once; return when packets can flow. `setup` is our own DTLS role.

        With a `sctp_port` the data channels start too (they open a little later). TransportError when there is no path,
        the peer is not who its fingerprint says, or time is up. After an error or a cancellation it is closed.
        """
        if self._state != "new" or self._closing is not None:
            raise TransportError(f"the transport is {self._state if self._state != 'new' else 'closed'}")
        if not remote.fingerprints or not remote.ufrag:
            raise TransportError("the remote description has no fingerprint or no ICE credentials")
        if sctp_port is not None:
            self._sctp_wanted = sctp_port, max_message_size
        self._set_state("connecting")
        self._connecting = asyncio.create_task(self._connect(remote, setup))
        try:
            async with asyncio.timeout(timeout_s):
                await self._connecting
            if not self._dtls_up:
                raise TransportError("the peer closed the connection as soon as it was up")
        except BaseException as error:
            closed_meanwhile = self._closing is not None
            if not closed_meanwhile:
                self._set_state("failed")
            await self.close()
            if isinstance(error, TimeoutError):
                raise TransportError(f"ICE and DTLS did not connect within {timeout_s:g} s") from None
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and closed_meanwhile and not (task and task.cancelling()):
                raise TransportError("the transport was closed while it connected") from None
            raise

    async def _connect(self, remote: TransportParameters, setup: str) -> None:
        dtls = self._dtls
        dtls.choose_role(setup)
        try:
            await self._ice.connect(remote)
        except ConnectionError as error:
            raise TransportError(f"no network path to the peer: {error}") from error
        try:
            await dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(a, v) for a, v in remote.fingerprints]))
        except SSL.Error as error:
            raise TransportError(f"the DTLS handshake failed: {error!r}") from error
        if dtls.state != "connected":
            raise TransportError("the DTLS handshake failed, or the peer's certificate is not the announced one")
        self._dtls_up = True
        self._on_ice_state(self._ice.state)
        dtls.release_early()
        if self._sctp_wanted is not None:
            await self.start_sctp(*self._sctp_wanted)

    async def start_sctp(self, port: int, max_message_size: int) -> None:
        """Start the data channels, when an application section comes in a later description. Idempotent.

        While the transport still connects they start when it is connected.
        """
        self._sctp_wanted = port, max_message_size
        if self._dtls_up and self._closing is None:
            await self._association().start(RTCSctpCapabilities(maxMessageSize=max_message_size), port)

    async def update_remote(self, remote: TransportParameters) -> None:
        """A later remote description. Other ICE credentials than before are an ICE restart: `local()` has the answer's
        credentials afterwards, and the new path is connected in the background. DTLS and its keys stay."""
        if self._closing is None:
            try:
                await self._ice.update_remote(remote)
            except ConnectionError as error:
                raise TransportError(str(error)) from error

    async def restart_ice(self) -> None:
        """Start an ICE restart: `local()` has the credentials for the next offer afterwards."""
        if self._closing is None:
            try:
                await self._ice.restart()
            except ConnectionError as error:
                raise TransportError(str(error)) from error

    async def wait_restarted(self) -> None:
        """Return when no ICE restart is under way; TransportError when it failed."""
        try:
            await self._ice.wait_restarted()
        except ConnectionError as error:
            raise TransportError(f"the ICE restart failed: {error}") from error

    async def add_candidate(self, candidate: str | None) -> None:
        """One trickled candidate "candidate:..."; "" or None ends them. Foreign or bad ones are ignored."""
        if self._closing is None:
            await self._ice.add_candidate(candidate)

    # ------------------------------------------------------------------ packets

    @property
    def send_rtp(self) -> Callable[[bytes], None]:
        """Encrypts and sends one packet now. Not connected: nothing happens; longer than 1,356 bytes: dropped and counted.

        Once connected it may be kept and called without this detour.
        """
        return self._dtls.send_rtp

    def send_rtcp(self, packet: bytes) -> None:
        """Encrypt and send now. Not connected: nothing happens; longer than 1,352 bytes: dropped and counted."""
        self._dtls.send_rtcp(packet)

    # ------------------------------------------------------------------ data channels

    def create_data_channel(
        self, label: str, *, ordered: bool = True, max_retransmits: int | None = None
    ) -> DataChannel:
        """Open a channel; before `start()` it opens when SCTP does. TransportError when the transport is closed."""
        if self._closing is not None or self._state in ("failed", "closed"):
            raise TransportError(f"the transport is {self._state}")
        association = self._association()
        if association.state == "closed":
            raise TransportError("the peer closed its data channels")
        parameters = RTCDataChannelParameters(label=label, ordered=ordered, maxRetransmits=max_retransmits)
        return self._adopt(RTCDataChannel(association, parameters))

    def _adopt(self, channel: RTCDataChannel) -> DataChannel:
        wrapped = DataChannel(channel)
        self._channels.add(wrapped)
        channel.once("close", lambda: self._channels.discard(wrapped))
        return wrapped

    def _association(self) -> SctpTransport:
        if self._sctp is None:
            self._sctp = SctpTransport(self._dtls)
            self._sctp.on("datachannel", self._on_remote_channel)
        return self._sctp

    def _on_remote_channel(self, channel: RTCDataChannel) -> None:
        self._remote_channels += 1
        if self._remote_channels > MAX_REMOTE_CHANNELS or self.on_data_channel is None or self._closing is not None:
            channel.close()
            return
        try:
            self.on_data_channel(self._adopt(channel))
        except Exception:
            logger.exception("on_data_channel failed")

    # ------------------------------------------------------------------ the end

    async def close(self) -> None:
        """Say goodbye and release everything. Idempotent, at any time, also while `start()` runs; takes no time."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        connecting = self._connecting
        if connecting is not None and not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting})
        try:
            if self._sctp is not None:
                await self._sctp.stop()
            await self._dtls.stop()
        except Exception:
            logger.exception("a transport did not say goodbye")
        await self._ice.close()
        await settle()
        if self._sctp is not None:
            # a transmission that was due when the association stopped may have set its timer again
            await self._sctp.stop()
        for channel in list(self._channels):
            channel.close()
        self._dtls.remove_all_listeners()
        self._set_state("closed")

    # ------------------------------------------------------------------ events from below

    def _on_ice_state(self, state: IceState) -> None:
        if self._dtls_up and state in ("connected", "disconnected", "failed"):
            self._set_state(state)

    def _on_dtls_state(self) -> None:
        if self._dtls_up and self._dtls.state in ("closed", "failed") and self._closing is None:
            # the peer said goodbye; nothing but a new transport helps
            self._dtls_up = False
            self._dtls.forget_keys()
            self._set_state("failed")

    def _set_state(self, state: PeerState) -> None:
        if state == self._state or self._state == "closed":
            return
        self._state = state
        if self.on_state is not None:
            try:
                self.on_state(state)
            except Exception:
                logger.exception("on_state failed")
