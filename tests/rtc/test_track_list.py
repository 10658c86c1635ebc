"""The live list of the tracks of a room."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from livekit.protocol import models

from lknb.rtc.enumeration import TrackSource
from lknb.rtc.room import Room
from lknb.rtc.track_list import TrackList
from tests.rtc.fake_source import FakeSource
from tests.rtc.scripted_core import ScriptedCore, audio, person, turn, video

CAMERA, MICROPHONE, SCREEN = (
    TrackSource.SOURCE_CAMERA,
    TrackSource.SOURCE_MICROPHONE,
    TrackSource.SOURCE_SCREENSHARE,
)
BOB = (video("TR_v", source=models.TrackSource.CAMERA), audio("TR_a", source=models.TrackSource.MICROPHONE))


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    core.join.other_participants.append(person("bob", *BOB))
    async with Room() as made:
        await made.connect("ws://somewhere", "token")
        yield made


def names(tracks: TrackList) -> list[tuple[str, str, bool]]:
    return [(each.participant.identity, each.source.name, each.publication is not None) for each in tracks]


async def test_it_is_what_is_there_now(core: ScriptedCore, room: Room) -> None:
    everything = room.tracks()
    assert names(everything) == [("bob", "SOURCE_CAMERA", True), ("bob", "SOURCE_MICROPHONE", True)]
    assert [each.track for each in everything] == [None, None]
    received = room.tracks(CAMERA, only_subscribed=True)
    assert (len(received), list(received)) == (0, [])
    core.tell("track_subscribed", track_sid="TR_v")
    core.update(person("carol", video("TR_c", source=models.TrackSource.SCREEN_SHARE)))
    await turn()
    assert received[0].track is room.remote_participants["bob"].track_publications["TR_v"].track
    assert names(everything)[2:] == [("carol", "SOURCE_SCREENSHARE", True)]
    assert everything[0] in received
    assert [each.source for each in everything[1:]] == [MICROPHONE, SCREEN]
    assert repr(received) == "rtc.TrackList(bob: SOURCE_CAMERA)"
    await room.disconnect()
    assert list(everything) == []


async def test_our_own_come_first_and_placeholders_last(core: ScriptedCore, room: Room) -> None:
    tracks = room.tracks([CAMERA, SCREEN], with_placeholder=[CAMERA])
    assert names(tracks) == [("bob", "SOURCE_CAMERA", True), ("me", "SOURCE_CAMERA", False)]
    core.update(person("carol", video("TR_c", source=models.TrackSource.SCREEN_SHARE)))
    await room.local_participant.publish_track(FakeSource("video"), _camera())
    await turn()
    assert names(tracks) == [
        ("me", "SOURCE_CAMERA", True),
        ("bob", "SOURCE_CAMERA", True),
        ("carol", "SOURCE_SCREENSHARE", True),
        ("carol", "SOURCE_CAMERA", False),
    ]


async def test_changes_are_told_and_only_changes(core: ScriptedCore, room: Room) -> None:
    told: list[int] = []
    tracks = room.tracks(CAMERA)
    assert not room._events.get("track_published")

    @tracks.on("changed")
    def hear(now: TrackList) -> None:
        told.append(len(now))

    core.update(person("bob", *BOB, version=2, metadata="x"))
    core.update(person("bob", *BOB, video("TR_2", source=models.TrackSource.CAMERA), version=3))
    core.update(person("dave", audio("TR_d", source=models.TrackSource.MICROPHONE)))
    core.tell("track_subscribed", track_sid="TR_a")
    core.update(person("bob", version=4))
    await turn()
    assert told == [2, 1, 0]
    tracks.close()
    core.update(person("bob", *BOB, version=5))
    await turn()
    assert told == [2, 1, 0]
    assert len(tracks) == 1
    tracks.on("changed", hear)
    tracks.off("changed", hear)
    assert not room._events.get("track_published")
    tracks.once("changed", hear)
    core.update(person("bob", version=6))
    await turn()
    assert told[3:] == [0]
    assert not room._events.get("track_published")


async def test_before_a_room_is_joined_it_is_empty() -> None:
    assert list(Room().tracks(with_placeholder=[CAMERA])) == []
    with pytest.raises(ValueError, match="is not a valid TrackSource"):
        Room().tracks([99])


def _camera() -> object:
    from lknb.rtc.option import TrackPublishOptions

    return TrackPublishOptions(source=CAMERA)
