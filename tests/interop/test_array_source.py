"""Arrays of every form that the notebook publishes, as the official clients see and hear them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import lknb
from lknb import rtc
from lknb.codec import pixel
from lknb.core.client import CoreClient
from tests.interop.conftest import OpenPeer
from tests.kit.peer import AudioReport, Colour, Peer, is_near
from tests.kit.poll import wait_until
from tests.kit.server import Server
from tests.kit.speech import speak
from tests.kit.token import room_name

WIDTH, HEIGHT = 320, 240
TONE_TOLERANCE_HZ = 6.0
TOLERANCE = 15
# each channel another one, and no two formats the same: a channel in the wrong place, or an old picture, is seen
COLOURS: tuple[Colour, ...] = ((200, 120, 40), (40, 120, 200), (120, 200, 40), (200, 40, 120), (40, 200, 120))

Make = Callable[[NDArray[np.uint8]], tuple[Any, str | None]]
"""From an RGB array to what is captured, and the format it has to be told."""


def as_format(format: str, told: str | None) -> Make:
    return lambda rgb: (pixel.to_array(pixel.from_array(rgb), format), told)


def read_only_every_second_pixel(rgb: NDArray[np.uint8]) -> tuple[Any, str | None]:
    view = rgb.repeat(2, axis=0).repeat(2, axis=1)[::2, ::2]
    view.flags.writeable = False
    return view, None


PICTURES: dict[str, Make] = {
    "rgb24": as_format("rgb24", None),
    "rgba": as_format("rgba", None),
    "bgr24": as_format("bgr24", "bgr24"),
    "bgra": as_format("bgra", "bgra"),
    "argb": as_format("argb", "argb"),
    "abgr": as_format("abgr", "abgr"),
    "gray": as_format("gray", None),
    "i420": as_format("i420", "i420"),
    "nv12": as_format("nv12", "nv12"),
    "reversed channels": lambda rgb: (rgb[:, :, ::-1].copy()[:, :, ::-1], None),
    "transposed": lambda rgb: (rgb.transpose(1, 0, 2).copy().transpose(1, 0, 2), None),
    "read-only, strided": read_only_every_second_pixel,
    "PIL RGB": lambda rgb: (Image.fromarray(rgb), None),
    "PIL palette": lambda rgb: (Image.fromarray(rgb).convert("P", palette=Image.Palette.ADAPTIVE), None),
    "av.VideoFrame": lambda rgb: (pixel.from_array(rgb), None),
    "rtc.VideoFrame": lambda rgb: (rtc.VideoFrame.from_ndarray(rgb).convert(rtc.VideoBufferType.I422), None),
}


@pytest.fixture(scope="module")
def core() -> Iterator[None]:
    client = CoreClient.shared()
    client.request_threadsafe({"op": "hello"}).exception(10)
    yield
    client.close()


@asynccontextmanager
async def publisher(server: Server, name: str, peers: list[Peer]) -> AsyncIterator[rtc.Room]:
    """The notebook in a room with these peers."""
    for peer in peers:
        await peer.connect(server.url, server.token(peer.identity, name), single_peer_connection=True)
    async with await lknb.connect(name, url=server.url, token=server.token("notebook", name)) as room:
        yield room


@pytest.mark.interop("lknb arrays of every format -> wheel, livekit-client")
async def test_pictures_have_their_colour_at_official_receivers(
    lknb_server: Server, core: None, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    peers = list(await asyncio.gather(open_peer("wheel", "wheel"), open_peer("livekit-client", "page")))
    seen: list[str] = []
    async with publisher(lknb_server, room_name(), peers) as room:
        source = rtc.VideoSource(WIDTH, HEIGHT)
        sid = (await room.local_participant.publish_track(source)).sid
        for index, (name, make) in enumerate(PICTURES.items()):
            sent = COLOURS[index % len(COLOURS)]
            rgb = np.empty((HEIGHT, WIDTH, 3), np.uint8)
            rgb[:] = sent
            picture, format = make(rgb)
            expected = sent if name != "gray" else (round(float(np.dot(sent, (0.299, 0.587, 0.114)))),) * 3
            capturing = asyncio.create_task(capture(source, picture, format))
            try:
                seen += [f"{name} {peer.kind} off by {await watch(peer, sid, expected)}" for peer in peers]
            finally:
                capturing.cancel()
    request.node.user_properties.append(("evidence", ", ".join(seen)))


async def watch(peer: Peer, sid: str, colour: Colour) -> int:
    """By how much a channel is off at most once a peer sees this colour."""
    report = await peer.wait_video(sid, lambda report: is_near(report.colour, colour, TOLERANCE))
    assert (report.width, report.height) == (WIDTH, HEIGHT)
    return max(abs(one - other) for one, other in zip(report.colour, colour, strict=True))


async def capture(source: rtc.VideoSource, picture: Any, format: str | None) -> None:
    while True:
        source.capture_frame(picture, format=format)
        await asyncio.sleep(1 / 15)


async def sound(source: rtc.AudioSource, second: NDArray[Any]) -> None:
    """Until it is cancelled: however late somebody listens, there is something to hear."""
    while True:
        await source.capture_frame(second)


def tone(hz: float, rate_hz: int, channels: int) -> NDArray[np.float64]:
    """A second of it, -1 to 1, of shape (n, channels)."""
    wave = 0.4 * np.sin(2 * np.pi * hz * np.arange(rate_hz) / rate_hz)
    return np.repeat(wave[:, np.newaxis], channels, axis=1)


async def listen(peer: Peer, sid: str, hz: float) -> AudioReport:
    """What a peer hears of this frequency: once all that is measured is of it, as loud as a sine of 0.4 of full scale."""

    def is_heard(report: AudioReport) -> bool:
        return abs(report.peak_hz - hz) < TONE_TOLERANCE_HZ and report.level > 0.15

    first = await peer.wait_audio(sid, is_heard)
    return await peer.wait_audio(
        sid,
        lambda report: (
            report.frames > first.frames + 100 and is_heard(report) and abs(report.level - 0.4 / 2**0.5) < 0.06
        ),
    )


SOUNDS = {
    "float32 (n,) 22,050 Hz": (22_050, 1, lambda wave: wave[:, 0].astype(np.float32)),
    "float64 (n, 1) 44,100 Hz": (44_100, 1, lambda wave: wave),
    "int16 (1, n) 8,000 Hz": (8_000, 1, lambda wave: (wave * 32_767).astype(np.int16).T),
    "float32 (n, 2) 16,000 Hz": (16_000, 2, lambda wave: wave.astype(np.float32)),
    "int16 (2, n) 96,000 Hz": (96_000, 2, lambda wave: (wave * 32_767).astype(np.int16).T),
    "float64 (n,) in turns 48,000 Hz": (48_000, 2, lambda wave: wave.reshape(-1)),
    "float32 (n, 1) strided 24,000 Hz": (24_000, 1, lambda wave: wave.astype(np.float32).repeat(2, axis=0)[::2]),
}


@pytest.mark.interop("lknb sound of every form and rate -> wheel")
async def test_sound_has_its_frequency_and_level_at_an_official_receiver(
    lknb_server: Server, core: None, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    wheel = await open_peer("wheel", "wheel")
    async with publisher(lknb_server, room_name(), [wheel]) as room:

        async def play(name: str, hz: float) -> str:
            rate_hz, channels, make = SOUNDS[name]
            source = rtc.AudioSource(rate_hz, channels)
            publication = await room.local_participant.publish_track(source)
            await publication.wait_for_subscription()
            going_on = asyncio.create_task(sound(source, make(tone(hz, rate_hz, channels))))
            try:
                report = await listen(wheel, publication.sid, hz)
            finally:
                going_on.cancel()
            await source.aclose()
            await room.local_participant.unpublish_track(publication.sid)
            return f"{name}: {hz:.0f} Hz heard as {report.peak_hz:.0f}, level {report.level:.2f}"

        # all at once, each a track of its own
        heard = await asyncio.gather(*(play(name, 400.0 + 150.0 * index) for index, name in enumerate(SOUNDS)))
    request.node.user_properties.append(("evidence", ", ".join(heard)))


@pytest.mark.interop("lknb synthesised speech -> wheel")
@pytest.mark.parametrize("kind", [np.int16, np.float32])
async def test_what_a_synthesiser_says_is_heard_as_it_was_said(
    lknb_server: Server, core: None, open_peer: OpenPeer, request: pytest.FixtureRequest, kind: type[np.generic]
) -> None:
    """Speech comes as one array, longer than the queue; word for word as loud, and as long."""
    wheel = await open_peer("wheel", "wheel")
    speech, rate_hz = speak("Rooms inside a notebook. Three lines, and you are in the call.")
    length_s = len(speech) / rate_hz
    array = speech if kind is np.int16 else (speech / 32768).astype(np.float32)
    async with publisher(lknb_server, room_name(), [wheel]) as room:
        source = rtc.AudioSource(rate_hz, 1)
        publication = await room.local_participant.publish_track(source)
        await publication.wait_for_subscription()

        async def is_listened_to() -> bool:
            report = await wheel.audio(publication.sid)
            return report is not None and report.frames > 0

        # nothing is sent yet, of which the stats could tell
        await wait_until(is_listened_to)
        # a timer for the moment of its end is as late as this loop is
        lasted_s, timer_s = await asyncio.gather(timed(play_out(source, array)), timed(asyncio.sleep(length_s)))
        assert lasted_s == pytest.approx(timer_s, abs=0.25)
        said = smooth(loudness(speech / 32768, rate_hz))

        async def likeness(said: NDArray[np.floating]) -> float:
            return highest_correlation(said, smooth(np.array(await wheel.loudness(publication.sid))))

        likenesses = [0.0]

        async def is_heard() -> bool:
            likenesses.append(await likeness(said))
            return likenesses[-1] > 0.8

        await wait_until(is_heard, what=lambda: f"the loudness of what was heard: {likenesses[-1]}")
        assert await likeness(said[::-1]) < 0.7, "other words are not as like"
    request.node.user_properties.append(
        ("evidence", f"{length_s:.1f} s of {rate_hz} Hz played in {lasted_s:.2f} s, likeness {likenesses[-1]:.2f}")
    )


async def play_out(source: rtc.AudioSource, array: NDArray[Any]) -> None:
    await source.capture_frame(array)
    await source.wait_for_playout()


async def timed(work: Coroutine[Any, Any, None]) -> float:
    """How many seconds it takes."""
    began = time.monotonic()
    await work
    return time.monotonic() - began


def loudness(samples: NDArray[np.floating], rate_hz: int) -> NDArray[np.floating]:
    """RMS of each 10 ms."""
    count = rate_hz // 100
    pieces = samples[: len(samples) // count * count].reshape(-1, count)
    return np.sqrt(np.mean(pieces**2, axis=1))


def smooth(course: NDArray[np.floating]) -> NDArray[np.floating]:
    """Over 80 ms, which a jitter buffer may stretch or shorten."""
    return np.convolve(course, np.ones(8) / 8, "same")


def highest_correlation(said: NDArray[np.floating], heard: NDArray[np.floating]) -> float:
    """-1 to 1: how alike two courses of loudness are where they fit best."""
    fits = [
        np.corrcoef(said, heard[begin : begin + len(said)])[0, 1]
        for begin in range(len(heard) - len(said) + 1)
        if heard[begin : begin + len(said)].any()
    ]
    return float(max(fits, default=0.0))
