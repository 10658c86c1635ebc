"""What the server is told of the tracks we want, as the user and adaptive stream go on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from livekit.protocol import models, rtc

from lknb.core.track import RemoteTrack
from lknb.core.track_wishes import TOLD_AT_ONCE, TrackWishes
from lknb.errors import TrackError
from lknb.logic.audience import Viewer
from lknb.logic.track_setting import Dimensions
from tests.kit.poll import wait_until

LOW, HIGH = models.VideoQuality.LOW, models.VideoQuality.HIGH


class Bench:
    """Wishes of a room with a camera `TR_v` and a microphone `TR_a`, and what came of them."""

    def __init__(self, *, adaptive: bool = False) -> None:
        self.published = {
            "TR_v": ("PA_bob", models.TrackInfo(sid="TR_v", type=models.TrackType.VIDEO)),
            "TR_a": ("PA_bob", models.TrackInfo(sid="TR_a", type=models.TrackType.AUDIO)),
        }
        for quality in range(3):
            self.published["TR_v"][1].layers.add(quality=quality, width=320 << quality, height=180 << quality)  # type: ignore[arg-type]
        self.sent: list[rtc.SignalRequest] = []
        self.events: list[dict[str, Any]] = []
        self.viewers: list[Viewer] = []
        self.wishes = TrackWishes(
            1,
            self.sent.append,
            lambda header: self.events.append(dict(header)),
            self.published.get,
            lambda sid: self.viewers,
        )
        self.wishes.adaptive = adaptive

    def subscribed(self, sid: str = "TR_v") -> None:
        self.wishes.follow(sid, RemoteTrack(1, "PA_bob", sid, "video" if sid == "TR_v" else "audio", "vp8"))

    def look(self, *viewers: Viewer) -> None:
        self.viewers = list(viewers)
        self.wishes.look("TR_v")

    def asked(self) -> list[str]:
        """The settings sent so far, in short: `low`, `320x180`, `off high`, `high 5 fps`."""
        return [_short(request.track_setting) for request in self.sent if request.HasField("track_setting")]


def _short(settings: rtc.UpdateTrackSettings) -> str:
    size = (
        f"{settings.width}x{settings.height}" if settings.width else models.VideoQuality.Name(settings.quality).lower()
    )
    words = ["off"] * settings.disabled + [size] + [f"{settings.fps} fps"] * bool(settings.fps)
    return " ".join(words)


async def test_wishes_are_told_at_once_and_repeats_are_not() -> None:
    bench = Bench()
    for _ in range(2):
        bench.wishes.ask("TR_v", quality=LOW)
        bench.wishes.ask("TR_v", fps=5)
        bench.wishes.ask("TR_v", dimensions=Dimensions(640, 360))
        bench.wishes.ask("TR_v", enabled=False)
    assert bench.asked() == [
        "low",
        "low 5 fps",
        "640x360 5 fps",
        "off 640x360 5 fps",
        "off low 5 fps",
        "off 640x360 5 fps",
    ]
    bench.wishes.close()


async def test_sound_has_no_quality() -> None:
    bench = Bench()
    bench.wishes.ask("TR_a", enabled=False)
    assert bench.sent == [rtc.SignalRequest(track_setting=rtc.UpdateTrackSettings(track_sids=["TR_a"], disabled=True))]


async def test_a_subscription_names_track_and_participant() -> None:
    bench = Bench()
    bench.wishes.subscribe("TR_v", False)
    bench.wishes.subscribe("TR_v", True)
    first, second = (request.subscription for request in bench.sent)
    assert (list(first.track_sids), first.subscribe, second.subscribe) == (["TR_v"], False, True)
    assert [(each.participant_sid, list(each.track_sids)) for each in first.participant_tracks] == [
        ("PA_bob", ["TR_v"])
    ]


async def test_what_was_asked_is_told_again_to_a_new_subscription() -> None:
    bench = Bench()
    bench.subscribed()
    assert bench.sent == []
    bench.wishes.ask("TR_v", quality=LOW)
    bench.wishes.follow("TR_v", None)
    bench.subscribed()
    assert bench.asked() == ["low", "low"]


async def test_a_track_nobody_looks_at_is_paused_and_a_view_wakes_it_at_once() -> None:
    bench = Bench(adaptive=True)
    began = time.monotonic()
    bench.subscribed()
    assert bench.asked() == []
    await wait_until(lambda: bench.asked() == ["off high"], what=bench.asked)
    assert time.monotonic() - began >= 0.1
    bench.look(Viewer(Dimensions(300, 200)))
    assert bench.asked()[1:] == ["300x200"]
    bench.look(Viewer(Dimensions(300, 200)), Viewer(Dimensions(600, 400)), Viewer(Dimensions(900, 900), visible=False))
    await wait_until(lambda: bench.asked()[2:] == ["600x400"])
    bench.look()
    await wait_until(lambda: bench.asked()[3:] == ["off low"])
    assert [(event["visible"], event["width"]) for event in bench.events] == [
        (False, None), (True, 300), (True, 600), (False, 0),
    ]  # fmt: skip
    bench.wishes.close()


async def test_a_choice_beats_visibility_and_of_two_sizes_the_smaller_is_asked_for() -> None:
    bench = Bench(adaptive=True)
    bench.look(Viewer(Dimensions(500, 300)))
    bench.subscribed()
    assert bench.asked() == ["500x300"]
    bench.wishes.ask("TR_v", quality=LOW)
    bench.wishes.ask("TR_v", quality=HIGH)
    bench.wishes.ask("TR_v", dimensions=Dimensions(200, 100))
    bench.wishes.ask("TR_v", dimensions=Dimensions(2000, 1000))
    assert bench.asked()[1:] == ["low", "500x300", "200x100", "500x300"]
    bench.wishes.ask("TR_v", enabled=True)
    bench.look()
    await wait_until(lambda: bench.asked()[-1] == "low", what=bench.asked)
    assert not any("off" in asked for asked in bench.asked())
    bench.wishes.close()


async def test_without_adaptive_stream_nobody_has_to_look() -> None:
    bench = Bench()
    bench.subscribed()
    bench.look(Viewer(Dimensions(300, 200)))
    bench.look()
    await asyncio.sleep(0.15)
    assert bench.sent == []


async def test_ten_thousand_toggles_come_to_what_was_said_last() -> None:
    bench = Bench()
    for step in range(10_000):
        bench.wishes.ask("TR_v", enabled=bool(step % 2))
        bench.wishes.subscribe("TR_a", bool(step % 2))
    assert len(bench.sent) <= 2 * TOLD_AT_ONCE
    bench.wishes.ask("TR_v", enabled=False)
    await wait_until(lambda: bench.asked()[-1] == "off high")
    last = [request.subscription.subscribe for request in bench.sent if request.HasField("subscription")][-1]
    assert last
    bench.wishes.close()


async def test_a_track_that_is_gone_is_forgotten_and_a_strange_one_refused() -> None:
    bench = Bench(adaptive=True)
    bench.subscribed()
    bench.wishes.ask("TR_v", quality=LOW)
    del bench.published["TR_v"]
    bench.wishes.prune()
    await asyncio.sleep(0.15)
    assert bench.asked() == ["low"]
    for wish in (lambda: bench.wishes.ask("TR_v", enabled=False), lambda: bench.wishes.subscribe("TR_x", True)):
        with pytest.raises(TrackError, match="nobody in the room publishes"):
            wish()
    bench.wishes.close()
