from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from lknb.core import feed as feed_module
from lknb.core.feed import Feed
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until


class FakeSource:
    """A source whose frames the test makes, in a thread when it says so."""

    codec = "vp8"
    adapts = True
    width, height, layers, stereo = 640, 360, (), False

    def __init__(self, kind: Any = "video", rids: tuple[str, ...] = (), *, spares: bool = True) -> None:
        self.kind = kind
        self.rids = rids
        self.on_ended: Callable[[str | None], None] | None = None
        self.starts = self.stops = 0
        self.keyframes: list[str] = []
        self.controls: list[tuple[str, Any]] = []
        self._spares = spares

    def start(self, sink: Callable[[EncodedFrame], None]) -> None:
        self.starts += 1
        self.make = sink

    def stop(self) -> None:
        self.stops += 1

    def request_keyframe(self, rid: str = "") -> None:
        self.keyframes.append(rid)

    def control(self, action: str, **parameters: Any) -> None:
        if action == "layers" and not self._spares:
            raise MediaError("no layers")
        self.controls.append((action, *parameters.values()))

    def make_in_thread(self, *frames: EncodedFrame) -> None:
        thread = threading.Thread(target=lambda: [self.make(frame) for frame in frames])
        thread.start()
        thread.join()


def frame(number: int = 0, *, key: bool = False, rid: str = "") -> EncodedFrame:
    return EncodedFrame("vp8", b"x", number, keyframe=key, rid=rid)


def opened(source: FakeSource) -> Feed:
    return Feed(1, source, lambda error: None)  # type: ignore[arg-type]


async def test_a_source_starts_with_its_first_sink_and_stops_at_the_end():
    source = FakeSource()
    feed = opened(source)
    assert source.starts == 0
    one: list[EncodedFrame] = []
    feed.attach(one.append)
    feed.attach(lambda frame: None)
    assert source.starts == 1
    assert source.keyframes == [""]  # for the second one
    feed.detach(one.append)
    assert source.stops == 0
    feed.close()
    feed.close()
    assert source.stops == 2
    feed.attach(one.append)
    feed.request_keyframe()
    assert source.starts == 1
    assert source.keyframes == [""]


async def test_frames_of_worker_threads_arrive_on_the_loop_in_order():
    source, seen = FakeSource(), []
    feed = opened(source)
    feed.attach(lambda frame: seen.append((frame.timestamp, threading.get_ident())), keyframe=False)
    source.make_in_thread(*(frame(n) for n in range(50)))
    assert seen == []
    await wait_until(lambda: len(seen) == 50)
    assert seen == [(n, threading.get_ident()) for n in range(50)]


async def test_frames_made_on_the_loop_pass_at_once():
    source, seen = FakeSource(), []
    opened(source).attach(seen.append, keyframe=False)
    source.make(frame(1))
    assert len(seen) == 1


async def test_each_sink_begins_with_a_key_frame_unless_it_wants_all():
    source, late, early = FakeSource(), [], []
    feed = opened(source)
    feed.attach(early.append, keyframe=False)
    feed.attach(late.append)
    for number, key in enumerate((False, False, True, False)):
        source.make(frame(number, key=key))
    assert [f.timestamp for f in early] == [0, 1, 2, 3]
    assert [f.timestamp for f in late] == [2, 3]


async def test_a_sink_that_fails_harms_no_other(caplog):
    source, seen = FakeSource(), []
    feed = opened(source)
    feed.attach(lambda frame: 1 / 0, keyframe=False)
    feed.attach(seen.append, keyframe=False)
    source.make(frame())
    assert len(seen) == 1
    assert "ZeroDivisionError" in caplog.text


async def test_a_loop_that_lags_costs_whole_stretches_up_to_a_key_frame(monkeypatch):
    monkeypatch.setattr(feed_module, "_IN_FLIGHT_MAX", 3)
    source, seen = FakeSource(rids=("q", "h")), []
    feed = opened(source)
    feed.attach(seen.append, keyframe=False)
    source.make_in_thread(*(frame(n, rid="q") for n in range(5)), frame(5, key=True, rid="h"))
    await wait_until(lambda: len(seen) == 3)
    source.make_in_thread(frame(6, rid="q"))
    source.make_in_thread(frame(7, rid="h"), frame(8, key=True, rid="q"), frame(9, rid="q"))
    await wait_until(lambda: len(seen) == 5)
    assert [(f.timestamp, f.keyframe) for f in seen] == [(0, False), (1, False), (2, False), (8, True), (9, False)]
    assert source.keyframes == ["q", "h"]


async def test_the_end_of_a_source_is_told_on_the_loop():
    ended: list[Any] = []
    source = FakeSource()
    Feed(1, source, lambda error: ended.append((error, threading.get_ident())))  # type: ignore[arg-type]
    threading.Thread(target=source.on_ended, args=("broken",)).start()
    await wait_until(lambda: ended)
    assert ended == [("broken", threading.get_ident())]


async def test_a_source_rests_while_nobody_wants_anything():
    source = FakeSource(rids=("q", "h", "f"))
    feed = opened(source)
    one, two = (lambda frame: None), (lambda frame: None)
    feed.want(one, ("q",))
    assert source.controls == []  # it does not run yet
    feed.attach(one)
    feed.want(one, ())
    assert source.controls == [("mute", True)]
    feed.want(one, ("q",))
    feed.want(one, ("q",))
    assert source.controls[1:] == [("mute", False), ("layers", ["q"])]
    feed.attach(two)
    feed.want(two, ("f",))
    assert source.controls[3:] == [("layers", ["q", "f"])]
    feed.want(two, None)
    assert source.controls[4:] == [("layers", ["q", "h", "f"])]
    feed.detach(two)
    assert source.controls[5:] == [("layers", ["q"])]


async def test_a_source_that_cannot_spare_layers_is_left_alone():
    source = FakeSource(rids=("q", "h"), spares=False)
    feed = opened(source)
    feed.attach(print)
    feed.want(print, ("q",))
    feed.want(print, ())
    assert source.controls == [("mute", True)]


def test_a_source_that_outlives_the_loop_harms_nobody():
    source = FakeSource()

    async def run() -> None:
        feed = opened(source)
        feed.attach(lambda frame: None)

    asyncio.run(run())
    source.make_in_thread(frame(key=True))
    source.on_ended(None)


async def test_of_several_ways_the_narrowest_counts():
    source = FakeSource(rids=("q", "h"))
    feed = opened(source)
    one, other = (lambda frame: None), (lambda frame: None)
    feed.aim(one, {"q": 100, "h": 400})
    assert source.controls == []  # it does not run yet
    feed.attach(one)
    feed.attach(other)
    assert source.controls == [("bitrate", {"q": 100, "h": 400})]
    feed.aim(other, {"q": 50})
    feed.aim(other, {"q": 50, "h": 500})
    assert source.controls[1:] == [("bitrate", {"q": 50})]
    feed.detach(other)
    assert source.controls[2:] == [("bitrate", {"q": 100})]


async def test_a_source_that_does_not_adapt_is_told_nothing():
    source = FakeSource()
    source.adapts = False
    feed = opened(source)
    feed.attach(sink := lambda frame: None)
    feed.aim(sink, {"": 100})
    assert source.controls == []
