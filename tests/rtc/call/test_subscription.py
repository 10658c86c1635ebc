"""Subscriptions of the public API against the real server: events, permissions, speakers, statistics, bad input."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import lknb
from lknb import rtc
from lknb.codec.clock import now_us
from lknb.errors import TrackError
from lknb.rtc.room import Room
from tests.kit.poll import wait_until
from tests.rtc.call import Join


def publication_of(room: Room, sid: str) -> rtc.RemoteTrackPublication | None:
    for participant in room.remote_participants.values():
        if sid in participant.track_publications:
            return participant.track_publications[sid]
    return None


async def published(room: Room, sid: str) -> rtc.RemoteTrackPublication:
    """The publication once `room` knows it."""
    return await room.wait_until(lambda: publication_of(room, sid))


async def received(room: Room, sid: str) -> Any:
    """The track once `room` receives it."""
    publication = await published(room, sid)
    return await room.wait_until(lambda: publication.track)


@pytest.mark.parametrize("single_peer_connection", [True, False])
async def test_without_automatic_subscription_one_asks_and_is_told(join: Join, single_peer_connection: bool) -> None:
    options = {"single_peer_connection": single_peer_connection}
    alice = await join("alice", **options)
    camera = await alice.local_participant.publish_track(lknb.TestPattern(640, 360))
    bob = await join("bob", auto_subscribe=False, **options)
    there = bob.remote_participants["alice"].track_publications[camera.sid]
    assert (there.track, there.subscribed, there.desired, there.subscription_status) == (
        None,
        False,
        False,
        "unsubscribed",
    )
    told: list[tuple[Any, ...]] = []
    names = ("track_published", "track_subscribed", "track_unsubscribed", "track_unpublished")
    everything = (*names, "track_subscription_status_changed")
    for name in everything:
        bob.on(name, lambda *arguments, name=name: told.append(("room", name, *arguments)))
        there.participant.on(name, lambda *arguments, name=name: told.append(("alice", name, *arguments)))

    @bob.on("track_subscribed")
    async def slowly(track: rtc.RemoteTrack) -> None:
        told.append(("async", "track_subscribed", track))

    tone = await alice.local_participant.publish_track(lknb.Tone())
    later = await published(bob, tone.sid)
    person = bob.remote_participants["alice"]
    assert told == [("room", "track_published", later, person), ("alice", "track_published", later)]
    told.clear()
    there.set_subscribed(True)
    track = await received(bob, camera.sid)
    await bob.wait_until(lambda: any(line[0] == "async" for line in told))
    assert told == [
        ("room", "track_subscription_status_changed", there, "desired", person),
        ("alice", "track_subscription_status_changed", there, "desired"),
        ("room", "track_subscribed", track, there, person),
        ("alice", "track_subscribed", track, there),
        ("room", "track_subscription_status_changed", there, "subscribed", person),
        ("alice", "track_subscription_status_changed", there, "subscribed"),
        ("async", "track_subscribed", track),
    ]
    assert (await track.snapshot()).shape == (360, 640, 3)
    told.clear()
    await alice.local_participant.unpublish_track(camera.sid)
    await bob.wait_until(lambda: publication_of(bob, camera.sid) is None)
    assert [line[:2] for line in told if "status" not in line[1]] == [
        ("room", "track_unsubscribed"), ("alice", "track_unsubscribed"),
        ("room", "track_unpublished"), ("alice", "track_unpublished"),
    ]  # fmt: skip
    assert later.track is None


@pytest.mark.parametrize("single_peer_connection", [True, False])
async def test_permissions_say_who_gets_what(join: Join, single_peer_connection: bool) -> None:
    options = {"single_peer_connection": single_peer_connection}
    alice, bob, eve = [await join(identity, **options) for identity in ("alice", "bob", "eve")]
    me = alice.local_participant
    camera = await me.publish_track(lknb.TestPattern(640, 360))
    tone = await me.publish_track(lknb.Tone())
    for room in (bob, eve):
        await received(room, camera.sid)
        await received(room, tone.sid)
    changed: list[tuple[str, bool, str]] = []
    bob.on(
        "track_subscription_permission_changed",
        lambda pub, allowed, who: changed.append((pub.sid, allowed, who.identity)),
    )
    permission = rtc.ParticipantTrackPermission(participant_identity="bob", allowed_track_sids=[tone.sid])
    me.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[permission])
    theirs = await published(bob, camera.sid)
    await bob.wait_until(lambda: not theirs.allowed and theirs.track is None)
    await eve.wait_until(
        lambda: all(p.track is None for p in eve.remote_participants["alice"].track_publications.values())
    )
    assert changed == [(camera.sid, False, "alice")]
    assert theirs.subscription_status == "desired"
    assert (await published(bob, tone.sid)).track is not None
    # a track published later is covered by nobody's list
    second = await me.publish_track(lknb.TestPattern(320, 180))
    later = await published(bob, second.sid)
    await bob.wait_until(lambda: not later.allowed)
    assert later.track is None
    # asking again is no way around it
    theirs.set_subscribed(False)
    theirs.set_subscribed(True)
    await bob.wait_until(lambda: not theirs.allowed)
    everything = rtc.ParticipantTrackPermission(participant_identity="bob", allow_all=True)
    me.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[everything])
    await received(bob, camera.sid)
    await received(bob, second.sid)
    assert theirs.allowed
    assert all(p.track is None for p in eve.remote_participants["alice"].track_publications.values())
    nobody = rtc.ParticipantTrackPermission(
        participant_identity="nobody", allow_all=True, allowed_track_sids=["TR_none"]
    )
    me.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[nobody])
    await bob.wait_until(lambda: theirs.track is None and later.track is None)
    with pytest.raises(ValueError, match="participant_identity"):
        me.set_track_subscription_permissions(
            allow_all_participants=True, participant_permissions=[rtc.ParticipantTrackPermission(allow_all=True)]
        )
    me.set_track_subscription_permissions(allow_all_participants=True)
    for room in (bob, eve):
        for sid in (camera.sid, tone.sid, second.sid):
            await received(room, sid)


async def test_revoked_media_stop_at_once(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    camera = await alice.local_participant.publish_track(lknb.TestPattern(320, 180, fps=60))
    stream = rtc.VideoStream(await received(bob, camera.sid))
    # when it was captured: one that waits for us was sent before
    last_us = [0]

    async def watch() -> None:
        async for event in stream:
            last_us[0] = event.timestamp_us

    watching = asyncio.ensure_future(watch())
    await wait_until(lambda: last_us[0] > 0)
    revoked_us = now_us()
    alice.local_participant.set_track_subscription_permissions(allow_all_participants=False)
    async with asyncio.timeout(5):
        await watching
    assert last_us[0] - revoked_us < 500_000


async def test_who_speaks_is_told_to_everybody_the_speaker_included(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    tone = await alice.local_participant.publish_track(lknb.Tone(volume=0.5))
    her = bob.remote_participants["alice"]
    told: dict[str, list[Any]] = {"speaking": [], "herself": [], "bob": [], "alice": []}
    her.on("is_speaking_changed", lambda speaking: told["speaking"].append(speaking))
    alice.local_participant.on("is_speaking_changed", lambda speaking: told["herself"].append(speaking))
    bob.on("active_speakers_changed", lambda speakers: told["bob"].append([p.identity for p in speakers]))
    alice.on("active_speakers_changed", lambda speakers: told["alice"].append([p.identity for p in speakers]))
    await bob.wait_until(lambda: her.is_speaking)
    await alice.wait_until(lambda: alice.local_participant.is_speaking)
    assert bob.active_speakers == [her]
    assert alice.active_speakers == [alice.local_participant]
    for participant in (her, alice.local_participant):
        assert 0 < participant.audio_level <= 1
        assert participant.last_spoke_at is not None
        assert abs(participant.last_spoke_at.timestamp() - time.time()) < 5
    assert tone.track is not None
    tone.track.mute()
    await bob.wait_until(lambda: not her.is_speaking)
    await alice.wait_until(lambda: not alice.local_participant.is_speaking)
    assert (her.audio_level, bob.active_speakers, alice.active_speakers) == (0.0, [], [])
    assert told["speaking"] == told["herself"] == [True, False]
    assert told["bob"][0] == told["alice"][0] == ["alice"]
    assert told["bob"][-1] == told["alice"][-1] == []
    assert her.last_spoke_at is not None


async def test_quality_of_the_connection_and_state_of_the_stream_are_told(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    quality = asyncio.ensure_future(bob.wait_for("connection_quality_changed", timeout=15))
    camera = await alice.local_participant.publish_track(lknb.TestPattern(640, 360))
    track = await received(bob, camera.sid)
    participant, how = await quality
    assert participant.identity in ("alice", "bob")
    assert how == participant.connection_quality == rtc.ConnectionQuality.QUALITY_EXCELLENT
    assert track.stream_state == rtc.StreamState.STATE_ACTIVE


async def test_statistics_say_what_the_other_side_says(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    camera = await alice.local_participant.publish_track(lknb.TestPattern(1280, 720, fps=20))
    tone = await alice.local_participant.publish_track(lknb.Tone())
    track, sound = await received(bob, camera.sid), await received(bob, tone.sid)

    async def complete() -> dict[str, Any] | None:
        found = {entry.WhichOneof("stats"): entry for entry in await track.get_stats()}
        whole = {"codec", "inbound_rtp", "remote_outbound_rtp"} == set(found)
        return found if whole and found["inbound_rtp"].inbound_rtp.inbound.frame_height == 720 else None

    got = await wait_until(complete, 15, interval_s=0.1)
    inbound = got["inbound_rtp"].inbound_rtp
    assert inbound.inbound.frame_width == 1280
    assert got["codec"].codec.codec.mime_type == "video/VP8"
    await wait_until(lambda: _fps(track), 10, interval_s=0.2)
    assert camera.track is not None
    sent = [entry for entry in await camera.track.get_stats() if entry.HasField("outbound_rtp")]
    assert [(entry.outbound_rtp.outbound.rid, entry.outbound_rtp.outbound.frame_height) for entry in sent] == [
        ("q", 180), ("h", 360), ("f", 720),
    ]  # fmt: skip
    assert all(entry.outbound_rtp.outbound.active for entry in sent)
    heard = [entry for entry in await sound.get_stats() if entry.HasField("inbound_rtp")]
    assert heard[0].inbound_rtp.received.packets_received > 0
    assert heard[0].inbound_rtp.stream.kind == "audio"
    everything = (await bob.get_rtc_stats()).publisher_stats
    ssrcs = {entry.inbound_rtp.stream.ssrc for entry in everything if entry.HasField("inbound_rtp")}
    assert ssrcs == {inbound.stream.ssrc, heard[0].inbound_rtp.stream.ssrc}


async def _fps(track: rtc.RemoteVideoTrack) -> bool:
    entry = (await track.get_stats())[1]
    return 15 <= entry.inbound_rtp.inbound.frames_per_second <= 25


async def test_wishes_that_make_no_sense_cost_nobody_anything(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    camera = await alice.local_participant.publish_track(lknb.TestPattern(1280, 720, fps=15))
    tone = await alice.local_participant.publish_track(lknb.Tone())
    track = await received(bob, camera.sid)
    seen, heard = await published(bob, camera.sid), await published(bob, tone.sid)
    for quality in (7, -1):
        with pytest.raises(ValueError):
            seen.set_video_quality(quality)
    for set_it in (
        lambda: heard.set_video_quality(0),
        lambda: heard.set_video_dimensions(9, 9),
        lambda: heard.set_video_fps(9),
    ):
        with pytest.raises(ValueError, match="is for video"):
            set_it()
    for fps in (0, -5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="cannot be asked for"):
            seen.set_video_fps(fps)
    seen.set_video_dimensions(10**9, 10**9)
    seen.set_video_fps(10**12)
    core = bob._require_core()
    for sid in ("TR_unknown", "", "x" * 10_000, bob.local_participant.sid):
        with pytest.raises(TrackError, match="nobody in the room publishes"):
            await core.request("track_setting", {"track_sid": sid, "enabled": False})
        with pytest.raises(TrackError, match="nobody in the room publishes"):
            await core.request("track_subscription", {"track_sid": sid, "on": True})
    for _ in range(5_000):
        seen.set_enabled(False)
        seen.set_enabled(True)
        heard.set_subscribed(False)
        heard.set_subscribed(True)
    assert (await track.snapshot(timeout=10)).shape[2] == 3
    await received(bob, tone.sid)
    assert bob.isconnected()
    with pytest.raises(ValueError, match="pixels"):
        await track.snapshot(size=(0, 5))
    with pytest.raises(ValueError, match="pixels"):
        rtc.VideoStream(track, size=(float("nan"), 5))
