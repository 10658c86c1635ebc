"""Camera, microphone and screen of the page, as livekit-client enables and disables them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import lknb
from lknb.errors import MediaDevicesError, PublishTrackError
from lknb.rtc import device_bridge
from lknb.rtc.device_bridge import PageChoice, register_bridge
from lknb.rtc.enumeration import TrackSource, VideoCodec
from lknb.rtc.local_participant import LocalParticipant
from lknb.rtc.option import TrackPublishOptions
from lknb.rtc.page_source import ScreenShareCaptureOptions, VideoCaptureOptions
from lknb.rtc.room import Room
from tests.kit.poll import wait_until
from tests.rtc.fake_source import FakeSource
from tests.rtc.scripted_core import ScriptedCore


class Bridge:
    """A page is always there."""

    def choose(self, client: Any, room: int | None, device: str) -> PageChoice:
        return PageChoice(room, 5.0)


class Page:
    """What the core answers for the page."""

    def __init__(self, core: ScriptedCore) -> None:
        self.core = core
        self.refusals: dict[str, MediaDevicesError] = {}
        self.gate: asyncio.Event | None = None
        core.respond["source_open"] = self._open
        core.respond["source_control"] = self._control

    def _open(self, header: Any, buffers: Any) -> Any:
        if self.gate is None:
            return self._opened(header)
        return self._later(header, self.gate)

    async def _later(self, header: Any, gate: asyncio.Event) -> Any:
        await gate.wait()
        return self._opened(header)

    def _opened(self, header: Any) -> Any:
        if header["device"] in self.refusals:
            raise self.refusals[header["device"]]
        if header["kind"] == "audio":
            return {"codec": "opus", "layers": []}, []
        layer = {"rid": "", "width": 1280, "height": 720, "max_bitrate_bps": 1_000_000, "max_fps": 30.0}
        return {"codec": "h264", "width": 1280, "height": 720, "layers": [layer]}, []

    def _control(self, header: Any, buffers: Any) -> Any:
        if "control" in self.refusals:
            raise self.refusals["control"]
        return {}, []

    def asked(self, op: str) -> list[dict[str, Any]]:
        return [header for header, _ in self.core.requests if header["op"] == op]


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    async with Room() as made:
        await made.connect("ws://somewhere", "token")
        yield made


@pytest.fixture
def me(room: Room) -> LocalParticipant:
    return room.local_participant


@pytest.fixture(autouse=True)
def bridge() -> Iterator[None]:
    before = list(device_bridge._bridges)
    register_bridge(Bridge())
    yield
    device_bridge._bridges[:] = before


@pytest.fixture
def page(core: ScriptedCore, room: Room) -> Page:
    return Page(core)


async def test_a_camera_is_published_muted_and_unmuted(page: Page, me: LocalParticipant) -> None:
    publication = await me.set_camera_enabled(True, VideoCaptureOptions(width=640, height=360))
    assert publication is not None
    assert (publication.source, publication.name) == (TrackSource.SOURCE_CAMERA, "camera")
    (opened,) = page.asked("source_open")
    assert (opened["type"], opened["device"], opened["codec"], opened["wait_s"]) == ("page", "camera", None, 5.0)
    assert opened["constraints"] == {"width": 640, "height": 360, "fps": 30.0}
    assert await me.set_camera_enabled(False) is publication
    assert publication.muted
    assert await me.set_camera_enabled(True) is publication
    assert not publication.muted
    assert [header["action"] for header in page.asked("source_control")] == ["acquire"]
    assert len(page.asked("source_open")) == 1


async def test_a_publication_is_muted_and_unmuted_as_its_device(page: Page, me: LocalParticipant, room: Room) -> None:
    heard: list[str] = []
    for name in ("track_muted", "track_unmuted", "media_devices_error"):
        room.on(name, lambda *_, name=name: heard.append(name))
    publication = await me.set_camera_enabled(True)
    assert publication is not None
    assert me.is_camera_enabled
    await publication.mute()
    assert publication.muted
    assert not me.is_camera_enabled
    page.refusals["control"] = MediaDevicesError("The camera is in use.", "camera", "in_use")
    with pytest.raises(MediaDevicesError, match="in use"):
        await publication.unmute()
    assert publication.muted
    del page.refusals["control"]
    await publication.unmute()
    assert not publication.muted
    assert heard == ["track_muted", "media_devices_error", "track_unmuted"]
    assert [header["action"] for header in page.asked("source_control")] == ["acquire", "acquire"]


async def test_the_last_wish_for_a_publication_counts(page: Page, me: LocalParticipant) -> None:
    publication = await me.set_camera_enabled(True)
    assert publication is not None
    await publication.mute()
    wishes = publication.unmute(), publication.mute()
    for wish in wishes:
        await wish
    assert publication.muted
    await me.unpublish_track(publication.sid)
    await publication.unmute()
    assert len(page.asked("source_control")) == 1


async def test_a_publication_of_the_kernel_is_muted_at_once_awaited_or_not(page: Page, me: LocalParticipant) -> None:
    publication = await me.publish_track(FakeSource(), TrackPublishOptions(source=TrackSource.SOURCE_SCREENSHARE))
    assert me.is_screen_share_enabled
    publication.mute()
    assert publication.muted
    assert not me.is_screen_share_enabled
    await publication.unmute()
    assert me.is_screen_share_enabled
    assert not me.is_microphone_enabled
    assert not page.asked("source_control")


async def test_off_with_nothing_published_does_nothing(page: Page, me: LocalParticipant) -> None:
    assert await me.set_camera_enabled(False) is None
    assert await me.set_microphone_enabled(False) is None
    assert await me.set_screen_share_enabled(False) is None


async def test_a_second_call_waits_for_the_first(page: Page, me: LocalParticipant) -> None:
    page.gate = asyncio.Event()
    first = asyncio.create_task(me.set_microphone_enabled(True))
    second = asyncio.create_task(me.set_microphone_enabled(True))
    await wait_until(lambda: page.asked("source_open"))
    assert not second.done()
    page.gate.set()
    assert await first is await second
    assert len(page.asked("source_open")) == 1


async def test_publish_options_choose_the_codec(page: Page, me: LocalParticipant) -> None:
    await me.set_camera_enabled(True, None, TrackPublishOptions(video_codec=VideoCodec.VP8, simulcast=False))
    (opened,) = page.asked("source_open")
    assert (opened["codec"], opened["simulcast"]) == ("vp8", False)


async def test_an_error_is_told_and_raised(page: Page, me: LocalParticipant, room: Room) -> None:
    heard: list[Any] = []
    room.on("media_devices_error", heard.append)
    me.on("media_devices_error", heard.append)
    page.refusals["camera"] = MediaDevicesError("The camera is blocked.", "camera", "denied")
    with pytest.raises(MediaDevicesError, match="blocked"):
        await me.set_camera_enabled(True)
    assert heard == [page.refusals["camera"]] * 2
    assert not me.track_publications


async def test_a_camera_that_cannot_be_taken_again_stays_muted(page: Page, me: LocalParticipant) -> None:
    publication = await me.set_camera_enabled(True)
    await me.set_camera_enabled(False)
    page.refusals["control"] = MediaDevicesError("The camera is in use.", "camera", "in_use")
    with pytest.raises(MediaDevicesError, match="in use"):
        await me.set_camera_enabled(True)
    assert publication is not None
    assert publication.muted


async def test_camera_and_microphone_together(page: Page, me: LocalParticipant) -> None:
    camera, microphone = await me.enable_camera_and_microphone()
    assert (camera.source, microphone.source) == (TrackSource.SOURCE_CAMERA, TrackSource.SOURCE_MICROPHONE)
    page.refusals["camera"] = MediaDevicesError("There is no camera.", "camera", "not_found")
    await me.unpublish_track(camera.sid)
    await me.unpublish_track(microphone.sid)
    with pytest.raises(MediaDevicesError, match="no camera"):
        await me.enable_camera_and_microphone()
    # what could be had stays
    assert me.get_track_publication(TrackSource.SOURCE_MICROPHONE) is not None


async def test_a_screen_comes_with_its_sound_and_is_unpublished(page: Page, me: LocalParticipant) -> None:
    await me.set_screen_share_enabled(True, ScreenShareCaptureOptions(audio=True))
    assert [opened["device"] for opened in page.asked("source_open")] == ["screen", "screen_audio"]
    await me.set_screen_share_enabled(False)
    assert not me.track_publications


async def test_a_screen_without_sound_is_no_fault(page: Page, me: LocalParticipant) -> None:
    page.refusals["screen_audio"] = MediaDevicesError("no sound", "screen_audio", "not_found")
    publication = await me.set_screen_share_enabled(True, ScreenShareCaptureOptions(audio=True))
    assert publication is not None
    assert list(me.track_publications.values()) == [publication]


async def test_devices_are_switched(page: Page, me: LocalParticipant, room: Room) -> None:
    await me.switch_active_device("camera", "second")
    await me.set_camera_enabled(True)
    assert page.asked("source_open")[0]["device_id"] == "second"
    await room.switch_active_device("videoinput", "third")
    assert page.asked("source_control")[-1] == {
        "op": "source_control",
        "source": 2,
        "action": "switch",
        "device_id": "third",
    }
    assert room.get_active_device("camera") == me.get_active_device("videoinput")
    with pytest.raises(ValueError, match="camera or microphone"):
        await room.switch_active_device("nose", "x")


async def test_a_page_that_is_closed_ends_the_publication(
    core: ScriptedCore, page: Page, me: LocalParticipant, room: Room
) -> None:
    publication = await me.set_camera_enabled(True)
    handle = page.asked("source_open")[0]["source"]
    gone = asyncio.ensure_future(room.wait_for("local_track_unpublished"))
    await asyncio.sleep(0)
    core.listeners["source", handle]({"event": "source_ended", "source": handle, "error": "the page was closed"}, [])
    assert await gone is publication
    assert not me.track_publications
    assert not page.asked("unpublish")


async def test_a_page_that_is_closed_in_the_moment_its_camera_is_published_leaves_nothing(
    core: ScriptedCore, page: Page, me: LocalParticipant
) -> None:
    """The answer and the end are both there when the loop has time again."""

    def publish(header: Any, buffers: Any) -> Any:
        handle = header["source"]
        ended = {"event": "source_ended", "source": handle, "error": "the page was closed"}
        asyncio.get_running_loop().call_soon(core.listeners["source", handle], ended, [])
        return publishes(header, buffers)

    publishes, core.respond["publish"] = core.respond["publish"], publish
    with pytest.raises(MediaDevicesError, match="the page was closed"):
        await me.set_camera_enabled(True)
    assert not me.track_publications
    await wait_until(lambda: page.asked("source_close"))
    core.respond["publish"] = publishes
    assert await me.set_camera_enabled(True) in me.track_publications.values()


async def test_a_fault_while_live_is_told_and_mutes(
    core: ScriptedCore, page: Page, me: LocalParticipant, room: Room
) -> None:
    publication = await me.set_camera_enabled(True)
    handle = page.asked("source_open")[0]["source"]
    heard = asyncio.ensure_future(room.wait_for("media_devices_error"))
    await asyncio.sleep(0)
    about = {"kind": "camera", "reason": "not_found", "message": "There is no camera."}
    core.listeners["source", handle]({"event": "source_fault", "source": handle, **about}, [])
    error = await heard
    assert (error.kind, error.reason) == ("camera", "not_found")
    assert publication is not None
    await wait_until(lambda: publication.muted)


async def test_it_is_told_which_device_is_used(
    core: ScriptedCore, page: Page, me: LocalParticipant, room: Room
) -> None:
    heard: list[tuple[str, str]] = []
    room.on("active_device_changed", lambda kind, device_id: heard.append((kind, device_id)))
    # with nothing live it is the next one
    await me.switch_active_device("videoinput", "second")
    assert heard == [("camera", "second")]
    assert (me.get_active_device("camera"), me.get_active_device("audioinput")) == ("second", "")
    await me.set_camera_enabled(True)
    handle = page.asked("source_open")[0]["source"]

    def use(device_id: str) -> None:
        core.listeners["source", handle]({"event": "source_device", "source": handle, "device_id": device_id}, [])

    use("second")
    # of one that is live the page tells, whoever has switched
    await me.switch_active_device("camera", "third")
    assert me.get_active_device("camera") == "second"
    use("third")
    use("third")
    await wait_until(lambda: me.get_active_device("camera") == "third")
    assert heard == [("camera", "second"), ("camera", "third")]
    with pytest.raises(ValueError, match="camera or microphone"):
        me.get_active_device("nose")


async def test_a_speaker_is_switched_by_the_page(
    core: ScriptedCore, page: Page, me: LocalParticipant, room: Room
) -> None:
    heard: list[tuple[str, ...]] = []
    room.on("active_device_changed", lambda kind, device_id: heard.append((kind, device_id)))
    room.on("media_devices_error", lambda error: heard.append(("error", error.kind, error.reason)))
    assert room.get_active_device("audiooutput") == "default"

    def switch(header: Any, buffers: Any) -> Any:
        if header["device_id"] == "nonsense":
            raise MediaDevicesError("There is no such speaker.", "speaker", "not_found")
        me._devices.follow_speaker(header["device_id"])
        return {"device_id": header["device_id"], "label": ""}, []

    core.respond["speaker"] = switch
    await room.switch_active_device("audiooutput", "second")
    await room.switch_active_device("speaker", "second")
    assert page.asked("speaker")[0] == {"op": "speaker", "room": 1, "wait_s": 5.0, "device_id": "second"}
    with pytest.raises(MediaDevicesError, match="no such speaker"):
        await me.switch_active_device("speaker", "nonsense")
    assert me.get_active_device("speaker") == "second"
    assert heard == [("speaker", "second"), ("error", "speaker", "not_found")]
    device_bridge._bridges.clear()
    with pytest.raises(MediaDevicesError, match=r"ControlBar\(room\)") as caught:
        await me.switch_active_device("speaker", "second")
    assert (caught.value.kind, caught.value.reason) == ("speaker", "no_page")


async def test_another_source_of_a_camera_is_muted_and_unmuted(page: Page, me: LocalParticipant) -> None:
    source = FakeSource()
    publication = await me.publish_track(source, TrackPublishOptions(source=TrackSource.SOURCE_CAMERA))
    assert await me.set_camera_enabled(False) is publication
    assert await me.set_camera_enabled(True) is publication
    assert not page.asked("source_control")


async def test_without_a_bridge_the_error_says_what_to_show(page: Page, me: LocalParticipant) -> None:
    device_bridge._bridges.clear()
    with pytest.raises(MediaDevicesError, match=r"ControlBar\(room\)") as caught:
        await me.set_camera_enabled(True)
    assert (caught.value.kind, caught.value.reason) == ("camera", "no_page")
    with pytest.raises(MediaDevicesError, match=r"ControlBar\(room\)"):
        await lknb.devices()


async def test_after_the_room_was_left_no_page_is_asked(page: Page, me: LocalParticipant) -> None:
    me._core.close()
    with pytest.raises(PublishTrackError, match="the room is not connected"):
        await me.set_camera_enabled(True)
    assert not page.asked("source_open")


async def test_what_is_no_id_is_not_chosen(page: Page, me: LocalParticipant) -> None:
    for kind in ("videoinput", "audiooutput"):
        with pytest.raises(ValueError, match=r"as lknb.devices\(\) lists them, not None"):
            await me.switch_active_device(kind, None)  # type: ignore[arg-type]
    assert me.get_active_device("camera") == ""
