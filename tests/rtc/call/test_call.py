"""Whole calls: the real server, the real core process, several participants of one kernel."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lknb
from lknb import api, rtc
from lknb.core.client import CoreClient
from lknb.errors import ConnectError, DisconnectedError, PublishTrackError, RequestError, TrackError
from lknb.rtc.room import Room
from tests.kit.poll import wait_until
from tests.rtc.call import Join

ROOT = Path(__file__).resolve().parents[3]
ORANGE = (230, 120, 20)


async def received(room: Room, sid: str) -> Any:
    """The track once `room` receives it."""

    def find() -> Any:
        for participant in room.remote_participants.values():
            publication = participant.track_publications.get(sid)
            if publication is not None and publication.track is not None:
                return publication.track
        return None

    return await room.wait_until(find)


def colour(picture: np.ndarray[Any, Any]) -> list[int]:
    return [int(value) for value in picture.mean(axis=(0, 1))]


def close_to(value: list[int], wanted: tuple[int, int, int], tolerance: int = 25) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(value, wanted, strict=True))


@pytest.mark.parametrize("single_peer_connection", [True, False])
async def test_pictures_and_sound_arrive_as_they_were_sent(join: Join, single_peer_connection: bool) -> None:
    options = {"single_peer_connection": single_peer_connection}
    alice, bob = await join("alice", **options), await join("bob", **options)
    picture = await alice.local_participant.publish_track(lknb.TestPattern(640, 360, color=ORANGE))
    sound = await alice.local_participant.publish_track(lknb.Tone(1000.0))
    assert close_to(colour(await (await received(bob, picture.sid)).snapshot()), ORANGE)

    frames = []
    async with asyncio.timeout(10):
        async for event in rtc.VideoStream(await received(bob, picture.sid)):
            frames.append(event.frame.to_ndarray())
            if len(frames) == 10:
                break
    assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
    assert all(frame.shape[2] == 3 and close_to(colour(frame), ORANGE) for frame in frames)

    samples: list[np.ndarray[Any, Any]] = []
    async with asyncio.timeout(10):
        async for event in rtc.AudioStream(await received(bob, sound.sid)):
            samples.append(event.frame.to_ndarray().reshape(-1))
            if sum(map(len, samples)) >= 48_000:
                break
    heard = np.concatenate(samples)[24_000:48_000].astype(float)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(spectrum.argmax() * 48_000 / len(heard) - 1000) < 5
    await picture.wait_for_subscription()
    await sound.wait_for_subscription()


async def test_arrays_go_out_and_come_in(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    source = rtc.VideoSource(320, 240)
    publication = await alice.local_participant.publish_track(source)
    track = await received(bob, publication.sid)
    blue = np.zeros((240, 320, 3), np.uint8)
    blue[:] = (20, 40, 220)

    async def capture() -> None:
        while True:
            source.capture_frame(rtc.VideoFrame.from_ndarray(blue))
            await asyncio.sleep(1 / 30)

    capturing = asyncio.ensure_future(capture())
    try:
        picture = await track.snapshot()
    finally:
        capturing.cancel()
    assert picture.shape == (240, 320, 3)
    assert close_to(colour(picture), (20, 40, 220))


async def test_everybody_is_told_of_a_mute(join: Join) -> None:
    alice, bob, carol = await join("alice"), await join("bob"), await join("carol")
    publication = await alice.local_participant.publish_track(lknb.TestPattern(320, 180, color=ORANGE))
    track = await received(bob, publication.sid)
    await received(carol, publication.sid)
    assert publication.track is not None
    for muted, mute in ((True, publication.track.mute), (False, publication.track.unmute)):
        event = "track_muted" if muted else "track_unmuted"
        waiting = [asyncio.ensure_future(room.wait_for(event)) for room in (alice, bob, carol)]
        await asyncio.sleep(0)
        mute()
        for participant, told in await asyncio.gather(*waiting):
            assert (participant.identity, told.sid, told.muted) == ("alice", publication.sid, muted)
        if muted:
            with pytest.raises(TrackError):
                await track.snapshot(timeout=0.3)
    assert close_to(colour(await track.snapshot()), ORANGE)


async def test_data_both_ways(join: Join) -> None:
    alice, bob, carol = await join("alice"), await join("bob"), await join("carol")
    heard: dict[str, list[tuple[str, str, bytes, int]]] = {"alice": [], "bob": [], "carol": []}
    for room in (alice, bob, carol):

        @room.on("data_received")
        def hear(packet: rtc.DataPacket, me: str = room.local_participant.identity) -> None:
            assert packet.participant is not None
            heard[me].append((packet.participant.identity, packet.topic or "", packet.data, packet.kind))

    await alice.local_participant.publish_data(b"to all", topic="t")
    await bob.local_participant.publish_data("to alice", reliable=False, destination_identities=["alice"])
    await alice.wait_until(lambda: len(heard["alice"]) == 1)
    await carol.wait_until(lambda: len(heard["carol"]) == 1)
    await bob.wait_until(lambda: len(heard["bob"]) == 1)
    assert heard == {
        "alice": [("bob", "", b"to alice", rtc.DataPacketKind.KIND_LOSSY)],
        "bob": [("alice", "t", b"to all", rtc.DataPacketKind.KIND_RELIABLE)],
        "carol": [("alice", "t", b"to all", rtc.DataPacketKind.KIND_RELIABLE)],
    }


async def test_whoever_comes_later_finds_what_is_there_and_hears_of_what_ends(join: Join) -> None:
    alice = await join("alice")
    publication = await alice.local_participant.publish_track(lknb.TestPattern(320, 180))
    bob = await join("bob")
    assert set(bob.remote_participants["alice"].track_publications) == {publication.sid}
    track = await received(bob, publication.sid)
    told: list[str] = []
    for name in ("track_unsubscribed", "track_unpublished", "participant_disconnected"):
        bob.on(name, lambda *_, name=name: told.append(name))
    reading = asyncio.ensure_future(_count(rtc.VideoStream(track)))
    await alice.disconnect()
    await bob.wait_until(lambda: not bob.remote_participants)
    assert told == ["track_unsubscribed", "track_unpublished", "participant_disconnected"]
    async with asyncio.timeout(3):
        assert await reading >= 0


async def _count(stream: rtc.VideoStream) -> int:
    return len([event async for event in stream])


async def test_layers_pauses_and_subscriptions_are_the_subscriber_s_choice(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    publication = await alice.local_participant.publish_track(lknb.TestPattern(1280, 720, fps=15))
    track = await received(bob, publication.sid)
    wish = bob.remote_participants["alice"].track_publications[publication.sid]
    assert wish.simulcasted

    async def width(wanted: int) -> None:
        async with asyncio.timeout(10):
            async for event in rtc.VideoStream(track):
                if event.frame.width == wanted:
                    return
        raise AssertionError("the track ended")

    wish.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
    await width(320)
    wish.set_video_dimensions(640, 360)
    await width(640)
    wish.set_enabled(False)
    frames = [0]

    async def stands_still() -> bool:
        before = (await track.get_stats())[1].inbound_rtp.inbound.frames_received
        frames.append(before)
        return frames[-1] == frames[-2]

    await wait_until(stands_still, 5, interval_s=0.3, what="frames go on")
    wish.set_enabled(True)
    await track.snapshot()
    wish.set_subscribed(False)
    await bob.wait_until(lambda: wish.track is None)
    assert not wish.subscribed
    wish.set_subscribed(True)
    await (await received(bob, publication.sid)).snapshot()


async def test_a_publisher_chooses_the_audience(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    publication = await alice.local_participant.publish_track(lknb.TestPattern(320, 180))
    await received(bob, publication.sid)
    wish = bob.remote_participants["alice"].track_publications[publication.sid]
    alice.local_participant.set_track_subscription_permissions(allow_all_participants=False)
    await bob.wait_until(lambda: not wish.allowed and wish.track is None)
    alice.local_participant.set_track_subscription_permissions(allow_all_participants=True)
    await (await received(bob, publication.sid)).snapshot()


async def test_what_the_token_does_not_allow_is_refused_with_a_reason(
    server: lknb.DevServer, join: Join, request: pytest.FixtureRequest
) -> None:
    token = server.token("mouse", request.node.name, can_publish=False)
    mouse = await join("mouse", token=token)
    began = time.monotonic()
    with pytest.raises(PublishTrackError, match="NOT_ALLOWED"):
        await mouse.local_participant.publish_track(lknb.Tone())
    with pytest.raises(RequestError) as caught:
        await mouse.local_participant.set_name("Mouse")
    assert caught.value.reason == "not_allowed"
    assert time.monotonic() - began < 3
    with pytest.raises(ConnectError) as refused:
        await join("nobody", token=token[:-4] + "AAAA")
    assert refused.value.kind == "not_allowed"


async def test_what_we_say_about_ourselves_reaches_the_others(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    await alice.local_participant.set_name("Alice")
    await alice.local_participant.set_metadata("m")
    await alice.local_participant.set_attributes({"mood": "good"})
    seen = bob.remote_participants["alice"]
    await bob.wait_until(lambda: (seen.name, seen.metadata, seen.attributes) == ("Alice", "m", {"mood": "good"}))
    await alice.wait_until(lambda: alice.local_participant.attributes == {"mood": "good"})


async def test_the_same_identity_again_takes_the_place_of_the_first(join: Join) -> None:
    bob = await join("bob")
    first = await join("alice")
    left = asyncio.ensure_future(first.wait_for("disconnected"))
    second = await join("alice")
    assert await left == rtc.DisconnectReason.DUPLICATE_IDENTITY
    assert not first.isconnected()
    await bob.wait_until(lambda: bob.remote_participants["alice"].sid == second.local_participant.sid)


async def identities(server: lknb.DevServer, room: str) -> list[str]:
    """Who is in a room, as the server says it."""
    url = server.url.replace("ws", "http", 1)
    async with api.LiveKitAPI(url, server.api_key, server.api_secret) as admin:
        listed = await admin.room.list_participants(api.ListParticipantsRequest(room=room))
    return [participant.identity for participant in listed.participants]


async def test_a_join_can_be_cancelled_at_any_point(
    join: Join, server: lknb.DevServer, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    await join("bob")
    began = time.monotonic()
    await (await join("measured")).disconnect()
    longest_s = 1.3 * (time.monotonic() - began)
    joined = step = 0
    # a machine that became slower needs more steps to reach the end of a join
    while step < 40 or not joined:
        step += 1
        try:
            async with asyncio.timeout(longest_s * step / 40):
                room = await lknb.connect(name, identity=f"ghost-{step}", server=server)
        except TimeoutError:
            continue
        joined += 1
        await room.disconnect()

    there: list[str] = []

    async def only_bob() -> bool:
        there[:] = await identities(server, name)
        return there == ["bob"]

    await wait_until(only_bob, what=lambda: there)
    assert (await join("after")).isconnected()


async def test_publishing_can_be_cancelled_at_any_point(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    began = time.monotonic()
    measured = await alice.local_participant.publish_track(lknb.Tone())
    longest_s = 1.3 * (time.monotonic() - began)
    await alice.local_participant.unpublish_track(measured.sid)
    for step in range(30):
        try:
            async with asyncio.timeout(longest_s * step / 30):
                publication = await alice.local_participant.publish_track(lknb.Tone())
        except TimeoutError:
            continue
        await alice.local_participant.unpublish_track(publication.sid)
    await bob.wait_until(lambda: not bob.remote_participants["alice"].track_publications)
    # one that is there afterwards is the only one
    last = await alice.local_participant.publish_track(lknb.Tone())
    await bob.wait_until(lambda: list(bob.remote_participants["alice"].track_publications) == [last.sid])


def test_two_asyncio_runs(server: lknb.DevServer, core: None) -> None:
    async def forget(identity: str) -> None:
        await lknb.connect("runs", identity=identity, server=server)

    async def look() -> None:
        async with await lknb.connect("runs", identity="watcher", server=server) as room:
            await room.wait_until(lambda: not room.remote_participants)

    asyncio.run(forget("one"))
    asyncio.run(look())


class TestDeath:
    """Of a process behind a call. Each test has processes of its own."""

    @pytest.fixture
    def own_core(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[CoreClient]:
        client = CoreClient.spawn()
        monkeypatch.setattr(CoreClient, "_shared", client)
        yield client
        client.close()
        last = CoreClient._shared
        if last is not None:
            last.close()

    async def test_the_server_is_killed(self, own_core: CoreClient) -> None:
        with lknb.DevServer() as server:
            rooms = [await lknb.connect("death", identity=name, server=server) for name in ("alice", "bob")]
            left = [asyncio.ensure_future(room.wait_for("disconnected", timeout=3)) for room in rooms]
            waiting = asyncio.ensure_future(rooms[0].wait_for("data_received", timeout=None))
            await asyncio.sleep(0)
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.gather(*left)
            with pytest.raises(DisconnectedError):
                await waiting
            with pytest.raises(PublishTrackError):
                await rooms[0].local_participant.publish_track(lknb.Tone())
            with pytest.raises(ConnectError) as caught:
                await lknb.connect("death", identity="carol", server=server)
            assert caught.value.kind == "unavailable"

    async def test_the_server_ends_in_order(self, own_core: CoreClient) -> None:
        server = lknb.DevServer()
        room = await lknb.connect("death", identity="alice", server=server)
        left = asyncio.ensure_future(room.wait_for("disconnected", timeout=3))
        await asyncio.sleep(0)
        await asyncio.to_thread(server.close)
        assert await left == rtc.DisconnectReason.SERVER_SHUTDOWN

    async def test_the_core_is_killed_and_the_next_join_has_another(
        self, own_core: CoreClient, server: lknb.DevServer
    ) -> None:
        room = await lknb.connect("death", identity="alice", server=server)
        publication = await room.local_participant.publish_track(lknb.TestPattern(320, 180))
        track = publication.track
        assert track is not None
        left = asyncio.ensure_future(room.wait_for("disconnected", timeout=3))
        publishing = asyncio.ensure_future(room.local_participant.publish_track(lknb.Tone()))
        await asyncio.sleep(0)
        os.kill(own_core.pid, signal.SIGKILL)
        assert await left == rtc.DisconnectReason.UNKNOWN_REASON
        with pytest.raises(PublishTrackError):
            await publishing
        assert not room.isconnected()
        assert publication.track is None
        with pytest.raises(DisconnectedError):
            await track.get_stats()
        await room.disconnect()
        async with await lknb.connect("death", identity="alice", server=server) as again:
            assert again.isconnected()


LIVE = """
import asyncio
import lknb

async def main():
    room = await lknb.connect("live", identity="me")
    await room.local_participant.publish_track(lknb.TestPattern(320, 180))
    print("up", flush=True)

asyncio.run(main())
"""


def test_the_interpreter_ends_with_a_live_room_and_server() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIVEKIT")}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "up\n"
        began = time.monotonic()
        assert process.wait(10) == 0
        assert time.monotonic() - began < 3
        assert process.stderr.read() == ""


async def test_the_first_track_of_somebody_is_waited_for(join: Join) -> None:
    alice, bob = await join("alice"), await join("bob")
    waiting = asyncio.ensure_future(bob.wait_for_track("alice"))
    await alice.local_participant.publish_track(lknb.Tone())
    picture = await alice.local_participant.publish_track(lknb.TestPattern(320, 180))
    assert (await waiting).sid == picture.sid
    sound = await bob.wait_for_track("alice", kind=rtc.TrackKind.KIND_AUDIO)
    assert sound.kind == rtc.TrackKind.KIND_AUDIO
    with pytest.raises(TimeoutError):
        await bob.wait_for_track("nobody", timeout=0.05)
