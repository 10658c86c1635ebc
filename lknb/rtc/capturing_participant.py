"""What we can say of ourselves about the camera, the microphone, the screen and the loudspeaker of the page."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from lknb.errors import LknbError, MediaDevicesError
from lknb.logic.member import Member
from lknb.rtc.argument import check_flag
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.device_bridge import DeviceKind
from lknb.rtc.local_device import LocalDevices
from lknb.rtc.option import TrackPublishOptions, check_publish_options
from lknb.rtc.page_source import AudioCaptureOptions, ScreenShareCaptureOptions, VideoCaptureOptions, check_capture
from lknb.rtc.participant import Participant
from lknb.rtc.source import MediaSource
from lknb.rtc.track import LocalTrack
from lknb.rtc.track_publication import LocalTrackPublication

_DEVICE_KINDS: Mapping[str, DeviceKind] = {
    "camera": "camera",
    "microphone": "microphone",
    "speaker": "speaker",
    "videoinput": "camera",
    "audioinput": "microphone",
    "audiooutput": "speaker",
}


class CapturingParticipant(Participant):
    """The part of `LocalParticipant` that is about devices; the names are those of livekit-client."""

    def __init__(self, member: Member, core: CoreRoom, tell_room: Callable[..., None]) -> None:
        super().__init__(member)
        self._tell_room = tell_room
        self._devices = LocalDevices(
            self, core, self._tell_fault, lambda kind, device_id: tell_room("active_device_changed", kind, device_id)
        )

    @property
    @abstractmethod
    def track_publications(self) -> Mapping[str, LocalTrackPublication]:
        """Our publications by track sid."""

    @abstractmethod
    async def publish_track(
        self, track: LocalTrack | MediaSource, options: TrackPublishOptions | None = None
    ) -> LocalTrackPublication:
        """Publish a track, or a source."""

    @abstractmethod
    async def unpublish_track(self, track_sid: str) -> None:
        """Stop publishing a track."""

    @abstractmethod
    def _end_publication(self, track_sid: str) -> None: ...

    def _tell_fault(self, error: LknbError) -> None:
        self._tell_room("media_devices_error", error)
        self._tell("media_devices_error", error)

    async def set_camera_enabled(
        self,
        enabled: bool,
        capture: VideoCaptureOptions | None = None,
        publish: TrackPublishOptions | None = None,
    ) -> LocalTrackPublication | None:
        """Publish the camera of the page, or unmute it; with False mute it, which lets go of the device (livekit-client).

        The page asks for permission the first time, and the call waits for the answer. Gives the publication, None when
        there is none. A camera that was published from another source is muted and unmuted all the same. Without
        `publish` the browser encodes H264, or VP8 if it must.

        Raises MediaDevicesError, whose text says what to do, and PublishTrackError; TypeError or ValueError for arguments
        that are none.
        """
        _check(enabled, capture, VideoCaptureOptions, publish)
        if enabled:
            return await self._devices.enable("camera", capture, publish)
        return await self._devices.disable("camera")

    async def set_microphone_enabled(
        self,
        enabled: bool,
        capture: AudioCaptureOptions | None = None,
        publish: TrackPublishOptions | None = None,
    ) -> LocalTrackPublication | None:
        """As `set_camera_enabled`, for the microphone; muted it sends nothing, and the page keeps the device."""
        _check(enabled, capture, AudioCaptureOptions, publish)
        if enabled:
            return await self._devices.enable("microphone", capture, publish)
        return await self._devices.disable("microphone")

    async def set_screen_share_enabled(
        self,
        enabled: bool,
        capture: ScreenShareCaptureOptions | None = None,
        publish: TrackPublishOptions | None = None,
    ) -> LocalTrackPublication | None:
        """Publish a screen, a window or a tab, which the person chooses; with False unpublish it, and its sound.

        Browsers want a click or a key just before: where there was none, the buttons of `ControlBar` ask for a click, and
        the call waits for it, a minute at most. Raises as `set_camera_enabled`.
        """
        _check(enabled, capture, ScreenShareCaptureOptions, publish)
        if enabled:
            return await self._devices.share_screen(capture or ScreenShareCaptureOptions(), publish)
        await self._devices.disable("screen_audio")
        return await self._devices.disable("screen")

    async def enable_camera_and_microphone(self) -> tuple[LocalTrackPublication, LocalTrackPublication]:
        """Publish camera and microphone with one question to the person. Raises as `set_camera_enabled`; what could be
        had stays published then."""
        # two wishes that reach the page at once are one question
        async with asyncio.TaskGroup() as group:
            wishes = [group.create_task(_outcome(self._devices.enable(it))) for it in ("camera", "microphone")]
        (camera, camera_error), (microphone, microphone_error) = (wish.result() for wish in wishes)
        if camera is None or microphone is None:
            raise camera_error or microphone_error or MediaDevicesError("nothing was published")
        return camera, microphone

    async def switch_active_device(self, kind: str, device_id: str) -> None:
        """Go on with another camera or microphone, by an id of `lknb.devices()`; also for the next time one is enabled. Or
        have the page that shows `ControlBar` be heard on another loudspeaker: all of its sound, that of other rooms too, until
        its tab is closed. The id `"default"`, or an empty one, leaves the choice of that to the browser.

        When the device in use is unplugged another one of the kind takes over; a camera that was chosen is muted instead, and
        so is what has no other, with `media_devices_error` (livekit-client). `active_device_changed` tells which is in use.

        `kind` is `"camera"`, `"microphone"` or `"speaker"`, or livekit-client's `"videoinput"`, `"audioinput"` and
        `"audiooutput"`. Raises MediaDevicesError, and keeps the device there was: for a loudspeaker with the reason
        `"unsupported"` where the browser lets no page choose (Firefox, Safari), `"not_found"` for an id of none. ValueError
        for another kind.
        """
        device = _device_of(kind)
        if not isinstance(device_id, str):
            raise ValueError(f"the id of a device is a text, as lknb.devices() lists them, not {device_id!r}")
        if device == "speaker":
            await self._devices.switch_speaker(device_id)
        else:
            await self._devices.switch(device, device_id)

    def get_active_device(self, kind: str) -> str:
        """The id of the camera or microphone that is in use, or that was chosen for the next time; empty when the page has
        used none yet. Of the loudspeaker in use, `"default"` for the browser's choice. `kind` as for
        `switch_active_device`."""
        return self._devices.active(_device_of(kind))


def _check(enabled: bool, capture: object, kind: type, publish: object) -> None:
    check_flag("enabled", enabled)
    if capture is not None:
        check_capture(capture, kind)
    if publish is not None:
        check_publish_options(publish)


def _device_of(kind: str) -> DeviceKind:
    device = _DEVICE_KINDS.get(kind) if isinstance(kind, str) else None
    if device is None:
        raise ValueError(f"a device that can be switched is {' or '.join(_DEVICE_KINDS)}, not {kind!r}")
    return device


async def _outcome(
    wish: Coroutine[Any, Any, LocalTrackPublication],
) -> tuple[LocalTrackPublication | None, LknbError | None]:
    try:
        return await wish, None
    except LknbError as error:
        return None, error
