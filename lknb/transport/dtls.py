"""DTLS-SRTP on aiortc's `RTCDtlsTransport`, with raw packets in and out.

aiortc does the handshake and carries SCTP; its RTP objects, router, receivers and senders are not used. Packets take a
synchronous way: datagram -> `on_rtp` and `send_rtp` -> datagram, without a task or a queue in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pylibsrtp
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport
from OpenSSL import SSL

from lknb.transport import srtp
from lknb.transport.ice import IceTransport

logger = logging.getLogger(__name__)

MAX_EARLY_PACKETS = 256
"""SRTP packets kept while the handshake ends: a peer may send media right behind its last flight."""

_MIN_PACKET_BYTES = 12
_MAX_RECORD_BYTES = 2048


@dataclass(slots=True)
class DtlsCounters:
    """What happened to the packets of one transport."""

    rtp_received: int = 0
    rtp_sent: int = 0
    too_short: int = 0
    undecryptable: int = 0
    """Not authentic, or a replay."""
    oversize: int = 0
    """Received packets longer than an Ethernet frame."""
    send_oversize: int = 0
    send_failed: int = 0
    """libsrtp refused (a sequence number far back, key used up)."""
    early_dropped: int = 0
    data_errors: int = 0
    """Faults of the SCTP floor over one datagram."""


class DtlsTransport(RTCDtlsTransport):
    """DTLS, SRTP and the way to SCTP over one `IceTransport`."""

    def __init__(self, ice: IceTransport, certificate: RTCCertificate) -> None:
        super().__init__(cast(RTCIceTransport, ice), [certificate])
        self.on_rtp: Callable[[bytes, int], None] = _ignore_rtp
        self.on_rtcp: Callable[[bytes, int], None] = _ignore_rtcp
        self.counters = DtlsCounters()
        self._handshaking = True
        self._early: list[tuple[bytes, int]] = []
        self.send_rtp: Callable[[bytes], None] = _drop
        """Encrypt and send one RTP packet of at most `srtp.MAX_PACKET_BYTES`; without keys nothing happens."""
        self._protect_rtcp: srtp.Transform | None = None
        self._unprotect_rtp: srtp.Transform | None = None
        self._unprotect_rtcp: srtp.Transform | None = None
        self._ice = ice
        self._ice_send = ice.send
        ice.on_srtp = self._receive_srtp

    def choose_role(self, setup: str) -> None:
        """Our side of a=setup (RFC 8842 section 5): "active" is the DTLS client, "passive" the server."""
        self._set_role("client" if setup == "active" else "server")

    async def start(self, remoteParameters: RTCDtlsParameters) -> None:
        """Do the handshake; afterwards `state` is "connected" or "failed". Needs a path."""
        await super().start(remoteParameters)
        if self.state != "connected":
            return
        self.send_rtp = srtp.rtp_sender(self._tx_srtp, self._ice_send, self.counters)
        self._protect_rtcp = srtp.protect_rtcp(self._tx_srtp)
        self._unprotect_rtp = srtp.unprotect_rtp(self._rx_srtp)
        self._unprotect_rtcp = srtp.unprotect_rtcp(self._rx_srtp)

    def release_early(self) -> None:
        """Hand over the packets that came before the keys."""
        early, self._early = self._early, []
        for data, arrival_us in early:
            try:
                self._receive_srtp(data, arrival_us)
            except Exception:
                logger.exception("a packet handler failed")

    async def stop(self) -> None:
        """Say goodbye and stop; no packet is handed over or sent afterwards, and no task is left."""
        self.forget_keys()
        pump = self._task
        await super().stop()
        if pump is not None:
            await asyncio.gather(pump, return_exceptions=True)

    def forget_keys(self) -> None:
        """No packet is handed over or sent from now on."""
        self.send_rtp = _drop
        self._protect_rtcp = self._unprotect_rtp = self._unprotect_rtcp = None
        self._early.clear()

    def send_rtcp(self, packet: bytes) -> None:
        """Encrypt and send one RTCP compound of at most `srtp.MAX_RTCP_BYTES`; without keys nothing happens."""
        protect = self._protect_rtcp
        if protect is None:
            return
        try:
            data = protect(packet)
        except ValueError:
            self.counters.send_oversize += 1
            return
        except pylibsrtp.Error:
            self.counters.send_failed += 1
            return
        self._ice_send(data)

    def _receive_srtp(self, data: bytes, arrival_us: int) -> None:
        counters = self.counters
        if len(data) < _MIN_PACKET_BYTES:
            counters.too_short += 1
            return
        # RFC 5761 section 4
        rtcp = 192 <= data[1] <= 223
        unprotect = self._unprotect_rtcp if rtcp else self._unprotect_rtp
        if unprotect is None:
            if self.state in ("new", "connecting") and len(self._early) < MAX_EARLY_PACKETS:
                self._early.append((data, arrival_us))
            else:
                counters.early_dropped += 1
            return
        try:
            packet = unprotect(data)
        except pylibsrtp.Error:
            counters.undecryptable += 1
            return
        except ValueError:
            counters.oversize += 1
            return
        if rtcp:
            self.on_rtcp(packet, arrival_us)
        else:
            counters.rtp_received += 1
            self.on_rtp(packet, arrival_us)

    # what aiortc calls

    async def _recv_next(self) -> None:
        """Take one DTLS datagram, in the handshake and after it.

        In place of aiortc's, which loses a cancellation that meets a datagram (`asyncio.wait_for` before Python 3.12),
        reads one record of a datagram with several, and ends the connection when SCTP trips over a message.
        """
        ssl = self._ssl
        if ssl is None:
            raise ConnectionError("the DTLS handshake has not begun")
        if self._handshaking:
            timeout_s = ssl.DTLSv1_get_timeout()
            self._handshaking = timeout_s is not None or not self.encrypted
            try:
                async with asyncio.timeout(timeout_s):
                    datagram = await self._ice._recv()
            except TimeoutError:
                ssl.DTLSv1_handle_timeout()
                await self._write_ssl()
                return
        else:
            datagram = await self._ice._recv()
        ssl.bio_write(datagram)
        while True:
            try:
                data = ssl.recv(_MAX_RECORD_BYTES)
            except SSL.ZeroReturnError:
                await self._write_ssl()
                raise ConnectionError("the peer closed DTLS") from None
            except SSL.Error:
                break  # mostly WantReadError: there is no more
            if self._data_receiver is not None:
                await self._hand_over(data)
        await self._write_ssl()

    async def _hand_over(self, data: bytes) -> None:
        try:
            await self._data_receiver._handle_data(data)  # type: ignore[union-attr]
        except ConnectionError:
            raise
        except Exception:
            # an assert, a label that is not UTF-8, ...
            self.counters.data_errors += 1
            if self.counters.data_errors <= 10:
                logger.debug("a message was dropped", exc_info=True)

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        """Never asked: SRTP does not pass through aiortc's queue. Its parser would fail on a short header extension."""

    async def _handle_rtcp_data(self, data: bytes) -> None:
        """Never asked, see `_handle_rtp_data`."""

    async def _send_data(self, data: bytes) -> None:
        # SCTP sends from timers and loose tasks, where an error would have nobody to go to: it counts as packet loss.
        try:
            await super()._send_data(data)
        except (SSL.Error, ConnectionError) as error:
            logger.debug("data was not sent: %r", error)


def _drop(packet: bytes) -> None:
    del packet


def _ignore_rtp(packet: bytes, arrival_us: int) -> None:
    del packet, arrival_us


def _ignore_rtcp(packet: bytes, arrival_us: int) -> None:
    del packet, arrival_us
