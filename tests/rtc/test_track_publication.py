"""What we ask of tracks of others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from livekit.protocol import rtc

from lknb.rtc.enumeration import EncryptionType, TrackKind, VideoQuality
from lknb.rtc.option import RoomOptions
from lknb.rtc.room import Room
from lknb.rtc.track_publication import RemoteTrackPublication
from tests.rtc.scripted_core import ScriptedCore, audio, person, turn, video

HIGH, MEDIUM, LOW = VideoQuality.VIDEO_QUALITY_HIGH, VideoQuality.VIDEO_QUALITY_MEDIUM, VideoQuality.VIDEO_QUALITY_LOW


@pytest.fixture(params=[True])
async def room(core: ScriptedCore, request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    core.join.other_participants.append(person("bob", video("TR_v", name="cam"), audio("TR_a")))
    async with Room() as made:
        await made.connect("ws://somewhere", "token", RoomOptions(auto_subscribe=request.param))
        yield made


@pytest.fixture
def camera(room: Room) -> RemoteTrackPublication:
    return room.remote_participants["bob"].track_publications["TR_v"]


@pytest.fixture
def sound(room: Room) -> RemoteTrackPublication:
    return room.remote_participants["bob"].track_publications["TR_a"]


async def test_what_the_publisher_announced(camera: RemoteTrackPublication, sound: RemoteTrackPublication) -> None:
    assert (camera.kind, camera.width, camera.height, camera.name) == (TrackKind.KIND_VIDEO, 1280, 720, "cam")
    assert camera.simulcasted
    assert not sound.simulcasted
    assert (sound.kind, sound.encryption_type, sound.audio_features) == (TrackKind.KIND_AUDIO, EncryptionType.NONE, [])


async def test_subscribing_is_asked_with_track_and_participant(
    core: ScriptedCore, camera: RemoteTrackPublication
) -> None:
    camera.set_subscribed(False)
    camera.set_subscribed(True)
    first, second = core.signals("subscription")
    assert (list(first.track_sids), first.subscribe, second.subscribe) == (["TR_v"], False, True)
    assert first.participant_tracks[0].participant_sid == "PA_bob"
    assert list(first.participant_tracks[0].track_sids) == ["TR_v"]


async def test_settings_are_sent_once_each(core: ScriptedCore, camera: RemoteTrackPublication) -> None:
    for _ in range(2):
        camera.set_video_quality(LOW)
        camera.set_video_fps(5)
        camera.set_enabled(False)
    camera.set_video_dimensions(640, 360)
    sent = core.signals("track_setting")
    assert [(s.quality, s.fps, s.disabled, s.width) for s in sent] == [
        (0, 0, False, 0), (0, 5, False, 0), (0, 5, True, 0), (0, 5, True, 640),
    ]  # fmt: skip
    assert not camera.enabled
    assert camera.video_quality == HIGH


async def test_adaptive_stream_is_merged(core: ScriptedCore, camera: RemoteTrackPublication) -> None:
    camera.set_video_quality(MEDIUM)
    camera._set_shown(320, 180, visible=True)
    camera._set_shown(320, 180, visible=True)
    camera._set_shown(0, 0, visible=False)
    assert [(s.width, s.quality, s.disabled) for s in core.signals("track_setting")] == [
        (0, 1, False), (320, 0, False), (0, 1, True),
    ]  # fmt: skip


async def test_an_unsubscribed_track_has_no_settings(
    core: ScriptedCore, camera: RemoteTrackPublication, caplog: pytest.LogCaptureFixture
) -> None:
    camera.set_subscribed(False)
    camera.set_enabled(False)
    assert core.signals("track_setting") == []
    assert "TR_v is unsubscribed" in caplog.text
    assert camera.enabled


async def test_what_makes_no_sense_raises(camera: RemoteTrackPublication, sound: RemoteTrackPublication) -> None:
    with pytest.raises(ValueError, match="is for video"):
        sound.set_video_quality(LOW)
    with pytest.raises(ValueError, match="is not a valid VideoQuality"):
        camera.set_video_quality(7)
    camera._entry.info.ClearField("codecs")
    with pytest.raises(ValueError, match="simulcast"):
        camera.set_video_quality(LOW)
    with pytest.raises(ValueError, match="0x5"):
        camera.set_video_dimensions(0, 5)
    with pytest.raises(ValueError, match="-1 frames"):
        camera.set_video_fps(-1)


@pytest.mark.parametrize("room", [False], indirect=True)
async def test_without_automatic_subscription_nothing_is_wanted_until_asked(
    core: ScriptedCore, room: Room, camera: RemoteTrackPublication
) -> None:
    assert (camera.desired, camera.subscription_status) == (False, "unsubscribed")
    camera.set_subscribed(True)
    assert (camera.desired, camera.subscription_status) == (True, "desired")
    core.tell("track_subscribed", track_sid="TR_v")
    await turn()
    assert camera.subscription_status == "subscribed"


@pytest.mark.parametrize("room", [False], indirect=True)
async def test_a_track_the_server_subscribed_us_to_is_wanted(
    core: ScriptedCore, room: Room, camera: RemoteTrackPublication
) -> None:
    core.tell("track_subscribed", track_sid="TR_v")
    await turn()
    assert (camera.desired, camera.subscription_status) == (True, "subscribed")
    camera.set_enabled(False)
    assert core.signals("track_setting") == [
        rtc.UpdateTrackSettings(track_sids=["TR_v"], disabled=True, quality=2)  # type: ignore[arg-type]
    ]
