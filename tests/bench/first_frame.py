"""From connect() to the first decoded frame of a track that is already published.

    .venv/bin/python -m tests.bench.first_frame [--joins 12]

The official wheel joins lknb's server and, where LKNB_TEST_LIVEKIT_URL is set, the real one in alternation; `lknb.rtc` joins
lknb's server. `/rtc/v1` and `/rtc` each. A publisher in a process of its own sends 640x360 VP8 throughout.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import statistics
import sys
import time
from typing import Any

import numpy as np

from tests.bench.peer_server import Candidate, candidates
from tests.kit.token import room_name


async def publish(url: str, token: str) -> None:
    """A moving picture for as long as the process lives."""
    from livekit import rtc

    room = rtc.Room()
    await room.connect(url, token)
    source = rtc.VideoSource(640, 360)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False)
    await room.local_participant.publish_track(track, options)
    print("live", flush=True)
    picture = np.full((360, 640, 4), 255, np.uint8)
    number = 0
    while True:
        picture[:, :, :3] = (200, 40, 40)
        picture[:, number * 8 % 600 : number * 8 % 600 + 40, :3] = (20, 200, 20)
        source.capture_frame(rtc.VideoFrame(640, 360, rtc.VideoBufferType.RGBA, picture.tobytes()))
        number += 1
        await asyncio.sleep(1 / 30)


async def join(rtc: Any, url: str, token: str, *, single: bool) -> float:
    """Milliseconds from connect() to a picture of the published size."""
    room = rtc.Room()
    seen: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    tasks = []

    async def read(track: Any) -> None:
        stream = rtc.VideoStream(track)
        async for event in stream:
            if event.frame.width == 640:
                if not seen.done():
                    seen.set_result(time.monotonic())
                break
        await stream.aclose()

    @room.on("track_subscribed")
    def subscribed(track: Any, publication: Any, participant: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            tasks.append(asyncio.create_task(read(track)))

    began = time.monotonic()
    await room.connect(url, token, rtc.RoomOptions(auto_subscribe=True, single_peer_connection=single))
    at = await asyncio.wait_for(seen, 20)
    await asyncio.gather(*tasks)
    await room.disconnect()
    return (at - began) * 1000


async def measure(servers: list[Candidate], joins: int, modules: list[str]) -> None:
    """All rows."""
    rooms = {candidate.name: room_name() for candidate in servers}
    publishers = []
    for candidate in servers:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.first_frame", "--publish", candidate.server.url,
            candidate.server.token("publisher", rooms[candidate.name]), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        await process.stdout.readline()
        publishers.append(process)
    rows: dict[tuple[str, str, str], list[float]] = {}
    for number in range(joins):
        for single in (True, False):
            for candidate in servers if number % 2 == 0 else servers[::-1]:
                for module in modules:
                    if module != "livekit.rtc" and candidate.name != "lknb":
                        continue
                    token = candidate.server.token(f"joiner-{number}", rooms[candidate.name])
                    elapsed_ms = await join(importlib.import_module(module), candidate.server.url, token, single=single)
                    rows.setdefault((candidate.name, module, "v1" if single else "v0"), []).append(elapsed_ms)
                    await asyncio.sleep(0.3)  # the machine settles before the next join
    for process in publishers:
        process.kill()
        await process.wait()
    for (name, module, mode), values in rows.items():
        print(
            f"{name:20} {module:12} {mode}  median {statistics.median(values):5.0f} ms"
            f"  min {min(values):5.0f}  max {max(values):5.0f}  {' '.join(f'{value:.0f}' for value in values)}"
        )


def main() -> None:
    """Command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--joins", type=int, default=12)
    flags.add_argument("--modules", nargs="*", default=["livekit.rtc", "lknb.rtc"])
    flags.add_argument("--publish", nargs=2, metavar=("URL", "TOKEN"), help=argparse.SUPPRESS)
    options = flags.parse_args()
    if options.publish:
        asyncio.run(publish(*options.publish))
        return
    with candidates() as servers:
        asyncio.run(measure(servers, options.joins, options.modules))


if __name__ == "__main__":
    main()
