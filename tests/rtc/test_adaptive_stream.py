"""Adaptive stream without a browser: views and readers decide what the server sends, seen in what arrives."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

import lknb
from lknb import rtc
from lknb.core.client import CoreClient
from lknb.core.lane import PROTOCOL, TICKET_PREFIX
from lknb.core.message import decode_message, encode_message
from lknb.rtc.room import Room
from tests.kit.poll import wait_until
from tests.kit.server import Server, ServerProcess, external_server
from tests.kit.token import room_name
from tests.kit.wheel import WheelPeer

RED = (200, 40, 40)
ORIGIN = "http://127.0.0.1:8888"


@pytest.fixture(scope="module", params=["lknb", pytest.param("livekit", marks=pytest.mark.livekit_server)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """lknb's server, and the real one where its environment variables are set."""
    if request.param == "livekit":
        yield external_server()
    else:
        with ServerProcess() as process:
            yield process.server


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    # an answer, even a refusal, says that its threads and descriptors are there: the leak check counts them
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


class Scene:
    """A camera in three layers by the official client, and a room of lknb's that receives it."""

    def __init__(self, room: Room, sid: str) -> None:
        self.room = room
        self.sid = sid

    @property
    def publication(self) -> Any:
        return self.room.remote_participants["wheel"].track_publications[self.sid]

    async def figures(self) -> dict[str, Any]:
        ok, _ = await self.room._require_core().request("stats", {"track_sid": self.sid})
        return dict(ok["streams"][0])

    async def wait_height(self, height: int, within_s: float = 10.0) -> None:
        """Pictures of this layer arrive."""
        last: dict[str, Any] = {}

        async def arrived() -> bool:
            nonlocal last
            before, last = last, await self.figures()
            return last["height"] == height and last["frames_received"] > before.get("frames_received", 1 << 30)

        await wait_until(arrived, within_s, what=lambda: f"{height} lines, not {last}", interval_s=0.05)

    async def wait_still(self, within_s: float = 1.0, *, quiet_s: float = 0.4) -> None:
        """Not one more byte of it arrives, from `within_s` on, for `quiet_s`."""
        seen = -1, time.monotonic()

        async def rests() -> bool:
            nonlocal seen
            octets = (await self.figures())["bytes_received"]
            if octets != seen[0]:
                seen = octets, time.monotonic()
            return time.monotonic() - seen[1] > quiet_s

        await wait_until(rests, within_s + quiet_s, what="bytes still arrive", interval_s=0.05)

    async def wait_flow(self, within_s: float) -> float:
        """Seconds until the next picture came."""
        began, before = time.monotonic(), (await self.figures())["frames_received"]

        async def came() -> bool:
            return bool((await self.figures())["frames_received"] > before)

        await wait_until(came, within_s, what="no picture", interval_s=0.005)
        return time.monotonic() - began


@asynccontextmanager
async def scene(server: Server, **options: Any) -> AsyncIterator[Scene]:
    name = room_name()
    async with WheelPeer("wheel") as wheel, Room() as room:
        await wheel.connect(server.url, server.token("wheel", name), single_peer_connection=True, dynacast=True)
        sid = await wheel.publish_video(RED, width=1280, height=720, simulcast=True)
        await room.connect(server.url, server.token("lknb", name), rtc.RoomOptions(**options))
        await room.wait_for_track("wheel")
        yield Scene(room, sid)
        await wheel.disconnect()


class View:
    """A view of one's own, of which everything is known."""

    def __init__(self, width: float, height: float, visible: bool = True) -> None:
        self.size = (width, height)
        self.visible = visible


async def test_views_decide_what_flows(server: Server, core: None) -> None:
    async with scene(server, adaptive_stream=True) as it:
        await it.wait_still()
        assert not it.publication.enabled
        small, large = View(300, 170), View(1280, 720)
        it.publication.track.attach(small)
        assert await it.wait_flow(2.0) < 1.0
        await it.wait_height(180)
        assert it.publication.enabled
        it.publication.track.attach(large)
        await it.wait_height(720)
        large.visible = False
        it.publication.track.attach(large)
        await it.wait_height(180)
        it.publication.track.detach(small)
        await it.wait_still()
        it.publication.set_enabled(True)
        await it.wait_height(720)
        large.visible = True
        it.publication.track.attach(large)
        it.publication.set_enabled(False)
        await it.wait_still()
        it.publication.set_enabled(True)
        it.publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
        await it.wait_height(180)
        it.publication.track.detach()


async def test_readers_are_viewers_with_no_view_at_all(server: Server, core: None) -> None:
    async with scene(server, adaptive_stream=True) as it:
        await it.wait_still()
        stream = rtc.VideoStream(it.publication.track)
        async with asyncio.timeout(10):
            async for event in stream:
                if event.frame.height == 720:
                    break
        small = rtc.VideoStream(it.publication.track, size=(320, 180))
        async with asyncio.timeout(10):
            async for event in small:
                if event.frame.height == 720:
                    break
        await stream.aclose()
        async with asyncio.timeout(10):
            async for event in small:
                if event.frame.height == 180:
                    break
        await small.aclose()
        await it.wait_still()
        view = View(320, 180)
        it.publication.track.attach(view)
        await it.wait_height(180)
        # a small view must not make a snapshot small, unless that is enough
        assert (await it.publication.track.snapshot(size=(320, 180))).shape == (180, 320, 3)
        assert (await it.publication.track.snapshot()).shape == (720, 1280, 3)
        await it.wait_height(180)
        it.publication.track.detach()
        await it.wait_still()
        assert (await it.publication.track.snapshot()).shape == (720, 1280, 3)
        await it.wait_still()


async def test_pages_decide_what_flows(server: Server, core: None) -> None:
    async with scene(server, adaptive_stream=True) as it, aiohttp.ClientSession() as http:
        await it.wait_still()
        handle = it.publication.track.room_handle
        client = CoreClient.shared()
        ok, _ = await client.request(
            {
                "op": "lane_ticket",
                "room": handle,
                "kind": "video",
                "track_sid": it.sid,
                "view": "view",
                "origin": ORIGIN,
            }
        )
        socket = await http.ws_connect(
            f"ws://127.0.0.1:{ok['port']}/", protocols=(PROTOCOL, TICKET_PREFIX + ok["ticket"]), origin=ORIGIN
        )

        async def read() -> None:
            async for message in socket:
                header, _ = decode_message(message.data)
                if header["type"] == "chunk":
                    await say({"type": "ack", "sequence": header["sequence"]})

        async def say(header: dict[str, Any]) -> None:
            await socket.send_bytes(encode_message(header, ()))

        async def show(width: float, height: float, visible: bool = True, dpr: float = 1.0) -> None:
            await say({"type": "visible", "width": width, "height": height, "dpr": dpr, "visible": visible})

        reading = asyncio.create_task(read())
        await show(320, 180)
        await it.wait_height(180)
        # device pixels count, not those of CSS
        await show(320, 180, dpr=2.0)
        await it.wait_height(360)
        returned = []
        for _ in range(3):
            await show(320, 180, visible=False, dpr=2.0)
            # servers ask for a key frame of a layer once a second: who comes back sooner waits for that
            await it.wait_still(quiet_s=1.2)
            await show(320, 180, dpr=2.0)
            returned.append(await it.wait_flow(2.0))
            await it.wait_height(360)
            if returned[-1] < 0.3:
                break
        assert returned[-1] < 0.3, returned
        await show(320, 180)
        await it.wait_height(180)
        await socket.close()
        await reading
        await it.wait_still()


async def test_without_adaptive_stream_everything_flows(server: Server, core: None) -> None:
    async with scene(server) as it:
        await it.wait_height(720)
        view = View(100, 100)
        it.publication.track.attach(view)
        it.publication.track.detach(view)
        await it.wait_height(720)
        assert it.publication.enabled


async def test_connect_says_it_unless_told_otherwise(
    server: Server, core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bool | None] = []

    async def connect(self: Room, url: str, token: str, options: rtc.RoomOptions) -> None:
        said.append(options.adaptive_stream)

    monkeypatch.setattr(Room, "connect", connect)
    for wanted in (None, True, False):
        await lknb.connect(url="ws://somewhere", token="t", adaptive_stream=wanted)
    monkeypatch.setattr(sys.modules["lknb.connect"], "_is_notebook", lambda: True)
    await lknb.connect(url="ws://somewhere", token="t")
    assert said == [False, True, False, True]
