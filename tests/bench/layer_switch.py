"""From `setVideoQuality` to the first picture of the other layer, at livekit-client in Chromium.

    .venv/bin/python -m tests.bench.layer_switch [--switches 20] [--height 1080] [--runs 1]

Chromium publishes its fake camera in three layers, VP8 and H264, by `/rtc/v1` and by `/rtc`; another page of it subscribes.
With LKNB_TEST_LIVEKIT_URL, _API_KEY and _API_SECRET the real server takes the same switches in alternation.
"""

from __future__ import annotations

import argparse
import asyncio

from tests.bench.peer_server import Candidate, candidates
from tests.kit.chromium import Chromium, ChromiumPeer
from tests.kit.switch import Switches, switch_layers
from tests.kit.token import room_name


async def measure(candidate: Candidate, *, single: bool, codec: str, height: int, count: int) -> Switches:
    """One browser, one call, `count` switches."""
    server, room = candidate.server, room_name()
    async with (
        Chromium() as chromium,
        ChromiumPeer("publisher", chromium) as publisher,
        ChromiumPeer("subscriber", chromium) as subscriber,
    ):
        for peer in (publisher, subscriber):
            await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=single)
        camera = await publisher.publish_camera(width=height * 16 // 9, height=height, codec=codec)
        await subscriber.wait_video(camera, lambda report: report.height == height, 30)
        return await switch_layers(subscriber, camera, {"low": 180, "medium": 360, "high": height}, count)


async def run(options: argparse.Namespace, servers: list[Candidate]) -> None:
    """All rows."""
    for number in range(options.runs):
        for single in (True, False):
            for codec in ("vp8", "h264"):
                for candidate in servers if number % 2 == 0 else servers[::-1]:
                    switches = await measure(
                        candidate, single=single, codec=codec, height=options.height, count=options.switches
                    )
                    print(f"{candidate.name:20} {'v1' if single else 'v0'} {codec:4}  {switches}", flush=True)
                    print(f"{'':30}{' '.join(f'{value:.0f}' for value in switches.took_ms)}", flush=True)


def main() -> None:
    """Command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--switches", type=int, default=20)
    flags.add_argument("--height", type=int, default=1080)
    flags.add_argument("--runs", type=int, default=1)
    options = flags.parse_args()
    with candidates() as servers:
        asyncio.run(run(options, servers))


if __name__ == "__main__":
    main()
