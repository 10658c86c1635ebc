"""aiortc's own way to forward: MediaRelay, which decodes and encodes for each subscriber.

Run as a module it is the relay process: 1 publisher and 2 subscribers over loopback, the content of `tests.bench.load`.
"""

from __future__ import annotations

import asyncio
import fractions
import json
import subprocess
import sys
from typing import Any

import psutil


async def _relay(signalling: asyncio.StreamReader) -> None:
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.contrib.media import MediaRelay

    relay = MediaRelay()
    incoming: list[Any] = []
    connections = []
    for line_number in range(3):
        line = json.loads(await signalling.readline())
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        if line_number == 0:
            connection.on("track", incoming.append)
        else:
            connection.addTrack(relay.subscribe(incoming[0], buffered=False))
        await connection.setRemoteDescription(RTCSessionDescription(line["sdp"], line["type"]))
        await connection.setLocalDescription(await connection.createAnswer())
        answer = {"sdp": connection.localDescription.sdp, "type": connection.localDescription.type}
        print(json.dumps(answer), flush=True)
    await signalling.read()
    for connection in connections:
        await connection.close()


async def _relay_main() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await _relay(reader)


async def _generate(seconds: float) -> float:
    import av
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamTrack

    from tests.bench.load import FPS, make_frames

    frames = make_frames(1_500_000)

    class Encoded(MediaStreamTrack):
        kind = "video"
        number = 0
        began = 0.0

        async def recv(self) -> Any:
            loop = asyncio.get_running_loop()
            self.began = self.began or loop.time()
            await asyncio.sleep(max(0.0, self.began + self.number / FPS - loop.time()))
            packet = av.Packet(frames[self.number % len(frames)])
            packet.pts = packet.dts = self.number
            packet.time_base = fractions.Fraction(1, FPS)
            self.number += 1
            return packet

    received = 0
    handle = RTCRtpReceiver._handle_rtp_packet

    async def count(self: Any, packet: Any, arrival_time_ms: int) -> None:
        nonlocal received
        received += 1
        await handle(self, packet, arrival_time_ms)

    RTCRtpReceiver._handle_rtp_packet = count  # type: ignore[method-assign]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.media_relay", stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 20
    )
    assert process.stdin is not None
    assert process.stdout is not None
    connections = []
    for number in range(3):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        if number == 0:
            connection.addTrack(Encoded())
        else:
            connection.addTransceiver("video", direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        offer = {"sdp": connection.localDescription.sdp, "type": connection.localDescription.type}
        process.stdin.write(json.dumps(offer).encode() + b"\n")
        answer = json.loads(await process.stdout.readline())
        await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await asyncio.sleep(4)
    relay = psutil.Process(process.pid)
    before, count_before = relay.cpu_times(), received
    await asyncio.sleep(seconds)
    after, count_after = relay.cpu_times(), received
    process.stdin.close()
    for connection in connections:
        await connection.close()
    await process.wait()
    cpu_s = after.user + after.system - before.user - before.system
    return float(cpu_s / max(1, count_after - count_before) * 1e6)


def measure_media_relay(seconds: float) -> float:
    """CPU microseconds of the relay process per packet that reaches a subscriber."""
    return asyncio.run(_generate(seconds))


if __name__ == "__main__":
    asyncio.run(_relay_main())
