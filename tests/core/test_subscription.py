"""What is subscribed, paused and switched, counted in bytes and in signal messages."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from livekit.protocol import models, rtc

from lknb.core.media_session import MediaSession
from lknb.core.peer_connection import PeerConnection
from lknb.core.signal import SignalSocket
from lknb.logic.track_setting import Dimensions
from lknb.server.app import Server as LknbServer
from lknb.server.config import ServerConfig
from tests.core.room import Member
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.token import API_KEY, API_SECRET

HD = {"width": 1280, "height": 720, "fps": 15}


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """RTP packets that reached each peer connection of this process, by `id` of its media session."""
    counted: Counter[int] = Counter()
    receive = MediaSession.receive_rtp

    def count(self: MediaSession, *arguments: Any) -> None:
        counted[id(self)] += 1
        receive(self, *arguments)

    monkeypatch.setattr(MediaSession, "receive_rtp", count)
    return counted


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SignalSocket, str]]:
    """Every signal message of this process, up (`+offer`) and down (`-answer`), but for pings and what comes by the clock."""
    messages: list[tuple[SignalSocket, str]] = []
    send, deliver = SignalSocket.send, SignalSocket._deliver

    def note_sent(self: SignalSocket, request: rtc.SignalRequest) -> None:
        messages.append((self, f"+{request.WhichOneof('message')}"))
        send(self, request)

    def note_heard(self: SignalSocket, response: rtc.SignalResponse) -> None:
        messages.append((self, f"-{response.WhichOneof('message')}"))
        deliver(self, response)

    monkeypatch.setattr(SignalSocket, "send", note_sent)
    monkeypatch.setattr(SignalSocket, "_deliver", note_heard)
    return messages


BY_THE_CLOCK = {"+ping_req", "-pong", "-connection_quality", "-refresh_token", "-room_update", "-speakers_changed"}


def talk(said: list[tuple[SignalSocket, str]], member: Member, since: int) -> list[str]:
    signal = member.session._signal
    return [name for socket, name in said[since:] if socket is signal and name not in BY_THE_CLOCK]


def sessions(member: Member) -> list[MediaSession]:
    connection: Any = member.session._connection
    peers: list[PeerConnection] = [value for value in vars(connection).values() if isinstance(value, PeerConnection)]
    return [peer.media for peer in peers]


async def quiet(member: Member, sid: str, *, for_s: float = 0.5, within_s: float = 3.0) -> None:
    """No frame of a track that is read comes any more."""
    frames = member.frames[sid]
    seen = len(frames), time.monotonic()

    def rests() -> bool:
        nonlocal seen
        if len(frames) != seen[0]:
            seen = len(frames), time.monotonic()
        return time.monotonic() - seen[1] > for_s

    await wait_until(rests, within_s, what="frames still come")


async def test_of_a_track_nobody_asked_for_not_one_packet_comes(server, room, single, arrived):
    async with (
        Member(server, "alice", room) as alice,
        Member(server, "bob", room) as bob,
        Member(server, "eve", room) as eve,
    ):
        await alice.connect(single=single)
        before = await alice.publish(alice.open("pattern", "video", **HD))
        await bob.connect(single=single, auto_subscribe=False)
        await eve.connect(single=single)
        after = await alice.publish(alice.open("tone", "audio", frequency_hz=440.0))
        await eve.read(before)
        await eve.read(after)
        await eve.wait_frames(before, 30)
        await eve.wait_frames(after, 50)
        assert bob.session.subscribing.published(before) is not None
        assert sum(arrived[id(media)] for media in sessions(bob)) == 0
        assert sum(arrived[id(media)] for media in sessions(eve)) > 100
        bob.session.wishes.subscribe(before, True)
        await bob.read(before)
        await bob.wait_frames(before, 5)
        assert bob.session.track(after) is None
        bob.session.wishes.subscribe(before, False)
        await bob.wait("track_unsubscribed", track_sid=before)
        # what was under way has come by the time it was told
        await asyncio.sleep(0.3)
        count = sum(arrived[id(media)] for media in sessions(bob))
        heard = len(eve.frames[after])
        await eve.wait_frames(after, 25, since=heard)
        assert sum(arrived[id(media)] for media in sessions(bob)) == count


async def test_pausing_negotiates_nothing_and_subscribing_does(server, room, single, said):
    async with (
        Member(server, "alice", room) as alice,
        Member(server, "bob", room) as bob,
        Member(server, "eve", room) as eve,
    ):
        for member in (alice, bob, eve):
            await member.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", **HD))
        microphone = await alice.publish(alice.open("tone", "audio", frequency_hz=440.0))
        for sid in (camera, microphone):
            for member in (bob, eve):
                await member.read(sid)
                await member.wait_frames(sid, 10)
        since = len(said)
        wishes = bob.session.wishes
        wishes.ask(camera, enabled=False)
        wishes.ask(microphone, enabled=False)
        await asyncio.gather(quiet(bob, camera), quiet(bob, microphone))
        await asyncio.gather(
            eve.wait_frames(microphone, 25, since=len(eve.frames[microphone])),
            eve.wait_frames(camera, 5, since=len(eve.frames[camera])),
        )
        seen = {sid: len(bob.frames[sid]) for sid in (camera, microphone)}
        wishes.ask(camera, enabled=True)
        wishes.ask(microphone, enabled=True)
        for sid, count in seen.items():
            await bob.wait_frames(sid, 10, since=count)
        assert bob.frames[camera][seen[camera]].keyframe
        spoken = Counter(talk(said, bob, since))
        assert spoken.pop("+track_setting") == 4
        # how the server tells that a track flows again, and what it may say to a publisher, are no negotiation
        assert set(spoken) <= {"-stream_state_update", "-update"}, spoken
        since = len(said)
        wishes.subscribe(camera, False)
        await bob.wait("track_unsubscribed", track_sid=camera)
        wishes.subscribe(camera, True)
        await bob.wait("track_subscribed", 2, track_sid=camera)
        spoken = Counter(talk(said, bob, since))
        assert spoken["+subscription"] == 2
        assert spoken["+offer"] + spoken["+answer"] >= 2


async def test_the_layer_follows_quality_size_and_frame_rate(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", width=1280, height=720, fps=30))
        await bob.read(camera)
        frames, wishes = bob.frames[camera], bob.session.wishes
        for wish, height in (
            ({"quality": models.VideoQuality.LOW}, 180),
            ({"dimensions": Dimensions(600, 340)}, 360),
            ({"quality": models.VideoQuality.HIGH}, 720),
            ({"dimensions": Dimensions(1, 1)}, 180),
            ({"dimensions": Dimensions(1e9, 1e9)}, 720),
            ({"quality": 99}, 720),
        ):
            wishes.ask(camera, **wish)
            await wait_until(lambda height=height: frames and frames[-1].height == height, 20, what=lambda: frames[-1:])


@pytest_asyncio.fixture
async def hasty_server() -> AsyncIterator[Server]:
    """lknb's server, which waits not five seconds but one until a layer that nobody wants rests."""
    config = ServerConfig(keys={API_KEY: API_SECRET}, port=0, dynacast_lower_delay_s=1.0)
    running = LknbServer(config)
    await running.start()
    yield Server(f"ws://127.0.0.1:{running.port}")
    await running.close()


async def test_a_layer_that_somebody_wants_again_is_back_within_a_second(hasty_server):
    # the real server takes 1.5 s
    async with Member(hasty_server, "alice", "room") as alice, Member(hasty_server, "bob", "room") as bob:
        await alice.connect(dynacast=True)
        await bob.connect()
        camera = await alice.publish(alice.open("pattern", "video", **HD))
        await bob.read(camera)
        frames, wishes = bob.frames[camera], bob.session.wishes

        def enabled() -> set[str]:
            return {stream["rid"] for stream in alice.session.stats()["sent"][camera] if stream["enabled"]}

        await wait_until(lambda: frames and frames[-1].height == 720, 20)
        wishes.ask(camera, quality=models.VideoQuality.LOW)
        await wait_until(lambda: enabled() == {"q"}, 20, what=enabled)
        began = time.monotonic()
        wishes.ask(camera, quality=models.VideoQuality.HIGH)
        await wait_until(lambda: frames[-1].height == 720, 5, what=lambda: frames[-1].height)
        assert time.monotonic() - began < 1.0
        wishes.ask(camera, enabled=False)
        await wait_until(lambda: not enabled(), 20, what=enabled)
        began, count = time.monotonic(), len(frames)
        wishes.ask(camera, enabled=True)
        await bob.wait_frames(camera, 1, since=count)
        assert time.monotonic() - began < 1.0


async def test_ten_thousand_toggles_lose_nothing(server, room, single):
    async with Member(server, "alice", room) as alice, Member(server, "bob", room) as bob:
        await alice.connect(single=single)
        await bob.connect(single=single)
        camera = await alice.publish(alice.open("pattern", "video", **HD))
        await bob.read(camera)
        await bob.wait_frames(camera, 3)
        for step in range(10_000):
            bob.session.wishes.ask(camera, enabled=bool(step % 2), quality=step % 3)
            bob.session.wishes.subscribe(camera, bool(step % 2))
            if step % 500 == 0:
                await asyncio.sleep(0)
        bob.session.wishes.ask(camera, enabled=True, quality=models.VideoQuality.LOW)
        await asyncio.sleep(0.5)
        assert not bob.ended
        await wait_until(lambda: bob.session.track(camera) is not None, 10)
        fresh: list[Any] = []
        track = bob.session.track(camera)
        assert track is not None
        track.attach(fresh.append)
        await wait_until(lambda: fresh and fresh[-1].height == 180, 15, what=lambda: fresh[-1:])
