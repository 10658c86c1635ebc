"""What flows between a publisher and a server, counted in a relay between them."""

from __future__ import annotations

import asyncio
import time

from lknb.transport.udp import Address
from tests.kit.relay import UdpRelay

IDLE_BYTES_S = 1_500
"""What a connection says without media: consent checks, reports and feedback of two tracks."""


class Meter:
    """Bytes of media that the server got from the publisher, and sent to it: a relay between them sees every datagram."""

    def __init__(self, relay: UdpRelay) -> None:
        self.bytes = self.rtp = 0
        hand_on = relay.received

        def count(packet: bytes, client: Address, arrival_us: int) -> None:
            self.bytes += len(packet)
            # RFC 7983, and RFC 5761 for what is RTCP
            self.rtp += 128 <= packet[0] < 192 and not 192 <= packet[1] <= 223
            hand_on(packet, client, arrival_us)

        relay.received = count  # type: ignore[method-assign]

    async def second(self) -> tuple[int, int]:
        """Bytes a second, and RTP packets, in a second from now: in a longer one when the machine is busy."""
        before, began = (self.bytes, self.rtp), time.monotonic()
        await asyncio.sleep(1)
        return round((self.bytes - before[0]) / (time.monotonic() - began)), self.rtp - before[1]
