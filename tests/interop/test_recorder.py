"""What official clients publish, recorded and opened with PyAV."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import lknb
from lknb import rtc
from lknb.core.client import CoreClient
from tests.interop.conftest import OpenPeer
from tests.interop.row import GREEN, RED
from tests.kit.server import Server
from tests.kit.token import room_name

SECONDS = 3.0


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


@pytest.mark.interop("recording of official clients")
async def test_what_an_official_client_publishes_is_in_the_file(
    lknb_server: Server,
    core: None,
    open_peer: OpenPeer,
    tmp_path: Path,
    subtests: pytest.Subtests,
    request: pytest.FixtureRequest,
) -> None:
    cases = (
        ("wheel", "vp8", ".webm"),
        ("livekit-client", "h264", ".mp4"),
        # encoded again
        ("wheel", "vp8", ".mp4"),
    )
    recorded = await asyncio.gather(
        *(record(kind, codec, tmp_path / f"{kind}{suffix}", lknb_server, open_peer) for kind, codec, suffix in cases)
    )
    for (kind, codec, suffix), recorder in zip(cases, recorded, strict=True):
        with subtests.test(f"{kind} {codec} {suffix}"):
            evidence = check(recorder, "h264" if suffix == ".mp4" else codec)
            request.node.user_properties.append(("evidence", f"{kind} {codec} {suffix}: {evidence}"))


async def record(kind: str, codec: str, path: Path, lknb_server: Server, open_peer: OpenPeer) -> lknb.Recorder:
    """Some seconds of a participant on this client, in a room of its own."""
    peer, name = await open_peer(kind, "alice"), room_name()
    await peer.connect(lknb_server.url, lknb_server.token("alice", name), single_peer_connection=True)
    await peer.publish_video(GREEN, width=640, height=360, codec=codec)
    await peer.publish_audio(700.0)
    room = await lknb.connect(name, url=lknb_server.url, token=lknb_server.token("notebook", name))
    # a track is announced with its first packet
    for track_kind in (rtc.TrackKind.KIND_VIDEO, rtc.TrackKind.KIND_AUDIO):
        await room.wait_for_track("alice", kind=track_kind)
    async with room, lknb.Recorder(room, path, participant="alice") as recorder:
        await asyncio.sleep(SECONDS)
    return recorder


def check(recorder: lknb.Recorder, codec: str) -> str:
    """The file is as long as was recorded and holds what was published, as this codec; how it is, in words."""
    with av.open(str(recorder.path)) as file:
        duration_s = float(file.duration or 0) / 1e6
        codecs = [stream.codec_context.name for stream in file.streams]
        size = file.streams.video[0].width, file.streams.video[0].height
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        picture = pictures[-1]
    with av.open(str(recorder.path)) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])[48_000:96_000]
    colour = picture[90:-90, 160:-160].reshape(-1, 3).mean(axis=0)
    peak_hz = float(np.argmax(np.abs(np.fft.rfft(sound))) * 48_000 / len(sound))
    assert codecs == [codec, "opus"]
    # from the first picture on
    assert size == (640, 360)
    assert {picture.shape[:2] for picture in pictures} == {(360, 640)}
    assert abs(duration_s - recorder.duration) < 0.05
    assert np.abs(colour - GREEN).max() < 40
    assert peak_hz == pytest.approx(700, abs=3)
    return f"{duration_s:.2f} s of {recorder.duration:.2f}, {colour.round()}, {peak_hz:.0f} Hz"


@pytest.mark.interop("recording of a room of official clients")
async def test_both_official_clients_are_in_one_file(
    lknb_server: Server, core: None, open_peer: OpenPeer, tmp_path: Path
) -> None:
    name = room_name()
    room = await lknb.connect(name, url=lknb_server.url, token=lknb_server.token("notebook", name))
    for kind, identity, colour, hz in (("wheel", "alice", GREEN, 700.0), ("livekit-client", "carol", RED, 1700.0)):
        peer = await open_peer(kind, identity)
        await peer.connect(lknb_server.url, lknb_server.token(identity, name), single_peer_connection=True)
        await peer.publish_video(colour, width=640, height=360)
        await peer.publish_audio(hz)
        for track_kind in (rtc.TrackKind.KIND_VIDEO, rtc.TrackKind.KIND_AUDIO):
            await room.wait_for_track(identity, kind=track_kind)
    async with room, lknb.Recorder(room, tmp_path / "room.webm") as recorder:
        await asyncio.sleep(SECONDS)
    with av.open(str(recorder.path)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(str(recorder.path)) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])[48_000:96_000]
    for picture in pictures:
        assert picture.shape == (720, 1280, 3)
    # 640x360 each, side by side
    for left, colour in ((0, GREEN), (640, RED)):
        spot = pictures[-1][320:400, left + 280 : left + 360].reshape(-1, 3).mean(axis=0)
        assert np.abs(spot - colour).max() < 40, left
    spectrum = np.abs(np.fft.rfft(sound))
    loudest = [int(at) for at in np.argsort(spectrum)[::-1][:12]]
    assert any(abs(hz - 700) < 6 for hz in loudest)
    assert any(abs(hz - 1700) < 6 for hz in loudest)
