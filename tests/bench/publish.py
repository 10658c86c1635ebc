"""CPU per published 720p picture from a numpy array, and per received picture to one: lknb, the wheel, aiortc.

    .venv/bin/python -m tests.bench.publish [--seconds 15] [--rounds 2]

Each candidate is a process of its own, and what is counted is the CPU time of that process and its children (lknb has its
room core), divided by the pictures of 1280x720 that were really sent, or read as (720, 1280, 3) RGB arrays. All that was
sent goes to stderr: on a busy machine everybody sends fewer pictures, and libwebrtc smaller ones.

30 pictures a second, VP8, the same moving texture for all. lknb and the wheel publish into lknb's server, in one layer of
1.7 Mbit/s and with simulcast, and read what the wheel publishes. aiortc, which has no LiveKit client and no simulcast,
sends to an aiortc in another process and reads from it, at its own limit of 1.5 Mbit/s. Candidates take turns, and the
median of the rounds is shown.

Nobody runs with real-time priority: where libwebrtc may (as root, in most containers), its encoder does (SCHED_FIFO 49),
and on a busy machine it gets all the CPU that the others wait for. A notebook's user may not.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import importlib
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from fractions import Fraction
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from tests.kit.server import ROOT, Server, ServerProcess
from tests.kit.token import room_name

WIDTH, HEIGHT, FPS = 1280, 720, 30
BITRATE_BPS = 1_700_000
WARM_UP_S = 5.0


def pictures(count: int = 30) -> list[NDArray[np.uint8]]:
    """A texture that moves, with noise as a camera has it."""
    random = np.random.default_rng(1)
    coarse = random.integers(40, 215, (HEIGHT // 40 + 2, WIDTH // 40 + 2, 3), np.uint8)
    texture = np.kron(coarse, np.ones((40, 40, 1), np.uint8))[:HEIGHT, :WIDTH]
    noise = random.integers(0, 8, (HEIGHT, WIDTH, 1), np.uint8)
    return [np.roll(texture, 4 * index, 1) + np.roll(noise, 7 * index, 0) for index in range(count)]


class Meter:
    """CPU seconds of this process and its children since it was made."""

    def __init__(self) -> None:
        self._began = self._now()

    @staticmethod
    def _now() -> float:
        own = psutil.Process()
        return sum(sum(process.cpu_times()[:2]) for process in (own, *own.children(recursive=True)))

    @property
    def seconds(self) -> float:
        return self._now() - self._began


def told(frames: int, meter: Meter) -> None:
    """The result of a child, for its parent."""
    print(json.dumps({"frames": frames, "cpu_s": meter.seconds}), flush=True)


async def publish(module: str, url: str, token: str, seconds: float, simulcast: bool) -> None:
    rtc = importlib.import_module(module)
    room = rtc.Room()
    await room.connect(url, token)
    source = rtc.VideoSource(WIDTH, HEIGHT)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=simulcast)
    options.video_encoding.max_bitrate, options.video_encoding.max_framerate = BITRATE_BPS, FPS
    await room.local_participant.publish_track(track, options)
    arrays = pictures()
    meter, before, began, number = Meter(), None, time.monotonic(), 0
    first = 0
    print("live", flush=True)
    while (passed := time.monotonic() - began) < WARM_UP_S + seconds:
        if before is None and passed >= WARM_UP_S:
            before, first, meter = await sent(track), number, Meter()
        array = arrays[number % len(arrays)]
        if module.startswith("livekit"):
            source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGB24, memoryview(array).cast("B")))
        else:
            source.capture_frame(array)
        number += 1
        await asyncio.sleep(max(0.0, began + number / FPS - time.monotonic()))
    assert before is not None
    cpu_s = meter.seconds
    counts = {size: count - before.get(size, 0) for size, count in (await sent(track)).items()}
    frames = counts.get(f"{WIDTH}x{HEIGHT}", 0)
    print(json.dumps({"frames": frames, "cpu_s": cpu_s, "captured": number - first, "sent": counts}), flush=True)
    await room.disconnect()


async def sent(track: Any) -> dict[str, int]:
    """Pictures sent so far, by the size they were sent in."""
    streams = [
        stat.outbound_rtp.outbound for stat in await track.get_stats() if stat.WhichOneof("stats") == "outbound_rtp"
    ]
    return {f"{stream.frame_width}x{stream.frame_height}": stream.frames_sent for stream in streams}


async def receive(module: str, url: str, token: str, seconds: float) -> None:
    rtc = importlib.import_module(module)
    room = rtc.Room()
    subscribed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    room.on("track_subscribed", lambda track, *_: subscribed.done() or subscribed.set_result(track))
    await room.connect(url, token)
    print("live", flush=True)
    stream = rtc.VideoStream(await subscribed, format=rtc.VideoBufferType.RGB24)
    meter, frames, began = Meter(), 0, time.monotonic()
    async for event in stream:
        passed = time.monotonic() - began
        if passed > WARM_UP_S + seconds:
            break
        if passed > WARM_UP_S and not frames:
            meter = Meter()
        frame = event.frame
        array = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 3)
        frames += passed > WARM_UP_S and array.shape == (HEIGHT, WIDTH, 3)
    told(frames, meter)
    await stream.aclose()
    await room.disconnect()


async def aiortc_end(role: str, seconds: float) -> None:
    """One end of an aiortc pair; descriptions go over stdin and stdout, a line of JSON each."""
    import aiortc
    import av
    from aiortc.codecs import vpx

    # its default of 0.5 Mbit/s only rises with feedback
    vpx.DEFAULT_BITRATE = vpx.MAX_BITRATE
    connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    count = [0]

    class Camera(aiortc.VideoStreamTrack):
        arrays = pictures() if role == "publish" else []
        began = 0.0

        async def recv(self) -> av.VideoFrame:
            self.began = self.began or time.monotonic()
            await asyncio.sleep(max(0.0, self.began + count[0] / FPS - time.monotonic()))
            frame = av.VideoFrame.from_ndarray(self.arrays[count[0] % len(self.arrays)], format="rgb24")
            frame.pts, frame.time_base = count[0] * 90_000 // FPS, Fraction(1, 90_000)
            count[0] += 1
            return frame

    async def read(track: aiortc.MediaStreamTrack) -> None:
        while True:
            frame: Any = await track.recv()
            if role == "receive":
                count[0] += frame.to_ndarray(format="rgb24").shape == (HEIGHT, WIDTH, 3)

    readers: list[asyncio.Task[None]] = []
    connection.on("track", lambda track: readers.append(asyncio.ensure_future(read(track))))
    loop = asyncio.get_running_loop()
    if role == "publish":
        connection.addTrack(Camera())
        await connection.setLocalDescription(await connection.createOffer())
    else:
        await connection.setRemoteDescription(_description(await loop.run_in_executor(None, sys.stdin.readline)))
        await connection.setLocalDescription(await connection.createAnswer())
    local = connection.localDescription
    print(json.dumps({"sdp": local.sdp, "type": local.type}), flush=True)
    if role == "publish":
        await connection.setRemoteDescription(_description(await loop.run_in_executor(None, sys.stdin.readline)))
    await asyncio.sleep(WARM_UP_S)
    meter, before = Meter(), count[0]
    await asyncio.sleep(seconds)
    told(count[0] - before, meter)
    await asyncio.sleep(1.0)
    for reader in readers:
        reader.cancel()
    await connection.close()


def _description(line: str) -> Any:
    import aiortc

    return aiortc.RTCSessionDescription(**json.loads(line))


def _without_real_time() -> None:
    # prctl(PR_CAPBSET_DROP, CAP_SYS_NICE): what is executed next does not have it; without effect for who never had it
    ctypes.CDLL(None).prctl(24, 23, 0, 0, 0)


async def child(*arguments: object) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.publish", "--child", *map(str, arguments),
        stdin=PIPE, stdout=PIPE, cwd=ROOT, preexec_fn=_without_real_time,
    )  # fmt: skip


async def result(process: Process) -> float:
    """CPU milliseconds per picture; the process has ended then."""
    assert process.stdout is not None
    lines = (await process.stdout.read()).decode().splitlines()
    await process.wait()
    found = next(json.loads(line) for line in reversed(lines) if line.startswith('{"frames"'))
    print(f"  {found}", file=sys.stderr)
    return float(1000 * found["cpu_s"] / found["frames"])


async def measure_publishing(server: Server, module: str, seconds: float, simulcast: bool) -> float:
    """Beside a reader, so that somebody watches."""
    name = room_name()
    reader = await child("receive", "livekit.rtc", server.url, server.token("reader", name), seconds + 60, 0)
    publisher = await child("publish", module, server.url, server.token("publisher", name), seconds, int(simulcast))
    found = await result(publisher)
    reader.kill()
    await reader.wait()
    return found


async def measure_receiving(server: Server, module: str, seconds: float) -> float:
    name = room_name()
    publisher = await child("publish", "livekit.rtc", server.url, server.token("publisher", name), seconds + 60, 0)
    assert publisher.stdout is not None
    await publisher.stdout.readline()
    found = await result(await child("receive", module, server.url, server.token("reader", name), seconds, 0))
    publisher.kill()
    await publisher.wait()
    return found


async def measure_aiortc(seconds: float) -> tuple[float, float]:
    publisher, reader = (
        await child("publish", "aiortc", "-", "-", seconds, 0),
        await child("receive", "aiortc", "-", "-", seconds, 0),
    )
    for source, target in ((publisher, reader), (reader, publisher)):
        assert source.stdout is not None
        assert target.stdin is not None
        target.stdin.write(await source.stdout.readline())
    published, received = await asyncio.gather(result(publisher), result(reader))
    return published, received


async def run_child(role: str, module: str, url: str, token: str, seconds: float, simulcast: bool) -> None:
    if module == "aiortc":
        await aiortc_end(role, seconds)
    elif role == "publish":
        await publish(module, url, token, seconds, simulcast)
    else:
        await receive(module, url, token, seconds)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--child", nargs=6)
    options = parser.parse_args()
    if options.child:
        role, module, url, token, seconds, simulcast = options.child
        await run_child(role, module, url, token, float(seconds), simulcast == "1")
        sys.stdout.flush()
        # the wheel's native threads make an ordinary exit hang or abort now and then
        os._exit(0)
    rows: dict[tuple[str, str], list[float]] = {}
    with ServerProcess() as process:
        for _ in range(options.rounds):
            for module, name in (("lknb.rtc", "lknb"), ("livekit.rtc", "wheel")):
                for what, simulcast in (("publish, one layer", False), ("publish, simulcast", True)):
                    found = await measure_publishing(process.server, module, options.seconds, simulcast)
                    rows.setdefault((what, name), []).append(found)
                found = await measure_receiving(process.server, module, options.seconds)
                rows.setdefault(("receive", name), []).append(found)
            published, received = await measure_aiortc(options.seconds)
            rows.setdefault(("publish, one layer", "aiortc"), []).append(published)
            rows.setdefault(("receive", "aiortc"), []).append(received)
    print(f"CPU milliseconds per picture of {WIDTH}x{HEIGHT}, median of {options.rounds} (all)")
    for (what, name), found in sorted(rows.items()):
        wheel = statistics.median(rows[what, "wheel"])
        ratio = statistics.median(found) / wheel
        shown = " ".join(f"{value:.2f}" for value in found)
        print(f"{what:20} {name:8} {statistics.median(found):6.2f} ({shown})  {ratio:.2f} x the wheel")


if __name__ == "__main__":
    asyncio.run(main())
