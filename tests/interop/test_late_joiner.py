"""Who joins late sees what was shown before, however slowly its pictures come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest

import lknb
from lknb import rtc
from lknb.core.client import CoreClient
from tests.interop.conftest import OpenPeer
from tests.kit.peer import Colour, Peer, is_near
from tests.kit.server import Server
from tests.kit.token import room_name

WIDTH, HEIGHT = 1280, 720
TOLERANCE = 15
LATE_S = 4
# libwebrtc that gets no picture at all asks for one after 3 s
DEADLINE_S = 7.0
# captured once, and again every second; without simulcast and with it
STILL: tuple[Colour, Colour] = (200, 120, 40), (40, 120, 200)
SLOW: tuple[Colour, Colour] = (120, 200, 40), (200, 40, 120)


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


@pytest.mark.interop("lknb pictures at 0 and 1 fps, single and simulcast -> wheel, livekit-client, lknb joining late")
async def test_late_joiners_see_a_still_and_a_slow_picture_in_full(
    lknb_server: Server, core: None, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    name = room_name()
    peers = await asyncio.gather(*(open_peer(kind, kind) for kind in ("wheel", "livekit-client", "lknb")))
    async with await lknb.connect(name, url=lknb_server.url, token=lknb_server.token("notebook", name)) as room:
        shown: dict[str, Colour] = {}
        slow: list[tuple[rtc.VideoSource, Colour]] = []
        for colours in (STILL, SLOW):
            for simulcast, colour in zip((False, True), colours, strict=True):
                source = rtc.VideoSource(WIDTH, HEIGHT)
                options = rtc.TrackPublishOptions(simulcast=simulcast)
                shown[(await room.local_participant.publish_track(source, options)).sid] = colour
                capture(source, colour)
                if colours is SLOW:
                    slow.append((source, colour))
        late = asyncio.Event()
        going_on = asyncio.create_task(go_on(slow, late))
        try:
            await late.wait()
            for peer in peers:
                await peer.connect(lknb_server.url, lknb_server.token(peer.identity, name), single_peer_connection=True)
                took_s = await asyncio.gather(*(watch(peer, sid, colour) for sid, colour in shown.items()))
                evidence = f"{peer.kind} sees them {', '.join(f'{seconds:.1f}' for seconds in took_s)} s after joining"
                request.node.user_properties.append(("evidence", evidence))
        finally:
            going_on.cancel()


def capture(source: rtc.VideoSource, colour: Colour) -> None:
    source.capture_frame(np.full((HEIGHT, WIDTH, 3), colour, np.uint8))


async def go_on(slow: list[tuple[rtc.VideoSource, Colour]], late: asyncio.Event) -> None:
    """Capture every second; `late` is set after `LATE_S`."""
    seconds = 0
    while True:
        await asyncio.sleep(1)
        seconds += 1
        if seconds == LATE_S:
            late.set()
        for source, colour in slow:
            capture(source, colour)


async def watch(peer: Peer, sid: str, colour: Colour) -> float:
    """How many seconds until a peer sees this colour in full."""
    began = time.monotonic()
    await peer.wait_video(
        sid,
        lambda report: (report.width, report.height) == (WIDTH, HEIGHT) and is_near(report.colour, colour, TOLERANCE),
        DEADLINE_S,
    )
    return time.monotonic() - began
