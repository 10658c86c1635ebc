"""Camera, microphone and screen of ourselves, with the semantics of livekit-client's `setCameraEnabled` and its kin."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lknb.core.capture_message import DEFAULT_SPEAKER
from lknb.errors import LknbError, MediaDevicesError, PublishTrackError
from lknb.rtc.device_bridge import DeviceKind, switch_speaker
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.option import TrackPublishOptions
from lknb.rtc.page_source import (
    AudioCaptureOptions,
    CaptureOptions,
    Device,
    PageSource,
    ScreenShareCaptureOptions,
    VideoCaptureOptions,
)
from lknb.rtc.track import LocalAudioTrack, LocalTrack, LocalVideoTrack
from lknb.rtc.track_publication import LocalTrackPublication

if TYPE_CHECKING:
    from lknb.rtc.core_room import CoreRoom
    from lknb.rtc.source import MediaSource

logger = logging.getLogger(__name__)

SOURCES: dict[Device, TrackSource] = {
    "camera": TrackSource.SOURCE_CAMERA,
    "microphone": TrackSource.SOURCE_MICROPHONE,
    "screen": TrackSource.SOURCE_SCREENSHARE,
    "screen_audio": TrackSource.SOURCE_SCREENSHARE_AUDIO,
}
_OPTIONS: dict[Device, type[Any]] = {
    "camera": VideoCaptureOptions,
    "microphone": AudioCaptureOptions,
    "screen": ScreenShareCaptureOptions,
    "screen_audio": ScreenShareCaptureOptions,
}


class Publisher(Protocol):
    """Whose devices they are: `LocalParticipant`."""

    @property
    def track_publications(self) -> Mapping[str, LocalTrackPublication]: ...
    def get_track_publication(self, source: TrackSource | int) -> object | None: ...
    async def publish_track(
        self, track: LocalTrack | MediaSource, options: TrackPublishOptions | None = None
    ) -> LocalTrackPublication: ...
    async def unpublish_track(self, track_sid: str) -> None: ...
    def _end_publication(self, track_sid: str) -> None: ...


class LocalDevices:
    """The devices of one participant. Everything runs on the room's loop, except `_ended`, `_failed` and `_uses`;
    `tell(error)` is told of every fault, `tell_active(device, device_id)` when another one is in use."""

    def __init__(
        self,
        participant: Publisher,
        core: CoreRoom,
        tell: Callable[[LknbError], None],
        tell_active: Callable[[str, str], None],
    ) -> None:
        self._participant = participant
        self._core = core
        self._tell = tell
        self._tell_active = tell_active
        self._locks: dict[Device, asyncio.Lock] = {device: asyncio.Lock() for device in SOURCES}
        self._chosen: dict[Device, str] = {}
        self._active: dict[str, str] = {"speaker": DEFAULT_SPEAKER}
        self._speaker_lock = asyncio.Lock()
        self._changes: set[asyncio.Future[None]] = set()

    async def enable(
        self,
        device: Device,
        capture: CaptureOptions | None = None,
        publish: TrackPublishOptions | None = None,
        *,
        client: str = "",
    ) -> LocalTrackPublication:
        """Unmute what is published of a device, or publish it. `client` is the page whose button was pressed: what another
        page captures is handed over to it. Raises `MediaDevicesError` and `PublishTrackError`."""
        # a second call waits here for the first, finds what it published, and unmutes it
        async with self._locks[device]:
            try:
                publication = self._published(device)
                source = _page_source(publication)
                if publication is not None and client and source is not None and source.client != client:
                    await self._participant.unpublish_track(publication.sid)
                    publication = None
                if publication is None:
                    return await self._publish(device, capture, publish, client)
                await self._unmute(publication)
                return publication
            except MediaDevicesError as error:
                self._tell(error)
                raise

    async def disable(self, device: Device) -> LocalTrackPublication | None:
        """Mute what is published of a device; of a screen, unpublish it. Nothing happens when there is none."""
        async with self._locks[device]:
            publication = self._published(device)
            if publication is None:
                return None
            if device in ("screen", "screen_audio"):
                await self._participant.unpublish_track(publication.sid)
                return None
            if publication.track is not None:
                publication.track.mute()
            return publication

    def set_muted(self, publication: LocalTrackPublication, muted: bool) -> asyncio.Future[None]:
        """Mute or unmute one publication; done when it is so. What does not come from a page is muted at once."""
        source = _page_source(publication)
        if source is not None:
            change = asyncio.ensure_future(self._set_muted(publication, source.device, muted))
            self._changes.add(change)
            change.add_done_callback(self._changes.discard)
            return change
        if publication.track is not None:
            publication.track._set_muted(muted)
        done: asyncio.Future[None] = self._core.loop.create_future()
        done.set_result(None)
        return done

    async def _set_muted(self, publication: LocalTrackPublication, device: Device, muted: bool) -> None:
        # in turn with `enable` and `disable`: the last wish counts
        async with self._locks[device]:
            try:
                if not muted:
                    await self._unmute(publication)
                elif publication.track is not None:
                    publication.track.mute()
            except MediaDevicesError as error:
                self._tell(error)
                raise

    async def share_screen(
        self, capture: ScreenShareCaptureOptions, publish: TrackPublishOptions | None, *, client: str = ""
    ) -> LocalTrackPublication:
        """Publish a screen, and its sound when that was asked for and is to be had."""
        publication = await self.enable("screen", capture, publish, client=client)
        if capture.audio:
            async with self._locks["screen_audio"]:
                # another call may have published it while this one waited
                if self._published("screen_audio") is None:
                    await self._publish_screen_audio(capture, client)
        return publication

    async def _publish_screen_audio(self, capture: ScreenShareCaptureOptions, client: str) -> None:
        try:
            await self._publish("screen_audio", capture, None, client)
        except MediaDevicesError as error:
            # the person shared something without sound
            logger.debug("the screen is shared without its sound: %s", error)

    async def switch(self, device: Device, device_id: str) -> None:
        """Go on with another device, now and whenever one of the kind is published. Raises `MediaDevicesError`."""
        async with self._locks[device]:
            source = _page_source(self._published(device))
            if source is not None:
                try:
                    await source.switch(device_id)
                except MediaDevicesError as error:
                    self._tell(error)
                    raise
            self._chosen[device] = device_id
            if not self.is_live(device):
                # of one that is live the page tells
                self._use(device, device_id)

    async def switch_speaker(self, device_id: str) -> None:
        """Have the page be heard on another loudspeaker; it tells when it is. Raises `MediaDevicesError`."""
        async with self._speaker_lock:
            try:
                await switch_speaker(self._core.client, self._core.handle, device_id)
            except MediaDevicesError as error:
                self._tell(error)
                raise

    def follow_speaker(self, device_id: str) -> None:
        """The page is heard on another loudspeaker."""
        self._use("speaker", device_id)

    def active(self, device: DeviceKind) -> str:
        """The id of the device that is in use, or was last, or will be; empty when none was yet."""
        return self._active.get(device, "")

    def is_of_page(self, device: Device) -> bool:
        """Whether what is published of a device comes from a page."""
        return _page_source(self._published(device)) is not None

    def is_live(self, device: Device) -> bool:
        """Whether a page captures a device just now, and it is sent."""
        publication = self._published(device)
        return publication is not None and not publication.muted and _page_source(publication) is not None

    def _published(self, device: Device) -> LocalTrackPublication | None:
        found = self._participant.get_track_publication(SOURCES[device])
        return found if isinstance(found, LocalTrackPublication) else None

    async def _publish(
        self, device: Device, capture: CaptureOptions | None, publish: TrackPublishOptions | None, client: str
    ) -> LocalTrackPublication:
        if self._core.closed:
            # no page could help
            raise PublishTrackError("the room is not connected")
        capture = capture if capture is not None else _OPTIONS[device]()
        if isinstance(capture, VideoCaptureOptions | AudioCaptureOptions) and not capture.device_id:
            capture = dataclasses.replace(capture, device_id=self._chosen.get(device, ""))
        source = PageSource(
            device,
            self._core.handle,
            capture,
            any_codec=publish is None,
            client=client,
            on_ended=self._ended,
            on_fault=self._failed,
            on_device=self._uses,
        )
        make = LocalVideoTrack.create_video_track if source.kind == "video" else LocalAudioTrack.create_audio_track
        options = dataclasses.replace(publish or TrackPublishOptions(), source=SOURCES[device])
        publication = await self._participant.publish_track(make(device, source), options)
        if source.ended is not None:
            # we heard of that before we knew of the publication
            self._drop(source)
            raise MediaDevicesError(source.ended, device, "closed")
        return publication

    async def _unmute(self, publication: LocalTrackPublication) -> None:
        track = publication.track
        if track is None or not track.muted:
            return
        source = _page_source(publication)
        if source is not None:
            await source.acquire()
        track.unmute()

    def _ended(self, source: PageSource) -> None:
        self._core.call(self._drop, source)

    def _failed(self, source: PageSource, error: MediaDevicesError) -> None:
        self._core.call(self._fail, source, error)

    def _uses(self, source: PageSource, device_id: str) -> None:
        self._core.call(self._use, source.device, device_id)

    def _use(self, device: Device | DeviceKind, device_id: str) -> None:
        if device in ("camera", "microphone", "speaker") and device_id != self._active.get(device):
            self._active[device] = device_id
            self._tell_active(device, device_id)

    def _drop(self, source: PageSource) -> None:
        for sid, publication in self._participant.track_publications.items():
            if publication.track is not None and publication.track._source is source:
                self._participant._end_publication(sid)

    def _fail(self, source: PageSource, error: MediaDevicesError) -> None:
        self._tell(error)
        for publication in self._participant.track_publications.values():
            if publication.track is not None and publication.track._source is source:
                publication.track.mute()


def _page_source(publication: LocalTrackPublication | None) -> PageSource | None:
    """What of a page it is made from, if it is."""
    source = publication.track._source if publication is not None and publication.track is not None else None
    return source if isinstance(source, PageSource) else None
