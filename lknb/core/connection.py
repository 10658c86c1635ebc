"""The peer connections of one session: one for everything (`/rtc/v1`), or a publisher and a subscriber (`/rtc`)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from livekit.protocol import rtc

from lknb.core.answerer import Answerer
from lknb.core.data import DataLink
from lknb.core.media_session import MediaSession
from lknb.core.offerer import Offerer
from lknb.core.peer_connection import PeerConnection
from lknb.core.section import AUDIO_SECTIONS, VIDEO_SECTIONS, receiving_plan
from lknb.logic.negotiation import SectionPlan
from lknb.transport.ice_server import IceServer
from lknb.wire.sdp import SessionDescription

logger = logging.getLogger(__name__)

SUBSCRIBER = rtc.SignalTarget.SUBSCRIBER
_REQUIRED_SECTIONS_MAX = 50

OnTracks = Callable[[MediaSession, SessionDescription, Mapping[str, str]], None]


@dataclass(slots=True)
class ConnectionSettings:
    """What both kinds are made with. `on_tracks` gets each description of the server that may send tracks."""

    loopback: bool
    cname: str
    data: DataLink
    send: Callable[[rtc.SignalRequest], None]
    on_tracks: OnTracks
    on_failed: Callable[[str], None]
    ice_servers: Sequence[IceServer] = ()
    relay_only: bool = False

    def peer(self, *, controlling: bool) -> PeerConnection:
        """A new peer connection."""
        return PeerConnection(
            loopback=self.loopback,
            controlling=controlling,
            cname=self.cname,
            ice_servers=self.ice_servers,
            relay_only=self.relay_only,
            on_failed=self.on_failed,
        )


class Connection(Protocol):
    """What a session does with its peer connections."""

    single: bool
    publisher: Offerer

    async def begin(self, join: rtc.JoinResponse) -> None:
        """The server has accepted us: connect."""

    async def wait_connected(self) -> None:
        """Return when the primary connection is up. Raises `TransportError`."""

    async def wait_publisher(self) -> None:
        """Return when packets can be sent. Raises `TransportError`."""

    def handle_offer(self, offer: rtc.SessionDescription) -> None:
        """The server offers."""

    def require_sections(self, requirement: rtc.MediaSectionsRequirement) -> None:
        """The server wants more sections to send on, or just a new offer."""

    async def add_candidate(self, trickle: rtc.TrickleRequest) -> None:
        """The server trickles a candidate."""

    async def close(self) -> None:
        """Release everything. Idempotent."""


class SingleConnection:
    """One peer connection; we offer, with spare sections for the server's tracks."""

    single = True

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._peer = settings.peer(controlling=True)
        self.publisher = Offerer(self._peer, self._send_offer, self._on_answer)
        self._offered = False

    async def open(self) -> None:
        """Bind the sockets and lay out the first offer. Raises `TransportError`."""
        await self._peer.open()
        self._settings.data.create_channels(self._peer.transport)
        self._peer.on_data_channel = self._settings.data.adopt
        for kind, count in (("audio", AUDIO_SECTIONS), ("video", VIDEO_SECTIONS)):
            for _ in range(count):
                self.publisher.add_section(kind, receiving_plan(kind))
        self.publisher.add_section("application", SectionPlan("sendrecv"))

    def first_offer(self) -> rtc.SessionDescription:
        """The offer for the join request."""
        self._offered = True
        return self.publisher.first_offer()

    async def begin(self, join: rtc.JoinResponse) -> None:
        del join
        if not self._offered:
            self.publisher.negotiate_later()

    async def wait_connected(self) -> None:
        await self._peer.wait_connected()

    async def wait_publisher(self) -> None:
        await self._peer.wait_connected()

    def handle_offer(self, offer: rtc.SessionDescription) -> None:
        logger.warning("the server offered %d bytes of SDP on a single peer connection", len(offer.sdp))

    def require_sections(self, requirement: rtc.MediaSectionsRequirement) -> None:
        for kind, count in (("audio", requirement.num_audios), ("video", requirement.num_videos)):
            for _ in range(min(count, _REQUIRED_SECTIONS_MAX)):
                self.publisher.add_section(kind, receiving_plan(kind))
        self.publisher.negotiate_later()

    async def add_candidate(self, trickle: rtc.TrickleRequest) -> None:
        await self._peer.add_candidate(_candidate_of(trickle), final=trickle.final)

    async def close(self) -> None:
        await self.publisher.close()
        await self._peer.close()

    def _send_offer(self, offer: rtc.SessionDescription) -> None:
        self._settings.send(rtc.SignalRequest(offer=offer))

    def _on_answer(self, answer: SessionDescription, mid_to_track_sid: Mapping[str, str]) -> None:
        self._settings.on_tracks(self._peer.media, answer, mid_to_track_sid)
        self._peer.wake()


class DualConnection:
    """A publisher connection that we offer and a subscriber connection that the server offers."""

    single = False

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._publisher_peer = settings.peer(controlling=True)
        self._subscriber_peer = settings.peer(controlling=False)
        self._subscriber_primary = True
        self._published = False
        self.publisher = Offerer(self._publisher_peer, self._send_offer, _no_tracks)
        self._subscriber = Answerer(self._subscriber_peer, self._send_answer, self._on_offer)

    async def open(self) -> None:
        """Bind the sockets. Raises `TransportError`."""
        await self._publisher_peer.open()
        await self._subscriber_peer.open()
        self._settings.data.create_channels(self._publisher_peer.transport)
        self._publisher_peer.on_data_channel = self._settings.data.adopt
        self._subscriber_peer.on_data_channel = self._settings.data.adopt
        self.publisher.add_section("application", SectionPlan("sendrecv"))

    async def begin(self, join: rtc.JoinResponse) -> None:
        self._subscriber_primary = join.subscriber_primary
        if join.fast_publish or not join.subscriber_primary:
            self._published = True
            self.publisher.negotiate_later()

    async def wait_connected(self) -> None:
        primary = self._subscriber_peer if self._subscriber_primary else self._publisher_peer
        await primary.wait_connected()

    async def wait_publisher(self) -> None:
        if not self._published:
            self._published = True
            self.publisher.negotiate_later()
        await self._publisher_peer.wait_connected()

    def handle_offer(self, offer: rtc.SessionDescription) -> None:
        self._subscriber.handle_offer(offer)

    def require_sections(self, requirement: rtc.MediaSectionsRequirement) -> None:
        logger.warning("the server asked for media sections on two peer connections: %s", requirement)

    async def add_candidate(self, trickle: rtc.TrickleRequest) -> None:
        peer = self._subscriber_peer if trickle.target == SUBSCRIBER else self._publisher_peer
        await peer.add_candidate(_candidate_of(trickle), final=trickle.final)

    async def close(self) -> None:
        await self.publisher.close()
        await self._subscriber.close()
        await self._publisher_peer.close()
        await self._subscriber_peer.close()

    def _send_offer(self, offer: rtc.SessionDescription) -> None:
        self._settings.send(rtc.SignalRequest(offer=offer))

    def _send_answer(self, answer: rtc.SessionDescription) -> None:
        self._settings.send(rtc.SignalRequest(answer=answer))

    def _on_offer(self, offer: SessionDescription, mid_to_track_sid: Mapping[str, str]) -> None:
        self._settings.on_tracks(self._subscriber_peer.media, offer, mid_to_track_sid)
        self._subscriber_peer.wake()


def _no_tracks(answer: SessionDescription, mid_to_track_sid: Mapping[str, str]) -> None:
    """Nothing is received on the publisher connection."""
    del answer, mid_to_track_sid


def _candidate_of(trickle: rtc.TrickleRequest) -> str:
    """The candidate in the JSON of an RTCIceCandidateInit; empty when there is none."""
    try:
        init = json.loads(trickle.candidateInit)
    except (ValueError, RecursionError):
        return ""
    candidate = init.get("candidate") if isinstance(init, dict) else None
    return candidate if isinstance(candidate, str) else ""
