"""A participant that speaks signalling and RTP by hand (`/rtc/v1`): for what official clients do not let a test do or see.

It keeps every signal message, RTP packet and RTCP report it got, in order.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit.protocol import models, rtc

from lknb.logic.negotiation import Negotiation, SectionPlan, bundle_candidates, bundle_transport
from lknb.transport.data_channel import DataChannel
from lknb.transport.ice_full import FullIceTransport
from lknb.transport.peer import PeerTransport
from lknb.wire import extension
from lknb.wire.join import JoinParameters, build_join_request
from lknb.wire.rtcp import RtcpPacket, build_rtcp, parse_rtcp
from lknb.wire.rtp import RtpView, build_rtp, pack_extensions, parse_rtp
from lknb.wire.sdp import Codec, SessionDescription, build_sdp, parse_sdp
from tests.kit.poll import wait_until

CODECS = {
    "vp8": Codec(96, "VP8", 90_000, 1, "", ("nack", "nack pli", "ccm fir", "transport-cc")),
    "h264": Codec(
        102, "H264", 90_000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ("nack", "nack pli", "ccm fir", "transport-cc"),
    ),
    "opus": Codec(111, "opus", 48_000, 2, "minptime=10;useinbandfec=1", ("transport-cc",)),
}  # fmt: skip
EXTENSION_IDS = {extension.MID: 1, extension.RID: 2, extension.REPAIRED_RID: 3, extension.TRANSPORT_CC: 4}
AUDIO_EXTENSION_IDS = {extension.MID: 1, extension.TRANSPORT_CC: 4, extension.AUDIO_LEVEL: 5}
QUALITIES = {"q": (0, 320, 180), "h": (1, 640, 360), "f": (2, 1280, 720), "": (2, 640, 360)}


@dataclass
class RawTrack:
    """One track it publishes: send packets of it with `RawClient.send`."""

    mid: str
    codec: str
    rids: tuple[str, ...] = ()
    name: str = "track"
    source: models.TrackSource = models.TrackSource.CAMERA
    cid: str = field(default_factory=lambda: secrets.token_hex(8))
    shown: str = ""
    """Its id in the description, when that is not its cid."""
    sid: str = ""
    ssrcs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rid in self.rids or ("",):
            self.ssrcs[rid] = secrets.randbelow(1 << 31) + 1

    @property
    def kind(self) -> str:
        return "audio" if self.codec == "opus" else "video"

    def request(self) -> rtc.AddTrackRequest:
        """Its AddTrack."""
        request = rtc.AddTrackRequest(
            cid=self.cid, name=self.name, source=self.source, width=1280, height=720,
            type=models.TrackType.AUDIO if self.kind == "audio" else models.TrackType.VIDEO,
        )  # fmt: skip
        if self.kind == "video":
            for rid in self.rids or ("",):
                quality, width, height = QUALITIES[rid]
                request.layers.add(quality=quality, width=width, height=height)  # type: ignore[arg-type]
            request.simulcast_codecs.add(codec=self.codec, cid=self.cid, layers=request.layers)
        return request

    def plan(self) -> SectionPlan:
        """Its section in our offer."""
        ids = AUDIO_EXTENSION_IDS if self.kind == "audio" else EXTENSION_IDS
        ssrcs = [] if self.rids else list(self.ssrcs.values())
        id = self.shown or self.cid
        return SectionPlan("sendonly", [CODECS[self.codec]], ids, (id, id), ssrcs, (), self.cid, self.rids)


class RawClient:
    """`await connect()`, `await close()`."""

    def __init__(self, url: str, token: str, *, receive: int = 2, auto_subscribe: bool = True) -> None:
        self.url, self.token = url, token
        self.transport = PeerTransport(FullIceTransport(controlling=True))
        self.transport.on_rtp = lambda packet, _: self.packets.append(parse_rtp(packet))
        self.transport.on_rtcp = lambda packet, _: self.reports.extend(parse_rtcp(packet))
        self.packets: list[RtpView] = []
        self.reports: list[RtcpPacket] = []
        self.signals: list[rtc.SignalResponse] = []
        self.data: list[models.DataPacket] = []
        self.tracks: list[RawTrack] = []
        self.mapping: dict[str, str] = {}
        self.close_code: int | None = None
        self._receive = {"audio": receive, "video": receive}
        self._auto_subscribe = auto_subscribe
        self._negotiation = Negotiation(secrets.randbits(60))
        self._order: list[tuple[str, str, SectionPlan]] = []
        self._offers = 0
        self._started = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._session = aiohttp.ClientSession()
        self._twcc = 0
        self.answer: SessionDescription | None = None
        self.channels: dict[str, DataChannel] = {}

    async def connect(self, *tracks: RawTrack, adaptive_stream: bool = False, wait: bool = True) -> RawClient:
        """Join with these tracks in the very first offer; with `wait` until media can flow."""
        await self.transport.gather()
        for label, options in (("_reliable", {}), ("_lossy", {"ordered": False, "max_retransmits": 0})):
            channel = self.transport.create_data_channel(label, **options)  # type: ignore[arg-type]
            channel.on_message = lambda raw: self.data.append(models.DataPacket.FromString(raw))
            self.channels[label] = channel
        self.tracks += tracks
        self._order = [("d", "application", SectionPlan())]
        for kind, name in (("audio", "opus"), ("video", "vp8")):
            for index in range(self._receive[kind]):
                self._order.append((f"{kind[0]}{index}", kind, self._receive_plan(name)))
        self._order += [(track.mid, track.kind, track.plan()) for track in tracks]
        self._offers += 1
        offer = self._negotiation.create_offer(self._order, self.transport.local("actpass"))
        join = JoinParameters(
            client_info=models.ClientInfo(sdk=models.ClientInfo.SDK.PYTHON, protocol=16),
            publisher_offer=rtc.SessionDescription(type="offer", sdp=build_sdp(offer), id=self._offers),
            add_track_requests=[track.request() for track in tracks],
            single_peer_connection=True,
            auto_subscribe=self._auto_subscribe,
            adaptive_stream=adaptive_stream,
        )
        self.socket = await self._session.ws_connect(
            f"{self.url}/rtc/v1", params=build_join_request(join), headers={"Authorization": f"Bearer {self.token}"}
        )
        self._tasks.append(asyncio.create_task(self._listen()))
        if wait:
            await wait_until(lambda: self.transport.state == "connected", what="the transport to connect")
        for track in tracks:
            track.sid = await self.published(track)
        return self

    @staticmethod
    def _receive_plan(name: str) -> SectionPlan:
        codecs = [CODECS[name]] if name == "opus" else [CODECS["vp8"], CODECS["h264"]]
        return SectionPlan("recvonly", codecs, AUDIO_EXTENSION_IDS if name == "opus" else EXTENSION_IDS)

    @property
    def sid(self) -> str:
        """Participant sid."""
        return self.join.participant.sid

    @property
    def join(self) -> rtc.JoinResponse:
        """The first message."""
        return next(s.join for s in self.signals if s.WhichOneof("message") == "join")

    async def published(self, track: RawTrack) -> str:
        """The sid of a track, when the server has told it."""
        reply = await self.wait_for("track_published", lambda m: m.cid == track.cid)
        return str(reply.track.sid)

    def all(self, kind: str) -> list[Any]:
        """All messages of one kind."""
        return [getattr(s, kind) for s in self.signals if s.WhichOneof("message") == kind]

    async def wait_for(self, kind: str, accept: Any = lambda message: True, *, after: int = 0) -> Any:
        """The first message of this kind that `accept` takes, among those from number `after` on."""

        def find() -> Any:
            found = [getattr(s, kind) for s in self.signals[after:] if s.WhichOneof("message") == kind]
            return next(([m] for m in found if accept(m)), None)

        return (await wait_until(find, what=lambda: f"{kind} in {[s.WhichOneof('message') for s in self.signals]}"))[0]

    async def request(self, **fields: Any) -> None:
        """Send a signal request: `request(mute=rtc.MuteTrackRequest(...))`."""
        await self.socket.send_bytes(rtc.SignalRequest(**fields).SerializeToString())

    async def offer(self) -> None:
        """Offer again."""
        self._offers += 1
        offer = self._negotiation.create_offer(self._order, self.transport.local("actpass"))
        await self.request(offer=rtc.SessionDescription(type="offer", sdp=build_sdp(offer), id=self._offers))

    async def publish(self, track: RawTrack) -> None:
        """AddTrack and a new section."""
        self.tracks.append(track)
        self._order.append((track.mid, track.kind, track.plan()))
        await self.request(add_track=track.request())
        await self.offer()
        track.sid = await self.published(track)

    async def unpublish(self, track: RawTrack) -> None:
        """The section turns inactive."""
        plan = track.plan()
        plan.direction = "inactive"
        self._order = [(mid, kind, plan if mid == track.mid else old) for mid, kind, old in self._order]
        await self.offer()

    def send(
        self,
        track: RawTrack,
        sequence: int,
        timestamp: int,
        payload: bytes,
        *,
        rid: str = "",
        marker: bool = True,
        level: int = 20,
    ) -> None:
        """One RTP packet of a track."""
        items = [(1, track.mid.encode()), (4, self._twcc.to_bytes(2, "big"))]
        if rid:
            items.append((2, rid.encode()))
        if track.kind == "audio":
            items.append((5, bytes([0x80 | level])))
        self._twcc = (self._twcc + 1) & 0xFFFF
        packet = build_rtp(
            payload_type=CODECS[track.codec].payload_type, marker=marker, sequence_number=sequence & 0xFFFF,
            timestamp=timestamp & 0xFFFFFFFF, ssrc=track.ssrcs[rid], payload=payload, extensions=pack_extensions(items),
        )  # fmt: skip
        self.transport.send_rtp(packet)

    def send_padding(self, track: RawTrack, sequence: int, timestamp: int, *, rid: str = "") -> None:
        """A packet of padding only, as libwebrtc probes with."""
        items = [(1, track.mid.encode())] + ([(2, rid.encode())] if rid else [])
        packet = bytearray(
            build_rtp(
                payload_type=CODECS[track.codec].payload_type, marker=False, sequence_number=sequence & 0xFFFF,
                timestamp=timestamp, ssrc=track.ssrcs[rid], payload=bytes(99) + b"\x64", extensions=pack_extensions(items),
            )
        )  # fmt: skip
        packet[0] |= 0x20
        self.transport.send_rtp(bytes(packet))

    def report(self, *packets: RtcpPacket) -> None:
        """Send RTCP."""
        self.transport.send_rtcp(build_rtcp(packets))

    async def _listen(self) -> None:
        async for message in self.socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            response = rtc.SignalResponse.FromString(message.data)
            self.signals.append(response)
            kind = response.WhichOneof("message")
            if kind == "answer":
                await self._on_answer(response.answer)
            elif kind == "trickle":
                candidate = json.loads(response.trickle.candidateInit or "{}").get("candidate", "")
                await self.transport.add_candidate(candidate)
            elif kind == "media_sections_requirement":
                needed = response.media_sections_requirement
                for media, name, count in (("audio", "opus", needed.num_audios), ("video", "vp8", needed.num_videos)):
                    for _ in range(count):
                        index = self._receive[media]
                        self._receive[media] += 1
                        self._order.append((f"{media[0]}{index}", media, self._receive_plan(name)))
                await self.offer()
        self.close_code = self.socket.close_code

    async def _on_answer(self, message: rtc.SessionDescription) -> None:
        self.answer = parse_sdp(message.sdp)
        self.mapping = dict(message.mid_to_track_id)
        remote = bundle_transport(self.answer)
        assert remote is not None
        remote.candidates = bundle_candidates(self.answer)
        self._negotiation.accept_answer(self.answer)
        if self._started:
            await self.transport.update_remote(remote)
            return
        self._started = True
        setup: Any = "passive" if remote.setup == "active" else "active"
        starting = self.transport.start(remote, setup=setup, sctp_port=5000, max_message_size=65_536)
        self._tasks.append(asyncio.create_task(starting))

    def ssrc_of(self, track_sid: str) -> int | None:
        """The SSRC a track is sent to us under, by the last answer."""
        if self.answer is None:
            return None
        for section in self.answer.media:
            if self.mapping.get(section.mid) == track_sid and section.ssrcs:
                return section.ssrcs[0]
        return None

    async def receiving(self, track_sid: str) -> int:
        """The SSRC of a track, when it is agreed on."""
        ssrc = await wait_until(lambda: self.ssrc_of(track_sid), what=f"a section with {track_sid}")
        assert ssrc is not None
        return ssrc

    def media(self, ssrc: int) -> list[RtpView]:
        """The packets of one SSRC, in the order they came."""
        return [view for view in self.packets if view.ssrc == ssrc]

    async def close(self) -> None:
        """Leave without a word."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "socket"):
            await self.socket.close()
        await self._session.close()
        await self.transport.close()
