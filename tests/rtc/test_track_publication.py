"""What we ask of tracks of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.protocol import rtc

from lknb.rtc.enumeration import EncryptionType, TrackKind, VideoQuality
from lknb.rtc.option import RoomOptions
from lknb.rtc.room import Room
from lknb.rtc.track_publication import RemoteTrackPublication
from tests.rtc.scripted_core import ScriptedCore, audio, person, turn, video

HIGH, LOW = VideoQuality.VIDEO_QUALITY_HIGH, VideoQuality.VIDEO_QUALITY_LOW


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


async def test_subscribing_is_asked_of_the_core(core: ScriptedCore, camera: RemoteTrackPublication) -> None:
    camera.set_subscribed(False)
    camera.set_subscribed(True)
    assert [(header["track_sid"], header["on"]) for header in core.sent("track_subscription")] == [
        ("TR_v", False),
        ("TR_v", True),
    ]


def wishes(core: ScriptedCore) -> list[dict[str, object]]:
    """What the core was asked for, one after the other."""
    return [{k: v for k, v in h.items() if k not in ("op", "room", "track_sid")} for h in core.sent("track_setting")]


async def test_settings_are_sent_once_each(core: ScriptedCore, camera: RemoteTrackPublication) -> None:
    for _ in range(2):
        camera.set_video_quality(LOW)
        camera.set_video_fps(5)
        camera.set_enabled(False)
    camera.set_video_dimensions(640, 360)
    assert wishes(core) == [{"quality": 0}, {"fps": 5}, {"enabled": False}, {"width": 640, "height": 360}]
    assert not camera.enabled
    assert camera.video_quality == HIGH


async def test_what_adaptive_stream_sees_counts_until_the_user_says_otherwise(
    core: ScriptedCore, camera: RemoteTrackPublication
) -> None:
    core.tell("track_subscribed", track_sid="TR_v")
    core.tell("sight", track_sid="TR_v", visible=False, width=None, height=None)
    core.tell("sight", track_sid="TR_gone", visible=False, width=None, height=None)
    await turn()
    assert not camera.enabled
    camera.set_enabled(True)
    assert camera.enabled
    camera.set_enabled(False)
    core.tell("sight", track_sid="TR_v", visible=True, width=320, height=180)
    await turn()
    assert not camera.enabled
    assert wishes(core) == [{"enabled": True}, {"enabled": False}]


@pytest.mark.parametrize(
    "size", [(0, 0), (-1, 5), (float("nan"), 9), (float("inf"), 9), (10, float("nan")), ("9", "9")]
)
async def test_a_size_that_is_none_raises(core: ScriptedCore, camera: RemoteTrackPublication, size: Any) -> None:
    with pytest.raises(ValueError, match="cannot be asked for"):
        camera.set_video_dimensions(*size)
    assert wishes(core) == []


async def test_a_size_beyond_all_tracks_is_sent_as_far_as_the_protocol_can_say_it(
    core: ScriptedCore, camera: RemoteTrackPublication
) -> None:
    camera.set_video_dimensions(10**9, 10**12)
    assert wishes(core) == [{"width": 10**9, "height": 2**32 - 1}]


async def test_status_and_permission_are_told_when_they_change(
    core: ScriptedCore, room: Room, camera: RemoteTrackPublication
) -> None:
    told: list[tuple[object, ...]] = []
    for name in ("track_subscription_status_changed", "track_subscription_permission_changed"):
        room.on(name, lambda *args: told.append(("room", *args[1:])))
        room.remote_participants["bob"].on(name, lambda *args: told.append(("bob", *args[1:])))
    core.tell("track_subscribed", track_sid="TR_v")
    await turn()
    bob = room.remote_participants["bob"]
    assert told == [("room", "subscribed", bob), ("bob", "subscribed")]
    told.clear()
    core.signal(subscription_permission_update=rtc.SubscriptionPermissionUpdate(track_sid="TR_v", allowed=False))
    core.tell("track_unsubscribed", track_sid="TR_v")
    await turn()
    assert told == [("room", False, bob), ("bob", False), ("room", "desired", bob), ("bob", "desired")]
    assert not camera.allowed
    told.clear()
    camera.set_subscribed(False)
    assert told == [("room", "unsubscribed", bob), ("bob", "unsubscribed")]
    told.clear()
    camera.set_subscribed(True)
    # as in livekit-client: allowed until the server says no again
    assert told == [("room", "desired", bob), ("bob", "desired"), ("room", True, bob), ("bob", True)]


async def test_an_unsubscribed_track_has_no_settings(
    core: ScriptedCore, camera: RemoteTrackPublication, caplog: pytest.LogCaptureFixture
) -> None:
    camera.set_subscribed(False)
    camera.set_enabled(False)
    assert wishes(core) == []
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
    assert wishes(core) == [{"enabled": False}]
