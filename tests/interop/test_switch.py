"""Twenty layer switches under livekit-client, counted by the browser itself."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.conftest import OpenPeer
from tests.kit.chromium import ChromiumPeer
from tests.kit.poll import TIME_FACTOR
from tests.kit.server import Server
from tests.kit.switch import switch_layers
from tests.kit.token import room_name

# a browser that has no CPU left freezes by itself, and leaves pictures out; a fault of ours would show in every series
SERIES = 3


@pytest.mark.alone
@pytest.mark.interop("livekit-client simulcast -> livekit-client, 20 layer switches")
@pytest.mark.parametrize(
    ("single_peer_connection", "codec", "height"),
    [pytest.param(True, "vp8", 720, id="v1-vp8-720p"), pytest.param(False, "h264", 1080, id="v0-h264-1080p")],
)
async def test_layers_are_switched_without_a_freeze(
    single_peer_connection: bool,
    codec: str,
    height: int,
    lknb_server: Server,
    open_peer: OpenPeer,
    request: pytest.FixtureRequest,
) -> None:
    server, room = lknb_server, room_name()
    alice, bob = await asyncio.gather(open_peer("livekit-client", "alice"), open_peer("livekit-client", "bob"))
    assert isinstance(alice, ChromiumPeer)
    assert isinstance(bob, ChromiumPeer)
    for peer in (alice, bob):
        await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=single_peer_connection)
    camera = await alice.publish_camera(width=height * 16 // 9, height=height, codec=codec)
    seen = await bob.wait_video(camera, lambda report: report.height == height, 30)
    assert seen.codec == codec
    for _ in range(SERIES):
        switches = await switch_layers(bob, camera, {"low": 180, "medium": 360, "high": height}, 20)
        # a picture that cannot be decoded is asked for anew
        assert switches.counted("pli_count") == 0, str(switches)
        assert switches.counted("packets_lost") == 0, str(switches)
        assert switches.percentile_ms(50) < 500 * TIME_FACTOR, str(switches)
        left_out = switches.counted("frames_received") - switches.counted("frames_decoded")
        if switches.counted("freeze_count") == 0 and left_out <= 5:
            break
    assert switches.counted("freeze_count") == 0, str(switches)
    assert left_out <= 5, str(switches)
    request.node.user_properties.append(("evidence", str(switches)))
