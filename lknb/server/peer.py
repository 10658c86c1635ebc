"""What a participant asks of its peer connections, whichever signalling it uses.

dual.py      `/rtc`: the client offers what it publishes, the server offers what it forwards, on two connections
single.py    `/rtc/v1`: one connection on which only the client offers
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from livekit.protocol import rtc

    from lknb.server.publication import Publication
    from lknb.server.subscription import Subscription


class Peer(Protocol):
    """The peer connections of one participant."""

    async def open(self) -> None:
        """The participant has joined: begin."""

    async def handle_offer(self, offer: rtc.SessionDescription) -> None:
        """The client offers. Raises WireError, and keeps the old session, for what cannot be read."""

    async def handle_answer(self, answer: rtc.SessionDescription) -> None:
        """The client answers."""

    async def add_candidate(self, target: rtc.SignalTarget, candidate: str) -> None:
        """The client trickles a candidate."""

    def uplink_pending(self) -> None:
        """A track was announced; its section may be waiting for it."""

    def end_publication(self, publication: Publication) -> None:
        """Take nothing more of a track that is published."""

    def subscribe(self, subscription: Subscription) -> None:
        """Negotiate a subscription, then start it."""

    def unsubscribe(self, subscription: Subscription) -> None:
        """Free the section of a subscription that has ended."""

    def send_data(self, label: str, raw: bytes) -> None:
        """Send on one of the data channels towards the client."""

    def restart(self) -> None:
        """The client resumed: renew the paths that are ours to renew."""

    def tick(self, now: float) -> None:
        """Timers."""

    async def close(self) -> None:
        """Release everything."""
