"""RoomService, called with the official livekit-api client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from livekit import api
from livekit.protocol import models, rtc

from lknb import limits
from tests.kit.poll import wait_until
from tests.kit.raw import RawClient, RawTrack
from tests.kit.token import API_KEY, API_SECRET, make_token
from tests.server.conftest import Join


@pytest.fixture
async def admin(url: str) -> AsyncIterator[api.LiveKitAPI]:
    client = api.LiveKitAPI(url.replace("ws", "http"), API_KEY, API_SECRET)
    yield client
    await client.aclose()


async def refused(call: object) -> str:
    with pytest.raises(api.TwirpError) as raised:
        await call  # type: ignore[misc]
    return raised.value.code


async def leave(guest: RawClient) -> None:
    await guest.request(leave=rtc.LeaveRequest())
    await wait_until(lambda: guest.socket.closed)


async def test_rooms_are_made_listed_changed_and_deleted(admin: api.LiveKitAPI, join: Join) -> None:
    made = await admin.room.create_room(api.CreateRoomRequest(name="room", metadata="m", max_participants=1))
    assert (made.name, made.metadata, made.max_participants) == ("room", "m", 1)
    assert (await admin.room.create_room(api.CreateRoomRequest(name="room"))).sid == made.sid
    alice = await join("alice")
    listed = (await admin.room.list_rooms(api.ListRoomsRequest(names=["room", "other"]))).rooms
    assert [(room.sid, room.num_participants) for room in listed] == [(made.sid, 1)]
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await join("bob")
    await admin.room.update_room_metadata(api.UpdateRoomMetadataRequest(room="room", metadata="new"))
    await alice.wait_for("room_update", lambda m: m.room.metadata == "new")
    await admin.room.delete_room(api.DeleteRoomRequest(room="room"))
    assert (await alice.wait_for("leave")).reason == models.DisconnectReason.ROOM_DELETED
    assert await refused(admin.room.delete_room(api.DeleteRoomRequest(room="room"))) == "not_found"


async def test_a_room_that_all_have_left_makes_place_for_a_new_one(admin: api.LiveKitAPI, join: Join) -> None:
    async def names() -> set[str]:
        return {room.name for room in (await admin.room.list_rooms(api.ListRoomsRequest())).rooms}

    await admin.room.create_room(api.CreateRoomRequest(name="long left", departure_timeout=600))
    for room in ("long left", "just left", "in use"):
        guest = await join("alice", room=room)
        if room != "in use":
            await leave(guest)
    ready = [f"ready {number}" for number in range(limits.ROOMS - 3)]
    for room in ready:
        await admin.room.create_room(api.CreateRoomRequest(name=room))
    assert await names() == {"long left", "just left", "in use", *ready}

    # the one goes that would have gone first
    await join("bob", room="new")
    assert await names() == {"long left", "new", "in use", *ready}
    await admin.room.create_room(api.CreateRoomRequest(name="newer"))
    assert await names() == {"newer", "new", "in use", *ready}

    # the others are wanted: by who is in them, by who has made them for later
    assert await refused(admin.room.create_room(api.CreateRoomRequest(name="newest"))) == "resource_exhausted"
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await join("bob", room="newest")
    await join("bob", room="in use")
    assert await names() == {"newer", "new", "in use", *ready}


async def test_participants_are_listed_changed_and_removed(admin: api.LiveKitAPI, join: Join) -> None:
    alice, bob = await join("alice", RawTrack("cam", "vp8")), await join("bob")
    listed = await admin.room.list_participants(api.ListParticipantsRequest(room="room"))
    assert [(p.identity, len(p.tracks)) for p in listed.participants] == [("alice", 1), ("bob", 0)]
    one = await admin.room.get_participant(api.RoomParticipantIdentity(room="room", identity="bob"))
    assert one.sid == bob.sid
    await admin.room.update_participant(
        api.UpdateParticipantRequest(room="room", identity="bob", name="Robert", attributes={"k": "v"})
    )
    await alice.wait_for(
        "update", lambda m: any(p.name == "Robert" and p.attributes["k"] == "v" for p in m.participants)
    )
    await admin.room.remove_participant(api.RoomParticipantIdentity(room="room", identity="bob"))
    assert (await bob.wait_for("leave")).reason == models.DisconnectReason.PARTICIPANT_REMOVED
    missing = api.RoomParticipantIdentity(room="room", identity="bob")
    assert await refused(admin.room.get_participant(missing)) == "not_found"


async def test_a_permission_that_is_taken_ends_tracks_and_subscriptions(admin: api.LiveKitAPI, join: Join) -> None:
    camera, microphone = RawTrack("cam", "vp8"), RawTrack("mic", "opus", source=models.TrackSource.MICROPHONE)
    alice, bob = await join("alice", camera), await join("bob", microphone)
    await bob.receiving(camera.sid)
    permission = models.ParticipantPermission(can_publish=False, can_subscribe=True, can_publish_data=True)
    await admin.room.update_participant(
        api.UpdateParticipantRequest(room="room", identity="alice", permission=permission)
    )
    assert (await alice.wait_for("track_unpublished")).track_sid == camera.sid
    await bob.wait_for("update", lambda m: any(p.identity == "alice" and not p.tracks for p in m.participants))
    await alice.receiving(microphone.sid)
    permission = models.ParticipantPermission(can_publish=True, can_subscribe=False)
    await admin.room.update_participant(
        api.UpdateParticipantRequest(room="room", identity="alice", permission=permission)
    )
    await wait_until(lambda: alice.ssrc_of(microphone.sid) is None)


async def test_tracks_are_muted_but_never_unmuted_from_here(admin: api.LiveKitAPI, join: Join) -> None:
    track = RawTrack("cam", "vp8")
    alice, bob = await join("alice", track), await join("bob")
    request = api.MuteRoomTrackRequest(room="room", identity="alice", track_sid=track.sid, muted=True)
    assert (await admin.room.mute_published_track(request)).track.muted
    assert (await alice.wait_for("mute")).sid == track.sid
    await bob.wait_for("update", lambda m: any(t.muted for p in m.participants for t in p.tracks))
    request.muted = False
    assert await refused(admin.room.mute_published_track(request)) == "failed_precondition"
    request.track_sid = "TR_nothing"
    assert await refused(admin.room.mute_published_track(request)) == "not_found"


async def test_subscriptions_are_changed_for_a_participant(admin: api.LiveKitAPI, join: Join) -> None:
    track = RawTrack("cam", "vp8")
    await join("alice", track)
    bob = await join("bob", auto_subscribe=False)
    change = api.UpdateSubscriptionsRequest(room="room", identity="bob", track_sids=[track.sid], subscribe=True)
    await admin.room.update_subscriptions(change)
    await bob.receiving(track.sid)
    change.subscribe = False
    await admin.room.update_subscriptions(change)
    await wait_until(lambda: bob.ssrc_of(track.sid) is None)


async def test_data_is_sent_without_a_sender(admin: api.LiveKitAPI, join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await wait_until(lambda: alice.channels["_reliable"].is_open and bob.channels["_reliable"].is_open)
    send = api.SendDataRequest(room="room", data=b"for bob", destination_identities=["bob"], topic="t")
    await admin.room.send_data(send)
    await admin.room.send_data(api.SendDataRequest(room="room", data=b"for all", kind=models.DataPacket.LOSSY))
    await wait_until(lambda: len(bob.data) == 2 and len(alice.data) == 1)
    assert {p.user.payload for p in bob.data} == {b"for bob", b"for all"}
    assert bob.data[0].participant_identity == ""
    assert alice.data[0].kind == models.DataPacket.LOSSY


async def test_in_a_room_that_is_not_there_is_nobody(url: str) -> None:
    grants = api.VideoGrants(room_create=True, room_list=True, room_admin=True, room="nowhere")
    token = make_token("x", "", grants=grants)
    async with api.LiveKitAPI(url.replace("ws", "http"), token=token) as admin:
        listed = await admin.room.list_participants(api.ListParticipantsRequest(room="nowhere"))
        assert list(listed.participants) == []
        nobody = {"room": "nowhere", "identity": "nobody"}
        for call in (
            admin.room.get_participant(api.RoomParticipantIdentity(**nobody)),
            admin.room.remove_participant(api.RoomParticipantIdentity(**nobody)),
            admin.room.mute_published_track(api.MuteRoomTrackRequest(**nobody, track_sid="TR_x", muted=True)),
            admin.room.update_participant(api.UpdateParticipantRequest(**nobody, name="x")),
            admin.room.update_subscriptions(api.UpdateSubscriptionsRequest(**nobody, track_sids=["TR_x"])),
            admin.room.send_data(api.SendDataRequest(room="nowhere", data=b"x")),
            admin.room.update_room_metadata(api.UpdateRoomMetadataRequest(room="nowhere", metadata="x")),
            admin.room.delete_room(api.DeleteRoomRequest(room="nowhere")),
        ):
            assert await refused(call) == "not_found"
        long = "x" * (limits.METADATA_BYTES + 1)
        for call in (
            admin.room.create_room(api.CreateRoomRequest(name="nowhere", metadata=long)),
            admin.room.create_room(api.CreateRoomRequest(name="x" * (limits.ROOM_NAME_BYTES + 1))),
        ):
            assert await refused(call) == "invalid_argument"


async def test_every_method_wants_its_grant(url: str, join: Join) -> None:
    await join("alice")
    weak = make_token("x", "room")
    other = make_token("x", "", grants=api.VideoGrants(room_admin=True, room="other room"))
    http = url.replace("ws", "http") + "/twirp/livekit.RoomService/"
    methods = [
        "CreateRoom",
        "ListRooms",
        "DeleteRoom",
        "ListParticipants",
        "GetParticipant",
        "RemoveParticipant",
        "MutePublishedTrack",
        "UpdateParticipant",
        "UpdateSubscriptions",
        "SendData",
        "UpdateRoomMetadata",
    ]
    async with aiohttp.ClientSession() as session:
        for token in ("", "nonsense", weak, other):
            for method in methods:
                headers = {"Authorization": f"Bearer {token}"}
                async with session.post(http + method, json={"room": "room"}, headers=headers) as response:
                    assert response.status == 401
                    assert (await response.json())["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("path", "body", "kind", "code", "status"),
    [
        ("livekit.RoomService/Nothing", b"", "application/protobuf", "bad_route", 404),
        ("livekit.Egress/ListEgress", b"", "application/protobuf", "bad_route", 404),
        ("livekit.RoomService/ListRooms", b"", "text/plain", "bad_route", 404),
        ("livekit.RoomService/ListRooms", b"\xff\xff", "application/protobuf", "malformed", 400),
        ("livekit.RoomService/ListRooms", b"{", "application/json", "malformed", 400),
        ("livekit.RoomService/CreateRoom", b"{}", "application/json", "invalid_argument", 400),
        ("livekit.RoomService/MoveParticipant", b'{"room": "room"}', "application/json", "unimplemented", 501),
    ],
)
async def test_what_cannot_be_is_answered_with_twirps_code(
    url: str, path: str, body: bytes, kind: str, code: str, status: int
) -> None:
    grants = api.VideoGrants(room_create=True, room_list=True, room_admin=True, room="room")
    headers = {"Authorization": f"Bearer {make_token('x', 'room', grants=grants)}", "Content-Type": kind}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url.replace('ws', 'http')}/twirp/{path}", data=body, headers=headers) as response,
    ):
        assert response.status == status
        assert (await response.json())["code"] == code


async def test_json_is_answered_in_json_with_the_fields_of_the_protocol(url: str, join: Join) -> None:
    await join("alice")
    token = make_token("x", "", grants=api.VideoGrants(room_list=True))
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            url.replace("ws", "http") + "/twirp/livekit.RoomService/ListRooms",
            json={},
            headers={"Authorization": f"Bearer {token}"},
        ) as response,
    ):
        rooms = (await response.json())["rooms"]
    assert rooms[0]["name"] == "room"
    assert rooms[0]["num_participants"] == 1
    assert rooms[0]["active_recording"] is False, "the real server writes every field"
