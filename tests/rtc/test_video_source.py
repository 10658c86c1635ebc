"""Pictures of the notebook on their way to the core."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from lknb.codec import pixel
from lknb.codec.clock import now_us
from lknb.codec.layer import plan_layers
from lknb.codec.video_decoder import VideoDecoder
from lknb.core.source.frames import frame_from_header
from lknb.errors import CoreError, FrameError
from lknb.rtc.source import Encoding
from lknb.rtc.video_buffer_type import VideoBufferType, VideoRotation
from lknb.rtc.video_frame import VideoFrame
from lknb.rtc.video_source import VideoSource
from lknb.wire.frame import EncodedFrame
from tests.codec.content import mean_color
from tests.kit.poll import wait_until
from tests.rtc.scripted_core import ScriptedCore

RED, GREEN, BLUE = (200, 10, 30), (20, 180, 40), (10, 30, 190)


def plain(color: tuple[int, int, int], width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def frames_of(core: ScriptedCore, handle: int) -> list[EncodedFrame]:
    """What was sent for a source so far."""
    return [
        frame_from_header(header, buffers[0])
        for header, buffers in list(core.requests)
        if header["op"] == "frame" and header["source"] == handle
    ]


def tell(core: ScriptedCore, handle: int, event: str, **fields: Any) -> None:
    """An event of the core about a source, on a thread of its own."""
    header = {"event": event, "source": handle, **fields}
    thread = threading.Thread(target=core.listeners[("source", handle)], args=(header, []))
    thread.start()
    thread.join()


class Published:
    """A source that is open in the core, and what arrives there."""

    def __init__(self, core: ScriptedCore, source: VideoSource) -> None:
        self.core = core
        self.source = source
        self.handle = 0

    async def open(self, **encoding: Any) -> None:
        """As publishing does: open, and the core begins to take frames."""
        opened = await self.source.open(self.core, Encoding(**encoding))  # type: ignore[arg-type]
        self.handle = opened.handle
        self.request_keyframe()

    def request_keyframe(self, rid: str = "") -> None:
        tell(self.core, self.handle, "keyframe_request", rid=rid)

    @property
    def frames(self) -> list[EncodedFrame]:
        return frames_of(self.core, self.handle)

    async def wait(self, count: int) -> list[EncodedFrame]:
        await wait_until(lambda: len(self.frames) >= count, what=lambda: f"{count} frames, not {len(self.frames)}")
        return self.frames


@pytest_asyncio.fixture
async def published(core: ScriptedCore) -> AsyncIterator[Published]:
    made = Published(core, VideoSource(64, 48))
    yield made
    if made.handle:
        await made.source.release(made.handle)
    await made.source.aclose()


def color_of(frame: EncodedFrame) -> tuple[int, int, int]:
    assert frame.keyframe
    picture = VideoDecoder(frame.codec).decode(frame)
    assert picture is not None
    return mean_color(picture)


async def test_opening_tells_the_core_what_will_come(core: ScriptedCore) -> None:
    source = VideoSource(1280, 720)
    opened = await source.open(core, Encoding("h264"))  # type: ignore[arg-type]
    (request,) = core.sent("source_open")
    assert (request["kind"], request["type"], request["codec"]) == ("video", "frames", "h264")
    assert [layer["rid"] for layer in request["layers"]] == ["q", "h", "f"]
    assert (opened.kind, opened.codec, opened.width, opened.height) == ("video", "h264", 1280, 720)
    assert opened.layers == plan_layers(1280, 720)
    await source.release(opened.handle)
    assert core.sent("source_close") == [{"op": "source_close", "source": opened.handle}]
    assert ("source", opened.handle) not in core.listeners


async def test_the_encoding_decides_the_layers(core: ScriptedCore) -> None:
    source = VideoSource(1280, 720)
    opened = await source.open(core, Encoding("vp8", simulcast=False, max_bitrate_bps=500_000, max_fps=10))  # type: ignore[arg-type]
    assert [(layer.rid, layer.max_bitrate_bps, layer.max_fps) for layer in opened.layers] == [("", 500_000, 10)]
    await source.release(opened.handle)
    screen = VideoSource(1280, 720, is_screencast=True)
    opened = await screen.open(core, Encoding())  # type: ignore[arg-type]
    assert [(layer.rid, layer.width) for layer in opened.layers] == [("q", 640), ("h", 1280)]
    await screen.release(opened.handle)


@pytest.mark.parametrize(
    "picture",
    [
        plain(RED),
        np.dstack((plain(RED), np.full((48, 64), 255, np.uint8))),
        VideoFrame(64, 48, VideoBufferType.RGB24, plain(RED).tobytes()),
        VideoFrame.from_ndarray(plain(RED)).convert(VideoBufferType.I420),
        VideoFrame.from_ndarray(plain(RED)).convert(VideoBufferType.NV12),
        Image.fromarray(plain(RED)),
        pixel.from_array(plain(RED)),
    ],
    ids=["rgb", "rgba", "frame", "i420", "nv12", "pil", "av"],
)
async def test_pictures_of_every_form_are_sent(published: Published, picture: Any) -> None:
    await published.open()
    published.source.capture_frame(picture)
    (frame,) = await published.wait(1)
    assert (frame.width, frame.height, frame.rid) == (64, 48, "")
    assert color_of(frame) == pytest.approx(RED, abs=5)


@pytest.mark.parametrize("format", pixel.ARRAY_FORMATS)
async def test_an_array_of_every_format_is_sent_as_what_it_is(published: Published, format: str) -> None:
    await published.open()
    array = pixel.to_array(pixel.from_array(plain(RED)), format)
    array.flags.writeable = False
    published.source.capture_frame(array, format=format)
    (frame,) = await published.wait(1)
    assert (frame.width, frame.height) == (64, 48)
    gray = round(0.299 * RED[0] + 0.587 * RED[1] + 0.114 * RED[2])
    assert color_of(frame) == pytest.approx((gray,) * 3 if format == "gray" else RED, abs=5)


async def test_a_picture_is_copied_before_the_call_returns(published: Published) -> None:
    await published.open()
    array = plain(RED)
    published.source.capture_frame(array)
    array[:] = BLUE
    assert color_of((await published.wait(1))[0]) == pytest.approx(RED, abs=5)


async def test_what_is_no_picture_is_refused_at_once(published: Published) -> None:
    with pytest.raises(FrameError, match="uint8"):
        published.source.capture_frame(plain(RED).astype(float))
    with pytest.raises(FrameError, match="got str"):
        published.source.capture_frame("red")  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="at least 18 pixels to send, got 10x10"):
        published.source.capture_frame(plain(RED, 10, 10))
    with pytest.raises(FrameError, match=r"\(height, width, 4\) for bgra, got \(48, 64, 3\)"):
        published.source.capture_frame(plain(RED), format="bgra")
    with pytest.raises(FrameError, match=r"expected a format out of rgb24, bgr24, .* got 'yuyv'"):
        published.source.capture_frame(plain(RED), format="yuyv")
    with pytest.raises(FrameError, match="expected an array with format='bgr24', got Image"):
        published.source.capture_frame(Image.fromarray(plain(RED)), format="bgr24")
    for wrong in ("a", float("nan"), 2**70, None):
        with pytest.raises(FrameError, match="expected timestamp_us as a number of microseconds"):
            published.source.capture_frame(plain(RED), timestamp_us=wrong)  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="expected a VideoRotation, got 90"):
        published.source.capture_frame(plain(RED), rotation=90)
    with pytest.raises(FrameError, match="at least 18"):
        VideoSource(16, 16)
    with pytest.raises(FrameError, match="4096"):
        VideoSource(5000, 100)
    with pytest.raises(FrameError, match=r"whole numbers of pixels, got 640\.0 and 360\.0"):
        VideoSource(640.0, 360.0)  # type: ignore[arg-type]


async def test_pictures_are_turned_clockwise(published: Published) -> None:
    await published.open()
    array = plain((0, 0, 0))
    array[:, 32:] = 255
    published.source.capture_frame(array, rotation=VideoRotation.VIDEO_ROTATION_90)
    (frame,) = await published.wait(1)
    assert (frame.width, frame.height) == (48, 64)
    picture = VideoDecoder("vp8").decode(frame)
    assert picture is not None
    shown = pixel.to_array(picture, "gray")
    assert shown[:24].mean() < 50
    assert shown[40:].mean() > 200


async def test_nothing_is_encoded_before_the_core_takes_frames(published: Published, core: ScriptedCore) -> None:
    opened = await published.source.open(core, Encoding())  # type: ignore[arg-type]
    published.handle = opened.handle
    published.source.capture_frame(plain(RED))
    await wait_until(lambda: published.source._last is not None)
    assert not published.frames
    # what nobody takes is not even converted
    assert published.source._last is not None
    assert published.source._last.picture.format.name == "rgb24"
    published.request_keyframe()
    assert color_of((await published.wait(1))[0]) == pytest.approx(RED, abs=5)


async def test_a_picture_captured_before_it_is_published_is_shown(published: Published) -> None:
    published.source.capture_frame(plain(GREEN))
    published.source.capture_frame(plain(BLUE))
    await published.open()
    frames = await published.wait(1)
    assert color_of(frames[0]) == pytest.approx(BLUE, abs=5)


async def test_who_comes_later_gets_the_last_picture_again(published: Published) -> None:
    await published.open()
    published.source.capture_frame(plain(GREEN))
    await published.wait(1)
    published.request_keyframe()
    first, again = await published.wait(2)
    assert color_of(again) == pytest.approx(GREEN, abs=5)
    assert again.timestamp_us - first.timestamp_us >= 90_000


async def test_the_newest_picture_wins_and_the_caller_never_waits(published: Published, monkeypatch: Any) -> None:
    await published.open()
    going = threading.Event()
    rotate = pixel.rotate

    def slow(picture: Any, degrees: int) -> Any:
        going.wait(5)
        return rotate(picture, degrees)

    monkeypatch.setattr(pixel, "rotate", slow)
    published.source.capture_frame(plain(RED))
    await wait_until(lambda: published.source._new is None)
    began = time.monotonic()
    for shade in range(100):
        published.source.capture_frame(plain((shade, shade, shade)))
    published.source.capture_frame(plain(BLUE))
    assert time.monotonic() - began < 1
    going.set()
    await wait_until(lambda: published.source._new is None)
    frames = await published.wait(2)
    assert len(frames) == 2
    decoder = VideoDecoder("vp8")
    pictures = [decoder.decode(frame) for frame in frames]
    assert mean_color(pictures[1]) == pytest.approx(BLUE, abs=12)  # type: ignore[arg-type]


async def test_times_of_the_caller_keep_their_distances(published: Published) -> None:
    await published.open()
    for index in range(3):
        published.source.capture_frame(plain(RED), timestamp_us=1_000_000 + 40_000 * index)
        await published.wait(index + 1)
    times = [frame.timestamp_us for frame in published.frames]
    assert [later - times[0] for later in times] == [0, 40_000, 80_000]
    assert abs(times[0] - now_us()) < 2_000_000


async def test_a_key_frame_is_made_for_the_layer_that_is_asked_for(core: ScriptedCore) -> None:
    published = Published(core, VideoSource(480, 270))
    await published.open()
    published.source.capture_frame(plain(RED, 480, 270))
    await published.wait(2)
    published.request_keyframe("h")
    published.source.capture_frame(plain(RED, 480, 270), timestamp_us=0)
    await wait_until(lambda: sum(frame.keyframe for frame in published.frames) == 3)
    assert [frame.rid for frame in published.frames if frame.keyframe] == ["q", "h", "h"]
    await published.source.release(published.handle)


async def test_the_core_can_have_the_encoder_rest_and_spare_layers(core: ScriptedCore) -> None:
    published = Published(core, VideoSource(480, 270))
    await published.open()
    published.source.capture_frame(plain(RED, 480, 270))
    await published.wait(2)
    tell(core, published.handle, "source_control", action="mute", muted=True)
    published.source.capture_frame(plain(RED, 480, 270))
    await wait_until(lambda: published.source._new is None)
    tell(core, published.handle, "source_control", action="layers", rids=["q"])
    tell(core, published.handle, "source_control", action="mute", muted=False)
    published.source.capture_frame(plain(RED, 480, 270))
    frames = await published.wait(3)
    assert [(frame.rid, frame.keyframe) for frame in frames[2:]] == [("q", True)]
    await published.source.release(published.handle)


async def test_after_the_link_was_full_a_layer_goes_on_with_a_key_frame(
    published: Published, monkeypatch: Any, core: ScriptedCore
) -> None:
    await published.open()
    published.source.capture_frame(plain(RED))
    await published.wait(1)
    post = core.post
    refused: list[Any] = []

    def refuse(header: Any, buffers: Any) -> bool:
        refused.append(header)
        return False

    monkeypatch.setattr(core, "post", refuse)
    # no sooner than the next picture of 30 a second
    await wait_until(lambda: now_us() - published.frames[0].timestamp_us > 40_000)
    published.source.capture_frame(plain(GREEN))
    await wait_until(lambda: bool(refused))
    monkeypatch.setattr(core, "post", post)
    frames = await published.wait(2)
    assert color_of(frames[1]) == pytest.approx(GREEN, abs=5)
    await wait_until(lambda: now_us() - frames[1].timestamp_us > 40_000)
    published.source.capture_frame(plain(BLUE))
    assert not (await published.wait(3))[2].keyframe


async def test_one_source_can_be_published_twice(core: ScriptedCore) -> None:
    source = VideoSource(64, 48)
    first, second = Published(core, source), Published(core, source)
    await first.open(codec="vp8")
    await second.open(codec="h264")
    source.capture_frame(plain(RED))
    assert (await first.wait(1))[0].codec == "vp8"
    assert (await second.wait(1))[0].codec == "h264"
    await source.release(first.handle)
    source.capture_frame(plain(RED))
    await second.wait(2)
    assert len(first.frames) == 1
    await source.release(second.handle)


async def test_releasing_ends_the_thread_and_opening_again_begins_anew(
    published: Published, core: ScriptedCore
) -> None:
    for _ in range(3):
        await published.open()
        published.source.capture_frame(plain(RED))
        await published.wait(1)
        await published.source.release(published.handle)
        await wait_until(lambda: not [t for t in threading.enumerate() if t.name == "lknb-video-source"])
    await published.source.release(published.handle)
    assert len(core.sent("source_close")) == 3


async def test_an_error_of_the_core_leaves_nothing_behind(core: ScriptedCore) -> None:
    def refuse(header: Any, buffers: Any) -> Any:
        raise CoreError("no")

    core.respond["source_open"] = refuse
    source = VideoSource(64, 48)
    with pytest.raises(CoreError):
        await source.open(core, Encoding())  # type: ignore[arg-type]
    assert not core.listeners
    assert not source._outputs


async def test_a_closed_source_takes_no_pictures(published: Published) -> None:
    await published.open()
    await published.source.aclose()
    published.source.capture_frame(plain(RED))
    await wait_until(lambda: not [t for t in threading.enumerate() if t.name == "lknb-video-source"])
    assert not published.frames


def test_a_source_outlives_the_loop_it_was_opened_in(core: ScriptedCore) -> None:
    source = VideoSource(64, 48)

    async def publish() -> None:
        published = Published(core, source)
        await published.open()
        source.capture_frame(plain(RED))
        await published.wait(1)
        await source.release(published.handle)

    asyncio.run(publish())
    asyncio.run(publish())


def test_its_repr_is_stable() -> None:
    assert repr(VideoSource(64, 48)) == "rtc.VideoSource(width=64, height=48)"
