"""Joining, leaving, waiting, and what users hear of a room."""

from __future__ import annotations

import asyncio
import datetime
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.protocol import models, rtc

from lknb.errors import ConnectError, CoreError, DisconnectedError
from lknb.rtc import core_room
from lknb.rtc.enumeration import (
    ConnectionQuality,
    ConnectionState,
    DataPacketKind,
    DisconnectReason,
    IceTransportType,
    StreamState,
)
from lknb.rtc.option import IceServer, RoomOptions, RtcConfiguration
from lknb.rtc.participant import RemoteParticipant
from lknb.rtc.room import Room
from lknb.rtc.track import RemoteAudioTrack, RemoteVideoTrack
from tests.rtc.scripted_core import ScriptedCore, State, audio, person, turn, video

EVERY_EVENT = (
    "participant_connected", "participant_disconnected", "participant_active", "track_published", "track_unpublished",
    "track_subscribed", "track_unsubscribed", "track_subscription_failed", "track_muted", "track_unmuted",
    "active_speakers_changed", "room_metadata_changed", "participant_metadata_changed", "participant_name_changed",
    "participant_attributes_changed", "connection_quality_changed", "participant_permissions_changed", "data_received",
    "connection_state_changed", "connected", "disconnected", "reconnecting", "reconnected", "room_updated",
    "token_refreshed", "sip_dtmf_received", "transcription_received", "track_stream_state_changed",
    "track_subscription_status_changed", "track_subscription_permission_changed", "recording_status_changed",
)  # fmt: skip


class Ear:
    """Remembers every event of a room with its arguments."""

    def __init__(self, room: Room) -> None:
        self.heard: list[tuple[Any, ...]] = []
        for name in EVERY_EVENT:
            room.on(name, lambda *arguments, name=name: self.heard.append((name, *arguments)))

    def names(self) -> list[str]:
        return [event[0] for event in self.heard]

    async def listen(self) -> list[tuple[Any, ...]]:
        """What was heard since the last time."""
        await turn()
        heard, self.heard = self.heard, []
        return heard


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    """A room with bob in it, who publishes a camera and a microphone."""
    core.join.other_participants.append(person("bob", video("TR_v", name="cam"), audio("TR_a"), name="Bob"))
    async with Room() as made:
        await made.connect("ws://somewhere", "token")
        yield made


@pytest.fixture
async def ear(room: Room) -> Ear:
    await turn()
    return Ear(room)


class TestJoining:
    async def test_what_the_server_said_is_there_and_nobody_is_announced(self, core: ScriptedCore) -> None:
        core.join.room.MergeFrom(models.Room(metadata="m", num_participants=2, creation_time_ms=1_700_000_000_000))
        core.join.other_participants.append(person("bob", video("TR_v")))
        room = Room()
        ear = Ear(room)
        await room.connect("ws://somewhere", "token")
        assert [event[0] for event in await ear.listen()] == ["connection_state_changed", "connected"]
        assert (room.name, room.metadata, room.num_participants) == ("studio", "m", 2)
        assert room.creation_time == datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)
        assert room.isconnected()
        assert room.connection_state == ConnectionState.CONN_CONNECTED
        assert room.local_participant.identity == "me"
        assert set(room.remote_participants) == {"bob"}
        assert room.remote_participants["bob"].track_publications["TR_v"].subscribed is False
        assert repr(room) == "rtc.Room(sid=RM_1, name=studio, metadata=m, connection_state=CONN_CONNECTED)"
        await room.disconnect()

    async def test_the_options_reach_the_core(self, core: ScriptedCore) -> None:
        servers = [IceServer(urls=["turn:x"], username="u", password="p")]
        options = RoomOptions(
            auto_subscribe=False, single_peer_connection=False, connect_timeout=2.5,
            rtc_config=RtcConfiguration(IceTransportType.TRANSPORT_RELAY, ice_servers=servers),
        )  # fmt: skip
        async with Room() as room:
            await room.connect("ws://somewhere", "token", options)
        assert core.sent("connect") == [
            {
                "op": "connect",
                "room": 1,
                "url": "ws://somewhere",
                "token": "token",
                "options": {
                    "auto_subscribe": False,
                    "adaptive_stream": False,
                    "dynacast": False,
                    "single_peer_connection": False,
                    "connect_timeout_s": 2.5,
                    "ice_servers": [{"urls": ["turn:x"], "username": "u", "credential": "p"}],
                    "relay_only": True,
                },
            }
        ]

    async def test_what_comes_with_the_reply_is_heard_by_handlers_registered_right_after(
        self, core: ScriptedCore
    ) -> None:
        def reply(header: Any, buffers: Any) -> Any:
            core.update(person("bob"))
            return {}, [core.join.SerializeToString()]

        core.respond["connect"] = reply
        room = Room()
        await room.connect("ws://somewhere", "token")
        ear = Ear(room)
        assert [event[0] for event in await ear.listen()] == ["participant_connected", "participant_active"]
        await room.disconnect()

    async def test_a_refusal_is_raised_as_it_came_and_leaves_nothing(self, core: ScriptedCore) -> None:
        def refuse(header: Any, buffers: Any) -> Any:
            raise ConnectError("no such key", "not_allowed")

        core.respond["connect"] = refuse
        room = Room()
        with pytest.raises(ConnectError, match="no such key") as caught:
            await room.connect("ws://somewhere", "token")
        assert caught.value.kind == "not_allowed"
        assert core.listeners == {}
        assert not room.isconnected()
        del core.respond["connect"]
        core.respond["connect"] = lambda header, buffers: ({}, [core.join.SerializeToString()])
        await room.connect("ws://somewhere", "token")
        await room.disconnect()

    async def test_a_core_that_is_dead_is_a_connect_error(self, core: ScriptedCore) -> None:
        core.alive = False
        with pytest.raises(ConnectError, match="gone"):
            await Room().connect("ws://somewhere", "token")

    async def test_a_cancelled_join_leaves_nothing_and_can_be_repeated(self, core: ScriptedCore) -> None:
        hang: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        core.respond["connect"] = lambda header, buffers: hang
        room = Room()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await room.connect("ws://somewhere", "token")
        assert core.cancelled == ["connect"]
        assert core.listeners == {}
        core.respond["connect"] = lambda header, buffers: ({}, [core.join.SerializeToString()])
        await room.connect("ws://somewhere", "token")
        assert room.isconnected()
        await room.disconnect()

    async def test_disconnect_gives_up_a_join(self, core: ScriptedCore) -> None:
        hang: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        core.respond["connect"] = lambda header, buffers: hang
        room = Room()
        joining = asyncio.ensure_future(room.connect("ws://somewhere", "token"))
        await turn()
        await room.disconnect()
        with pytest.raises(ConnectError) as caught:
            await joining
        assert caught.value.kind == "cancelled"
        assert core.listeners == {}

    async def test_a_room_is_joined_once(self, room: Room) -> None:
        with pytest.raises(ConnectError, match="connected already"):
            await room.connect("ws://somewhere", "token")
        assert room.isconnected()

    async def test_encryption_is_refused_rather_than_left_out(self, core: ScriptedCore) -> None:
        with pytest.raises(ConnectError) as caught:
            await Room().connect("ws://somewhere", "token", RoomOptions(encryption=object()))
        assert caught.value.kind == "unsupported"
        assert core.requests == []

    async def test_there_is_nobody_before_the_join(self) -> None:
        with pytest.raises(DisconnectedError):
            _ = Room().local_participant
        with pytest.raises(RuntimeError):
            await Room().sid


class TestSid:
    async def test_it_is_text_and_can_be_awaited(self, room: Room) -> None:
        assert room.sid == "RM_1"
        assert await room.sid == "RM_1"

    async def test_it_may_come_later(self, core: ScriptedCore) -> None:
        core.join.room.sid = ""
        async with Room() as room:
            await room.connect("ws://somewhere", "token")
            waiting = asyncio.ensure_future(asyncio.wait_for(room.sid._wait(), 5))
            await turn()
            assert room.sid == ""
            core.signal(room_update=rtc.RoomUpdate(room=models.Room(sid="RM_2", name="studio")))
            assert await waiting == "RM_2"
            assert await room.sid == "RM_2"

    async def test_it_may_never_come(self, core: ScriptedCore) -> None:
        core.join.room.sid = ""
        room = Room()
        await room.connect("ws://somewhere", "token")
        sid = room.sid
        await room.disconnect()
        with pytest.raises(DisconnectedError):
            await sid


class TestLeaving:
    async def test_leaving_is_told_once_and_repeating_is_harmless(
        self, core: ScriptedCore, room: Room, ear: Ear
    ) -> None:
        await asyncio.gather(room.disconnect(), room.disconnect())
        await room.disconnect()
        assert await ear.listen() == [
            ("connection_state_changed", ConnectionState.CONN_DISCONNECTED),
            ("disconnected", DisconnectReason.CLIENT_INITIATED),
        ]
        assert core.sent("disconnect") == [{"op": "disconnect", "room": 1, "reason": 1}]
        assert core.listeners == {}
        assert not room.isconnected()
        assert room.local_participant.disconnect_reason == DisconnectReason.CLIENT_INITIATED

    async def test_leaving_twice_at_once_is_leaving_for_both(self, core: ScriptedCore, room: Room) -> None:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        core.respond["disconnect"] = lambda header, buffers: answer
        first, second = asyncio.ensure_future(room.disconnect()), asyncio.ensure_future(room.disconnect())
        await turn()
        assert not second.done()
        answer.set_result(({}, []))
        await asyncio.gather(first, second)
        assert not room.isconnected()

    async def test_the_server_sends_us_away(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        core.tell("disconnected", reason=DisconnectReason.ROOM_DELETED, message="deleted")
        assert (await ear.listen())[-1] == ("disconnected", DisconnectReason.ROOM_DELETED)
        assert not room.isconnected()
        await room.disconnect()
        assert core.sent("disconnect") == []

    async def test_a_reason_of_a_later_protocol_is_unknown(self, core: ScriptedCore, ear: Ear) -> None:
        core.tell("disconnected", reason=99)
        assert (await ear.listen())[-1] == ("disconnected", DisconnectReason.UNKNOWN_REASON)

    async def test_the_core_dies(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        waiting = asyncio.ensure_future(room.wait_for("participant_connected"))
        await turn()
        core.die()
        assert (await ear.listen())[-1] == ("disconnected", DisconnectReason.UNKNOWN_REASON)
        with pytest.raises(DisconnectedError, match="core process has died"):
            await waiting
        with pytest.raises(DisconnectedError):
            await room.get_rtc_stats()
        await room.disconnect()

    async def test_the_core_dies_while_we_leave(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        async def die(header: Any, buffers: Any) -> Any:
            core.die()
            raise CoreError("gone")

        core.respond["disconnect"] = die
        await room.disconnect()
        assert "disconnected" in ear.names()

    async def test_a_core_that_does_not_answer_does_not_keep_us(
        self, core: ScriptedCore, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lknb.rtc.room._DISCONNECT_TIMEOUT_S", 0.01)
        core.respond["disconnect"] = lambda header, buffers: asyncio.get_running_loop().create_future()
        await room.disconnect()
        assert not room.isconnected()

    async def test_leaving_from_a_handler(self, core: ScriptedCore, room: Room) -> None:
        left = asyncio.Event()

        @room.on("participant_disconnected")
        async def leave() -> None:
            await room.disconnect()
            left.set()

        core.update(person("bob", version=2, state=State.DISCONNECTED))
        async with asyncio.timeout(5):
            await left.wait()
        assert not room.isconnected()

    async def test_a_left_room_is_not_kept_alive(self, core: ScriptedCore) -> None:
        room = Room()
        await room.connect("ws://somewhere", "token")
        held = weakref.ref(room)
        await turn()
        await room.disconnect()
        del room
        await turn()
        gc.collect()
        assert held() is None

    async def test_a_connected_room_lives_without_a_variable(self, core: ScriptedCore) -> None:
        room = Room()
        await room.connect("ws://somewhere", "token")
        held = weakref.ref(room)
        await turn()
        del room
        gc.collect()
        alive = held()
        assert alive is not None
        await alive.disconnect()

    async def test_a_room_can_be_joined_again(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        await room.disconnect()
        core.join.room.sid = "RM_9"
        await room.connect("ws://somewhere", "token")
        assert room.sid == "RM_9"
        assert ear.names().count("connected") == 1

    def test_a_second_asyncio_run_leaves_the_room_of_the_first(self, core: ScriptedCore) -> None:
        async def join_and_forget() -> None:
            await Room().connect("ws://somewhere", "token")

        async def join_again() -> None:
            async with Room() as room:
                await room.connect("ws://somewhere", "token")

        asyncio.run(join_and_forget())
        asyncio.run(join_again())
        assert [header["room"] for header in core.sent("disconnect")] == [1, 2]
        assert core.listeners == {}
        assert not any(core_room._open_rooms.values())

    def test_an_event_for_a_closed_loop_leaves_the_room(self, core: ScriptedCore) -> None:
        async def join_and_forget() -> None:
            await Room().connect("ws://somewhere", "token")

        asyncio.run(join_and_forget())
        core.update(person("bob"))
        assert [header["room"] for header in core.sent("disconnect")] == [1]
        assert core.listeners == {}


class TestWaitUntil:
    async def test_a_condition_that_is_met_is_not_waited_for(self, room: Room) -> None:
        assert await room.wait_until(lambda: room.remote_participants.get("bob")) is room.remote_participants["bob"]

    async def test_it_is_looked_at_after_each_event(self, core: ScriptedCore, room: Room) -> None:
        waiting = asyncio.ensure_future(room.wait_until(lambda: room.remote_participants.get("eve")))
        await turn()
        core.update(person("eve"))
        assert (await waiting).identity == "eve"

    async def test_it_ends_with_the_room_and_with_time(self, core: ScriptedCore, room: Room) -> None:
        with pytest.raises(TimeoutError):
            await room.wait_until(lambda: False, timeout=0.01)
        waiting = asyncio.ensure_future(room.wait_until(lambda: False, timeout=None))
        await turn()
        core.tell("disconnected", reason=2)
        with pytest.raises(DisconnectedError, match="DUPLICATE_IDENTITY"):
            await waiting

    async def test_its_error_reaches_the_waiter(self, core: ScriptedCore, room: Room) -> None:
        waiting = asyncio.ensure_future(room.wait_until(lambda: room.name == "other" and 1 / 0))
        await turn()
        core.signal(room_update=rtc.RoomUpdate(room=models.Room(name="other")))
        with pytest.raises(ZeroDivisionError):
            await waiting


class TestEvents:
    async def test_a_participant_comes_publishes_and_goes(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        core.update(person("eve", state=State.JOINED))
        core.update(person("eve", video("TR_e"), version=2))
        heard = await ear.listen()
        eve = room.remote_participants["eve"]
        assert heard == [
            ("participant_connected", eve),
            ("participant_active", eve),
            ("track_published", eve.track_publications["TR_e"], eve),
        ]
        publication = eve.track_publications["TR_e"]
        core.update(person("eve", version=3, state=State.DISCONNECTED, disconnect_reason=1))
        assert await ear.listen() == [("track_unpublished", publication, eve), ("participant_disconnected", eve)]
        assert eve.disconnect_reason == DisconnectReason.CLIENT_INITIATED
        assert eve.track_publications == {}

    async def test_a_rejoin_under_another_sid_is_another_participant(
        self, core: ScriptedCore, room: Room, ear: Ear
    ) -> None:
        bob = room.remote_participants["bob"]
        core.update(person("bob", sid="PA_new"))
        assert [event[0] for event in await ear.listen()] == [
            "track_unpublished", "track_unpublished", "participant_disconnected", "participant_connected",
            "participant_active",
        ]  # fmt: skip
        assert room.remote_participants["bob"] is not bob

    async def test_subscribing_and_unsubscribing(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        bob = room.remote_participants["bob"]
        publication = bob.track_publications["TR_v"]
        core.tell("track_subscribed", track_sid="TR_v", participant_sid="PA_bob", mid="0", codec="vp8")
        heard = await ear.listen()
        track = publication.track
        assert isinstance(track, RemoteVideoTrack)
        assert heard == [
            ("track_subscribed", track, publication, bob),
            ("track_subscription_status_changed", publication, "subscribed", bob),
        ]
        assert (track.sid, track.name, track.room_handle, track.client) == ("TR_v", "cam", 1, core)
        assert (track.width, track.height, track.participant_name) == (1280, 720, "Bob")
        assert publication.subscribed
        core.tell("track_subscribed", track_sid="TR_v", participant_sid="PA_bob", mid="0", codec="vp8")
        assert await ear.listen() == []
        assert publication.track is track
        core.tell("track_unsubscribed", track_sid="TR_v")
        heard = await ear.listen()
        assert heard[0] == ("track_unsubscribed", track, publication, bob)
        assert not publication.subscribed
        with pytest.raises(DisconnectedError):
            _ = track.room_handle

    async def test_the_kind_of_the_track_is_that_of_its_publication(
        self, core: ScriptedCore, room: Room, ear: Ear
    ) -> None:
        core.tell("track_subscribed", track_sid="TR_a")
        await turn()
        assert isinstance(room.remote_participants["bob"].track_publications["TR_a"].track, RemoteAudioTrack)

    async def test_a_subscription_that_comes_before_its_publication(self, core: ScriptedCore, ear: Ear) -> None:
        core.tell("track_subscribed", track_sid="TR_e")
        core.update(person("eve", video("TR_e")))
        assert [event[0] for event in await ear.listen()] == [
            "participant_connected", "participant_active", "track_published", "track_subscribed",
            "track_subscription_status_changed",
        ]  # fmt: skip

    async def test_an_unpublished_track_is_unsubscribed_first_and_once(
        self, core: ScriptedCore, room: Room, ear: Ear
    ) -> None:
        core.tell("track_subscribed", track_sid="TR_v")
        await ear.listen()
        track = room.remote_participants["bob"].track_publications["TR_v"].track
        assert track is not None
        ended = []
        track.on("ended", lambda: ended.append(1))
        publication = room.remote_participants["bob"].track_publications["TR_v"]
        waiting = asyncio.ensure_future(publication.wait_for("muted"))
        await turn()
        core.update(person("bob", audio("TR_a"), name="Bob", version=2))
        core.tell("track_unsubscribed", track_sid="TR_v")
        assert [event[0] for event in await ear.listen()] == [
            "track_unsubscribed", "track_subscription_status_changed", "track_unpublished",
        ]  # fmt: skip
        assert ended == [1]
        with pytest.raises(DisconnectedError, match="unpublished"):
            await waiting

    async def test_muting_is_told_to_room_participant_publication_and_track(
        self, core: ScriptedCore, room: Room, ear: Ear
    ) -> None:
        core.tell("track_subscribed", track_sid="TR_v")
        await ear.listen()
        bob = room.remote_participants["bob"]
        publication = bob.track_publications["TR_v"]
        track, said = publication.track, []
        assert track is not None
        bob.on("track_muted", lambda muted: said.append(("participant", muted)))
        publication.on("muted", lambda: said.append(("publication",)))
        track.on("muted", lambda: said.append(("track",)))
        core.update(person("bob", video("TR_v", name="cam", muted=True), audio("TR_a"), name="Bob", version=2))
        assert await ear.listen() == [("track_muted", bob, publication)]
        assert said == [("participant", publication), ("publication",), ("track",)]
        assert publication.muted
        assert track.muted
        core.update(person("bob", video("TR_v", name="cam"), audio("TR_a"), name="Bob", version=3))
        assert await ear.listen() == [("track_unmuted", bob, publication)]
        assert not track.muted

    async def test_what_participants_say_of_themselves(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        bob, said = room.remote_participants["bob"], []
        bob.on("participant_name_changed", lambda old, new: said.append((old, new)))
        bob.on("attributes_changed", lambda changed: said.append(changed))
        info = person("bob", video("TR_v", name="cam"), audio("TR_a"), version=2, name="Bo", metadata="m")
        info.attributes["mood"] = "good"
        info.permission.can_publish = True
        core.update(info)
        assert await ear.listen() == [
            ("participant_permissions_changed", bob, bob.permissions),
            ("participant_metadata_changed", bob, "", "m"),
            ("participant_name_changed", bob, "Bob", "Bo"),
            ("participant_attributes_changed", {"mood": "good"}, bob),
        ]
        assert said == [("Bob", "Bo"), {"mood": "good"}]
        assert bob.permissions.can_publish
        assert bob.attributes == {"mood": "good"}

    async def test_speakers_ourselves_included(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        bob, me, said = room.remote_participants["bob"], room.local_participant, []
        me.on("is_speaking_changed", said.append)
        speakers = [
            models.SpeakerInfo(sid="PA_bob", level=0.25, active=True),
            models.SpeakerInfo(sid="PA_me", level=0.5, active=True),
        ]
        core.signal(speakers_changed=rtc.SpeakersChanged(speakers=speakers))
        assert await ear.listen() == [("active_speakers_changed", [me, bob])]
        assert room.active_speakers == [me, bob]
        assert (me.is_speaking, me.audio_level, said) == (True, 0.5, [True])
        spoke_at = me.last_spoke_at
        assert spoke_at is not None
        assert datetime.datetime.now(datetime.UTC) - spoke_at < datetime.timedelta(seconds=5)
        silent = [models.SpeakerInfo(sid="PA_me", level=0, active=False)]
        core.signal(speakers_changed=rtc.SpeakersChanged(speakers=silent))
        assert await ear.listen() == [("active_speakers_changed", [bob])]
        assert (me.is_speaking, me.last_spoke_at) == (False, spoke_at)

    async def test_quality_stream_state_permission_and_failure(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        core.tell("track_subscribed", track_sid="TR_v")
        await ear.listen()
        bob = room.remote_participants["bob"]
        publication = bob.track_publications["TR_v"]
        assert bob.connection_quality == ConnectionQuality.QUALITY_UNKNOWN
        quality = rtc.ConnectionQualityInfo(participant_sid="PA_bob", quality=models.ConnectionQuality.POOR)
        core.signal(connection_quality=rtc.ConnectionQualityUpdate(updates=[quality]))
        paused = rtc.StreamStateInfo(track_sid="TR_v", state=rtc.StreamState.PAUSED)
        core.signal(stream_state_update=rtc.StreamStateUpdate(stream_states=[paused]))
        core.signal(subscription_permission_update=rtc.SubscriptionPermissionUpdate(track_sid="TR_v", allowed=False))
        core.signal(subscription_response=rtc.SubscriptionResponse(track_sid="TR_a", err=2))
        assert await ear.listen() == [
            ("connection_quality_changed", bob, ConnectionQuality.QUALITY_POOR),
            ("track_stream_state_changed", publication, StreamState.STATE_PAUSED, bob),
            ("track_subscription_permission_changed", publication, False, bob),
            ("track_subscription_failed", bob, "TR_a", "track not found"),
        ]
        assert bob.connection_quality == ConnectionQuality.QUALITY_POOR
        assert not publication.allowed

    async def test_the_room_itself(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        update = models.Room(name="studio", metadata="m", active_recording=True, num_participants=7)
        core.signal(room_update=rtc.RoomUpdate(room=update))
        core.signal(refresh_token="secret")
        assert await ear.listen() == [
            ("room_metadata_changed", "", "m"), ("recording_status_changed", True), ("room_updated",), ("token_refreshed",),
        ]  # fmt: skip
        assert (room.num_participants, room.is_recording, room.sid) == (7, True, "RM_1")

    async def test_data_keys_and_transcriptions(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        bob = room.remote_participants["bob"]
        user = models.UserPacket(payload=b"hello", topic="chat")
        core.tell("data", models.DataPacket(user=user, participant_identity="bob"), reliable=True)
        core.tell("data", models.DataPacket(user=user), reliable=False)
        core.tell(
            "data",
            models.DataPacket(sip_dtmf=models.SipDTMF(code=5, digit="5"), participant_identity="bob"),
            reliable=True,
        )
        words = models.TranscriptionSegment(id="1", text="hi", final=True)
        said = models.Transcription(transcribed_participant_identity="bob", track_id="TR_a", segments=[words])
        core.tell("data", models.DataPacket(transcription=said), reliable=True)
        core.tell("data", models.DataPacket(rpc_ack=models.RpcAck()), reliable=True)
        heard = await ear.listen()
        assert [event[0] for event in heard] == [
            "data_received", "data_received", "sip_dtmf_received", "transcription_received",
        ]  # fmt: skip
        packet = heard[0][1]
        assert (packet.data, packet.topic, packet.participant) == (b"hello", "chat", bob)
        assert packet.kind == DataPacketKind.KIND_RELIABLE
        assert (heard[1][1].kind, heard[1][1].participant) == (DataPacketKind.KIND_LOSSY, None)
        assert (heard[2][1].digit, heard[2][1].participant) == ("5", bob)
        assert heard[3][1][0].text == "hi"
        assert heard[3][2:] == (bob, bob.track_publications["TR_a"])

    async def test_states_are_told_as_users_see_them(self, core: ScriptedCore, room: Room, ear: Ear) -> None:
        for state in ("resuming", "restarting", "connected", "connecting", "disconnected"):
            core.tell("state", state=state)
        assert await ear.listen() == [
            ("connection_state_changed", ConnectionState.CONN_RECONNECTING),
            ("reconnecting",),
            ("connection_state_changed", ConnectionState.CONN_CONNECTED),
            ("reconnected",),
        ]
        assert room.isconnected()

    async def test_a_handler_that_fails_and_a_message_that_is_none_cost_nothing(
        self, core: ScriptedCore, room: Room, ear: Ear, caplog: pytest.LogCaptureFixture
    ) -> None:
        room.on("participant_connected", lambda a, b: None)
        core.update(person("eve"))
        with caplog.at_level(logging.CRITICAL):
            core.listeners["room", 1]({"event": "signal", "room": 1}, [b"\xff\xff"])
            core.tell("state", state="nonsense")
            core.tell("news of a later version")
            await turn()
        core.update(person("ann"))
        assert [event[0] for event in await ear.listen()].count("participant_connected") == 2

    async def test_people_waiting_for_somebody_who_leaves_are_told(self, core: ScriptedCore, room: Room) -> None:
        bob = room.remote_participants["bob"]
        waiting = asyncio.ensure_future(bob.wait_for("track_published"))
        await turn()
        core.update(person("bob", version=2, state=State.DISCONNECTED))
        with pytest.raises(DisconnectedError, match="bob has left"):
            await waiting

    async def test_reprs_are_stable(self, room: Room) -> None:
        bob = room.remote_participants["bob"]
        assert repr(bob) == "rtc.RemoteParticipant(sid=PA_bob, identity=bob, name=Bob)"
        assert repr(bob.track_publications["TR_v"]) == (
            "rtc.RemoteTrackPublication(sid=TR_v, name=cam, kind=KIND_VIDEO, source=SOURCE_UNKNOWN)"
        )
        assert isinstance(bob, RemoteParticipant)
