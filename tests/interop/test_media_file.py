"""Media files on the way to the official wheel: passed through or encoded again, sought, paused, looped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lknb
from lknb import rtc
from lknb.core.client import CoreClient
from lknb.errors import MediaNotFoundError, NoSuchStreamError, PublishTrackError, UnreadableMediaError
from tests.interop.conftest import OpenPeer
from tests.interop.media import make_stages
from tests.interop.row import BLUE, GREEN, RED
from tests.kit.peer import Colour, Peer, is_near
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.together import side_by_side
from tests.kit.token import room_name

# no part begins at a key frame, which there is every 2 s
STAGE_S = 5.0
STAGES = ((RED, 440.0), (GREEN, 700.0), (BLUE, 1000.0))
BEGUN_S = 0.1
B_FRAMES = {"preset": "veryfast", "bf": "2"}


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


async def show(peer: Peer, video: str, audio: str, stage: tuple[Colour, float]) -> str:
    """Wait until a peer sees and hears this part of the file; the codec of the picture."""
    colour, hz = stage
    report = await peer.wait_video(video, lambda report: is_near(report.colour, colour, 25))
    await peer.wait_audio(audio, lambda report: abs(report.peak_hz - hz) < 6 and report.level > 0.1)
    return report.codec


@pytest.mark.interop("lknb MediaFile: seek, pause, loop -> wheel")
async def test_a_file_is_seen_and_heard_where_it_is(
    lknb_server: Server,
    core: None,
    open_peer: OpenPeer,
    tmp_path: Path,
    subtests: pytest.Subtests,
    request: pytest.FixtureRequest,
) -> None:
    cases: dict[str, tuple[str, dict[str, Any], str]] = {
        "h264": ("a.mp4", {"video": "libx264", "audio": "libopus", "gop": 60}, "h264"),
        "vp8": ("b.webm", {"video": "libvpx", "audio": "libopus", "gop": 60}, "vp8"),
        # encoded again, as VP8 unless told otherwise
        "b-frames": ("c.mp4", {"video": "libx264", "audio": "aac", "options": B_FRAMES, "gop": 30}, "vp8"),
        "few key frames": ("d.mp4", {"video": "libx264", "audio": "aac", "gop": 150}, "vp8"),
    }
    for name, made_as, _ in cases.values():
        make_stages(tmp_path / name, STAGES, seconds_each=STAGE_S, **made_as)
    await side_by_side(
        subtests,
        {case: watch(tmp_path / name, codec, lknb_server, open_peer) for case, (name, _, codec) in cases.items()},
    )
    request.node.user_properties.append(("evidence", f"{', '.join(cases)}: colours and tones of all parts"))


async def watch(path: Path, codec: str, lknb_server: Server, open_peer: OpenPeer) -> None:
    """Seek, pause and loop in a file, which is published as `codec`."""
    wheel, room_id = await open_peer("wheel", "wheel"), room_name()
    await wheel.connect(lknb_server.url, lknb_server.token("wheel", room_id), single_peer_connection=True)
    async with await lknb.connect(room_id, url=lknb_server.url, token=lknb_server.token("notebook", room_id)) as room:
        file = rtc.MediaFile(path, loop=True)
        picture = (await room.local_participant.publish_track(file.video)).sid
        sound = (await room.local_participant.publish_track(file.audio)).sid
        assert file.duration == pytest.approx(3 * STAGE_S, abs=0.2)
        assert await show(wheel, picture, sound, STAGES[0]) == codec

        sought = await seek(file, STAGE_S + 0.5)
        await sought.is_kept()
        await show(wheel, picture, sound, STAGES[1])
        await sought.is_kept()

        await file.pause()
        held_s = await file.position()
        await stands_still(wheel, picture)
        assert await file.position() == held_s
        await file.seek(2 * STAGE_S + 0.5)
        await file.resume()
        await show(wheel, picture, sound, STAGES[2])

        # it begins again by itself
        sought = await seek(file, 3 * STAGE_S - 0.5)
        await show(wheel, picture, sound, STAGES[0])
        await sought.is_kept()


@dataclass(frozen=True, slots=True)
class Sought:
    """A file that plays on from `place_s`, where it was to be put at the moment `asked_s`."""

    file: rtc.MediaFile
    place_s: float
    asked_s: float

    async def is_kept(self) -> None:
        """It is not before that place, and not further behind it than time has passed, but for the picture that it began
        with; after its end it begins again."""
        played_s = (await self.file.position() - self.place_s) % self.file.duration
        passed_s = time.monotonic() - self.asked_s
        assert played_s <= passed_s + BEGUN_S, f"{played_s:.3f} s played in {passed_s:.3f} s"


async def seek(file: rtc.MediaFile, place_s: float) -> Sought:
    asked_s = time.monotonic()
    await file.seek(place_s)
    return Sought(file, place_s, asked_s)


async def stands_still(peer: Peer, sid: str) -> None:
    counts = [-1]

    async def still() -> bool:
        report = await peer.video(sid)
        counts.append(report.frames if report is not None else -2)
        return counts[-1] == counts[-2]

    await wait_until(still, interval_s=0.5)


async def test_what_is_wrong_with_a_file_is_told_when_it_is_published(
    lknb_server: Server, core: None, tmp_path: Path
) -> None:
    silent = make_stages(tmp_path / "silent.mp4", STAGES[:1], audio=None, seconds_each=0.5)
    text = tmp_path / "notes.txt"
    text.write_text("no media at all\n" * 100)
    room_id = room_name()
    async with await lknb.connect(room_id, url=lknb_server.url, token=lknb_server.token("notebook", room_id)) as room:
        for source, cause in (
            (rtc.MediaFile(tmp_path / "nowhere.mp4").video, MediaNotFoundError),
            (rtc.MediaFile("http://127.0.0.1:9/nothing.mp4").video, UnreadableMediaError),
            (rtc.MediaFile(silent).audio, NoSuchStreamError),
            (rtc.MediaFile(text).video, UnreadableMediaError),
        ):
            with pytest.raises(PublishTrackError) as error:
                await room.local_participant.publish_track(source)
            assert type(error.value.__cause__) is cause, error.value
        await asyncio.sleep(0)
        assert not room.local_participant.track_publications
