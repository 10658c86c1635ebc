"""A room session of the core in the test's own process, with what it tells its kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import av
import numpy as np
from livekit.protocol import models, rtc

from lknb.core.feed import Feed
from lknb.core.options import ConnectOptions
from lknb.core.session import RoomSession
from lknb.core.source import open_source
from lknb.core.track import RemoteTrack
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until
from tests.kit.server import Server

MICROPHONE, CAMERA = models.TrackSource.MICROPHONE, models.TrackSource.CAMERA


class Member:
    """One participant: a `RoomSession`, its events, and the frames it receives."""

    def __init__(self, server: Server, identity: str, room: str, **token: Any) -> None:
        self.server = server
        self.identity = identity
        self.token = server.token(identity, room, **token)
        self.events: list[tuple[dict[str, Any], list[bytes]]] = []
        self.ended = False
        self.session = RoomSession(1, self._emit, self._end)
        self.feeds: list[Feed] = []
        self.frames: dict[str, list[EncodedFrame]] = {}
        self.join = rtc.JoinResponse()
        self.single = False

    def _emit(self, header: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        self.events.append((dict(header), list(buffers)))

    def _end(self) -> None:
        self.ended = True

    async def connect(self, *, single: bool | None = None, **options: Any) -> Self:
        parsed = ConnectOptions.parse({"single_peer_connection": single, **options})
        self.join, self.single = await self.session.connect(self.server.url, self.token, parsed)
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        await self.session.disconnect()
        for feed in self.feeds:
            await asyncio.to_thread(feed.close)

    def open(self, type: str, kind: Any, **parameters: Any) -> Feed:
        """A feed from a source of the core."""
        feed = Feed(len(self.feeds), open_source(type, kind, parameters), lambda error: None)
        self.feeds.append(feed)
        return feed

    async def publish(self, feed: Feed, **fields: Any) -> str:
        """Publish it as camera or microphone; the track's sid."""
        source = feed.source
        fields.setdefault("source", CAMERA if feed.kind == "video" else MICROPHONE)
        request = rtc.AddTrackRequest(name=feed.kind, width=source.width, height=source.height, **fields)
        for index, layer in enumerate(source.layers):
            quality: Any = index if len(source.layers) > 1 else models.VideoQuality.HIGH
            request.layers.add(quality=quality, width=layer.width, height=layer.height, bitrate=layer.max_bitrate_bps)
        return (await self.session.publish(feed, source.codec, request)).sid

    def heard(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The events of this name with these values, so far."""
        return [
            header
            for header, _ in self.events
            if header["event"] == event and all(header.get(name) == value for name, value in fields.items())
        ]

    def signals(self, kind: str) -> list[rtc.SignalResponse]:
        """The forwarded responses of one kind, so far."""
        responses = [rtc.SignalResponse.FromString(b[0]) for header, b in self.events if header["event"] == "signal"]
        return [response for response in responses if response.WhichOneof("message") == kind]

    def data(self) -> list[tuple[bool, models.DataPacket]]:
        """The data packets received, so far."""
        return [
            (header["reliable"], models.DataPacket.FromString(buffers[0]))
            for header, buffers in self.events
            if header["event"] == "data"
        ]

    async def wait(self, event: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """The `count`th event of this name and these values, awaited."""
        found = await wait_until(
            lambda: self.heard(event, **fields)[count - 1 :],
            15.0,
            what=lambda: f"{self.identity}: {count} x {event} {fields}, has {[header for header, _ in self.events]}",
        )
        return found[0]

    async def read(self, sid: str) -> RemoteTrack:
        """Collect the frames of a track in `frames`, once it is subscribed."""
        await self.wait("track_subscribed", track_sid=sid)
        track = self.session.track(sid)
        assert track is not None
        track.attach(self.frames.setdefault(sid, []).append)
        return track

    async def wait_frames(self, sid: str, count: int, *, since: int = 0) -> list[EncodedFrame]:
        """The frames of a track that is read, from the `since`th on, once there are `count`."""
        frames = self.frames[sid]
        await wait_until(
            lambda: len(frames) >= since + count, 15.0, what=lambda: f"{len(frames) - since} of {count} frames of {sid}"
        )
        return frames[since:]


def decode_video(frames: Sequence[EncodedFrame]) -> list[np.ndarray]:
    """The pictures of frames that begin with a key frame, rgb24."""
    decoder: Any = av.CodecContext.create({"vp8": "vp8", "h264": "h264"}[frames[0].codec], "r")
    pictures = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.data))]
    return [picture.to_ndarray(format="rgb24") for picture in [*pictures, *decoder.decode(None)]]


def peak_hz(frames: Sequence[EncodedFrame]) -> float:
    """The loudest frequency in Opus packets."""
    decoder: Any = av.CodecContext.create("opus", "r")
    decoded = [block for frame in frames if frame.data for block in decoder.decode(av.Packet(frame.data))]
    samples = np.concatenate([block.to_ndarray()[0] for block in decoded])
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 48_000 / len(samples))
