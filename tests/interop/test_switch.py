"""Twenty layer switches under livekit-client: what its browser counts of them, and every picture on its way there.

Whether pictures are shown evenly is up to the machine as well. What a server can do to make them freeze is said without a
clock: leave pictures out, put them at a later time, or let the first of a layer wait.
"""

from __future__ import annotations

import asyncio
import statistics

import pytest

from tests.interop.conftest import OpenPeer
from tests.kit.chromium import ChromiumPeer
from tests.kit.pictures import Journey
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.switch import PAUSE_S, Switches, switch_layers
from tests.kit.token import room_name

SWITCHES = 20
FREEZE_PICTURES = 5
"""Of 30 a second: for libwebrtc it is a freeze when pictures are 150 ms further apart than on average."""


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
        await peer.tap_pictures()
        await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=single_peer_connection)
    camera = await alice.publish_camera(width=height * 16 // 9, height=height, codec=codec)
    seen = await bob.wait_video(camera, lambda report: report.height == height, 30)
    assert seen.codec == codec
    # before that a new layer has its place in time by when it arrives
    await wait_until(lambda: clocks_are_known(alice, camera), 15, what="sender reports of all layers")
    switches = await switch_layers(bob, camera, {"low": 180, "medium": 360, "high": height}, SWITCHES)
    # what is under way when the one is asked must not be unknown to the other
    received, sent = await bob.tapped(), await alice.tapped()
    evidence = check(switches, Journey(sent, received))
    request.node.user_properties.append(("evidence", f"{switches}, {evidence}"))


async def clocks_are_known(publisher: ChromiumPeer, camera: str) -> bool:
    """Whether the server has answered a sender report of each layer."""
    return await publisher.reports_answered(camera) >= 3


def check(switches: Switches, journey: Journey) -> str:
    """The evidence."""
    # a picture that cannot be decoded is asked for anew
    assert switches.counted("pli_count") == 0, str(switches)
    assert switches.counted("packets_lost") == 0, str(switches)
    # A decoder that is late goes on with the next key frame; one that is told of wrong references has to. Pictures of which
    # it waits for a reference do not count as received, so they are counted where they have arrived.
    arrived = sum(picture.arrived_ms < switches.ended_ms for picture in journey.passed)
    assert switches.after.frames_decoded > 0.9 * arrived, f"of {arrived} pictures: {switches}"

    begun = [picture for picture in journey.passed if picture.begins]
    # clocks of processes are not quite the same
    since_ms = [asked_ms - PAUSE_S * 500 for asked_ms in switches.asked_ms]
    firsts = [next(picture for picture in begun if picture.arrived_ms > moment_ms) for moment_ms in since_ms]
    assert len(set(firsts)) == SWITCHES
    left_out = [picture.left_out for picture in begun]
    moved_ms = [min(picture.moved for picture in stretch) / 90 for stretch in journey.stretches()][-SWITCHES - 1 :]
    on_the_way_ms = statistics.median(picture.arrived_ms - picture.sent_ms for picture in journey.passed)
    waited_ms = statistics.median(picture.arrived_ms - picture.sent_ms for picture in firsts) - on_the_way_ms
    took = sorted(map(journey.taken_since, switches.asked_ms, firsts))
    evidence = (
        f"{sum(left_out)} pictures left out, {max(left_out)} at once, moved by up to {max(moved_ms) - min(moved_ms):.0f} ms,"
        f" the first of a layer {waited_ms:+.0f} ms later than others, after {took[SWITCHES // 2]} pictures (up to {took[-1]})"
    )
    assert not any(picture.left_out for picture in journey.passed if not picture.begins), evidence
    assert max(left_out) < FREEZE_PICTURES, evidence
    assert sum(left_out) < len(begun) / 4, evidence
    assert max(moved_ms) - min(moved_ms) < 20, evidence
    assert waited_ms < 150, evidence
    assert took[SWITCHES // 2] < 15, evidence
    return evidence
