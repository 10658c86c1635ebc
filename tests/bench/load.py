"""A load of raw RTP for a LiveKit server: so many publishers, so many subscribers, counted at the receiving sockets.

    python -m tests.bench.load --url ws://127.0.0.1:7880 --key K --secret S --publishers 5 --subscribers 20 --seconds 10

Joins by `/rtc/v1` like any client, sends VP8 in bursts of a frame and Opus every 20 ms, decodes nothing. Prints one line of
JSON when everybody receives (`{"event": "flowing"}`) and one at the end with what was sent and received.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
import time
from typing import Any

import aiohttp
from livekit import api
from livekit.protocol import models, rtc

from lknb.logic.negotiation import Negotiation, SectionPlan, bundle_candidates, bundle_transport
from lknb.transport.ice_full import FullIceTransport
from lknb.transport.peer import PeerTransport
from lknb.wire import extension, rtcp
from lknb.wire.join import JoinParameters, build_join_request
from lknb.wire.rtp import build_rtp, pack_extensions
from lknb.wire.sdp import Codec, build_sdp, parse_sdp
from lknb.wire.vp8 import packetize_vp8

VP8 = Codec(96, "VP8", 90_000, 1, "", ("nack", "nack pli", "ccm fir"))
OPUS = Codec(111, "opus", 48_000, 2, "minptime=10;useinbandfec=1", ())
EXTENSIONS = {extension.MID: 1}
FPS = 30


class Client:
    """One participant that speaks RTP by hand."""

    def __init__(self, url: str, token: str, *, publish: bool, receive: int) -> None:
        self._url, self._token = url, token
        self._publish, self._receive = publish, receive
        self._negotiation = Negotiation(secrets.randbits(60))
        self.transport = PeerTransport(FullIceTransport(controlling=True))
        self.received = 0
        self.received_bytes = 0
        self.sent = 0
        self.sources: set[int] = set()
        self._cids = {"video": secrets.token_hex(8), "audio": secrets.token_hex(8)}
        self._extra = {"audio": 0, "video": 0}
        self._started = False
        self._tasks: list[asyncio.Task[None]] = []
        self.transport.on_rtp = self._on_rtp
        self.transport.on_rtcp = self._on_rtcp

    def _on_rtp(self, packet: bytes, arrival_us: int) -> None:
        self.received += 1
        self.received_bytes += len(packet)
        self.sources.add(int.from_bytes(packet[8:12], "big"))

    def _on_rtcp(self, packet: bytes, arrival_us: int) -> None:
        self.pli = any(isinstance(report, rtcp.Pli) for report in rtcp.parse_rtcp(packet))

    def _sections(self) -> list[tuple[str, str, SectionPlan]]:
        sections = [("0", "application", SectionPlan())]
        if self._publish:
            for mid, kind, codec in (("v", "video", VP8), ("a", "audio", OPUS)):
                cid = self._cids[kind]
                plan = SectionPlan("sendonly", [codec], EXTENSIONS, (cid, cid), [self.ssrc(kind)], (), cid)
                sections.append((mid, kind, plan))
        for kind, codec in (("audio", OPUS), ("video", VP8)):
            for index in range(self._receive + self._extra[kind]):
                sections.append((f"{kind[0]}r{index}", kind, SectionPlan("recvonly", [codec], EXTENSIONS)))
        return sections

    def ssrc(self, kind: str) -> int:
        """Fixed from the cid, so that offers agree."""
        return int(self._cids[kind][:8], 16) | 1

    async def connect(self, session: aiohttp.ClientSession) -> None:
        """Join and wait for DTLS."""
        await self.transport.gather()
        offer = self._negotiation.create_offer(self._sections(), self.transport.local("actpass"))
        requests = []
        if self._publish:
            requests = [
                rtc.AddTrackRequest(
                    cid=self._cids["video"], name="v", type=models.TrackType.VIDEO, width=1280, height=720,
                    source=models.TrackSource.CAMERA,
                    layers=[models.VideoLayer(quality=models.VideoQuality.HIGH, width=1280, height=720)],
                ),
                rtc.AddTrackRequest(
                    cid=self._cids["audio"], name="a", type=models.TrackType.AUDIO,
                    source=models.TrackSource.MICROPHONE,
                ),
            ]  # fmt: skip
        join = JoinParameters(
            client_info=models.ClientInfo(sdk=models.ClientInfo.SDK.PYTHON, protocol=16),
            publisher_offer=rtc.SessionDescription(type="offer", sdp=build_sdp(offer), id=1),
            add_track_requests=requests,
            single_peer_connection=True,
            auto_subscribe=not self._publish,
        )
        self._socket = await session.ws_connect(
            f"{self._url}/rtc/v1",
            params=build_join_request(join),
            headers={"Authorization": f"Bearer {self._token}"},
            max_msg_size=0,
        )
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks.append(asyncio.create_task(self._listen()))
        await asyncio.wait_for(asyncio.shield(self._connected), 20)

    async def _listen(self) -> None:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            response = rtc.SignalResponse.FromString(message.data)
            kind = response.WhichOneof("message")
            if kind == "answer":
                await self._on_answer(response.answer.sdp)
            elif kind == "trickle":
                candidate = json.loads(response.trickle.candidateInit or "{}").get("candidate", "")
                await self.transport.add_candidate(candidate)
                if response.trickle.final:
                    await self.transport.add_candidate(None)
            elif kind == "media_sections_requirement":
                self._extra["audio"] += response.media_sections_requirement.num_audios
                self._extra["video"] += response.media_sections_requirement.num_videos
                offer = self._negotiation.create_offer(self._sections(), self.transport.local("actpass"))
                await self._send(
                    rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp=build_sdp(offer), id=2))
                )

    async def _send(self, request: rtc.SignalRequest) -> None:
        await self._socket.send_bytes(request.SerializeToString())

    async def _on_answer(self, sdp: str) -> None:
        answer = parse_sdp(sdp)
        remote = bundle_transport(answer)
        if remote is None:
            raise RuntimeError("the answer has no transport")
        remote.candidates = bundle_candidates(answer)
        if self._started:
            await self.transport.update_remote(remote)
            return
        self._started = True

        async def start() -> None:
            setup = "passive" if remote.setup == "active" else "active"
            await self.transport.start(remote, setup=setup, sctp_port=5000, max_message_size=65_536)
            self._connected.set_result(None)

        self._tasks.append(asyncio.create_task(start()))

    async def ping(self) -> None:
        """Keep the session."""
        await self._send(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=int(time.time() * 1000))))

    async def close(self) -> None:
        """Leave."""
        for task in self._tasks:
            task.cancel()
        await self._socket.close()
        await self.transport.close()


async def publish(client: Client, frames: list[bytes], stop: asyncio.Event) -> None:
    """Send the frames in a loop at 30 a second, and Opus at 50 packets a second, paced without drift."""
    mids = {kind: pack_extensions([(1, mid.encode())]) for kind, mid in (("video", "v"), ("audio", "a"))}
    sequence = {"video": random.randrange(1 << 15), "audio": random.randrange(1 << 15)}
    start = time.monotonic()
    video = audio = 0
    picture = 0
    opus = bytes([0xF8]) + secrets.token_bytes(79)
    while not stop.is_set():
        now = time.monotonic() - start
        while video / FPS <= now:
            payloads = packetize_vp8(frames[video % len(frames)], picture & 0x7FFF)
            for index, payload in enumerate(payloads):
                client.transport.send_rtp(
                    build_rtp(
                        payload_type=96, marker=index == len(payloads) - 1, sequence_number=sequence["video"] & 0xFFFF,
                        timestamp=(video * 3000) & 0xFFFFFFFF, ssrc=client.ssrc("video"), payload=payload,
                        extensions=mids["video"],
                    )
                )  # fmt: skip
                sequence["video"] += 1
                client.sent += 1
            video += 1
            picture += 1
        while audio / 50 <= now:
            client.transport.send_rtp(
                build_rtp(
                    payload_type=111, marker=False, sequence_number=sequence["audio"] & 0xFFFF,
                    timestamp=(audio * 960) & 0xFFFFFFFF, ssrc=client.ssrc("audio"), payload=opus,
                    extensions=mids["audio"],
                )
            )  # fmt: skip
            sequence["audio"] += 1
            client.sent += 1
            audio += 1
        await asyncio.sleep(max(0.0, min(video / FPS, audio / 50) - (time.monotonic() - start)))


def make_frames(bitrate_bps: int, count: int = 60) -> list[bytes]:
    """VP8 720p frames of a moving pattern with grain, one key frame in two seconds."""
    from fractions import Fraction

    import av
    import numpy as np

    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 1280, 720, "yuv420p"
    encoder.time_base, encoder.bit_rate = Fraction(1, FPS), bitrate_bps
    encoder.options = {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0"}
    encoder.framerate = FPS
    y, x = np.mgrid[0:720, 0:1280]
    grain = np.random.default_rng(7).normal(0, 2.0, (720, 1280))
    frames = []
    for index in range(count):
        luma = (
            128 + 60 * np.sin((x + 6 * index) / 90) + 40 * np.cos((y - 3 * index) / 70) + np.roll(grain, 11 * index, 1)
        )
        frame = av.VideoFrame.from_ndarray(np.clip(luma, 16, 235).astype(np.uint8), "gray").reformat(format="yuv420p")
        frame.pts = index
        frames.extend(bytes(packet) for packet in encoder.encode(frame))
    return frames


def token(key: str, secret: str, room: str, identity: str) -> str:
    """A token to join."""
    grants = api.VideoGrants(room_join=True, room=room)
    return api.AccessToken(key, secret).with_identity(identity).with_grants(grants).to_jwt()


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """The whole load."""
    frames = make_frames(options.bitrate)
    room = f"load-{secrets.token_hex(3)}"
    stop = asyncio.Event()
    async with aiohttp.ClientSession() as session:
        publishers = [
            Client(options.url, token(options.key, options.secret, room, f"p{i}"), publish=True, receive=0)
            for i in range(options.publishers)
        ]
        for client in publishers:
            await client.connect(session)
        senders = [asyncio.create_task(publish(client, frames, stop)) for client in publishers]
        subscribers = [
            Client(
                options.url, token(options.key, options.secret, room, f"s{i}"), publish=False, receive=options.publishers
            )
            for i in range(options.subscribers)
        ]  # fmt: skip
        for client in subscribers:
            await client.connect(session)
        deadline = time.monotonic() + 30
        while not all(len(client.sources) >= 2 * options.publishers for client in subscribers):
            if time.monotonic() > deadline:
                raise SystemExit(f"only {[len(c.sources) for c in subscribers]} sources arrive")
            await asyncio.sleep(0.1)
        print(json.dumps({"event": "flowing"}), flush=True)
        await asyncio.sleep(options.warmup)
        before = (sum(c.received for c in subscribers), sum(c.sent for c in publishers))
        print(json.dumps({"event": "begin"}), flush=True)
        began = time.monotonic()
        while time.monotonic() - began < options.seconds:
            await asyncio.sleep(min(4.0, max(0.0, options.seconds - (time.monotonic() - began))))
            for client in (*publishers, *subscribers):
                await client.ping()
        elapsed = time.monotonic() - began
        received = sum(c.received for c in subscribers) - before[0]
        sent = sum(c.sent for c in publishers) - before[1]
        result = {
            "event": "end",
            "seconds": elapsed,
            "sent": sent,
            "received": received,
            "expected": sent * options.subscribers,
        }
        print(json.dumps(result), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        stop.set()
        await asyncio.gather(*senders)
        for client in (*subscribers, *publishers):
            await client.close()
    return result


def main() -> None:
    """Command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--url", required=True)
    flags.add_argument("--key", required=True)
    flags.add_argument("--secret", required=True)
    flags.add_argument("--publishers", type=int, default=5)
    flags.add_argument("--subscribers", type=int, default=20)
    flags.add_argument("--seconds", type=float, default=10)
    flags.add_argument("--warmup", type=float, default=2)
    flags.add_argument("--bitrate", type=int, default=1_500_000)
    asyncio.run(run(flags.parse_args()))


if __name__ == "__main__":
    main()
