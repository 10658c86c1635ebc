"""Pages that capture: what they may say, and what becomes of their devices, lane by lane."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from lknb.core import capture_page
from lknb.core.capture import Captures
from lknb.core.capture_message import Media, parse_capture
from lknb.core.lane_capture import LINK_INTERVAL_S, CaptureSession
from lknb.core.lane_ticket import TAB_VIEW, Grant
from lknb.core.message import decode_message, encode_message
from lknb.core.source.page import PageClock, PageSource
from lknb.core.sourcing import Sourcing
from lknb.errors import MediaDevicesError, MediaError, WireError
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until
from tests.wire.mutation import assert_total, mutants

VIDEO = {"capture": 7, "rid": "f", "timestamp_us": 5_000_000, "keyframe": True, "width": 1280, "height": 720}
AUDIO = {"capture": 8, "rid": "", "timestamp_us": 1, "audio_level": 30}
SAMPLES: list[tuple[dict[str, Any], list[bytes]]] = [
    ({"type": "hello", "lane": "direct", "client": "abc", "codecs": ["h264", "vp8", "opus"], "captures": [7]}, []),
    ({"type": "media", "sequence": 0, "chunks": [VIDEO, AUDIO]}, [b"pic", b"s"]),
    ({"type": "done", "request": 1, "width": 1280, "height": 720, "device_id": "x", "label": "Camera"}, []),
    ({"type": "done", "request": 2, "devices": [{"kind": "camera", "device_id": "a", "label": "b"}]}, []),
    ({"type": "failed", "request": 1, "reason": "denied", "detail": "The camera is blocked."}, []),
    ({"type": "ended", "capture": 7, "detail": "stopped by the person"}, []),
    ({"type": "lost", "capture": 7, "reason": "ended", "detail": "unplugged"}, []),
    ({"type": "using", "capture": 7, "device_id": "x"}, []),
    ({"type": "speaker", "device_id": "x"}, []),
    ({"type": "devices_changed"}, []),
    ({"type": "click", "device": "camera", "action": "on", "device_id": ""}, []),
]  # fmt: skip


class Port:
    """The way to one page."""

    name = "direct"
    waiting_bytes = 0
    page_left = False

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def send(self, header: Any, buffers: Any = ()) -> None:
        json.dumps(header)
        self.said.append(dict(header))

    async def close(self, code: int, reason: str) -> None: ...

    def last(self, kind: str) -> dict[str, Any] | None:
        return next((header for header in reversed(self.said) if header["type"] == kind), None)


class Page:
    """A page by hand, on one lane."""

    def __init__(
        self, captures: Captures, client: str = "page", *, captured: tuple[int, ...] = (), view: str = "view",
        able: bool = True,
    ) -> None:  # fmt: skip
        self.port = Port()
        self.now = 0.0
        grant = Grant(1, "capture", "", view, "http://localhost")
        self.session = CaptureSession(grant, self.port, captures, clock=lambda: self.now)  # type: ignore[arg-type]
        self.say(type="hello", client=client, codecs=["h264", "vp8", "opus"], captures=list(captured), able=able)
        self.sequence = 0

    def say(self, *buffers: bytes, **header: Any) -> None:
        self.session.handle(header, list(buffers))

    def send(self, **chunk: Any) -> None:
        self.say(b"data", type="media", sequence=self.sequence, chunks=[{"rid": "", "timestamp_us": 1, **chunk}])
        self.sequence += 1

    async def answer(self, kind: str = "take", **done: Any) -> dict[str, Any]:
        asked = await wait_until(lambda: self.port.last(kind), what=f"the page is asked to {kind}")
        self.port.said.remove(asked)
        self.say(**{"type": "done", "request": asked["request"], **done})
        return asked

    async def refuse(self, kind: str, reason: str, detail: str) -> None:
        asked = await wait_until(lambda: self.port.last(kind), what=f"the page is asked to {kind}")
        self.port.said.remove(asked)
        self.say(type="failed", request=asked["request"], reason=reason, detail=detail)


class World:
    """The core around the pages."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.switched: list[tuple[PageSource, bool]] = []
        self.published = False
        self.links = itertools.count(1)
        self.captures = Captures(
            lambda room: room == 1,
            lambda header, buffers: self.events.append(header),
            self._switch,
            lambda room, view: (4711, f"{room} {view} {next(self.links)}"),
        )

    def _switch(self, room: int, source: PageSource, on: bool) -> bool:
        self.switched.append((source, on))
        return self.published

    def wish(self, device: str, **header: Any) -> asyncio.Task[PageSource]:
        asked = {"op": "source_open", "room": 1, "device": device, **header}
        return asyncio.create_task(self.captures.open_source(header.pop("capture", 7), asked))

    async def source(self, page: Page, device: str = "camera", **header: Any) -> tuple[PageSource, list[EncodedFrame]]:
        opening = self.wish(device, **header)
        await page.answer("take", width=1280, height=720)
        source, frames = await opening, []
        source.start(frames.append)
        await page.answer("mute")
        return source, frames


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(capture_page, "GRACE_S", 0.1)
    return World()


class TestParser:
    @pytest.mark.parametrize(("header", "buffers"), SAMPLES)
    def test_what_pages_say_is_understood(self, header: dict[str, Any], buffers: list[bytes]) -> None:
        assert parse_capture(header, buffers)

    def test_it_is_total(self) -> None:
        samples = [encode_message(header, buffers) for header, buffers in SAMPLES]

        def parse(data: bytes) -> object:
            return parse_capture(*decode_message(data))

        assert_total(parse, mutants(samples, 20_000))

    @pytest.mark.parametrize(
        "change",
        [
            {"capture": True},
            {"capture": -1},
            {"rid": "ff"},
            {"timestamp_us": 1.5},
            {"keyframe": 1},
            {"width": 5000},
            {"audio_level": 128},
        ],
    )
    def test_a_wrong_chunk_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(WireError):
            parse_capture({"type": "media", "sequence": 0, "chunks": [{**VIDEO, **change}]}, [b"x"])

    def test_chunks_and_buffers_belong_together(self) -> None:
        for buffers in ([], [b"x", b"y"], [b""]):
            with pytest.raises(WireError):
                parse_capture({"type": "media", "sequence": 0, "chunks": [VIDEO]}, buffers)

    def test_a_chunk_is_whole(self) -> None:
        message = parse_capture({"type": "media", "sequence": 3, "chunks": [VIDEO]}, [b"x"])
        assert isinstance(message, Media)
        assert (message.sequence, message.chunks[0].capture, message.chunks[0].audio_level) == (3, 7, 127)


class TestCamera:
    async def test_a_camera_comes_in_the_layers_of_its_size(self, world: World) -> None:
        page = Page(world.captures)
        source, frames = await world.source(page)
        assert (source.codec, source.rids, source.width, source.height) == ("h264", ("q", "h", "f"), 1280, 720)
        encode = page.port.last("encode")
        assert encode is not None
        assert [layer["width"] for layer in encode["layers"]] == [320, 640, 1280]
        page.send(**VIDEO)
        page.send(**{**VIDEO, "rid": "z"})
        page.send(**{**VIDEO, "capture": 99})
        (frame,) = frames
        assert (frame.codec, frame.rid, frame.keyframe, frame.width, frame.data) == ("h264", "f", True, 1280, b"data")

    async def test_vp8_is_taken_when_asked_for(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page, codec="vp8", simulcast=False)
        assert (source.codec, source.rids) == ("vp8", ())

    async def test_a_refusal_is_typed(self, world: World) -> None:
        page = Page(world.captures)
        opening = world.wish("camera")
        await page.refuse("take", "denied", "The camera is blocked.")
        with pytest.raises(MediaDevicesError, match="blocked") as caught:
            await opening
        assert (caught.value.kind, caught.value.reason) == ("camera", "denied")
        assert page.port.last("close")

    async def test_cancelled_it_is_closed(self, world: World) -> None:
        page = Page(world.captures)
        opening = world.wish("camera")
        await wait_until(lambda: page.port.last("take"))
        opening.cancel()
        await asyncio.wait([opening])
        assert page.port.last("close") == {"type": "close", "capture": 7}

    async def test_wishes_reach_the_page(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page)
        source.request_keyframe("h")
        assert page.port.last("keyframe") == {"type": "keyframe", "capture": 7, "rid": "h"}
        source.control("layers", rids=["q", "f"])
        assert [layer["rid"] for layer in page.port.last("layers")["layers"]] == ["q", "f"]
        source.control("bitrate", bitrates_bps={"f": 800_000, "q": 1})
        assert page.port.last("layers")["layers"] == [
            {"rid": "q", "bitrate_bps": 30_000},
            {"rid": "f", "bitrate_bps": 800_000},
        ]
        with pytest.raises(MediaError, match="no action"):
            source.control("seek", position_s=1)

    async def test_mute_and_acquire(self, world: World) -> None:
        page = Page(world.captures)
        source, frames = await world.source(page)
        source.control("mute", muted=True)
        assert (await page.answer("mute"))["muted"] is True
        page.send(**VIDEO)
        assert not frames
        taking = asyncio.create_task(source.acquire())
        await page.refuse("mute", "in_use", "The camera is in use.")
        with pytest.raises(MediaDevicesError, match="in use"):
            await taking
        taking = asyncio.create_task(source.acquire())
        assert (await page.answer("mute"))["muted"] is False
        await taking
        page.port.said.clear()
        source.control("mute", muted=False)
        assert not page.port.said

    async def test_a_fault_nobody_waits_for_is_told(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page)
        source.control("mute", muted=True)
        await page.answer("mute")
        source.control("mute", muted=False)
        await page.refuse("mute", "not_found", "There is no camera.")
        await wait_until(lambda: world.events)
        assert world.events == [
            {
                "event": "source_fault",
                "source": 7,
                "kind": "camera",
                "reason": "not_found",
                "message": "There is no camera.",
            }
        ]

    async def test_stopped_by_the_person(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page, "screen")
        ended: list[Any] = []
        source.on_ended = ended.append
        page.say(type="ended", capture=7, detail="The screen is not shared any more")
        page.say(type="ended", capture=99, detail="")
        assert ended == ["The screen is not shared any more"]
        assert not world.events

    async def test_what_has_ended_is_published_no_more(self, world: World) -> None:
        page = Page(world.captures)
        ended: list[Any] = []
        sourcing = Sourcing(lambda header, buffers: None, world.captures, ended.append)
        asked = {"source": 7, "kind": "video", "type": "page", "room": 1, "device": "camera"}
        opening = asyncio.create_task(sourcing.requests["source_open"](asked, []))  # type: ignore[arg-type]
        await page.answer("take", width=1280, height=720)
        await opening
        feed = sourcing.feed_of(7)
        assert feed is not None
        assert not feed.closed
        page.say(type="ended", capture=7, detail="The page was closed")
        await wait_until(lambda: ended)
        assert ended == [feed]
        assert feed.closed

    async def test_unplugged_it_is_muted_at_once_and_can_be_taken_again(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page)
        ended: list[Any] = []
        source.on_ended = ended.append
        page.say(type="lost", capture=7, reason="ended", detail="The camera is gone.")
        page.say(type="lost", capture=99, reason="ended", detail="")
        assert world.switched == [(source, False)]
        about = {"kind": "camera", "reason": "ended", "message": "The camera is gone."}
        assert world.events == [{"event": "source_fault", "source": 7, **about}]
        assert not ended
        taking = asyncio.create_task(source.acquire())
        assert (await page.answer("mute"))["muted"] is False
        await taking

    async def test_which_device_it_is_is_told(self, world: World) -> None:
        page = Page(world.captures)
        opening = world.wish("camera")
        await page.answer("take", width=1280, height=720)
        # before anybody has had time to take the answer in
        page.say(type="using", capture=7, device_id="first")
        await opening
        page.say(type="using", capture=99, device_id="nobody's")
        assert world.events == [{"event": "source_device", "source": 7, "device_id": "first"}]

    async def test_other_devices_are_told_once_for_all_pages_of_a_room(self, world: World) -> None:
        first, second = Page(world.captures, "one"), Page(world.captures, "two", view="other")
        first.say(type="devices_changed")
        assert not world.events
        second.say(type="devices_changed")
        assert [(event["view"], event["type"]) for event in world.events] == [("other", "devices_changed")]


class TestSound:
    async def test_levels_and_times(self, world: World) -> None:
        page = Page(world.captures)
        source, frames = await world.source(page, "microphone")
        assert (source.kind, source.codec, source.layers) == ("audio", "opus", ())
        page.send(capture=7, timestamp_us=1_000_000, audio_level=20)
        page.send(capture=7, timestamp_us=1_020_000, audio_level=21)
        assert [frame.audio_level for frame in frames] == [20, 21]
        assert frames[1].timestamp - frames[0].timestamp == 960
        assert frames[1].timestamp_us - frames[0].timestamp_us == 20_000

    def test_the_clock_of_a_page_is_found_once(self) -> None:
        now = 100
        clock = PageClock(lambda: now)
        assert clock.timestamp_us(5_000_000) == 100
        now = 40_100
        assert clock.timestamp_us(5_020_000) == 20_100
        # the page's clock was set
        assert clock.timestamp_us(95_020_000) == 40_100


class TestLanes:
    async def test_one_that_was_given_up_before_its_hello_had_come_ends_nothing(self, world: World) -> None:
        grant = Grant(1, "capture", "", "view", "http://localhost")
        before = CaptureSession(grant, Port(), world.captures, clock=lambda: -1.0)  # type: ignore[arg-type]
        page = Page(world.captures)
        source, frames = await world.source(page)
        ended: list[Any] = []
        source.on_ended = ended.append
        before.handle({"type": "hello", "client": "page", "codecs": ["vp8"], "captures": []}, [])
        before.closed()
        page.send(**VIDEO)
        assert (len(frames), ended) == (1, [])
        asking = asyncio.create_task(world.captures.devices({"room": 1}))
        await page.answer("devices", devices=[])
        assert await asking == []

    async def test_a_page_that_comes_back_answers_nothing_by_what_it_was_asked_before(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(capture_page, "GRACE_S", 0.01)
        page = Page(world.captures)
        asking = asyncio.create_task(world.captures.devices({"room": 1}))
        before = await wait_until(lambda: page.port.last("devices"))
        page.session.closed()
        with pytest.raises(MediaDevicesError):
            await asking
        await wait_until(lambda: not world.captures._pages)
        again = Page(world.captures)
        opening = world.wish("camera")
        await wait_until(lambda: again.port.last("take"))
        # the person has taken that long
        again.say(type="done", request=before["request"], devices=[])
        await again.answer("take", width=1280, height=720)
        assert (await opening).width == 1280

    async def test_a_page_changes_its_lane(self, world: World) -> None:
        first = Page(world.captures)
        source, frames = await world.source(first)
        second = Page(world.captures, captured=(7,))
        first.session.closed()
        assert second.port.last("encode")
        await second.answer("mute")
        second.send(**VIDEO)
        assert len(frames) == 1
        assert source is not None

    async def test_a_device_that_is_being_taken_outlives_a_change_of_lanes(self, world: World) -> None:
        first = Page(world.captures)
        opening = world.wish("camera")
        asked = await wait_until(lambda: first.port.last("take"))
        # the page has it already, and its answer is on the way
        second = Page(world.captures, captured=(7,))
        first.session.closed()
        assert second.port.last("close") is None
        second.say(type="done", request=asked["request"], width=640, height=480)
        assert (await opening).capture == 7

    async def test_a_page_that_is_gone_ends_what_it_captured(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page)
        ended: list[Any] = []
        source.on_ended = ended.append
        page.session.closed()
        assert not ended
        await wait_until(lambda: ended, what="the grace is over")
        assert "closed or reloaded" in ended[0]

    async def test_one_that_says_so_is_gone_at_once(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page)
        ended: list[Any] = []
        source.on_ended = ended.append
        page.port.page_left = True
        page.session.closed()
        assert len(ended) == 1
        assert not world.captures._pages

    async def test_a_page_that_lost_a_device_meanwhile(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page)
        ended: list[Any] = []
        source.on_ended = ended.append
        again = Page(world.captures, captured=(33,))
        assert ended
        assert again.port.last("close") == {"type": "close", "capture": 33}

    async def test_a_lane_that_breaks_while_the_person_is_asked(self, world: World) -> None:
        page = Page(world.captures)
        opening = world.wish("camera")
        await wait_until(lambda: page.port.last("take"))
        page.session.closed()
        with pytest.raises(MediaDevicesError) as caught:
            await opening
        assert caught.value.reason == "closed"

    async def test_no_page(self, world: World) -> None:
        with pytest.raises(MediaDevicesError, match=r"ControlBar\(room\)") as caught:
            await world.wish("camera")
        assert caught.value.reason == "no_page"

    async def test_a_page_that_comes_in_time(self, world: World) -> None:
        opening = world.wish("camera", wait_s=5)
        await asyncio.sleep(0)
        page = Page(world.captures)
        await page.answer("take", width=640, height=480)
        assert (await opening).width == 640

    async def test_the_page_that_captures_is_asked_before_a_newer_one(self, world: World) -> None:
        first = Page(world.captures, "first")
        await world.source(first)
        second = Page(world.captures, "second", view="other")
        opening = world.wish("microphone", capture=8)
        await first.answer("take")
        await opening
        assert second.port.last("take") is None

    async def test_media_is_acknowledged_four_times_a_second(self, world: World) -> None:
        page = Page(world.captures)
        await world.source(page)
        for step in range(10):
            page.now = step * 0.1
            page.send(**VIDEO)
        acks = [header["sequence"] for header in page.port.said if header["type"] == "ack"]
        assert acks == [3, 6, 9]

    async def test_rules_of_a_lane(self, world: World) -> None:
        page = Page(world.captures)
        with pytest.raises(WireError, match="second hello"):
            page.say(type="hello", client="page", codecs=[], captures=[])
        page.send(capture=1)
        with pytest.raises(WireError, match="media"):
            page.say(b"x", type="media", sequence=0, chunks=[{"capture": 1, "rid": "", "timestamp_us": 1}])


class TestPagesThatCannotCapture:
    async def test_one_that_can_is_asked_before_a_newer_one_that_cannot(self, world: World) -> None:
        tab = Page(world.captures, "tab", view=TAB_VIEW)
        notebook = Page(world.captures, "notebook", able=False)
        opening = world.wish("camera")
        await tab.answer("take", width=640, height=480)
        await opening
        assert notebook.port.last("take") is None

    async def test_the_kernel_is_told_and_told_again_when_that_is_over(self, world: World) -> None:
        def told() -> list[bool]:
            return [event["able"] for event in world.events if event["type"] == "able"]

        Page(world.captures, "first", able=False)
        Page(world.captures, "second", able=False)
        assert told() == [False]
        Page(world.captures, "another", view="other")
        Page(world.captures, "third")
        assert told() == [False, True]

    async def test_with_no_other_it_says_itself_what_keeps_it(self, world: World) -> None:
        page = Page(world.captures, able=False)
        opening = world.wish("camera", wait_s=5)
        await page.refuse("take", "front_end", "VS Code does not let notebooks use cameras.")
        with pytest.raises(MediaDevicesError, match="VS Code") as caught:
            await opening
        assert caught.value.reason == "front_end"

    async def test_one_that_is_on_its_way_is_waited_for_and_not_for_ever(self, world: World) -> None:
        notebook = Page(world.captures, "notebook", able=False)
        opening = world.wish("camera", wait_s=5, able=True)
        await asyncio.sleep(0)
        tab = Page(world.captures, "tab", view=TAB_VIEW)
        await tab.answer("take", width=640, height=480)
        await opening
        tab.session.closed()
        await wait_until(lambda: not world.captures._pages.get((1, TAB_VIEW, "tab")), what="the tab is gone")
        with pytest.raises(MediaDevicesError, match="Open camera page") as caught:
            await world.wish("camera", wait_s=0.05, able=True)
        assert caught.value.reason == "front_end"
        assert notebook.port.last("take") is None

    async def test_links_are_renewed_in_time_and_after_use(self, world: World) -> None:
        page = Page(world.captures, able=False)
        page.session.refresh()
        first = page.port.last("link")
        assert first == {"type": "link", "port": 4711, "ticket": "1 tab 1"}
        page.now = LINK_INTERVAL_S - 0.1
        page.session.refresh()
        assert page.port.last("link") == first
        page.now = LINK_INTERVAL_S
        page.session.refresh()
        second = page.port.last("link")
        assert second != first
        Page(world.captures, "tab", view=TAB_VIEW)
        page.session.refresh()
        assert page.port.last("link") not in (first, second)

    async def test_what_the_kernel_says_reaches_the_tabs_of_the_room_only(self, world: World) -> None:
        notebook = Page(world.captures, able=False)
        shown = {"type": "shown", "shown": {"connected": True}}
        world.captures.tell_tabs(1, shown)
        tab = Page(world.captures, "tab", view=TAB_VIEW)
        assert tab.port.last("shown") == shown, "what was shown before it came"
        refused = {"type": "refused", "client": "tab", "detail": "No."}
        world.captures.tell_tabs(1, refused)
        world.captures.tell_tabs(2, {"type": "again", "ticket": "x"})
        assert tab.port.said[-1] == refused
        assert notebook.port.last("shown") is None
        world.captures.forget_room(1)
        assert Page(world.captures, "late", view=TAB_VIEW).port.last("shown") is None

    async def test_a_tab_that_is_closed_ends_what_it_captured_at_once(self, world: World) -> None:
        tab = Page(world.captures, view=TAB_VIEW)
        source, _ = await world.source(tab)
        ended: list[Any] = []
        source.on_ended = ended.append
        tab.port.page_left = True
        tab.session.closed()
        assert ended

    async def test_a_click_says_whether_its_page_could_do_it(self, world: World) -> None:
        for able in (True, False):
            page = Page(world.captures, f"page {able}", able=able)
            page.say(type="click", device="camera", action="on", device_id="")
            assert world.events[-1]["able"] is able


class TestClicks:
    async def test_a_click_goes_to_the_kernel(self, world: World) -> None:
        page = Page(world.captures)
        page.say(type="click", device="camera", action="on", device_id="")
        assert world.events[-1]["type"] == "click"
        assert (world.events[-1]["device"], world.events[-1]["client"]) == ("camera", "page")

    async def test_what_is_published_is_muted_at_once(self, world: World) -> None:
        world.published = True
        page = Page(world.captures)
        source, _ = await world.source(page)
        page.say(type="click", device="camera", action="off", device_id="")
        assert world.switched == [(source, False)]
        assert not world.events

    async def test_an_unmute_is_told_when_there_is_something_to_be_seen(self, world: World) -> None:
        world.published = True
        page = Page(world.captures)
        source, _ = await world.source(page)
        page.say(type="click", device="camera", action="on", device_id="")
        assert (await page.answer("mute"))["muted"] is False
        await wait_until(lambda: world.switched == [(source, True)])
        page.say(type="click", device="camera", action="on", device_id="")
        await page.refuse("mute", "not_found", "There is no camera.")
        await wait_until(lambda: world.switched[1:] == [(source, False)])
        assert world.events[-1]["reason"] == "not_found"

    async def test_the_last_click_counts_also_while_the_browser_opens_the_camera(self, world: World) -> None:
        world.published = True
        page = Page(world.captures)
        source, _ = await world.source(page)
        source.control("mute", muted=True)
        await page.answer("mute")
        page.say(type="click", device="camera", action="on", device_id="")
        opening = await wait_until(lambda: page.port.last("mute"))
        assert opening["muted"] is False
        page.say(type="click", device="camera", action="off", device_id="")
        letting_go = await wait_until(lambda: page.port.last("mute") is not opening and page.port.last("mute"))
        assert letting_go["muted"] is True
        page.say(type="done", request=opening["request"])
        page.say(type="done", request=letting_go["request"])
        # and it can be turned on again
        page.port.said.clear()
        page.say(type="click", device="camera", action="on", device_id="")
        assert (await page.answer("mute"))["muted"] is False
        await wait_until(lambda: world.switched == [(source, False), (source, True)])

    async def test_a_mute_that_comes_before_the_answer_of_another_unmute_holds(self, world: World) -> None:
        page = Page(world.captures)
        source, frames = await world.source(page)
        source.control("mute", muted=True)
        await page.answer("mute")
        # the kernel and a button at once
        takings = [asyncio.create_task(source.acquire()) for _ in range(2)]
        await page.answer("mute")
        asked = await wait_until(lambda: page.port.last("mute"))
        await asyncio.wait(takings, return_when=asyncio.FIRST_COMPLETED)
        source.control("mute", muted=True)
        page.say(type="done", request=asked["request"])
        await asyncio.wait(takings)
        page.send(**VIDEO)
        assert not frames
        page.port.said.clear()
        source.control("mute", muted=False)
        assert page.port.last("mute")["muted"] is False, "the page is told, which was muted"

    async def test_nobody_waits_for_the_camera_any_more(self, world: World) -> None:
        page = Page(world.captures)
        source, _ = await world.source(page)
        source.control("mute", muted=True)
        await page.answer("mute")
        taking = asyncio.create_task(source.acquire())
        asked = await wait_until(lambda: page.port.last("mute"))
        taking.cancel()
        await asyncio.wait([taking])
        assert asked["muted"] is False
        assert page.port.last("mute")["muted"] is True, "its light does not stay on"


async def test_devices(world: World) -> None:
    page = Page(world.captures)
    asking = asyncio.create_task(world.captures.devices({"room": None}))
    await page.answer("devices", devices=[{"kind": "camera", "device_id": "a", "label": "Fake"}])
    assert await asking == [{"kind": "camera", "device_id": "a", "label": "Fake"}]


class TestSpeaker:
    def told(self, world: World) -> list[str]:
        return [event["device_id"] for event in world.events if event.get("type") == "speaker"]

    def ask(self, world: World, device_id: str) -> asyncio.Task[dict[str, str]]:
        return asyncio.create_task(world.captures.switch_speaker({"room": 1, "device_id": device_id}))

    async def test_a_page_is_asked_and_tells_which_it_is(self, world: World) -> None:
        page = Page(world.captures, able=False)
        page.say(type="speaker", device_id="default")
        switching = self.ask(world, "x")
        asked = await wait_until(lambda: page.port.last("speaker"))
        assert asked["device_id"] == "x"
        page.say(type="speaker", device_id="x")
        await page.answer("speaker", device_id="x", label="Headphones")
        assert await switching == {"device_id": "x", "label": "Headphones"}
        # another lane of the same page says it again
        page.say(type="speaker", device_id="x")
        page.say(type="speaker", device_id="default")
        assert self.told(world) == ["x", "default"]

    async def test_a_refusal_says_what_it_is_about(self, world: World) -> None:
        page = Page(world.captures)
        switching = self.ask(world, "nonsense")
        await page.refuse("speaker", "not_found", "There is no such speaker.")
        with pytest.raises(MediaDevicesError, match="no such speaker") as caught:
            await switching
        assert (caught.value.kind, caught.value.reason) == ("speaker", "not_found")

    async def test_the_camera_page_plays_nothing(self, world: World) -> None:
        notebook = Page(world.captures, "notebook", able=False)
        tab = Page(world.captures, "tab", view=TAB_VIEW)
        tab.say(type="speaker", device_id="other")
        switching = self.ask(world, "x")
        await notebook.answer("speaker", device_id="x")
        await switching
        assert tab.port.last("speaker") is None
        assert self.told(world) == []

    async def test_the_speakers_listed_are_those_of_the_page_that_plays(self, world: World) -> None:
        def devices(*ids: str) -> list[dict[str, str]]:
            return [{"kind": one.split()[0], "device_id": one, "label": ""} for one in ids]

        async def listed() -> list[str]:
            asking = asyncio.create_task(world.captures.devices({"room": 1}))
            await tab.answer("devices", devices=devices("camera a", "microphone a", "speaker a"))
            if refusal:
                await notebook.refuse("devices", "front_end", "This page may not use devices.")
            elif notebook is not None:
                await notebook.answer("devices", devices=devices("camera b", "speaker b"))
            return [device["device_id"] for device in await asking]

        notebook, refusal = None, False
        tab = Page(world.captures, "tab", view=TAB_VIEW)
        assert await listed() == ["camera a", "microphone a"]
        notebook = Page(world.captures, "notebook", able=False)
        assert await listed() == ["camera a", "microphone a", "speaker b"]
        refusal = True
        assert await listed() == ["camera a", "microphone a"]

    async def test_of_several_pages_the_one_that_would_be_asked_counts(self, world: World) -> None:
        first = Page(world.captures, "first")
        first.say(type="speaker", device_id="x")
        second = Page(world.captures, "second")
        second.say(type="speaker", device_id="default")
        first.say(type="speaker", device_id="y")
        assert self.told(world) == ["x", "default"]

    async def test_without_a_page_it_is_said_what_to_show(self, world: World) -> None:
        with pytest.raises(MediaDevicesError, match=r"ControlBar\(room\)") as caught:
            await self.ask(world, "x")
        assert (caught.value.kind, caught.value.reason) == ("speaker", "no_page")
        assert "publish" not in str(caught.value)
