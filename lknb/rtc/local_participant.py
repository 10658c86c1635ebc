"""Ourselves in a room: what we publish, send, and say about ourselves."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from livekit.protocol import models, rtc

from lknb.errors import (
    CoreError,
    DisconnectedError,
    LknbError,
    MediaDevicesError,
    PublishDataError,
    PublishTrackError,
    RequestError,
    UnpublishTrackError,
)
from lknb.logic.member import Member, TrackEntry
from lknb.logic.roster import Roster
from lknb.logic.roster_event import RosterEvent
from lknb.rtc.capturing_participant import CapturingParticipant
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.data_packet import (
    Transcription,
    build_dtmf_packet,
    build_transcription_packet,
    build_user_packet,
)
from lknb.rtc.option import ParticipantTrackPermission, TrackPublishOptions, check_publish_options
from lknb.rtc.source import Encoding, MediaSource
from lknb.rtc.track import LocalAudioTrack, LocalTrack, LocalTrackBase, LocalVideoTrack
from lknb.rtc.track_publication import LocalTrackPublication
from lknb.rtc.track_request import build_track_request

logger = logging.getLogger(__name__)

_REQUEST_TIMEOUT_S = 5.0
Reason = rtc.RequestResponse.Reason


@dataclass(frozen=True, slots=True)
class _Published:
    """What stands behind one publication."""

    publication: LocalTrackPublication
    source: MediaSource
    handle: int


class LocalParticipant(CapturingParticipant):
    """Ourselves."""

    def __init__(
        self,
        member: Member,
        core: CoreRoom,
        roster: Roster,
        tell_room: Callable[..., None],
        tell_roster_events: Callable[[Sequence[RosterEvent]], None],
    ) -> None:
        super().__init__(member, core, tell_room)
        self._core = core
        self._roster = roster
        self._tell_roster_events = tell_roster_events
        self._published: dict[str, _Published] = {}
        self._publishing: set[LocalTrackBase] = set()
        self._request_ids = itertools.count(1)
        self._requests: dict[int, asyncio.Future[rtc.RequestResponse]] = {}
        self._releases: set[asyncio.Task[None]] = set()

    @property
    def track_publications(self) -> Mapping[str, LocalTrackPublication]:
        """Our publications by track sid."""
        return {sid: published.publication for sid, published in self._published.items()}

    async def publish_track(
        self, track: LocalTrack | MediaSource, options: TrackPublishOptions | None = None
    ) -> LocalTrackPublication:
        """Publish a track, or a source (`VideoSource`, `TestPattern`, ...), which becomes a track named after its kind.

        Raises PublishTrackError: refused by the server, already published, an option that is none, a codec or a source that does
        not work, or no room to publish in. When cancelled, nothing is published.
        """
        options = options if options is not None else TrackPublishOptions()
        local = _as_track(track)
        if local.sid or local in self._publishing:
            raise PublishTrackError(f"track {local.name!r} is published already")
        self._publishing.add(local)
        try:
            info, handle = await self._add_track(local, options)
        except (MediaDevicesError, PublishTrackError):
            raise
        except LknbError as error:
            raise PublishTrackError(error.message) from error
        except (TypeError, ValueError, OverflowError) as error:
            # an option, or a setting of the source, of the wrong type
            raise PublishTrackError(f"the track cannot be published as asked: {error}") from error
        finally:
            self._publishing.discard(local)
        return self._keep(local, info, handle)

    async def unpublish_track(self, track_sid: str) -> None:
        """Stop publishing a track, by the sid of its publication.

        Raises UnpublishTrackError when it is not published, or there is no room any more.
        """
        if track_sid not in self._published:
            raise UnpublishTrackError(f"no track {track_sid!r} is published")
        try:
            await self._core.request("unpublish", {"sid": track_sid})
        except (CoreError, DisconnectedError) as error:
            raise UnpublishTrackError(error.message) from error
        finally:
            # the core sends it no longer, whatever became of the request
            self._roster.remove_local_track(track_sid)
            published = self._drop(track_sid)
            if published is not None:
                await published.source.release(published.handle)

    async def publish_data(
        self,
        payload: bytes | str,
        *,
        reliable: bool = True,
        destination_identities: Sequence[str] = (),
        topic: str = "",
    ) -> None:
        """Send data to everybody, or to those listed; text is sent as UTF-8.

        Raises PublishDataError, also for a payload larger than LiveKit takes (64,000 bytes with its envelope).
        """
        packet = build_user_packet(payload, reliable, destination_identities, topic)
        await self._send_packet(packet, reliable=reliable)

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        """Send a telephone key. Raises PublishDataError."""
        await self._send_packet(build_dtmf_packet(code, digit), reliable=True)

    async def publish_transcription(self, transcription: Transcription) -> None:
        """Send what was said on a track. Raises PublishDataError."""
        await self._send_packet(build_transcription_packet(transcription), reliable=True)

    async def set_metadata(self, metadata: str) -> None:
        """Change our metadata; needs the grant can_update_own_metadata. Raises RequestError when the server refuses."""
        await self._update(metadata=metadata)

    async def set_name(self, name: str) -> None:
        """Change our name; needs the grant can_update_own_metadata. Raises RequestError when the server refuses."""
        await self._update(name=name)

    async def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Set some of our attributes, an empty value deletes one; needs the grant can_update_own_metadata.

        Raises RequestError when the server refuses.
        """
        await self._update(attributes=attributes)

    def set_track_subscription_permissions(
        self,
        *,
        allow_all_participants: bool,
        participant_permissions: Sequence[ParticipantTrackPermission] | None = None,
    ) -> None:
        """Say who may subscribe to our tracks: everybody, or those listed and nobody else.

        Replaces what was said before. A track published later is covered by `allow_all` only. Raises ValueError for a
        permission without an identity: servers pass over all that was said with it.
        """
        permission = rtc.SubscriptionPermission(all_participants=allow_all_participants)
        for each in participant_permissions or ():
            if not each.participant_identity:
                raise ValueError("a ParticipantTrackPermission needs a participant_identity")
            permission.track_permissions.add(
                participant_identity=each.participant_identity,
                all_tracks=each.allow_all,
                track_sids=each.allowed_track_sids,
            )
        self._core.send_signal(rtc.SignalRequest(subscription_permission=permission))

    async def _add_track(self, track: LocalTrackBase, options: TrackPublishOptions) -> tuple[models.TrackInfo, int]:
        check_publish_options(options)
        source = track._source
        opened = await source.open(self._core.client, Encoding.of(source.kind, options))
        try:
            request = build_track_request(track.name, opened, options, muted=track.muted)
            header = {"source": opened.handle, "codec": opened.codec}
            _, buffers = await self._core.request("publish", header, [request.SerializeToString()])
            if self._core.closed:
                raise DisconnectedError("the room was left meanwhile")
            return models.TrackInfo.FromString(buffers[0]), opened.handle
        except BaseException:
            await source.release(opened.handle)
            raise

    def _keep(self, track: LocalTrackBase, info: models.TrackInfo, handle: int) -> LocalTrackPublication:
        entry, early = self._roster.add_local_track(info)
        publication = LocalTrackPublication(entry, self._devices.set_muted)
        publication._track, publication._participant = track, self
        track._publication = publication
        self._published[entry.sid] = _Published(publication, track._source, handle)
        track._publish(entry, self._core, self._member, lambda muted: self._core.call(self._mute, entry, muted))
        self._tell_room("local_track_published", publication, track)
        self._tell("local_track_published", publication)
        self._tell_roster_events(early)
        return publication

    def _mute(self, entry: TrackEntry, muted: bool) -> None:
        published = self._published.get(entry.sid)
        if published is None:
            return
        self._core.send("mute", {"sid": entry.sid, "muted": muted})
        name = "track_muted" if muted else "track_unmuted"
        publication = published.publication
        for emitter in (publication, publication.track):
            if emitter is not None:
                emitter._tell("muted" if muted else "unmuted")
        self._tell(name, publication)
        self._tell_room(name, self, publication)

    def _drop(self, track_sid: str) -> _Published | None:
        """Forget a publication and tell so; its source is still open."""
        published = self._published.pop(track_sid, None)
        if published is None:
            return None
        publication = published.publication
        self._tell_room("local_track_unpublished", publication)
        self._tell("local_track_unpublished", publication)
        track, publication._track = publication.track, None
        if track is not None:
            track._end()
        publication._tell("ended")
        publication._fail_waits("the track was unpublished")
        return published

    def _end_publication(self, track_sid: str) -> None:
        """The source is gone, and the core has unpublished the track already."""
        self._roster.remove_local_track(track_sid)
        self._drop_by_server(track_sid)

    def _drop_by_server(self, track_sid: str) -> None:
        """A publication is over, and nobody waits for its source to be closed."""
        published = self._drop(track_sid)
        if published is not None:
            self._release_later(published)

    def _end(self, reason: str) -> None:
        super()._end(reason)
        for track_sid in list(self._published):
            self._drop_by_server(track_sid)
        for request in self._requests.values():
            if not request.done():
                request.set_exception(DisconnectedError(reason))

    def _release_later(self, published: _Published) -> None:
        task = asyncio.ensure_future(published.source.release(published.handle))
        self._releases.add(task)
        task.add_done_callback(self._released)

    def _released(self, task: asyncio.Task[None]) -> None:
        self._releases.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.warning("a source could not be closed: %s", task.exception())

    async def _wait_released(self) -> None:
        if self._releases:
            await asyncio.wait(self._releases)

    async def _send_packet(self, packet: models.DataPacket, *, reliable: bool) -> None:
        try:
            await self._core.request("data", {"reliable": reliable}, [packet.SerializeToString()])
        except (CoreError, DisconnectedError) as error:
            raise PublishDataError(error.message) from error

    async def _update(
        self, *, metadata: str | None = None, name: str | None = None, attributes: Mapping[str, str] | None = None
    ) -> None:
        # name and metadata travel together: what is not changed is repeated
        update = rtc.UpdateParticipantMetadata(
            metadata=self.metadata if metadata is None else metadata,
            name=self.name if name is None else name,
            attributes=attributes or {},
            request_id=next(self._request_ids),
        )
        answered = self._requests[update.request_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                message = rtc.SignalRequest(update_metadata=update)
                await self._core.request("signal", buffers=[message.SerializeToString()])
                response = await answered
        except TimeoutError:
            raise RequestError("the server did not answer", "timeout") from None
        finally:
            del self._requests[update.request_id]
        if response.reason != Reason.OK:
            reason = Reason.Name(response.reason).lower()
            raise RequestError(response.message or f"the server refused: {reason}", reason)

    def _settle_request(self, response: rtc.RequestResponse) -> None:
        answered = self._requests.get(response.request_id)
        if answered is not None and not answered.done() and response.reason != Reason.QUEUED:
            answered.set_result(response)


def _as_track(track: LocalTrack | MediaSource) -> LocalTrackBase:
    if isinstance(track, LocalTrackBase):
        return track
    kind = getattr(track, "kind", None)
    if kind == "video":
        return LocalVideoTrack.create_video_track(kind, track)
    if kind == "audio":
        return LocalAudioTrack.create_audio_track(kind, track)
    if hasattr(track, "video") and hasattr(track, "audio"):
        raise PublishTrackError(f"{track!r} has two tracks: publish its .video, its .audio, or both")
    raise PublishTrackError(
        f"a {type(track).__name__} is neither a local track nor a source of media: publish a rtc.VideoSource(width, height) "
        "or rtc.AudioSource(rate, channels), and give it arrays by capture_frame; files are lknb.MediaFile"
    )
