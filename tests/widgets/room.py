"""A real `Room` on a scripted core, with widgets whose comm messages stay in the test."""

from __future__ import annotations

from typing import Any

from livekit.protocol import models

from lknb.rtc.room import Room
from lknb.rtc.track_publication import RemoteTrackPublication
from tests.rtc.scripted_core import ScriptedCore, audio, person, turn, video

HOSTILE = "eve\u202e<img src=x onerror=alert(1)>\x00"
SHOWN_HOSTILE = "eve\N{REPLACEMENT CHARACTER}<img src=x onerror=alert(1)>\N{REPLACEMENT CHARACTER}"


def camera(sid: str, **fields: Any) -> models.TrackInfo:
    """A camera in three layers."""
    return video(sid, name="cam", source=models.TrackSource.CAMERA, **fields)


def microphone(sid: str, **fields: Any) -> models.TrackInfo:
    return audio(sid, name="mic", source=models.TrackSource.MICROPHONE, **fields)


async def studio(core: ScriptedCore) -> Room:
    """A room with bob in it, whose camera is subscribed, and eve, whose name is none."""
    core.join.other_participants.append(person("bob", camera("TR_v"), microphone("TR_a"), name="Bob"))
    core.join.other_participants.append(person("eve", microphone("TR_e"), name=HOSTILE))
    room = Room()
    await room.connect("ws://somewhere", "token")
    core.tell("track_subscribed", track_sid="TR_v")
    await turn()
    return room


def publication(room: Room, identity: str = "bob", sid: str = "TR_v") -> RemoteTrackPublication:
    return room.remote_participants[identity].track_publications[sid]


def flowing(**octets: int) -> dict[str, Any]:
    """A reply to `stats`: so many bytes came of each track."""
    streams = {
        sid: {
            "bytes_received": count, "frames_received": count // 1000, "packets_received": count // 1000,
            "packets_lost": 0, "width": 640, "height": 360,
        }
        for sid, count in octets.items()
    }  # fmt: skip
    return {"received": streams, "sent": {}}


def listeners(room: Room) -> int:
    """How many handlers stand on the room and on everything in it."""
    people = [room.local_participant, *room.remote_participants.values()]
    publications = [each for person in people for each in person.track_publications.values()]
    tracks = [each.track for each in publications if each.track is not None]
    return sum(len(handlers) for it in (room, *people, *publications, *tracks) for handlers in it._events.values())
