"""Whole sessions: two participants of ours on a server, in both signalling modes."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from livekit import api
from livekit.protocol import models, rtc

from lknb.core.options import ConnectOptions
from lknb.errors import DisconnectedError, PublishDataError, PublishTrackError, UnpublishTrackError
from tests.core.room import Member, decode_video, peak_hz
from tests.kit.poll import wait_until

RED = {"width": 320, "height": 180, "fps": 20, "color": (200, 40, 40)}
Reason = models.DisconnectReason


def is_red(picture: np.ndarray) -> bool:
    middle = picture[picture.shape[0] // 2 - 10 :, picture.shape[1] // 2 - 10 :][:20, :20].reshape(-1, 3).mean(axis=0)
    return bool(np.all(np.abs(middle - (200, 40, 40)) < 40))


async def test_join_and_leave(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        assert alice.single is single
        assert alice.join.participant.identity == "alice"
        assert [header["state"] for header in alice.heard("state")] == ["connecting", "connected"]
        await bob.connect(single=single)
        assert [other.identity for other in bob.join.other_participants] == ["alice"]
        await wait_until(lambda: alice.signals("update"))
        await bob.leave()
        gone = models.ParticipantInfo.State.DISCONNECTED
        await wait_until(lambda: any(p.state == gone for r in alice.signals("update") for p in r.update.participants))
        assert not bob.heard("disconnected")
        assert bob.heard("state")[-1]["state"] == "disconnected"
        with pytest.raises(DisconnectedError):
            bob.session.send(rtc.SignalRequest())


async def test_the_mode_is_single_where_the_server_has_it(server, room):
    async with Member(server, "alice", room) as alice:
        assert (await alice.connect()).single


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_picture_and_sound_arrive_as_they_were_made(server, room, single, codec):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", codec=codec, **RED))
        microphone = await alice.publish(alice.open("tone", "audio", frequency_hz=440.0))
        await bob.read(camera)
        await bob.read(microphone)
        video = await bob.wait_frames(camera, 20)
        audio = await bob.wait_frames(microphone, 50)
        subscribed = await bob.wait("track_subscribed", track_sid=camera)
        assert (subscribed["codec"], subscribed["participant_sid"]) == (codec, alice.join.participant.sid)
        assert video[0].keyframe
        assert {frame.codec for frame in video} == {codec}
        pictures = decode_video(video)
        assert len(pictures) == len(video)
        assert is_red(pictures[-1])
        assert pictures[-1].shape == (180, 320, 3)
        assert abs(peak_hz(audio) - 440) < 3
        # the source may skip when the machine is busy, but never in between
        steps = np.diff([frame.timestamp for frame in audio])
        assert np.median(steps) == 960
        assert not np.any(steps % 960)


async def test_sound_and_picture_of_a_participant_are_on_one_axis(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", width=320, height=180, fps=20))
        # a frequency that makes every packet differ
        microphone = await alice.publish(alice.open("tone", "audio", frequency_hz=437.3))
        made: dict[str, list] = {camera: [], microphone: []}
        for sid, feed in zip((camera, microphone), alice.feeds, strict=True):
            feed.attach(made[sid].append, keyframe=False)
            await bob.read(sid)
        await asyncio.gather(bob.wait_frames(camera, 60), bob.wait_frames(microphone, 150))

        def later_us(sid: str) -> list[int]:
            """By how much the last frames are later here than there: the same frame is found by its bytes."""
            # pictures that do not change have the same
            counted = Counter(frame.data for frame in made[sid])
            sent = {frame.data: frame.timestamp_us for frame in made[sid] if counted[frame.data] == 1}
            pairs = [f.timestamp_us - sent[f.data] for f in bob.frames[sid][-30:] if f.data in sent]
            assert len(pairs) > 5, "too few frames were found again"
            return pairs

        for sid in (camera, microphone):
            # until the first sender report, with LiveKit for three seconds, all that is known is when they came
            await wait_until(
                lambda sid=sid: np.ptp(later_us(sid)) < 10_000,
                what=lambda sid=sid: (sid, later_us(sid)),
                interval_s=0.1,
            )
        offsets = {sid: np.median(later_us(sid)) for sid in (camera, microphone)}
        assert abs(offsets[camera] - offsets[microphone]) < 20_000


async def test_simulcast_layers_are_all_sent_and_switched_by_the_server(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", width=1280, height=720, fps=15))
        await bob.read(camera)
        frames = bob.frames[camera]
        await wait_until(lambda: frames and frames[-1].width == 1280, 20, what=lambda: frames[-1:])
        low = rtc.UpdateTrackSettings(track_sids=[camera], quality=models.VideoQuality.LOW)
        bob.session.send(rtc.SignalRequest(track_setting=low))
        await wait_until(lambda: frames[-1].width == 320, 20, what=lambda: frames[-1].width)
        first = next(index for index, frame in enumerate(frames) if frame.width == 320)
        assert frames[first].keyframe
        assert all(before.timestamp < after.timestamp for before, after in pairwise(frames))
        assert {stats["rid"] for stats in alice.session.stats()["sent"][camera]} == {"q", "h", "f"}


async def test_mute_stops_the_packets_and_unmute_begins_with_a_key_frame(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", **RED))
        track = await bob.read(camera)
        await bob.wait_frames(camera, 5)
        alice.session.publishing.mute(camera, True)
        sent = alice.session.stats()["sent"][camera][0]["packets_sent"]
        await wait_until(lambda: track.muted)
        # its closing frames are no pictures
        assert all(frame.width > 16 for frame in bob.frames[camera])
        frames = bob.frames[camera]
        seen = len(frames)
        await asyncio.sleep(0.4)
        assert alice.session.stats()["sent"][camera][0]["packets_sent"] == sent
        assert len(frames) == seen
        alice.session.publishing.mute(camera, False)
        await bob.wait_frames(camera, 10, since=seen)
        await wait_until(lambda: not track.muted)
        assert frames[seen].keyframe
        assert is_red(decode_video(frames[seen:])[-1])


async def test_unpublish_and_publish_again(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        feed = alice.open("pattern", "video", **RED)
        sids = []
        for _ in range(3):
            sid = await alice.publish(feed)
            sids.append(sid)
            await bob.read(sid)
            assert is_red(decode_video(await bob.wait_frames(sid, 5))[-1])
            await alice.session.publishing.unpublish(sid)
            await bob.wait("track_unsubscribed", track_sid=sid)
            assert bob.session.track(sid) is None
        assert len(set(sids)) == 3
        with pytest.raises(UnpublishTrackError):
            await alice.session.publishing.unpublish(sids[0])
        with pytest.raises(PublishTrackError):
            alice.session.publishing.mute(sids[0], True)


@pytest.mark.parametrize("step", ["_announce", "_negotiate"])
async def test_what_ends_before_it_is_published_is_not_published(server, room, single, step, monkeypatch):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        # a page that is reloaded just when its camera was taken
        short = alice.open("pattern", "video", **RED)
        take = getattr(alice.session.publishing, step)

        async def take_and_end(*arguments):
            taken = await take(*arguments)
            short.close()
            return taken

        with monkeypatch.context() as patch:
            patch.setattr(alice.session.publishing, step, take_and_end)
            with pytest.raises(PublishTrackError, match="the source ended"):
                await alice.publish(short)
        assert alice.session.publishing.sid_of(short) is None
        lasting = await alice.publish(alice.open("pattern", "video", **RED))
        await bob.wait("track_subscribed", track_sid=lasting)
        # what was negotiated already may have come to the others by then
        others = [heard["track_sid"] for heard in bob.heard("track_subscribed") if heard["track_sid"] != lasting]
        assert len(others) <= (step == "_negotiate")
        for sid in others:
            await bob.wait("track_unsubscribed", track_sid=sid)


async def test_unsubscribe_and_subscribe_again(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", **RED))
        await bob.connect(single=single, auto_subscribe=False)
        for count in (1, 2, 3):
            wanted = rtc.UpdateSubscription(track_sids=[camera], subscribe=True)
            bob.session.send(rtc.SignalRequest(subscription=wanted))
            await bob.wait("track_subscribed", count, track_sid=camera)
            await bob.read(camera)
            assert (await bob.wait_frames(camera, 5, since=len(bob.frames[camera])))[-1].width == 320
            unwanted = rtc.UpdateSubscription(track_sids=[camera], subscribe=False)
            bob.session.send(rtc.SignalRequest(subscription=unwanted))
            await bob.wait("track_unsubscribed", count, track_sid=camera)
        assert len(bob.heard("track_subscribed")) == 3


async def test_more_tracks_than_the_first_offer_has_sections_for(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        feed = alice.open("tone", "audio")
        sids = [await alice.publish(feed, source=models.TrackSource.UNKNOWN) for _ in range(5)]
        for sid in sids:
            await bob.read(sid)
        for sid in sids:
            await bob.wait_frames(sid, 10)


async def test_data_goes_both_ways_and_reliable_packets_are_numbered_from_one(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await asyncio.gather(alice.connect(single=single), bob.connect(single=single))
        await wait_until(lambda: alice.signals("update") and bob.signals("update"))
        for sender, receiver in ((alice, bob), (bob, alice)):
            for number in range(50):
                packet = models.DataPacket(user=models.UserPacket(payload=bytes([number]) * 1000, topic="t"))
                await sender.session.send_data(packet.SerializeToString(), reliable=True)
            await wait_until(lambda receiver=receiver: len(receiver.data()) >= 50, what="50 packets")
            arrived = receiver.data()
            assert all(reliable for reliable, _ in arrived)
            assert [packet.user.payload[0] for _, packet in arrived] == list(range(50))
            assert [packet.sequence for _, packet in arrived] == list(range(1, 51))
            assert {packet.participant_identity for _, packet in arrived} == {sender.identity}
            lossy = models.DataPacket(user=models.UserPacket(payload=b"lossy"))
            await sender.session.send_data(lossy.SerializeToString(), reliable=False)
            await wait_until(lambda receiver=receiver: receiver.data()[-1][1].user.payload == b"lossy")
            assert receiver.data()[-1][0] is False


async def test_data_of_many_senders_at_once_keeps_its_order_and_the_limit_is_exact(server, room):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect()
        await bob.connect()
        await wait_until(lambda: bob.join.other_participants or alice.signals("update"))

        def packet(size: int) -> bytes:
            return models.DataPacket(user=models.UserPacket(payload=bytes(size))).SerializeToString()

        overhead = len(packet(60_000)) - 60_000
        with pytest.raises(PublishDataError, match="64000"):
            await alice.session.send_data(packet(64_001 - overhead), reliable=True)
        sizes = [64_000 - overhead, 1, *range(1000, 30_000, 1000)]
        await asyncio.gather(*(alice.session.send_data(packet(size), reliable=True) for size in sizes))
        await wait_until(lambda: len(bob.data()) == len(sizes), 20, what=lambda: len(bob.data()))
        assert [len(arrived.user.payload) for _, arrived in bob.data()] == sizes


async def test_who_may_not_publish_at_all_is_told_which_grant_is_missing(server, room, single):
    grants = api.VideoGrants(room_join=True, room=room, can_publish=False)
    async with Member(server, "alice", room, grants=grants) as alice:
        await alice.connect(single=single)
        with pytest.raises(PublishTrackError, match=r"it needs the grant can_publish$"):
            await alice.publish(alice.open("pattern", "video", **RED))


async def test_a_refused_publish_says_why_and_what_to_do(server, room, single):
    grants = api.VideoGrants(room_join=True, room=room, can_publish_sources=["microphone"])
    async with Member(server, "alice", room, grants=grants) as alice:
        await alice.connect(single=single)
        with pytest.raises(PublishTrackError, match="can_publish_sources has microphone only"):
            await alice.publish(alice.open("pattern", "video", **RED))
        await alice.publish(alice.open("tone", "audio"))
        with pytest.raises(PublishTrackError, match="opus"):
            await alice.session.publish(alice.feeds[0], "opus", rtc.AddTrackRequest())


async def test_a_published_track_that_the_server_ends_stops(server, room):
    async with Member(server, "alice", room) as alice, server.api() as admin:
        await alice.connect()
        microphone = await alice.publish(alice.open("tone", "audio"))
        await wait_until(lambda: alice.session.stats()["sent"][microphone][0]["packets_sent"] > 5)
        permission = models.ParticipantPermission(can_subscribe=True, can_publish=False)
        await admin.room.update_participant(
            api.UpdateParticipantRequest(room=room, identity="alice", permission=permission)
        )
        await wait_until(lambda: microphone not in alice.session.stats()["sent"])
        assert alice.signals("track_unpublished")[0].track_unpublished.track_sid == microphone


async def test_an_admin_mute_holds_the_packets_back(server, room):
    async with Member(server, "alice", room) as alice, server.api() as admin:
        await alice.connect()
        microphone = await alice.publish(alice.open("tone", "audio"))
        await wait_until(lambda: alice.session.stats()["sent"][microphone][0]["packets_sent"] > 5)
        await admin.room.mute_published_track(
            api.MuteRoomTrackRequest(room=room, identity="alice", track_sid=microphone, muted=True)
        )
        await wait_until(lambda: alice.session.publication(microphone).muted)
        assert alice.signals("mute")


@pytest.mark.parametrize("end", ["removed", "deleted", "duplicate"])
async def test_the_end_by_the_server_has_its_reason(server, room, single, end):
    async with Member(server, "alice", room) as alice, Member(server, "alice", room) as other, server.api() as admin:
        await alice.connect(single=single)
        await alice.publish(alice.open("tone", "audio"))
        if end == "removed":
            await admin.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="alice"))
            expected = Reason.PARTICIPANT_REMOVED
        elif end == "deleted":
            await admin.room.delete_room(api.DeleteRoomRequest(room=room))
            expected = Reason.ROOM_DELETED
        else:
            await other.connect(single=single)
            expected = Reason.DUPLICATE_IDENTITY
        disconnected = await alice.wait("disconnected")
        assert disconnected["reason"] == expected
        assert alice.ended
        assert len(alice.heard("disconnected")) == 1
        await wait_until(lambda: alice.heard("state")[-1]["state"] == "disconnected")
        with pytest.raises(DisconnectedError):
            await alice.session.send_data(b"", reliable=True)


async def test_a_view_of_our_own_track_needs_no_way_over_the_server(server, room):
    async with Member(server, "alice", room) as alice:
        await alice.connect()
        camera = await alice.publish(alice.open("pattern", "video", width=1280, height=720, fps=15))
        track = alice.session.publication(camera)
        frames: list = []
        track.attach(frames.append)
        await wait_until(lambda: len(frames) > 5)
        assert frames[0].keyframe
        assert {(frame.width, frame.rid) for frame in frames if frame.keyframe} == {(1280, "f")}
        track.detach(frames.append)


async def test_dynacast_rests_the_layers_nobody_wants(server, room):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(dynacast=True)
        await bob.connect()
        camera = await alice.publish(alice.open("pattern", "video", width=1280, height=720, fps=15))
        await bob.read(camera)
        await bob.wait_frames(camera, 5)
        low = rtc.UpdateTrackSettings(track_sids=[camera], quality=models.VideoQuality.LOW)
        bob.session.send(rtc.SignalRequest(track_setting=low))

        def enabled() -> set[str]:
            return {stream["rid"] for stream in alice.session.stats()["sent"][camera] if stream["enabled"]}

        await wait_until(lambda: enabled() == {"q"}, 20, what=enabled)
        assert (await bob.wait_frames(camera, 10, since=len(bob.frames[camera])))[-1].width == 320
        high = rtc.UpdateTrackSettings(track_sids=[camera], quality=models.VideoQuality.HIGH)
        bob.session.send(rtc.SignalRequest(track_setting=high))
        await wait_until(lambda: enabled() == {"q", "h", "f"}, 20, what=enabled)
        await wait_until(lambda: bob.frames[camera][-1].width == 1280, 20)


def test_options_of_the_kernel():
    options = ConnectOptions.parse(
        {
            "auto_subscribe": False,
            "connect_timeout_s": None,
            "unknown": 1,
            "ice_servers": [{"urls": ["turn:example.org"], "username": "u", "credential": "c"}],
        }
    )
    assert (options.auto_subscribe, options.connect_timeout_s) == (False, 5.0)
    assert (options.ice_servers[0].urls, options.ice_servers[0].credential) == (("turn:example.org",), "c")
    info = options.join_parameters().client_info
    assert (info.sdk, info.protocol, info.client_protocol) == (models.ClientInfo.SDK.PYTHON, 16, 0)
    assert list(info.capabilities) == []
    told = ConnectOptions.parse({"client_protocol": 2, "capabilities": ["CAP_COMPRESSION_DEFLATE_RAW", "CAP_NEW"]})
    assert len(told.join_parameters().client_info.capabilities) == 1
