"""Pictures for pages that decode no video: over the real session, with frames of a real encoder."""

import asyncio
import fractions
import io
import threading
import time

import av
import numpy as np
import pytest_asyncio
from PIL import Image

from lknb.core import lane_flow, lane_still
from lknb.core.lane import LaneServer
from lknb.core.message import decode_message, encode_message
from lknb.wire.frame import EncodedFrame
from tests.core.test_lane import Track
from tests.kit.poll import wait_until

GREEN, BLUE = (0, 255, 0), (0, 0, 255)
JPEG_ONLY = {"type": "hello", "lane": "comm", "codecs": ["jpeg"]}


def vp8(colours, width=320, height=180):
    """A key frame and those after it, each of one colour."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.gop_size = fractions.Fraction(1, 30), 1000
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    frames = []
    for index, colour in enumerate(colours):
        picture = av.VideoFrame.from_ndarray(np.full((height, width, 3), colour, np.uint8), format="rgb24")
        picture = picture.reformat(format="yuv420p")
        picture.pts = index
        for packet in encoder.encode(picture):
            key = bool(packet.is_keyframe)
            frames.append(EncodedFrame("vp8", bytes(packet), index, key, index, width, height))
    return frames


class Page:
    """A comm lane to a page that the test plays."""

    def __init__(self, hello):
        self.track = Track()
        self.tracks = [self.track]
        self.heard = []
        self.now = 1000.0
        self.server = LaneServer(
            lambda room, sid: self.tracks[0] if self.tracks else None,
            on_event=lambda header, buffers: header["event"] == "lanes_down" and self.heard.extend(buffers),
            clock=lambda: self.now + time.monotonic(),
        )
        self.lane = self.server.open_comm(1, "video", "TR_cam", "view")
        self.say(hello)

    def say(self, header):
        self.server.receive_comm(self.lane, [encode_message(header)])

    def send(self, *frames):
        for frame in frames:
            for sink in list(self.track.sinks):
                sink(frame)

    def stills(self):
        messages = map(decode_message, self.heard)
        return [(header, *buffers) for header, buffers in messages if header["type"] == "chunk"]

    def kinds(self):
        return [decode_message(data)[0].get("codec") for data in self.heard if b'"config"' in data]


@pytest_asyncio.fixture
async def page():
    page = Page(JPEG_ONLY)
    yield page
    await page.server.close()
    await wait_until(lambda: not [it for it in threading.enumerate() if it.name.startswith("lknb-still")])


def colour(jpeg):
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)), int)
    return tuple(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2])


async def test_a_page_that_decodes_no_video_gets_pictures(page):
    page.say({"type": "visible", "width": 80, "height": 45, "dpr": 2, "visible": True})
    page.send(*vp8([GREEN]))
    await wait_until(lambda: len(page.stills()) == 1)
    ((header, data),) = page.stills()
    assert (header["keyframe"], header["sequence"]) == (True, 0)
    assert page.kinds() == ["jpeg"]
    assert Image.open(io.BytesIO(data)).size == (160, 90), "as large as it is seen"
    assert np.abs(np.subtract(colour(data), GREEN)).max() < 40


async def test_two_are_on_their_way_at_most_and_the_next_is_the_newest(page):
    frames = vp8([GREEN] * 6 + [BLUE] * 2)
    # at once, as by a thread that is late, and then one by one
    page.send(*frames[:3])
    await wait_until(lambda: len(page.stills()) == 2)
    for frame in frames[3:6]:
        page.send(frame)
        await asyncio.sleep(0.03)
    assert len(page.stills()) == 2
    page.say({"type": "ack", "sequence": 1})
    page.send(*frames[6:])
    await wait_until(lambda: len(page.stills()) > 2)
    assert np.abs(np.subtract(colour(page.stills()[2][1]), BLUE)).max() < 60


async def test_pictures_that_were_lost_on_the_way_are_not_the_last(page):
    frames = vp8([GREEN] * 8 + [BLUE] * 8)
    for frame in frames[:8]:
        page.send(frame)
        await asyncio.sleep(0.03)
    lost = len(page.stills())
    page.now += lane_flow.PROBE_S
    page.send(*frames[8:])
    await wait_until(lambda: len(page.stills()) > lost)
    assert np.abs(np.subtract(colour(page.stills()[-1][1]), BLUE)).max() < 60


async def test_nothing_is_encoded_while_nobody_looks(page):
    page.say({"type": "visible", "width": 80, "height": 45, "dpr": 1, "visible": False})
    frames = vp8([GREEN] * 3)
    page.send(*frames)
    await asyncio.sleep(0.2)
    assert page.stills() == []


async def test_frames_that_cannot_be_decoded_are_left_out_and_a_key_frame_is_asked_for(page):
    asked = page.track.keyframe_requests
    page.send(EncodedFrame("vp8", b"\x00junk", 0, True, 0, 320, 180))
    await wait_until(lambda: page.track.keyframe_requests > asked)
    page.send(*vp8([BLUE]))
    await wait_until(lambda: len(page.stills()) == 1)


async def test_a_flood_waits_in_a_bounded_queue(page):
    frames = vp8([GREEN] * 60)
    page.send(*frames)
    await asyncio.sleep(0.3)
    page.send(*vp8([BLUE]))
    await wait_until(lambda: page.stills())


async def test_a_page_that_decodes_video_gets_video():
    page = Page({**JPEG_ONLY, "codecs": ["vp8", "jpeg"]})
    frames = vp8([GREEN])
    page.send(*frames)
    await wait_until(lambda: len(page.stills()) == 1)
    assert page.stills()[0][1] == frames[0].data
    assert page.kinds() == ["vp8"]
    await page.server.close()


async def test_a_fault_in_one_picture_is_not_the_end(page, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("a bug")

    frames = vp8([GREEN])
    with monkeypatch.context() as broken:
        broken.setattr(lane_still, "encode_jpeg", fail)
        for count in range(lane_still.QUEUE_FRAMES + 1):
            page.send(*frames)
            await wait_until(lambda: len(caplog.records) > count)  # noqa: B023
    page.send(*vp8([BLUE]))
    await wait_until(lambda: len(page.stills()) == 1)
