"""Data packets over `_reliable` and `_lossy`: numbering, back-pressure, and no packet twice.

LiveKit: client-sdk-js src/room/data-channel. Reliable packets are numbered from 1; a receiver drops what is not above the
last number it saw of a participant.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from google.protobuf.message import DecodeError
from livekit.protocol import models

from lknb import limits
from lknb.errors import LimitExceeded, PublishDataError
from lknb.transport.data_channel import DataChannel
from lknb.transport.error import TransportError
from lknb.transport.peer import PeerTransport

logger = logging.getLogger(__name__)

RELIABLE, LOSSY = "_reliable", "_lossy"
OPEN_TIMEOUT_S = 10.0
RELIABLE_BUFFER_BYTES = 1024 * 1024
LOSSY_BUFFER_BYTES = 256 * 1024
_SENDERS_REMEMBERED = 1_000


class DataLink:
    """The data channels of one session. `on_packet(reliable, serialised DataPacket)` gets what arrives."""

    def __init__(self, on_packet: Callable[[bool, bytes], None]) -> None:
        self.lossy_dropped = 0
        """Lossy packets not sent because too much was waiting."""
        self._on_packet = on_packet
        self._channels: dict[str, DataChannel] = {}
        self._progress = asyncio.Event()
        self._order = asyncio.Lock()
        self._sequence = 0
        self._last_seen: OrderedDict[str, int] = OrderedDict()
        self._closed = False

    def create_channels(self, transport: PeerTransport) -> None:
        """Open our channels on the connection we offer; they receive, too."""
        self._use(transport.create_data_channel(RELIABLE, ordered=True))
        self._use(transport.create_data_channel(LOSSY, ordered=False, max_retransmits=0))

    def adopt(self, channel: DataChannel) -> None:
        """Receive on a channel the server opened. Others than the two are closed."""
        if channel.label in (RELIABLE, LOSSY):
            self._listen(channel)
        elif channel.label != "_data_track":
            channel.close()

    async def send(self, packet: bytes, *, reliable: bool) -> None:
        """Send one serialised `DataPacket`; return when it is handed to the network's queue.

        Waits for the channel to open and, if `reliable`, for room in its queue; a lossy packet is dropped and counted
        when the queue is full. Raises `PublishDataError`.
        """
        if len(packet) > limits.DATA_PACKET_BYTES:
            raise PublishDataError(
                f"a data packet of {len(packet)} bytes is above the limit of {limits.DATA_PACKET_BYTES}: send it "
                "in several packets"
            )
        label = RELIABLE if reliable else LOSSY
        if not reliable:
            await self._wait_open(label)
            if self._channels[label].buffered_amount_bytes > LOSSY_BUFFER_BYTES:
                self.lossy_dropped += 1
            else:
                self._send(label, packet)
            return
        async with self._order:
            await self._wait_open(label)
            while self._channels[label].buffered_amount_bytes > RELIABLE_BUFFER_BYTES:
                await self._wait_progress()
            numbered = models.DataPacket.FromString(packet)
            numbered.sequence = self._sequence + 1
            self._send(label, numbered.SerializeToString())
            self._sequence += 1

    def close(self) -> None:
        """Let everybody who waits fail."""
        self._closed = True
        self._wake()

    def _use(self, channel: DataChannel) -> None:
        self._channels[channel.label] = channel
        channel.on_open = self._wake
        channel.on_close = self._wake
        channel.on_buffered_low = self._wake
        channel.buffered_low_threshold_bytes = RELIABLE_BUFFER_BYTES // 4
        self._listen(channel)

    def _listen(self, channel: DataChannel) -> None:
        reliable = channel.label == RELIABLE
        channel.on_message = lambda data: self._receive(reliable, data)

    def _send(self, label: str, packet: bytes) -> None:
        try:
            self._channels[label].send(packet)
        except (TransportError, LimitExceeded) as error:
            raise PublishDataError(f"the data packet was not sent: {error}") from error

    async def _wait_open(self, label: str) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                while not (label in self._channels and self._channels[label].is_open):
                    await self._wait_progress()
        except TimeoutError:
            raise PublishDataError(f"the data channel did not open within {OPEN_TIMEOUT_S:g} s") from None

    async def _wait_progress(self) -> None:
        if self._closed:
            raise PublishDataError("the room was left before the data packet was sent")
        self._progress.clear()
        await self._progress.wait()
        if self._closed:
            raise PublishDataError("the room was left before the data packet was sent")

    def _wake(self) -> None:
        self._progress.set()

    def _receive(self, reliable: bool, data: bytes) -> None:
        if reliable and not self._is_new(data):
            return
        self._on_packet(reliable, data)

    def _is_new(self, data: bytes) -> bool:
        try:
            packet = models.DataPacket.FromString(data)
        except DecodeError:
            logger.warning("a data packet cannot be read")
            return False
        if packet.sequence == 0 or not packet.participant_sid:
            return True  # of the server API, or of a server that does not number
        if packet.sequence <= self._last_seen.get(packet.participant_sid, 0):
            return False
        self._last_seen[packet.participant_sid] = packet.sequence
        self._last_seen.move_to_end(packet.participant_sid)
        if len(self._last_seen) > _SENDERS_REMEMBERED:
            self._last_seen.popitem(last=False)
        return True
