"""A browser's own camera, published as an application does it."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import OpenPeer
from tests.kit.chromium import ChromiumPeer
from tests.kit.peer import Layer
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.token import room_name

# On an idle machine it is about one second with TWCC feedback, and 24 without; counted in pictures, of which a machine that
# has no time takes fewer.
PICTURES_BEFORE_MAX = 4 * 30


@pytest.mark.interop("livekit-client camera 720p simulcast -> wheel")
@pytest.mark.parametrize("single_peer_connection", [True, False], ids=["v1", "v0"])
async def test_all_three_layers_of_a_camera_are_sent_soon(
    single_peer_connection: bool, server: Server, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    room = room_name()
    alice, bob = await asyncio.gather(open_peer("livekit-client", "alice"), open_peer("wheel", "bob"))
    assert isinstance(alice, ChromiumPeer)
    for peer in (alice, bob):
        await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=single_peer_connection)
    camera = await alice.publish_camera(width=1280, height=720, simulcast=True)
    layers: dict[str, Layer] = {}

    async def all_sent() -> bool:
        nonlocal layers
        layers = await alice.layers(camera)
        return sorted(layer.height for layer in layers.values() if layer.frames_sent > 0) == [180, 360, 720]

    await wait_until(all_sent, 30, what=lambda: f"only {layers}")
    sent = {layer.height: layer.frames_sent for layer in layers.values()}
    before = sent[180] - sent[720]
    assert before < PICTURES_BEFORE_MAX, f"{before} pictures in the low layer before one in the high one"
    seen = await bob.wait_video(camera, lambda report: (report.width, report.height) == (1280, 720))
    assert {layer.codec for layer in layers.values()} == {seen.codec} == {"vp8"}
    request.node.user_properties.append(
        (
            "evidence",
            f"{before} pictures before there were three layers, {seen.width}x{seen.height} {seen.codec} seen",
        )
    )
