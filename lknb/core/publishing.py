"""The tracks a session sends: announced with AddTrackRequest, negotiated, fed from a source, muted, taken back."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from livekit.protocol import models, rtc

from lknb.core.bandwidth import Bandwidth
from lknb.core.clock import CaptureClock
from lknb.core.connection import Connection
from lknb.core.feed import Feed
from lknb.core.offerer import OfferedSection
from lknb.core.publication import Publication
from lknb.core.rtp_sender import RtpSender
from lknb.core.section import SUPPORTED, payload_types, sending_plan
from lknb.errors import PublishTrackError, UnpublishTrackError
from lknb.transport.error import TransportError

logger = logging.getLogger(__name__)

ANNOUNCE_TIMEOUT_S = 10.0

Reason = rtc.RequestResponse.Reason
_ADVICE = {
    Reason.UNSUPPORTED_TYPE: "the server does not know this type of track or codec",
    Reason.LIMIT_EXCEEDED: "too many tracks are published or waiting: unpublish some first",
    Reason.NOT_FOUND: "the server does not know the track it is added to",
}
_QUALITIES = {
    models.VideoQuality.LOW: "q",
    models.VideoQuality.MEDIUM: "h",
    models.VideoQuality.HIGH: "f",
}


class Publishing:
    """Published tracks of one room, by sid."""

    def __init__(self, connection: Connection, send: Callable[[rtc.SignalRequest], None], *, dynacast: bool) -> None:
        self._connection = connection
        self._send = send
        self.permission = models.ParticipantPermission()
        """What we may do, as the server said last."""
        self._dynacast = dynacast
        self._capture_clock = CaptureClock()
        self._announced: dict[str, asyncio.Future[models.TrackInfo]] = {}
        self._publications: dict[str, Publication] = {}
        self._bandwidth = Bandwidth(connection.publisher.peer.media.outbox, self._publications)
        self._loop = asyncio.get_running_loop()

    def publication(self, sid: str) -> Publication | None:
        """A published track."""
        return self._publications.get(sid)

    def sid_of(self, feed: Feed) -> str | None:
        """What is published of a feed."""
        return next((sid for sid, publication in self._publications.items() if publication.feed is feed), None)

    def stats(self) -> dict[str, list[dict[str, Any]]]:
        """Figures by track sid, a list of streams each."""
        now = time.monotonic()
        available = {"available_outgoing_bitrate_bps": self._bandwidth.available_bps}
        return {
            sid: [stream | available for stream in publication.stats(now)]
            for sid, publication in self._publications.items()
        }

    async def publish(self, feed: Feed, codec: str, request: rtc.AddTrackRequest) -> models.TrackInfo:
        """Announce, negotiate and start one track. Raises `PublishTrackError`; nothing is left then, nor on cancellation."""
        kind = feed.kind
        if codec not in SUPPORTED[kind] or feed.source.codec != codec:
            raise PublishTrackError(f"{kind} cannot be published as {codec!r}: the source makes {feed.source.codec!r}")
        request.cid = str(uuid.uuid4())
        request.type = models.TrackType.AUDIO if kind == "audio" else models.TrackType.VIDEO
        if kind == "video" and not request.simulcast_codecs:
            request.simulcast_codecs.add(codec=codec, cid=request.cid, layers=request.layers)
        info = await self._announce(request)
        _check_open(feed)
        rids = feed.source.rids if len(feed.source.rids) > 1 else ()
        media = self._connection.publisher.peer.media
        sender = RtpSender(
            codec,
            rids,
            self._capture_clock,
            outbox=media.outbox,
            request_keyframe=feed.request_keyframe,
        )
        plan = sending_plan(
            codec, request.cid, rids=rids, ssrcs=sender.ssrcs, cname=media.cname, stereo=feed.source.stereo
        )
        section = self._connection.publisher.add_section(kind, plan)
        try:
            await self._negotiate(section, sender)
            _check_open(feed)
        except BaseException as error:
            self._connection.publisher.end_section(section)
            self._connection.publisher.negotiate_later()
            if isinstance(error, TransportError):
                raise PublishTrackError(f"the track was not published: {error.message}") from error
            raise
        publication = self._publications[info.sid] = Publication(info.sid, feed, sender, section)
        media.add_sender(sender)
        media.on_feedback = self._bandwidth.update
        self._bandwidth.share(time.monotonic())
        self._connection.publisher.peer.wake()
        publication.start(muted=request.muted)
        return info

    async def unpublish(self, sid: str) -> None:
        """Stop one track and tell the server by a new offer. Raises `UnpublishTrackError`."""
        publication = self._publications.pop(sid, None)
        if publication is None:
            raise UnpublishTrackError(f"no track {sid!r} is published here")
        self._stop(publication)
        try:
            await self._connection.publisher.negotiate()
        except TransportError as error:
            raise UnpublishTrackError(f"the server was not told: {error.message}") from error

    def end_feed(self, feed: Feed) -> None:
        """The source is gone: end what is published of it."""
        while (sid := self.sid_of(feed)) is not None:
            self.on_unpublished(sid)

    def mute(self, sid: str, muted: bool) -> None:
        """Hold back the packets of a track, or let them go again, and tell the server. Raises `PublishTrackError`."""
        publication = self._publications.get(sid)
        if publication is None:
            raise PublishTrackError(f"no track {sid!r} is published here")
        publication.set_muted(muted)
        self._bandwidth.share(time.monotonic())
        self._send(rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid=sid, muted=muted)))

    def close(self) -> None:
        """The session is over."""
        for publication in self._publications.values():
            publication.stop()
        self._publications.clear()
        for future in self._announced.values():
            if not future.done():
                future.set_exception(PublishTrackError("the room was left before the track was published"))

    # ------------------------------------------------------------------ what the server says

    def on_published(self, response: rtc.TrackPublishedResponse) -> None:
        """A track we announced is accepted."""
        future = self._announced.get(response.cid)
        if future is not None and not future.done():
            future.set_result(response.track)

    def on_request_response(self, response: rtc.RequestResponse) -> None:
        """A request of ours was refused, or put off; here those for tracks matter."""
        if response.WhichOneof("request") != "add_track" or response.reason in (Reason.OK, Reason.QUEUED):
            return
        future = self._announced.get(response.add_track.cid)
        if future is not None and not future.done():
            not_allowed = response.reason == Reason.NOT_ALLOWED
            advice = self._missing_grant(response.add_track) if not_allowed else _ADVICE.get(response.reason, "")
            name = Reason.Name(response.reason) if response.reason in Reason.values() else str(response.reason)
            text = "; ".join(part for part in (name, response.message, advice) if part)
            future.set_exception(PublishTrackError(f"the server refused the track: {text}"))

    def _missing_grant(self, request: rtc.AddTrackRequest) -> str:
        """What our permission lacks for a track."""
        if not self.permission.can_publish:
            return "the token does not allow to publish at all: it needs the grant can_publish"
        source = models.TrackSource.Name(request.source).lower()
        allowed = ", ".join(models.TrackSource.Name(each).lower() for each in self.permission.can_publish_sources)
        if not allowed:
            return "the token does not allow it"
        if request.source == models.TrackSource.UNKNOWN:
            return f"its grant can_publish_sources has {allowed} only: say which the track is, by TrackPublishOptions(source=...)"
        return f"its grant can_publish_sources has {allowed} only: it needs {source} too"

    def on_muted(self, request: rtc.MuteTrackRequest) -> None:
        """The server mutes a track of ours (an admin did), or lets it go on."""
        publication = self._publications.get(request.sid)
        if publication is not None:
            publication.set_muted(request.muted)
            self._bandwidth.share(time.monotonic())

    def on_unpublished(self, sid: str) -> None:
        """The server has ended a track of ours: the permission is gone."""
        publication = self._publications.pop(sid, None)
        if publication is not None:
            self._stop(publication)
            self._connection.publisher.negotiate_later()

    def on_qualities(self, update: rtc.SubscribedQualityUpdate) -> None:
        """Which layers anybody subscribes to; followed with the dynacast option only."""
        publication = self._publications.get(update.track_sid)
        if publication is None or not self._dynacast:
            return
        codec = publication.sender.codec
        qualities: Iterable[rtc.SubscribedQuality] = next(
            (item.qualities for item in update.subscribed_codecs if item.codec.lower() == codec),
            update.subscribed_qualities,
        )
        wanted = {
            _QUALITIES[quality.quality] for quality in qualities if quality.enabled and quality.quality in _QUALITIES
        }
        publication.enable(_layers(publication.sender.rids, wanted))
        self._bandwidth.share(time.monotonic())

    # ------------------------------------------------------------------ steps

    async def _announce(self, request: rtc.AddTrackRequest) -> models.TrackInfo:
        future: asyncio.Future[models.TrackInfo] = self._loop.create_future()
        self._announced[request.cid] = future
        try:
            self._send(rtc.SignalRequest(add_track=request))
            async with asyncio.timeout(ANNOUNCE_TIMEOUT_S):
                return await future
        except TimeoutError:
            raise PublishTrackError(
                f"the server did not confirm the track within {ANNOUNCE_TIMEOUT_S:g} s: does the token allow publishing?"
            ) from None
        finally:
            del self._announced[request.cid]

    async def _negotiate(self, section: OfferedSection, sender: RtpSender) -> None:
        publisher = self._connection.publisher
        await publisher.negotiate()
        remote = publisher.peer.negotiation.remote
        answered = remote.section(section.mid) if remote is not None else None
        if answered is None or answered.rejected or answered.direction not in ("recvonly", "sendrecv"):
            raise PublishTrackError("the server refused the track's media section")
        types = [number for number, codec in payload_types(answered).items() if codec == sender.codec]
        if not types:
            raise PublishTrackError(f"the server does not take {sender.codec}")
        await self._connection.wait_publisher()
        sender.start(section.mid, types[0], answered.extensions)

    def _stop(self, publication: Publication) -> None:
        publication.stop()
        publisher = self._connection.publisher
        publisher.peer.media.remove_sender(publication.sender)
        publisher.end_section(publication.section)


def _check_open(feed: Feed) -> None:
    if feed.closed:
        raise PublishTrackError("the source ended before its track was published")


def _layers(rids: Iterable[str], wanted: set[str]) -> frozenset[str]:
    """The layers of a track for the qualities wanted: low, medium and high are its layers from below; of fewer layers
    the highest stands for all above it (livekit: pkg/sfu/buffer/videolayerutils.go)."""
    own = tuple(rids)
    if not own:
        return frozenset(("",) if wanted else ())
    order = ("q", "h", "f")
    return frozenset(own[min(order.index(rid), len(own) - 1)] for rid in wanted)
