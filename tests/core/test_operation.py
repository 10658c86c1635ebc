"""The operations of the core as a kernel calls them: over a real link, with the core in the test's own process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from livekit import api
from livekit.protocol import models, rtc

from lknb.core.client import CoreClient
from lknb.core.process import serve_link
from lknb.errors import ConnectError, CoreError, DisconnectedError, MediaError, PublishTrackError, TrackError
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until
from tests.logic.media import vp8_frame


@asynccontextmanager
async def kernel_and_core() -> AsyncIterator[CoreClient]:
    """A client whose core runs on this loop."""
    ours, theirs = socket.socketpair()
    client = CoreClient(ours)
    ended = asyncio.Event()
    core = asyncio.create_task(serve_link(theirs, ended))
    try:
        yield client
    finally:
        ended.set()
        link = await core
        link.close()
        await link.lost.wait()
        await asyncio.to_thread(client.close)


class Kernel:
    """One room of a kernel, by hand."""

    def __init__(self, client: CoreClient, server: Any, identity: str, room: str) -> None:
        self.client = client
        self.server = server
        self.handle = client.next_handle()
        self.connect_request = {
            "op": "connect",
            "room": self.handle,
            "url": server.url,
            "token": server.token(identity, room),
            "options": {},
        }
        self.events: list[tuple[dict[str, Any], list[bytes]]] = []
        self.frames: list[tuple[dict[str, Any], list[bytes]]] = []
        client.listen(("room", self.handle), lambda header, buffers: self.events.append((header, buffers)))

    async def connect(self) -> rtc.JoinResponse:
        ok, buffers = await self.client.request(self.connect_request)
        assert isinstance(ok["single_peer_connection"], bool)
        return rtc.JoinResponse.FromString(buffers[0])

    async def ask(self, op: str, *buffers: bytes, **header: Any) -> tuple[dict[str, Any], list[bytes]]:
        return await self.client.request({"op": op, "room": self.handle, **header}, buffers)

    async def open_source(self, kind: str, type: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
        handle = self.client.next_handle()
        header = {"op": "source_open", "source": handle, "kind": kind, "type": type, **parameters}
        return handle, (await self.client.request(header))[0]

    async def publish(self, handle: int, codec: str, **fields: Any) -> str:
        request = rtc.AddTrackRequest(name="track", **fields).SerializeToString()
        ok, buffers = await self.ask("publish", request, source=handle, codec=codec)
        assert models.TrackInfo.FromString(buffers[0]).sid == ok["sid"]
        return str(ok["sid"])

    async def event(self, name: str, **fields: Any) -> tuple[dict[str, Any], list[bytes]]:
        def found() -> list[tuple[dict[str, Any], list[bytes]]]:
            return [
                (header, buffers)
                for header, buffers in self.events
                if header["event"] == name and all(header.get(key) == value for key, value in fields.items())
            ]

        return (await wait_until(found, 15.0, what=f"{name} {fields}"))[0]

    async def read(self, sid: str) -> None:
        await self.event("track_subscribed", track_sid=sid)
        self.client.listen(("track", self.handle, sid), lambda header, buffers: self.frames.append((header, buffers)))
        await self.ask("read", track_sid=sid, on=True)


@pytest.fixture
async def client() -> AsyncIterator[CoreClient]:
    async with kernel_and_core() as client:
        yield client


@pytest.fixture
async def alice(client, server, room) -> Kernel:
    return Kernel(client, server, "alice", room)


@pytest.fixture
async def bob(client, server, room) -> Kernel:
    return Kernel(client, server, "bob", room)


async def test_frames_of_the_kernel_reach_another_kernel_as_they_were(alice, bob):
    join = await alice.connect()
    await bob.connect()
    source, opened = await alice.open_source("video", "frames", codec="vp8", width=640, height=360)
    assert (opened["codec"], opened["width"]) == ("vp8", 640)
    asked: list[dict[str, Any]] = []
    alice.client.listen(("source", source), lambda header, buffers: asked.append(header))
    sid = await alice.publish(source, "vp8", source=models.TrackSource.CAMERA, width=640, height=360)
    await bob.read(sid)
    sent: list[bytes] = []

    async def send_until(count: int) -> None:
        while len(bob.frames) < count:
            key = any(header["event"] == "keyframe_request" for header in asked)
            asked.clear()
            sent.append(vp8_frame(len(sent), keyframe=key or not sent))
            frame = EncodedFrame("vp8", sent[-1], 3000 * len(sent), keyframe=key or len(sent) == 1)
            header = {"op": "frame", "source": source, "codec": "vp8", "timestamp": frame.timestamp}
            assert alice.client.post({**header, "keyframe": frame.keyframe}, [frame.data])
            await asyncio.sleep(0.02)

    await asyncio.wait_for(send_until(20), 20)
    assert [buffers[0] for _, buffers in bob.frames] == sent[sent.index(bob.frames[0][1][0]) :][: len(bob.frames)]
    first = bob.frames[0][0]
    assert (first["codec"], first["keyframe"], first["width"], first["height"]) == ("vp8", True, 640, 360)
    subscribed, _ = await bob.event("track_subscribed")
    assert (subscribed["codec"], subscribed["participant_sid"]) == ("vp8", join.participant.sid)
    await bob.ask("read", track_sid=sid, on=False)
    await asyncio.sleep(0.1)
    count = len(bob.frames)
    alice.client.post({**header_of_frame(source), "keyframe": True}, [vp8_frame(1, keyframe=True)])
    await asyncio.sleep(0.2)
    assert len(bob.frames) == count


def header_of_frame(source: int) -> dict[str, Any]:
    return {"op": "frame", "source": source, "codec": "vp8", "timestamp": 10**6}


async def test_a_request_of_the_reader_brings_a_key_frame(alice, bob):
    await alice.connect()
    await bob.connect()
    source, _ = await alice.open_source("video", "pattern", width=320, height=180, fps=20)
    sid = await alice.publish(source, "vp8")
    await bob.read(sid)
    await wait_until(lambda: len(bob.frames) > 5)
    seen = len(bob.frames)
    bob.client.post({"op": "keyframe", "room": bob.handle, "track_sid": sid})
    await wait_until(lambda: any(header.get("keyframe") for header, _ in bob.frames[seen:]))
    bob.client.post({"op": "keyframe", "room": bob.handle, "track_sid": "TR_gone"})
    ok, _ = await bob.ask("stats", track_sid=sid)
    assert ok["streams"][0]["frames_received"] > 5
    ok, _ = await alice.ask("stats", track_sid=sid)
    assert ok["streams"][0]["keyframe_requests"] >= 1
    assert set((await bob.ask("stats", track_sid=None))[0]["received"]) == {sid}


async def test_mute_unpublish_and_data(alice, bob):
    await alice.connect()
    await bob.connect()
    source, _ = await alice.open_source("audio", "tone")
    sid = await alice.publish(source, "opus", source=models.TrackSource.MICROPHONE)
    await bob.read(sid)
    await wait_until(lambda: len(bob.frames) > 5)
    await alice.ask("mute", sid=sid, muted=True)
    await alice.ask("mute", sid=sid, muted=False)
    await alice.ask("unpublish", sid=sid)
    await bob.event("track_unsubscribed", track_sid=sid)
    with pytest.raises(TrackError):
        await bob.ask("read", track_sid=sid, on=True)
    await bob.ask("read", track_sid=sid, on=False)
    packet = models.DataPacket(user=models.UserPacket(payload=b"hello")).SerializeToString()
    await alice.ask("data", packet, reliable=True)
    header, buffers = await bob.event("data")
    assert header["reliable"] is True
    assert models.DataPacket.FromString(buffers[0]).user.payload == b"hello"


async def test_signal_requests_are_forwarded_but_not_those_with_an_operation(alice):
    await alice.connect()
    update = rtc.UpdateParticipantMetadata(metadata="new", request_id=7)
    await alice.ask("signal", rtc.SignalRequest(update_metadata=update).SerializeToString())

    def answered() -> bool:
        signals = [rtc.SignalResponse.FromString(b[0]) for header, b in alice.events if header["event"] == "signal"]
        return any(p.metadata == "new" for response in signals for p in response.update.participants)

    await wait_until(answered)
    for request in (rtc.SignalRequest(leave=rtc.LeaveRequest()), rtc.SignalRequest()):
        with pytest.raises(CoreError, match="not forwarded"):
            await alice.ask("signal", request.SerializeToString())
    with pytest.raises(CoreError):
        await alice.ask("signal", b"\xff\xff")
    with pytest.raises(CoreError):
        await alice.ask("signal")


@pytest.mark.parametrize("when", ["at once", "when it is through"])
async def test_a_cancelled_connect_leaves_the_room(alice, server, room, when):
    if when == "at once":
        connecting = asyncio.create_task(alice.connect())
        await asyncio.sleep(0.001)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
    else:
        # what the client says when the reply crosses the cancellation
        await alice.connect()
        alice.client.post({"op": "cancel", "request": next(alice.client._request_ids) - 1})
    async with server.api() as admin:

        async def nobody_there() -> bool:
            try:
                listing = await admin.room.list_participants(api.ListParticipantsRequest(room=room))
            except api.ServerError as error:
                return error.code == "not_found"  # it had not come so far
            return not listing.participants

        await wait_until(nobody_there, 15.0)
    assert alice.client._pending == {}

    async def is_left() -> bool:
        try:
            await alice.ask("stats", track_sid=None)
        except DisconnectedError:
            return True
        return False  # the core takes back what it had begun

    await wait_until(is_left)
    await alice.connect()


async def test_errors_of_rooms(alice, client, server):
    with pytest.raises(DisconnectedError):
        await alice.ask("stats", track_sid=None)
    with pytest.raises(ConnectError) as caught:
        await client.request({**alice.connect_request, "url": "ws://127.0.0.1:1"})
    assert caught.value.kind == "unavailable"
    await alice.connect()
    with pytest.raises(CoreError, match="already"):
        await alice.connect()
    with pytest.raises(TrackError):
        await alice.ask("stats", track_sid="TR_none")
    with pytest.raises(MediaError, match="closed"):
        await alice.publish(999, "vp8")
    source, _ = await alice.open_source("audio", "tone")
    with pytest.raises(PublishTrackError):
        await alice.publish(source, "vp8")
    await alice.ask("disconnect", reason=1)
    await alice.ask("disconnect", reason=1)


async def test_errors_of_sources(alice, client):
    with pytest.raises(MediaError):
        await alice.open_source("video", "nonsense")
    with pytest.raises(MediaError):
        await alice.open_source("video", "file", path="/nowhere.mp4")
    source, _ = await alice.open_source("video", "pattern", width=64, height=64)
    with pytest.raises(CoreError, match="already"):
        await client.request({"op": "source_open", "source": source, "kind": "audio", "type": "tone"})
    with pytest.raises(MediaError):
        await client.request({"op": "source_control", "source": source, "action": "nonsense"})
    await client.request({"op": "source_control", "source": source, "action": "mute", "muted": True})
    await client.request({"op": "source_close", "source": source})
    await client.request({"op": "source_close", "source": source})
    with pytest.raises(MediaError):
        await client.request({"op": "source_control", "source": source, "action": "mute", "muted": True})
    client.post({"op": "frame", "source": source, "codec": "vp8", "timestamp": 1}, [b"x"])
    frames, _ = await alice.open_source("video", "frames", codec="vp8", width=64, height=64)
    client.post({"op": "frame", "source": frames, "codec": "nonsense"}, [b"x"])
    client.post({"op": "frame", "source": frames})
    await client.request({"op": "source_close", "source": frames})
    samples, opened = await alice.open_source("audio", "samples", channels=2)
    assert (opened["codec"], opened["stereo"]) == ("opus", True)
    client.post({"op": "samples", "source": samples, "due_us": "soon"}, [bytes(8)])
    client.post({"op": "samples", "source": samples, "due_us": 5}, [bytes(7)])
    client.post({"op": "samples", "source": samples})
    client.post({"op": "clear_samples", "source": frames})
    client.post({"op": "frame", "source": samples, "codec": "opus", "timestamp": 1}, [b"x"])
    await client.request({"op": "source_close", "source": samples})


async def test_what_a_source_of_the_kernel_is_asked_for_reaches_it(alice):
    await alice.connect()
    layers = [
        {"rid": r, "width": w, "height": w, "max_bitrate_bps": 100_000, "max_fps": 30}
        for r, w in (("q", 64), ("h", 128))
    ]
    source, opened = await alice.open_source("video", "frames", codec="vp8", width=128, height=128, layers=layers)
    assert [layer["rid"] for layer in opened["layers"]] == ["q", "h"]
    asked: list[dict[str, Any]] = []
    alice.client.listen(("source", source), lambda header, buffers: asked.append(header))
    sid = await alice.publish(source, "vp8", source=models.TrackSource.CAMERA)
    await wait_until(lambda: {"event": "keyframe_request", "source": source, "rid": ""} in asked)
    await alice.ask("mute", sid=sid, muted=True)
    await wait_until(lambda: {"event": "source_control", "source": source, "action": "mute", "muted": True} in asked)
    await alice.ask("mute", sid=sid, muted=False)
    await wait_until(lambda: {"event": "source_control", "source": source, "action": "mute", "muted": False} in asked)


async def test_a_room_that_ends_by_itself_is_forgotten(alice, server, room):
    await alice.connect()
    async with server.api() as admin:
        await admin.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="alice"))
    header, _ = await alice.event("disconnected")
    assert header["reason"] == models.DisconnectReason.PARTICIPANT_REMOVED
    with pytest.raises(DisconnectedError):
        await alice.ask("stats", track_sid=None)
    await alice.connect()


async def test_a_lane_needs_a_video_track(alice):
    await alice.connect()
    with pytest.raises(TrackError):
        await alice.ask("lane_ticket", kind="video", track_sid="TR_none", view="v1", origin="http://localhost:8888")
    source, _ = await alice.open_source("video", "pattern", width=64, height=64)
    sid = await alice.publish(source, "vp8")
    ok, _ = await alice.ask("lane_ticket", kind="video", track_sid=sid, view="v1", origin="http://localhost:8888")
    assert ok["port"] > 0
    assert len(ok["ticket"]) == 32


async def test_a_kernel_that_vanishes_leaves_its_rooms(server, room):
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(kernel_and_core())
        alice = Kernel(client, server, "alice", room)
        await alice.connect()
        source, _ = await alice.open_source("video", "pattern", width=64, height=64)
        await alice.publish(source, "vp8")
        asyncio.get_running_loop().call_soon(client._channel._socket.shutdown, socket.SHUT_RDWR)
    async with server.api() as admin:

        async def nobody_there() -> bool:
            return not (await admin.room.list_participants(api.ListParticipantsRequest(room=room))).participants

        # long before a server misses somebody
        await wait_until(nobody_there, 5.0)
