"""What a server is asked to send: livekit-client and lknb take the same steps, their signal messages are compared."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.protocol import models
from livekit.protocol import rtc as signalling

from lknb import rtc
from lknb.core.client import CoreClient
from tests.kit.chromium import Chromium, ChromiumPeer
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.token import room_name
from tests.kit.wheel import WheelPeer
from tests.kit.ws_proxy import SignalProxy

QUALITIES = {"low": 0, "medium": 1, "high": 2}
# longer than the clients' own 100 ms
SETTLED_S = 0.3
# once a page has laid itself out, and painted it, its observers have been told
PAINTED = """async (delay_ms) => {
  for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
  await new Promise((resolve) => setTimeout(resolve, delay_ms));
}"""
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("show", {"width": 640, "height": 360}),
    ("hide", {}),
    ("show", {"width": 320, "height": 180}),
    ("show", {"width": 320, "height": 180}),
    ("set_video_quality", {"quality": "low"}),
    ("set_video_quality", {"quality": "medium"}),
    ("set_video_dimensions", {"width": 200, "height": 100}),
    ("set_video_dimensions", {"width": 200, "height": 100}),
    ("set_video_dimensions", {"width": 2000, "height": 1000}),
    ("set_video_fps", {"fps": 5}),
    ("set_video_fps", {"fps": 5}),
    ("set_enabled", {"enabled": False}),
    ("set_enabled", {"enabled": False}),
    ("set_enabled", {"enabled": True}),
    ("set_video_quality", {"quality": "high"}),
    ("show", {"width": 1000, "height": 900}),
    ("set_video_quality", {"quality": "low"}),
    ("set_video_dimensions", {"width": 900, "height": 800}),
    ("hide", {}),
    ("set_subscribed", {"subscribed": False}),
    ("set_video_quality", {"quality": "medium"}),
    ("set_enabled", {"enabled": False}),
    ("set_subscribed", {"subscribed": True}),
    ("show", {"width": 640, "height": 360}),
)


class Subject(ABC):
    """A subscriber behind the proxy that listens in."""

    proxy: SignalProxy

    @abstractmethod
    async def do(self, sid: str, step: str, **options: Any) -> None: ...

    @abstractmethod
    async def received(self, sid: str, count: int) -> None:
        """Wait until the track was subscribed for the `count`th time."""

    @abstractmethod
    async def at_rest(self) -> None:
        """Wait until the client has done all that the last step leads to."""

    @abstractmethod
    async def mark(self) -> None:
        """Have the client send a subscription permission, which no step leads to."""

    async def settled(self) -> None:
        """Wait until what the last step leads to was said: the mark that comes after it was heard."""
        before = self._marks()
        await self.at_rest()
        await self.mark()
        await wait_until(lambda: self._marks() > before)

    def _marks(self) -> int:
        return sum(request.HasField("subscription_permission") for request in self.proxy.up)


class Page(Subject):
    def __init__(self, proxy: SignalProxy, peer: ChromiumPeer) -> None:
        self.proxy, self.peer = proxy, peer

    async def do(self, sid: str, step: str, **options: Any) -> None:
        await self.peer.call(step, track_sid=sid, **options)

    async def received(self, sid: str, count: int) -> None:
        await self.peer.wait_event("track_subscribed", track_sid=sid, count=count)

    async def at_rest(self) -> None:
        await self.peer.page.evaluate(PAINTED, SETTLED_S * 1000)

    async def mark(self) -> None:
        await self.peer.set_track_permissions(everybody=True)


class Ours(Subject):
    def __init__(self, proxy: SignalProxy, room: rtc.Room) -> None:
        self.proxy, self.room = proxy, room
        self.views: list[SimpleNamespace] = []
        self.subscribed = 0
        room.on("track_subscribed", self._count)

    def _count(self) -> None:
        self.subscribed += 1

    async def do(self, sid: str, step: str, **options: Any) -> None:
        publication = self.room.remote_participants["wheel"].track_publications[sid]
        if step in ("show", "hide") and publication.track is not None:
            assert isinstance(publication.track, rtc.RemoteVideoTrack)
            publication.track.detach()
        if step == "show":
            assert isinstance(publication.track, rtc.RemoteVideoTrack)
            publication.track.attach(SimpleNamespace(size=(options["width"], options["height"]), visible=True))
        elif step == "set_video_quality":
            publication.set_video_quality(QUALITIES[options["quality"]])
        elif step != "hide":
            getattr(publication, step)(*options.values())

    async def received(self, sid: str, count: int) -> None:
        await wait_until(lambda: self.subscribed >= count)

    async def at_rest(self) -> None:
        # the core has done the step, then all that was due by now
        await self.room.get_rtc_stats()
        await asyncio.sleep(SETTLED_S)
        await self.room.get_rtc_stats()

    async def mark(self) -> None:
        self.room.local_participant.set_track_subscription_permissions(allow_all_participants=True)


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


@asynccontextmanager
async def subject(kind: str, server: Server, room: str, single: bool, browser: Chromium) -> AsyncIterator[Subject]:
    async with SignalProxy(server.url) as proxy:
        token = server.token(f"{kind}-{single}", room)
        if kind == "lknb":
            async with rtc.Room() as joined:
                ours = Ours(proxy, joined)
                options = rtc.RoomOptions(adaptive_stream=True, single_peer_connection=single)
                await joined.connect(proxy.url, token, options)
                yield ours
            return
        async with ChromiumPeer(kind, browser) as peer:
            await peer.call(
                "connect", url=proxy.url, token=token, single_peer_connection=single, auto_subscribe=True, dynacast=False,
                adaptive_stream=True,
            )  # fmt: skip
            yield Page(proxy, peer)
            await peer.disconnect()


def _short(request: signalling.SignalRequest) -> str | None:
    if request.HasField("subscription"):
        named = [
            len(request.subscription.track_sids),
            *(len(it.track_sids) for it in request.subscription.participant_tracks),
        ]
        return f"subscribe {request.subscription.subscribe} {named}"
    if not request.HasField("track_setting"):
        return None
    settings = request.track_setting
    if settings.disabled:
        # then neither size nor quality matters
        return "off"
    size = f"{settings.width}x{settings.height}" if settings.width else models.VideoQuality.Name(settings.quality)
    return f"{size} at most {settings.fps} fps" if settings.fps else size


async def live(it: Subject, sid: str) -> list[tuple[str, list[str], str]]:
    """After each step: the subscriptions asked for in it, and what the server was asked to send by the end of it.

    livekit-client says some things twice, and on the way to a new size others that it takes back 100 ms later.
    """
    told: list[tuple[str, list[str], str]] = []
    asked, subscriptions = "", 1
    await it.received(sid, subscriptions)
    await it.settled()
    for step, options in STEPS:
        before = len(it.proxy.up)
        await it.do(sid, step, **options)
        if options.get("subscribed"):
            subscriptions += 1
            await it.received(sid, subscriptions)
        await it.settled()
        said = [word for request in it.proxy.up[before:] if (word := _short(request)) is not None]
        subscribing = [word for word in said if word.startswith("subscribe")]
        asked = [asked, *(word for word in said if word not in subscribing)][-1]
        told.append((f"{step} {list(options.values())}", subscribing, asked))
    return told


async def test_both_clients_ask_for_the_same(lknb_server: Server, core: None, subtests: pytest.Subtests) -> None:
    room = room_name()
    modes = {"single": True, "dual": False}
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(Chromium())
        wheel = await stack.enter_async_context(WheelPeer("wheel"))
        await wheel.connect(lknb_server.url, lknb_server.token("wheel", room), single_peer_connection=True)
        sid = await wheel.publish_video((200, 40, 40), width=1280, height=720, simulcast=True)
        subjects = [
            await stack.enter_async_context(subject(kind, lknb_server, room, single, browser))
            for single in modes.values()
            for kind in ("livekit-client", "lknb")
        ]
        # side by side: most of it is waiting, and what one subscriber asks for changes nothing for the others
        told = iter(await asyncio.gather(*(live(it, sid) for it in subjects)))
        await wheel.disconnect()
    for mode, theirs, own in zip(modes, told, told, strict=True):
        with subtests.test(mode):
            different = [pair for pair in zip(theirs, own, strict=True) if pair[0] != pair[1]]
            assert not different, "\n".join(map(str, different))
            assert len({asked for _, _, asked in own}) > 8, own
