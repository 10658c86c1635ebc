"""The same evening in a room, lived by the official Python client and by lknb: both must be told the same."""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit import api

from tests.interop.conftest import OpenPeer
from tests.kit.peer import Peer
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.token import room_name

RED, BLUE = (200, 40, 40), (30, 60, 200)


class Evening:
    """Alice, the official client, does things one after the other; each is awaited where the subject sees it."""

    def __init__(self, server: Server, alice: Peer, subject: Peer, room: str, single: bool) -> None:
        self.server, self.alice, self.subject, self.room, self.single = server, alice, subject, room, single

    async def told(self, step: Callable[[], Awaitable[Any]], *names: str) -> Any:
        """Do a step, and wait until the subject was told these events since."""
        before = len(await self.subject.log())
        result = await step()
        await wait_until(
            lambda: self._heard(before, names), 15.0, what=lambda: f"{names} of {self.subject.kind}", interval_s=0.03
        )
        return result

    async def _heard(self, before: int, names: tuple[str, ...]) -> bool:
        heard = [line[0] for line in (await self.subject.log())[before:]]
        return all(heard.count(name) >= names.count(name) for name in names)

    async def live(self) -> list[list[Any]]:
        """From joining to the end of the room; what the subject was told."""
        server, alice, bob, told = self.server, self.alice, self.subject, self.told
        join = {"single_peer_connection": self.single}
        await alice.connect(server.url, server.token("alice", self.room), **join)
        camera = await alice.publish_video(RED)
        await bob.connect(server.url, server.token("bob", self.room), **join)
        await bob.wait_event("track_subscribed", track_sid=camera)
        microphone = await told(alice.publish_audio, "track_published", "track_subscribed")
        await told(lambda: alice.set_muted(camera, True), "track_muted")
        await told(lambda: alice.set_muted(camera, False), "track_unmuted")
        await told(lambda: bob.set_subscribed(camera, False), "track_unsubscribed")
        await told(lambda: alice.set_muted(camera, True), "track_muted")
        await told(lambda: bob.set_subscribed(camera, True), "track_subscribed")
        await told(lambda: alice.set_muted(camera, False), "track_unmuted")
        # one by one: the wheel tells a name as it was before only when nothing else about alice changed meanwhile
        await told(lambda: alice.describe("weather", "", {}), "participant_metadata_changed")
        await told(lambda: alice.describe("weather", "Alice", {}), "participant_name_changed")
        mood = {"mood": "good", "hat": "red"}
        await told(lambda: alice.describe("weather", "Alice", mood), "participant_attributes_changed")
        await told(lambda: alice.describe("weather", "Alice", {"hat": ""}), "participant_attributes_changed")
        await told(lambda: bob.describe("mine", "Bob", {"a": "b"}), "participant_attributes_changed")
        await told(lambda: bob.publish_video(BLUE), "local_track_published", "local_track_subscribed")
        own = (await bob.events("local_track_published"))[-1].track_sid
        await told(lambda: bob.set_muted(own, True), "track_muted")
        await told(lambda: bob.set_muted(own, False), "track_unmuted")
        await told(lambda: bob.unpublish(own), "local_track_unpublished")
        await told(lambda: alice.unpublish(microphone), "track_unsubscribed", "track_unpublished")
        async with server.api() as admin:
            metadata = api.UpdateRoomMetadataRequest(room=self.room, metadata="rain")
            await told(lambda: admin.room.update_room_metadata(metadata), "room_metadata_changed")
            permission = api.ParticipantPermission(can_subscribe=True, can_publish=True, can_publish_data=False)
            change = api.UpdateParticipantRequest(room=self.room, identity="bob", permission=permission)
            await told(lambda: admin.room.update_participant(change), "participant_permissions_changed")
            await told(alice.disconnect, "participant_disconnected")
            await told(lambda: bob.publish_audio(300.0), "local_track_published")
            await told(lambda: bob.publish_video(BLUE), "local_track_published")
            delete = api.DeleteRoomRequest(room=self.room)
            ends = ("disconnected", "local_track_unpublished", "local_track_unpublished")
            await told(lambda: admin.room.delete_room(delete), *ends)
        log = await bob.log()
        # the wheel tells of the end of our two tracks in the order of a hash map
        return [*log[:-2], *sorted(log[-2:])]


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_both_clients_are_told_the_same(server: Server, open_peer: OpenPeer, single: bool) -> None:
    logs = {}
    for kind in ("wheel", "lknb"):
        room = room_name()
        evening = Evening(server, await open_peer("wheel", "alice"), await open_peer(kind, "bob"), room, single)
        logs[kind] = [json.dumps(line) for line in await evening.live()]
    difference = list(difflib.unified_diff(logs["wheel"], logs["lknb"], "livekit.rtc", "lknb.rtc", lineterm="", n=1))
    assert not difference, "\n".join(difference)
    assert len(logs["wheel"]) > 30
