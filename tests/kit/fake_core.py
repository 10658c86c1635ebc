"""A room core without rooms: a process with the real lane server, whose tracks are coloured patterns.

Used from a notebook's kernel, over the real link:

    core = FakeCore()
    track = core.track("TR_a", codec="vp8", width=320, height=180, participant_name="Alice")

The picture has four quarters: red, green, blue, white, from left to right and top to bottom; a grey bar moves over them.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lknb.core.client import CoreClient
from lknb.core.lane import LaneServer
from lknb.core.lane_websocket import WebSocketPort
from lknb.core.message import MessageDecoder, encode_message
from lknb.errors import CoreError, LknbError
from lknb.wire.frame import EncodedFrame

ROOM = 1
FRAMES_PER_S = 30
QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
ENCODERS = {"vp8": "libvpx", "h264": "libx264"}


class FakeCore:
    """The kernel's end. `client` is a real `CoreClient`."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.fake_core", "--fd", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        self.client = CoreClient(ours)

    def track(self, sid: str, **about: Any) -> FakeTrack:
        """A track that plays from now on."""
        return FakeTrack(self, sid, **about)

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Have the process do something to a track."""
        ok, _ = self.client.request_threadsafe({"op": "fake", "action": action, **arguments}).result(60)
        return ok

    def close(self) -> None:
        self.client.close()
        self.process.wait(10)


class FakeTrack:
    """The kernel's end of one track, with what a view needs of it."""

    def __init__(
        self, core: FakeCore, sid: str, *, codec: str = "vp8", width: int = 320, height: int = 180,
        name: str = "camera", participant_name: str = "", known_size: bool = True, loop: bool = False,
    ) -> None:  # fmt: skip
        self.core = core
        self.client = core.client
        self.room_handle = ROOM
        self.sid = sid
        self.name = name
        self.participant_name = participant_name
        self.width, self.height = (width, height) if known_size else (0, 0)
        self.muted = False
        self._handlers: dict[str, list[Callable[[], None]]] = {}
        core.ask("play", sid=sid, codec=codec, width=width, height=height, loop=loop)

    def on(self, event: str, callback: Callable[[], None]) -> None:
        self._handlers.setdefault(event, []).append(callback)

    def off(self, event: str, callback: Callable[[], None]) -> None:
        self._handlers[event].remove(callback)

    @property
    def handlers(self) -> int:
        """How many event handlers are registered."""
        return sum(map(len, self._handlers.values()))

    def mute(self, muted: bool) -> None:
        self.muted = muted
        self.core.ask("mute", sid=self.sid, muted=muted)
        for handler in list(self._handlers.get("muted" if muted else "unmuted", ())):
            handler()

    def end(self) -> None:
        """As when the publisher leaves: the core knows first."""
        self.core.ask("end", sid=self.sid)

    def stats(self) -> dict[str, Any]:
        """frames, keyframe_requests, sinks, views."""
        return self.core.ask("stats", sid=self.sid)

    def misdirect(self, port: int | None) -> None:
        """Tell pages this port instead of the lane's; None for the right one again."""
        self.core.ask("misdirect" if port else "direct", sid=self.sid, port=port)

    def cut(self) -> None:
        """Break all lanes of the track off, as a network does."""
        self.core.ask("cut", sid=self.sid)

    def refuse(self, refused: bool) -> None:
        """Give pages no lane, as a core that cannot listen."""
        self.core.ask("refuse", sid=self.sid, refused=refused)

    def hold(self, held: bool) -> None:
        """Encode nothing while held."""
        self.core.ask("hold", sid=self.sid, held=held)


class Pattern:
    """An `EncodedTrack` that encodes its pattern while it runs."""

    kind = "video"

    def __init__(self, sid: str, codec: str, width: int, height: int) -> None:
        self.sid = sid
        self.codec = codec
        self.muted = False
        self.held = False
        self.refused = False
        self.frames = 0
        self.keyframe_requests = 0
        self._sinks: list[Callable[[EncodedFrame], None]] = []
        self._wants_keyframe = True
        self._size = width, height
        self._encoder = self._open(codec, width, height)
        self._quarters = _quarters(width, height)
        self.task = asyncio.create_task(self._run())

    @staticmethod
    def _open(codec: str, width: int, height: int) -> Any:
        import av

        encoder = av.CodecContext.create(ENCODERS[codec], "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base = fractions.Fraction(1, FRAMES_PER_S)
        encoder.gop_size = 10_000
        encoder.bit_rate = 1_000_000
        realtime = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        x264 = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "x264-params": "repeat-headers=1"}
        encoder.options = x264 if codec == "h264" else realtime
        return encoder

    def attach(self, sink: Callable[[EncodedFrame], None], *, keyframe: bool = True) -> None:
        self._sinks.append(sink)
        if keyframe:
            self.request_keyframe()

    def detach(self, sink: Callable[[EncodedFrame], None]) -> None:
        self._sinks.remove(sink)

    def request_keyframe(self) -> None:
        self.keyframe_requests += 1
        self._wants_keyframe = True

    def stats(self, server: LaneServer) -> dict[str, Any]:
        views = [
            {"width": view.width, "height": view.height, "dpr": view.dpr, "visible": view.visible}
            for view in server.views(ROOM, self.sid)
        ]
        return {
            "frames": self.frames,
            "keyframe_requests": self.keyframe_requests,
            "sinks": len(self._sinks),
            "views": views,
        }

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for index in range(sys.maxsize):
            await asyncio.sleep(max(0.0, began + index / FRAMES_PER_S - loop.time()))
            if self._sinks and not self.held and not self.muted:
                self._encode(index)

    def _encode(self, index: int) -> None:
        import av

        width, height = self._size
        image = self._quarters.copy()
        left = index * 4 % (width - 8)
        image[:, left : left + 8] = 128
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG"
        )
        frame.pts = index
        frame.time_base = self._encoder.time_base
        if self._wants_keyframe:
            frame.pict_type = av.video.frame.PictureType.I
            self._wants_keyframe = False
        for packet in self._encoder.encode(frame):
            self.frames += 1
            time_us = index * 1_000_000 // FRAMES_PER_S
            encoded = EncodedFrame(
                self.codec, bytes(packet), index * 3_000, bool(packet.is_keyframe), time_us, width, height
            )
            for sink in list(self._sinks):
                sink(encoded)


class Loop(Pattern):
    """Frames that were encoded before, over and over: the process costs nothing but its lanes.

    2.5 Mbit/s at 1280x720. `timestamp_us` is the time of the day at which the frame was handed to the lanes.
    """

    LENGTH = 30

    def __init__(self, sid: str, codec: str, width: int, height: int) -> None:
        self._encoded: list[EncodedFrame] = []
        self._next = 0
        super().__init__(sid, codec, width, height)
        self._encoder.bit_rate = width * height * 2.7
        self._sinks.append(self._encoded.append)
        noise = np.random.default_rng(7).integers(0, 70, (height // 8, width // 8, 3), np.uint8)
        for index in range(self.LENGTH):
            moved = np.roll(noise, index, axis=1).repeat(8, axis=0).repeat(8, axis=1)
            self._quarters = (_quarters(width, height) // 2 + moved).astype(np.uint8)
            super()._encode(index)
        self._sinks.clear()
        self.frames = 0

    def _encode(self, index: int) -> None:
        if self._wants_keyframe:
            self._wants_keyframe = False
            self._next = 0
        frame = replace(self._encoded[self._next % self.LENGTH], timestamp_us=time.time_ns() // 1000)
        self._next += 1
        self.frames += 1
        for sink in list(self._sinks):
            sink(frame)


def _quarters(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = np.zeros((height, width, 3), np.uint8)
    half_height, half_width = height // 2, width // 2
    image[:half_height, :half_width] = QUARTERS[0]
    image[:half_height, half_width:] = QUARTERS[1]
    image[half_height:, :half_width] = QUARTERS[2]
    image[half_height:, half_width:] = QUARTERS[3]
    return image


async def _serve(sock: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=sock)
    tracks: dict[str, Pattern] = {}
    misdirected: dict[str, int] = {}

    def send(header: dict[str, Any], buffers: list[bytes]) -> None:
        writer.write(encode_message(header, buffers))

    server = LaneServer(lambda room, sid: tracks.get(sid) if room == ROOM else None, on_event=send)
    answers: set[asyncio.Task[None]] = set()

    async def answer(header: dict[str, Any]) -> None:
        try:
            track = tracks.get(header.get("track_sid", ""))
            if track is not None and track.refused:
                raise CoreError("the room core cannot listen for pages on 127.0.0.1: no file descriptors")
            if header["op"] == "lane_ticket":
                port, ticket = await server.issue(*_lane_of(header), header["origin"])
                ok: dict[str, Any] = {"port": misdirected.get(header["track_sid"], port), "ticket": ticket}
            elif header["op"] == "lane_open":
                ok = {"lane": server.open_comm(*_lane_of(header))}
            else:
                ok = _fake(header, tracks, server, misdirected)
            send({"id": header["id"], "ok": ok}, [])
        except LknbError as error:
            send({"id": header["id"], "error": {"type": type(error).__name__, "message": str(error)}}, [])

    decoder = MessageDecoder()
    while data := await reader.read(65536):
        for header, buffers in decoder.feed(data):
            if header["op"] == "lane_up":
                server.receive_comm(header["lane"], buffers)
                continue
            if header["op"] == "lane_close":
                server.close_comm(header["lane"])
                continue
            task = asyncio.create_task(answer(header))
            answers.add(task)
            task.add_done_callback(answers.discard)
    await server.close()


def _lane_of(header: dict[str, Any]) -> tuple[int, str, str, str]:
    return header["room"], header["kind"], header["track_sid"], header["view"]


def _fake(
    header: dict[str, Any], tracks: dict[str, Pattern], server: LaneServer, misdirected: dict[str, int]
) -> dict[str, Any]:
    sid, action = header["sid"], header["action"]
    if action == "play":
        kind = Loop if header["loop"] else Pattern
        tracks[sid] = kind(sid, header["codec"], header["width"], header["height"])
    elif action == "end":
        tracks.pop(sid).task.cancel()
    elif action == "mute":
        tracks[sid].muted = header["muted"]
    elif action == "cut":
        for end in [end for end in server._ends if end.grant.track_sid == sid]:
            if isinstance(end.port, WebSocketPort):
                end.port._transport.abort()
            else:
                end.port.end(1001, "cut off")
    elif action == "refuse":
        tracks[sid].refused = header["refused"]
    elif action == "hold":
        tracks[sid].held = header["held"]
    elif action == "misdirect":
        misdirected[sid] = header["port"]
    elif action == "direct":
        del misdirected[sid]
    elif action == "stats":
        return tracks[sid].stats(server)
    return {}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    asyncio.run(_serve(socket.socket(fileno=parser.parse_args().fd)))
