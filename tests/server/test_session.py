"""Joining: what is refused before the upgrade and how, what a participant is told, and how sessions end."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace

import aiohttp
import jwt
import pytest
from livekit import api
from livekit.protocol import models, rtc

from lknb import limits
from lknb.server import participant
from lknb.server.app import Server
from lknb.wire.sdp import build_sdp, parse_sdp
from tests.kit.poll import wait_until
from tests.kit.raw import RawClient, RawTrack
from tests.kit.token import API_KEY, API_SECRET, make_token
from tests.server.conftest import Join
from tests.server.test_dual import changed_directly

Reason = models.DisconnectReason
State = models.ParticipantInfo.State


def signed(claims: dict[str, object], secret: str = API_SECRET, **options: object) -> str:
    return jwt.encode(claims, secret, **options)  # type: ignore[arg-type]


VIDEO = {"roomJoin": True, "room": "room"}
GOOD = {"iss": API_KEY, "sub": "alice", "exp": 4_000_000_000, "video": VIDEO}


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("", 401),
        ("not.a.token", 401),
        ("x" * 9000, 401),
        (signed({**GOOD, "exp": 1_000_000_000}), 401),
        (signed({k: v for k, v in GOOD.items() if k != "exp"}), 401),
        (signed({**GOOD, "nbf": 3_900_000_000}), 401),
        (signed(GOOD, "another secret of 32 bytes or more!!"), 401),
        (signed({**GOOD, "iss": "nobody"}), 401),
        (signed(GOOD, algorithm="HS512"), 401),
        (signed(GOOD, None, algorithm="none"), 401),
        (signed({**GOOD, "video": {"room": "room"}}), 401),
        (signed({**GOOD, "video": "room"}), 401),
        (signed({**GOOD, "attributes": {"a": 1}}), 401),
        (signed({**GOOD, "sub": ""}), 400),
        (signed({**GOOD, "sub": "a" * 257}), 400),
        (signed({**GOOD, "video": {"roomJoin": True}}), 400),
        (signed({**GOOD, "video": {"roomJoin": True, "room": "r" * 257}}), 400),
        (signed({**GOOD, "metadata": "m" * (512 * 1024 + 1)}), 401),
        (signed(GOOD), 200),
        (signed({**GOOD, "sub": "a" * 256}), 200),
    ],
)
@pytest.mark.parametrize("path", ["/rtc/validate", "/rtc"])
async def test_tokens_are_judged_before_the_upgrade_and_the_answer_does_not_say_why(
    url: str, token: str, status: int, path: str
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url.replace("ws", "http") + path, params={"access_token": token}) as response,
    ):
        text = await response.text()
        # a good token without an upgrade is told that there is nothing here
        assert response.status == (404 if status == 200 and path == "/rtc" else status)
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        if status == 401:
            assert text == "invalid token"
        if status == 200 and path != "/rtc":
            assert text == "success"


@pytest.mark.parametrize("join_request", [None, "", "%%%", base64.urlsafe_b64encode(b"\xff\xff\xff").decode()])
async def test_a_bad_join_request_is_a_bad_request(url: str, join_request: str | None) -> None:
    params = {"access_token": make_token("alice", "room")}
    if join_request is not None:
        params["join_request"] = join_request
    async with (
        aiohttp.ClientSession() as session,
        session.get(url.replace("ws", "http") + "/rtc/v1/validate", params=params) as response,
    ):
        assert response.status == (200 if join_request == "" else 400), await response.text()


async def test_the_root_and_preflights_answer_pages_of_any_origin(url: str) -> None:
    http = url.replace("ws", "http")
    async with aiohttp.ClientSession() as session:
        async with session.get(http + "/") as response:
            assert (response.status, await response.text()) == (200, "OK")
        async with session.options(http + "/rtc/validate") as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Headers"] == "*"
        async with session.get(http + "/settings/regions") as response:
            assert response.status == 404
            assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_join_tells_the_room_the_others_and_what_the_client_needs(join: Join) -> None:
    alice = await join("alice", RawTrack("cam", "vp8", name="front"))
    bob = await join("bob")
    response = bob.join
    assert bob.signals[0].WhichOneof("message") == "join"
    assert response.room.name == "room"
    assert response.room.sid.startswith("RM_")
    assert response.participant.sid.startswith("PA_")
    assert response.participant.identity == "bob"
    assert [p.identity for p in response.other_participants] == ["alice"]
    assert [t.name for t in response.other_participants[0].tracks] == ["front"]
    assert (response.ping_interval, response.ping_timeout) == (5, 15)
    assert response.server_info.version
    assert not response.subscriber_primary
    assert response.fast_publish
    assert {c.mime for c in response.enabled_publish_codecs} == {"audio/opus", "video/VP8", "video/H264"}
    active = await alice.wait_for(
        "update", lambda m: any(p.identity == "bob" and p.state == State.ACTIVE for p in m.participants)
    )
    assert active.participants[0].permission.can_publish
    token = (await bob.wait_for("refresh_token")) and bob.all("refresh_token")[0]
    claims = api.TokenVerifier(API_KEY, API_SECRET).verify(token)
    assert (claims.identity, claims.video.room) == ("bob", "room")  # type: ignore[union-attr]


async def test_what_the_publisher_asked_for_is_echoed(join: Join) -> None:
    alice = await join("alice")
    track = RawTrack("cam", "vp8", ("q", "h", "f"), name="front")
    await alice.publish(track)
    info = alice.all("track_published")[0].track
    assert info.sid.startswith("TR_VC")
    assert (info.name, info.width, info.height, info.simulcast, info.stream) == ("front", 1280, 720, True, "camera")
    assert [(layer.quality, layer.width) for layer in info.layers] == [(0, 320), (1, 640), (2, 1280)]
    assert info.codecs[0].mime_type == "video/vp8"
    assert info.codecs[0].cid == track.cid
    alice.send(track, 1, 1, b"\x10\x00\x00\x00\x9d\x01\x2a\x40\x01\x40\x00", rid="h")
    live = await alice.wait_for("update", lambda m: any(t.mid for p in m.participants for t in p.tracks))
    announced = live.participants[0].tracks[0]
    assert (announced.mime_type, announced.mid) == ("video/VP8", "cam")
    assert [layer.rid for layer in announced.layers] == ["q", "h", "f"]
    await alice.wait_for(
        "update", lambda m: any(layer.ssrc for p in m.participants for t in p.tracks for layer in t.layers)
    )
    bob = await join("bob")
    layers = bob.join.other_participants[0].tracks[0].layers
    assert [layer.ssrc for layer in layers] == [0, track.ssrcs["h"], 0]


async def test_a_second_join_of_an_identity_evicts_the_first(join: Join, server: Server) -> None:
    first = await join("alice")
    second = await join("alice")
    leave = await first.wait_for("leave")
    assert (leave.reason, leave.action) == (Reason.DUPLICATE_IDENTITY, rtc.LeaveRequest.Action.DISCONNECT)
    await wait_until(lambda: first.socket.closed)
    assert [p.sid for p in server.registry.rooms["room"].participants.values()] == [second.sid]


async def test_leaving_is_told_to_the_others_with_its_reason(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.request(leave=rtc.LeaveRequest(reason=Reason.CLIENT_INITIATED))
    gone = await bob.wait_for("update", lambda m: any(p.state == State.DISCONNECTED for p in m.participants))
    assert gone.participants[0].identity == "alice"
    assert gone.participants[0].disconnect_reason == Reason.CLIENT_INITIATED


async def test_a_client_that_vanishes_is_missed(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.close()
    gone = await bob.wait_for("update", lambda m: any(p.state == State.DISCONNECTED for p in m.participants))
    assert gone.participants[0].identity == "alice"


async def test_shutting_down_is_told_to_everybody(join: Join, server: Server) -> None:
    alice = await join("alice")
    await server.close()
    leave = await alice.wait_for("leave")
    assert (leave.reason, leave.action) == (Reason.SERVER_SHUTDOWN, rtc.LeaveRequest.Action.DISCONNECT)


def wait_long_for_a_resume(server: Server) -> None:
    """In this test somebody comes back, however late the machine is."""
    room = server.registry.rooms["room"]
    room.config = replace(room.config, resume_window_s=60.0)


async def test_a_resume_keeps_the_participant_and_an_unknown_one_is_sent_back(
    join: Join, server: Server, url: str
) -> None:
    alice = await join("alice")
    wait_long_for_a_resume(server)
    await alice.socket.close()
    token = make_token("alice", "room")
    async with aiohttp.ClientSession() as session:
        for sid, expected in ((alice.sid, "reconnect"), ("PA_unknown", "leave")):
            params = {"access_token": token, "reconnect": "1", "sid": sid}
            async with session.ws_connect(url + "/rtc", params=params) as socket:
                first = rtc.SignalResponse.FromString(await socket.receive_bytes(timeout=5))
                assert first.WhichOneof("message") == expected
                if expected == "reconnect":
                    update = rtc.SignalResponse.FromString(await socket.receive_bytes(timeout=5)).update
                    assert update.participants[0].sid == alice.sid
                else:
                    assert first.leave.action == rtc.LeaveRequest.Action.RECONNECT
                    assert first.leave.reason == Reason.STATE_MISMATCH


async def test_pings_are_answered_at_once(join: Join) -> None:
    alice = await join("alice")
    await alice.request(ping=5)
    await alice.request(ping_req=rtc.Ping(timestamp=77, rtt=1))
    assert (await alice.wait_for("pong")) > 1_600_000_000_000
    assert (await alice.wait_for("pong_resp")).last_ping_timestamp == 77


async def test_metadata_needs_the_grant_and_keeps_to_its_limits(join: Join) -> None:
    alice = await join("alice")
    bob = await join("bob", grants=api.VideoGrants(room_join=True, room="room"))
    update = rtc.UpdateParticipantMetadata
    await alice.request(update_metadata=update(name="Alice", metadata="m", attributes={"k": "v"}, request_id=1))
    assert (await alice.wait_for("request_response", lambda m: m.request_id == 1)).reason == rtc.RequestResponse.OK
    seen = await bob.wait_for("update", lambda m: any(p.name == "Alice" for p in m.participants))
    assert dict(seen.participants[0].attributes) == {"k": "v"}
    await alice.request(update_metadata=update(attributes={"k": ""}, request_id=2))
    await bob.wait_for("update", lambda m: any(p.name == "Alice" and not p.attributes for p in m.participants))
    for number, (field, limit) in enumerate((("name", 256), ("metadata", 512 * 1024)), 10):
        await alice.request(update_metadata=update(**{field: "x" * limit, "request_id": number}))  # type: ignore[arg-type]
        fits = await alice.wait_for("request_response", lambda m, n=number: m.request_id == n)
        assert fits.reason == rtc.RequestResponse.OK
        await alice.request(update_metadata=update(**{field: "x" * (limit + 1), "request_id": number + 10}))  # type: ignore[arg-type]
        refused = await alice.wait_for("request_response", lambda m, n=number + 10: m.request_id == n)
        assert refused.reason == rtc.RequestResponse.LIMIT_EXCEEDED
    await bob.request(update_metadata=update(name="Robert", request_id=3))
    refused = await bob.wait_for("request_response", lambda m: m.request_id == 3)
    assert refused.reason == rtc.RequestResponse.NOT_ALLOWED


async def test_a_grant_that_forbids_publishing_is_kept(join: Join) -> None:
    silent = api.VideoGrants(room_join=True, room="room", can_publish=False)
    alice = await join("alice", grants=silent)
    await alice.request(add_track=RawTrack("cam", "vp8").request())
    refused = await alice.wait_for("request_response")
    assert refused.reason == rtc.RequestResponse.NOT_ALLOWED
    assert refused.WhichOneof("request") == "add_track"
    only_mic = api.VideoGrants(room_join=True, room="room", can_publish_sources=["microphone"])
    bob = await join("bob", grants=only_mic)
    await bob.request(add_track=RawTrack("cam", "vp8").request())
    assert (await bob.wait_for("request_response")).reason == rtc.RequestResponse.NOT_ALLOWED


async def test_somebody_hidden_is_not_seen(join: Join) -> None:
    alice = await join("alice")
    await join("ghost", grants=api.VideoGrants(room_join=True, room="room", hidden=True))
    bob = await join("bob")
    assert [p.identity for p in bob.join.other_participants] == ["alice"]
    await alice.wait_for("update", lambda m: any(p.identity == "bob" for p in m.participants))
    assert not any(p.identity == "ghost" for m in alice.all("update") for p in m.participants)


async def test_data_goes_to_whom_it_is_meant_for_stamped_with_its_sender(join: Join) -> None:
    alice, bob, carol = await join("alice"), await join("bob"), await join("carol")
    await wait_until(
        lambda: all(c.channels["_reliable"].is_open and c.channels["_lossy"].is_open for c in (alice, bob, carol))
    )
    forged = models.DataPacket(participant_sid="PA_forged", participant_identity="mallory", sequence=1)
    forged.user.payload, forged.user.topic = b"to all", "t"
    alice.channels["_reliable"].send(forged.SerializeToString())
    to_bob = models.DataPacket(destination_identities=["bob"], sequence=2)
    to_bob.user.payload = b"to bob"
    alice.channels["_reliable"].send(to_bob.SerializeToString())
    alice.channels["_reliable"].send(to_bob.SerializeToString())  # a replay
    alice.channels["_reliable"].send(b"\xff\xff not a packet")
    lossy = models.DataPacket()
    lossy.user.payload = b"lossy"
    alice.channels["_lossy"].send(lossy.SerializeToString())
    await wait_until(lambda: len(bob.data) == 3 and len(carol.data) == 2)
    assert [p.user.payload for p in bob.data if p.kind == models.DataPacket.RELIABLE] == [b"to all", b"to bob"]
    assert {p.participant_identity for p in bob.data} == {"alice"}
    assert {p.user.participant_sid for p in carol.data} == {alice.sid}
    assert alice.data == []


async def test_data_without_the_grant_goes_nowhere(join: Join) -> None:
    mute = api.VideoGrants(room_join=True, room="room", can_publish_data=False)
    alice, bob = await join("alice", grants=mute), await join("bob")
    await wait_until(lambda: alice.channels["_reliable"].is_open and bob.channels["_reliable"].is_open)
    packet = models.DataPacket(sequence=1)
    packet.user.payload = b"x"
    alice.channels["_reliable"].send(packet.SerializeToString())
    echo = models.DataPacket(sequence=1)
    echo.user.payload = b"y"
    bob.channels["_reliable"].send(echo.SerializeToString())
    await wait_until(lambda: alice.data)
    assert bob.data == []


async def test_who_speaks_is_told_to_those_who_hear_it(join: Join) -> None:
    mic = RawTrack("mic", "opus", source=models.TrackSource.MICROPHONE)
    alice = await join("alice", mic)
    bob = await join("bob")
    stranger = await join("stranger", auto_subscribe=False)
    number = 0

    def speak(level: int) -> None:
        nonlocal number
        alice.send(mic, number, number * 960, bytes(40), level=level)
        number += 1

    def heard() -> object:
        speak(10)
        return bob.all("speakers_changed")

    await wait_until(heard, interval_s=0.02)
    speaker = bob.all("speakers_changed")[0].speakers[0]
    assert (speaker.sid, speaker.active) == (alice.sid, True)
    assert 0.2 < speaker.level <= 0.5
    assert speaker.level * 8 == int(speaker.level * 8)
    await alice.wait_for("speakers_changed")
    await bob.wait_for("speakers_changed", lambda m: not m.speakers[0].active)
    assert stranger.all("speakers_changed") == []


async def test_an_offer_that_cannot_be_read_is_refused_and_the_session_kept(join: Join) -> None:
    track = RawTrack("cam", "vp8")
    alice = await join("alice", track)
    for sdp in ("", "v=0", "v=0\r\nm=video x y z\r\n", "\0" * 100, "m=" * 5000):
        await alice.request(offer=rtc.SessionDescription(type="offer", sdp=sdp, id=99))
    await alice.request(answer=rtc.SessionDescription(type="answer", sdp="v=0"))
    for text in (
        "",
        "x",
        "[1]",
        json.dumps({"candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host"}),
        '{"candidate": 5}',
    ):
        await alice.request(trickle=rtc.TrickleRequest(candidateInit=text))
    await alice.socket.send_bytes(b"\xff\xff\xff")
    await alice.socket.send_str("{not json")
    second = RawTrack("cam2", "vp8")
    await alice.publish(second)
    await alice.wait_for("update", lambda m: any(len(p.tracks) == 2 for p in m.participants))


async def test_who_sends_too_many_messages_is_read_more_slowly_and_nobody_else_notices(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    count = limits.SIGNAL_COST_PER_S * 2
    began = asyncio.get_running_loop().time()
    for _ in range(count):
        await alice.request(ping=1)
    await bob.request(ping=1)
    await bob.wait_for("pong")
    answered, passed_s = len(alice.all("pong")), asyncio.get_running_loop().time() - began
    # a burst, and what was earned since
    assert answered <= limits.SIGNAL_COST_PER_S * (0.25 + passed_s) + 1, "all were answered at once"
    await wait_until(lambda: len(alice.all("pong")) == count, 20, what=lambda: len(alice.all("pong")))
    assert asyncio.get_running_loop().time() - began > 0.8
    # a large one counts for many
    await alice.request(update_metadata=rtc.UpdateParticipantMetadata(metadata="x" * limits.METADATA_BYTES))
    await alice.wait_for("request_response", lambda m: m.reason == rtc.RequestResponse.OK)


async def test_an_oversize_message_closes_the_link(join: Join) -> None:
    alice = await join("alice")
    await alice.socket.send_bytes(bytes(2 * 1024 * 1024 + 10))
    await wait_until(lambda: alice.socket.closed)
    assert alice.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_an_unpublished_track_is_gone_for_everybody(join: Join) -> None:
    track = RawTrack("cam", "vp8")
    alice, bob = await join("alice", track), await join("bob")
    await bob.receiving(track.sid)
    await alice.unpublish(track)
    await bob.wait_for(
        "update", lambda m: any(p.identity == "alice" and not p.tracks and p.version > 2 for p in m.participants)
    )
    await wait_until(lambda: bob.ssrc_of(track.sid) is None)


async def test_more_tracks_than_sections_are_asked_for(join: Join) -> None:
    tracks = [RawTrack(f"cam{i}", "vp8", name=str(i)) for i in range(5)]
    await join("alice", *tracks)
    bob = await join("bob", receive=1)
    for track in tracks:
        await bob.receiving(track.sid)
    assert len({bob.ssrc_of(track.sid) for track in tracks}) == 5


async def test_a_section_changes_from_track_to_track_by_way_of_none(join: Join) -> None:
    tracks = [RawTrack("cam", "vp8"), RawTrack("cam2", "vp8", name="second")]
    await join("alice", *tracks)
    bob = await join("bob", auto_subscribe=False)
    sids = [track.sid for track in tracks]
    await bob.request(subscription=rtc.UpdateSubscription(track_sids=sids[:1], subscribe=True))
    await bob.receiving(sids[0])
    for gone, come in (sids, sids[::-1]) * 3:
        await bob.request(subscription=rtc.UpdateSubscription(track_sids=[gone], subscribe=False))
        await bob.request(subscription=rtc.UpdateSubscription(track_sids=[come], subscribe=True))
        await bob.receiving(come)
    answers = [parse_sdp(answer.sdp) for answer in bob.all("answer")]
    assert changed_directly(answers) == []
    # those that were there are used again
    assert len([section for section in answers[-1].media if section.kind == "video"]) <= 3


async def test_a_codec_the_subscriber_cannot_decode_is_told_once(join: Join, url: str) -> None:
    track = RawTrack("cam", "h264")
    await join("alice", track)
    bob = RawClient(url, make_token("bob", "room"))
    original = RawClient._receive_plan

    def only_vp8(name: str) -> object:
        plan = original(name)
        plan.codecs = [codec for codec in plan.codecs if codec.name != "H264"]
        return plan

    bob._receive_plan = only_vp8  # type: ignore[method-assign, assignment]
    await bob.connect()
    refusal = await bob.wait_for("subscription_response")
    assert (refusal.track_sid, refusal.err) == (track.sid, models.SubscriptionError.SE_CODEC_UNSUPPORTED)
    await bob.close()


async def test_two_joins_of_an_identity_at_once_leave_one(join: Join, server: Server) -> None:
    await join("alice")
    await asyncio.gather(join("alice", wait=False), join("alice", wait=False), return_exceptions=True)
    await wait_until(lambda: len(server.registry.rooms["room"].participants) == 1)


async def test_a_section_the_client_cannot_receive_in_is_never_used(join: Join) -> None:
    own = RawTrack("own", "vp8")
    alice = await join("alice", own, receive=1)
    await alice.unpublish(own)
    tracks = [RawTrack(f"cam{i}", "vp8", name=str(i)) for i in range(3)]
    await join("bob", *tracks)
    for track in tracks:
        await alice.receiving(track.sid)
    assert alice.answer is not None
    assert next(s for s in alice.answer.media if s.mid == "own").direction == "inactive"


async def test_what_may_not_be_published_any_more_is_not(join: Join, server: Server) -> None:
    alice = await join("alice")
    track = RawTrack("cam", "vp8")
    alice.tracks.append(track)
    await alice.request(add_track=track.request())
    await alice.published(track)
    publisher = server.registry.rooms["room"].participants[alice.sid]
    publisher.set_permission(models.ParticipantPermission(can_publish=False, can_subscribe=True))
    alice._order.append((track.mid, track.kind, track.plan()))
    await alice.offer()
    await alice.wait_for("answer", after=len(alice.signals) - 1)
    assert publisher.publications == {}


async def test_tracks_that_were_announced_and_given_up_make_place_for_others(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participant, "PENDING_S", 60.0)
    alice = await join("alice")
    for number in range(limits.PENDING_TRACKS):
        track = RawTrack(f"cam{number}", "vp8")
        await alice.request(add_track=track.request())
        await alice.published(track)
    await alice.request(add_track=RawTrack("one too many", "vp8").request())
    assert (await alice.wait_for("request_response")).reason == rtc.RequestResponse.LIMIT_EXCEEDED
    monkeypatch.setattr(participant, "PENDING_S", 0.0)
    for number in range(3):
        await alice.publish(RawTrack(f"lasting{number}", "vp8"))


async def test_names_of_tracks_have_a_limit(join: Join) -> None:
    alice = await join("alice")
    for name, fits in (("n" * 256, True), ("n" * 257, False)):
        track = RawTrack("cam" + str(fits), "vp8", name=name)
        await alice.request(add_track=track.request())
        if fits:
            await alice.published(track)
        else:
            assert (await alice.wait_for("request_response")).reason == rtc.RequestResponse.LIMIT_EXCEEDED


async def test_what_a_participant_missed_while_it_was_cut_is_told_after_the_resume(
    join: Join, server: Server, url: str
) -> None:
    track = RawTrack("cam", "vp8")
    alice = await join("alice", track)
    wait_long_for_a_resume(server)
    await alice.socket.close()
    muted = server.registry.rooms["room"].participants[alice.sid]
    await wait_until(lambda: muted.signal is None)
    muted.mute(track.sid, True, by_admin=True)
    params = {"access_token": make_token("alice", "room"), "reconnect": "1", "sid": alice.sid}
    kinds = []
    async with aiohttp.ClientSession() as session, session.ws_connect(url + "/rtc", params=params) as socket:
        while "mute" not in kinds:
            message = rtc.SignalResponse.FromString(await socket.receive_bytes(timeout=5))
            kinds.append(message.WhichOneof("message"))
    assert kinds[:2] == ["reconnect", "update"]


@pytest.mark.parametrize("auto_subscribe", [True, False])
async def test_what_was_asked_for_while_cut_is_in_the_state_after_the_resume(
    join: Join, server: Server, url: str, auto_subscribe: bool
) -> None:
    """Clients lose what they are asked for between the cut and the attempt to resume, and say it once more as a whole."""
    tracks = [RawTrack(name, "vp8", name=name) for name in ("cam", "cam2", "cam3")]
    await join("alice", *tracks)
    bob = await join("bob", receive=3, auto_subscribe=auto_subscribe)
    first, second, third = (track.sid for track in tracks)
    if not auto_subscribe:
        await bob.request(subscription=rtc.UpdateSubscription(track_sids=[first, second], subscribe=True))
    for sid in (first, second):
        await bob.receiving(sid)
    wait_long_for_a_resume(server)
    await bob.socket.close()
    subscriptions = server.registry.rooms["room"].participants[bob.sid].subscriber.subscriptions
    before = set(subscriptions)
    listed = rtc.UpdateSubscription(track_sids=[first if auto_subscribe else third], subscribe=not auto_subscribe)
    state = rtc.SyncState(subscription=listed, track_sids_disabled=[second])
    params = {"access_token": make_token("bob", "room"), "reconnect": "1", "sid": bob.sid}
    async with aiohttp.ClientSession() as session, session.ws_connect(url + "/rtc", params=params) as socket:
        await socket.send_bytes(rtc.SignalRequest(sync_state=state).SerializeToString())
        after = before - {first} if auto_subscribe else before | {third}
        await wait_until(lambda: set(subscriptions) == after and subscriptions[second].disabled)


async def test_a_section_of_another_kind_is_rejected(join: Join) -> None:
    alice = await join("alice")
    offer = alice._negotiation.create_offer(alice._order, alice.transport.local("actpass"))
    text = build_sdp(offer).replace("m=video", "m=text", 1)
    await alice.request(offer=rtc.SessionDescription(type="offer", sdp=text, id=50))
    await alice.wait_for("answer", lambda m: m.id == 50)
    assert alice.answer is not None
    assert [s.rejected for s in alice.answer.media if s.kind == "text"] == [True]


async def test_whoever_hangs_up_before_the_answer_leaves_no_trace(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    token = make_token("hasty", "room")
    request = (
        f"GET /rtc?access_token={token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request.encode())
        writer.transport.abort()
    room = server.registry.create("room")
    await wait_until(lambda: not server.registry.signals and not room.participants)
    assert not caplog.records
