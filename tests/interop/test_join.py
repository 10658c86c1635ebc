"""`lknb join` as somebody types it, seen by the official wheel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.conftest import OpenPeer
from tests.interop.media import make_stages
from tests.kit.peer import Colour, Peer, is_near
from tests.kit.poll import TIME_FACTOR
from tests.kit.server import ROOT, Server
from tests.kit.token import room_name

GREEN: Colour = (40, 160, 60)
END_S = 20.0

Join = Callable[..., Awaitable[Process]]


@pytest_asyncio.fixture
async def join() -> AsyncIterator[Join]:
    """`await join(room, flag, ...)`: the command as a process; killed after the test, should it still run."""
    processes = []

    async def start(*arguments: str, **environment: str) -> Process:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVEKIT_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lknb", "join", *arguments,
            stdout=PIPE, stderr=PIPE, cwd=ROOT, env={**clean, **environment},
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


def access(server: Server) -> tuple[str, ...]:
    return ("--url", server.url, "--api-key", server.key, "--api-secret", server.secret)


async def finish(process: Process) -> tuple[int | None, str]:
    """The exit code, and what was said."""
    async with asyncio.timeout(END_S * TIME_FACTOR):
        out, told = await process.communicate()
    assert out == b""
    return process.returncode, told.decode()


async def watcher(server: Server, room: str, open_peer: OpenPeer) -> Peer:
    wheel = await open_peer("wheel", "watcher")
    await wheel.connect(server.url, server.token("watcher", room), single_peer_connection=True)
    return wheel


async def tracks_of(peer: Peer, identity: str) -> tuple[str, str]:
    """(video, audio) sids of somebody, once both are subscribed."""
    await peer.wait_event("track_subscribed", count=2, deadline_s=15, participant=identity)
    sids = [event.track_sid for event in await peer.events("track_subscribed", participant=identity)]
    videos = [sid for sid in sids if await peer.video(sid) is not None]
    return videos[0], next(sid for sid in sids if sid not in videos)


@pytest.mark.interop("lknb join --publish-demo -> wheel")
async def test_the_demo_has_three_layers_and_ctrl_c_leaves(
    lknb_server: Server, open_peer: OpenPeer, join: Join, request: pytest.FixtureRequest
) -> None:
    room = room_name()
    wheel = await watcher(lknb_server, room, open_peer)
    process = await join(room, "--publish-demo", "--identity", "demo", *access(lknb_server))
    video, audio = await tracks_of(wheel, "demo")
    seen = []
    for quality, size in (("high", (1280, 720)), ("medium", (640, 360)), ("low", (320, 180))):
        await wheel.set_video_quality(video, quality)
        report = await wheel.wait_video(video, lambda report, size=size: (report.width, report.height) == size)
        seen.append(f"{report.width}x{report.height}")
    heard = await wheel.wait_audio(audio, lambda report: abs(report.peak_hz - 440) < 6)
    process.send_signal(signal.SIGINT)
    code, told = await finish(process)
    assert code == 0
    assert "publishing demo" in told
    assert told.endswith("left the room\n")
    await wheel.wait_event("participant_disconnected", participant="demo")
    request.node.user_properties.append(("evidence", f"{', '.join(seen)}, {heard.peak_hz:.0f} Hz"))


@pytest.mark.interop("lknb join --publish FILE --exit-after-publish -> wheel")
async def test_a_file_is_played_to_its_end(
    lknb_server: Server, open_peer: OpenPeer, join: Join, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    room = room_name()
    wheel = await watcher(lknb_server, room, open_peer)
    path = make_stages(tmp_path / "green.mp4", [(GREEN, 700.0)], seconds_each=7.0)
    process = await join(
        room, "--publish", path, "--exit-after-publish", "--attribute", "seat=4", "--metadata", "from a shell",
        LIVEKIT_URL=lknb_server.url, LIVEKIT_API_KEY=lknb_server.key, LIVEKIT_API_SECRET=lknb_server.secret,
    )  # fmt: skip
    event = await wheel.wait_event("track_subscribed", count=2, deadline_s=15)
    video, audio = await tracks_of(wheel, event.participant)
    picture = await wheel.wait_video(video, lambda report: is_near(report.colour, GREEN, 20))
    sound = await wheel.wait_audio(audio, lambda report: abs(report.peak_hz - 700) < 6)
    # as it is in the file
    assert picture.codec == "h264"
    async with lknb_server.api() as admin:
        from livekit import api

        found = await admin.room.get_participant(api.RoomParticipantIdentity(room=room, identity=event.participant))
    assert found.metadata == "from a shell"
    assert dict(found.attributes) == {"seat": "4"}
    code, told = await finish(process)
    assert code == 0, told
    assert "publishing green.mp4" in told
    assert "of 7.0 s" in told
    assert "finished green.mp4" in told
    await wheel.wait_event("participant_disconnected")
    request.node.user_properties.append(("evidence", f"{picture.codec} {picture.colour}, {sound.peak_hz:.0f} Hz"))


@pytest.mark.interop("lknb join --publish h264://HOST:PORT, --publish-dtmf -> wheel")
async def test_a_stream_from_a_socket_and_digits(
    lknb_server: Server, open_peer: OpenPeer, join: Join, tmp_path: Path
) -> None:
    room = room_name()
    wheel = await watcher(lknb_server, room, open_peer)
    stream = Path(make_stages(tmp_path / "green.h264", [(GREEN, 0.0)], audio=None, seconds_each=8.0)).read_bytes()

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(stream)
            await writer.drain()
            writer.close()

    async with await asyncio.start_server(send, "127.0.0.1", 0) as encoder:
        port = encoder.sockets[0].getsockname()[1]
        process = await join(
            "--room", room, "--publish", f"h264://127.0.0.1:{port}", "--publish-dtmf", "1w#",
            "--exit-after-publish", *access(lknb_server),
        )  # fmt: skip
        event = await wheel.wait_event("track_subscribed", deadline_s=15)
        await wheel.wait_video(event.track_sid, lambda report: is_near(report.colour, GREEN, 20))
        await wheel.wait_event("sip_dtmf_received", count=2)
        digits = [heard.text for heard in await wheel.events("sip_dtmf_received")]
        assert digits == ["1 1", "11 #"]
        code, told = await finish(process)
    assert code == 0, told


async def test_what_goes_wrong_is_said_with_what_to_do(lknb_server: Server, join: Join, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no media, and long enough to be drawn as a terminal\n" * 50)
    room = room_name()
    cases: list[tuple[int, str, tuple[str, ...]]] = [
        (2, "no such file: nowhere.mp4", (room, "--publish", "nowhere.mp4", *access(lknb_server))),
        (2, "give --api-key and --api-secret", (room, "--url", lknb_server.url)),
        (2, "an attribute is KEY=VALUE, not 'x'", (room, "--attribute", "x", *access(lknb_server))),
        (2, "which room? lknb join ROOM", ()),
        (2, "which room? lknb join ROOM", ("", *access(lknb_server))),
        (2, "no DTMF digit: 'xy'", (room, "--publish-dtmf", "1wyx", *access(lknb_server))),
        (1, "127.0.0.1:9", (room, "--publish", "h264://127.0.0.1:9", "--exit-after-publish", *access(lknb_server))),
        (2, "--fps is a number above 0, not -5", (room, "--fps=-5", *access(lknb_server))),
        (1, "is a text, no media file", (room, "--publish", str(text), "--exit-after-publish", *access(lknb_server))),
        (1, "lknb join: ", (room, "--url", lknb_server.url, "--api-key", "testkey", "--api-secret", "x" * 40)),
        (1, "lknb join: ", (room, "--dev", "--url", "ws://127.0.0.1:9")),
    ]
    # a few at a time: each is a Python that starts
    few = asyncio.Semaphore(3)

    async def run(arguments: tuple[str, ...]) -> tuple[int | None, str]:
        async with few:
            return await finish(await join(*arguments))

    ran = await asyncio.gather(*(run(arguments) for _, _, arguments in cases))
    for (expected, words, arguments), (code, told) in zip(cases, ran, strict=True):
        assert (code, words in told) == (expected, True), (arguments, code, told)
        assert "Traceback" not in told
        assert "Warning" not in told
