"""Data channels (RFC 8831, RFC 8832) on aiortc's SCTP, bytes only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiortc.exceptions import InvalidStateError
from aiortc.rtcdatachannel import RTCDataChannel
from aiortc.rtcsctptransport import RTCSctpTransport

from lknb.errors import LimitExceeded
from lknb.transport.error import TransportError

if TYPE_CHECKING:
    from aiortc.rtcsctptransport import DataChunk

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 262_144
MAX_REMOTE_CHANNELS = 64
"""Channels a peer may open; LiveKit's clients open three."""

_WINDOW_OVERRUN_BYTES = 1 << 20


class SctpTransport(RTCSctpTransport):
    """aiortc's association with a bound on what a peer can make us store."""

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        await super()._receive_data_chunk(chunk)
        if self._advertised_rwnd < -_WINDOW_OVERRUN_BYTES:
            # Only a peer that ignores the window we announce gets here; aiortc would store its data without end.
            logger.warning("an SCTP peer ignores the receive window; its association is closed")
            await self.stop()


class DataChannel:
    """One data channel. `on_message` gets bytes; text messages arrive as UTF-8.

    The callbacks run on the event loop; set them at once, a message without `on_message` is dropped. A fault in one is
    logged and ends nothing.
    """

    def __init__(self, channel: RTCDataChannel) -> None:
        """Of a channel that `PeerTransport` made or was offered."""
        self.on_open: Callable[[], None] | None = None
        self.on_message: Callable[[bytes], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self.on_buffered_low: Callable[[], None] | None = None
        """Called when `buffered_amount_bytes` falls to `buffered_low_threshold_bytes`."""
        self._channel = channel
        channel.on("open", lambda: self._call(self.on_open))
        channel.on("close", lambda: self._call(self.on_close))
        channel.on("bufferedamountlow", lambda: self._call(self.on_buffered_low))
        channel.on("message", self._on_message)

    @property
    def label(self) -> str:
        """The name it was opened with."""
        return self._channel.label

    @property
    def ordered(self) -> bool:
        """Whether messages keep their order."""
        return self._channel.ordered

    @property
    def max_retransmits(self) -> int | None:
        """How often a lost message is sent again; None = until it arrives."""
        return self._channel.maxRetransmits

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._channel.readyState == "open"

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, or closing."""
        return self._channel.readyState in ("closing", "closed")

    @property
    def buffered_amount_bytes(self) -> int:
        """Bytes of messages that wait for the network."""
        return self._channel.bufferedAmount

    @property
    def buffered_low_threshold_bytes(self) -> int:
        """See `on_buffered_low`; 0 at first."""
        return self._channel.bufferedAmountLowThreshold

    @buffered_low_threshold_bytes.setter
    def buffered_low_threshold_bytes(self, value: int) -> None:
        self._channel.bufferedAmountLowThreshold = value

    def send(self, data: bytes) -> None:
        """Queue one message. TransportError when the channel is not open, LimitExceeded above the peer's limit."""
        if len(data) > MAX_MESSAGE_BYTES:
            raise LimitExceeded(f"a message of {len(data)} bytes is above the limit of {MAX_MESSAGE_BYTES}")
        try:
            self._channel.send(data)
        except InvalidStateError:
            raise TransportError(f"the data channel {self.label!r} is not open") from None
        except ValueError as error:
            raise LimitExceeded(str(error)) from None

    def close(self) -> None:
        """Close it on both sides; `on_close` tells when that is done. Idempotent."""
        self._channel.close()

    def _on_message(self, message: bytes | str) -> None:
        data = message.encode() if isinstance(message, str) else message
        if self.on_message is not None:
            try:
                self.on_message(data)
            except Exception:
                logger.exception("a message handler of the data channel %r failed", self.label)

    def _call(self, callback: Callable[[], None] | None) -> None:
        if callback is not None:
            try:
                callback()
            except Exception:
                logger.exception("a handler of the data channel %r failed", self.label)


async def settle() -> None:
    """Let the loose tasks of aiortc's SCTP end: each does so in its first step, because our `_send` never waits."""
    for _ in range(3):
        await asyncio.sleep(0)
