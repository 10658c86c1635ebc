"""Handles of the sources that run in the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from lknb.codec.layer import plan_layers
from lknb.core.source import describe_source, open_source
from lknb.errors import CoreError, MediaError
from lknb.rtc.running_source import TestPattern, Tone
from lknb.rtc.source import Encoding
from tests.rtc.scripted_core import ScriptedCore


@pytest.fixture
def answering(core: ScriptedCore) -> ScriptedCore:
    """A core that opens the sources it is asked for, and stops them again."""

    def answer(header: Any, buffers: Any) -> Any:
        source = open_source(header["type"], header["kind"], header)
        source.stop()
        return describe_source(source), []

    core.respond["source_open"] = answer
    return core


def test_making_one_touches_no_process(core: ScriptedCore) -> None:
    TestPattern()
    Tone()
    assert not core.requests


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tone(float("nan")),
        lambda: Tone(volume=float("inf")),
        lambda: Tone("a"),  # type: ignore[arg-type]
        lambda: TestPattern(fps=float("nan")),
        lambda: TestPattern(640.0, 360.0),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_number_is_told_at_once(make: Callable[[], object]) -> None:
    with pytest.raises(MediaError, match="number"):
        make()


async def test_a_pattern_is_opened_with_what_it_was_made_with(answering: ScriptedCore) -> None:
    pattern = TestPattern(640, 360, 25, color=(1, 2, 3))
    opened = await pattern.open(answering, Encoding("h264", max_bitrate_bps=300_000))  # type: ignore[arg-type]
    (request,) = answering.sent("source_open")
    assert (request["type"], request["color"], request["fps"]) == ("pattern", [1, 2, 3], 25)
    assert (opened.kind, opened.codec, opened.width, opened.height) == ("video", "h264", 640, 360)
    assert opened.layers == plan_layers(640, 360, max_bitrate_bps=300_000, max_fps=25)
    assert not opened.stereo
    await pattern.release(opened.handle)
    await pattern.release(opened.handle)
    assert answering.sent("source_close") == [{"op": "source_close", "source": opened.handle}]
    assert not answering.listeners


async def test_a_tone_is_opened_with_what_it_was_made_with(answering: ScriptedCore) -> None:
    tone = Tone(1000, volume=0.5, beep_every_s=2, beep_s=0.5)
    opened = await tone.open(answering, Encoding("opus", dtx=True))  # type: ignore[arg-type]
    (request,) = answering.sent("source_open")
    assert (request["frequency_hz"], request["volume"], request["beep_every_s"], request["dtx"]) == (1000, 0.5, 2, True)
    assert (opened.kind, opened.codec, opened.layers) == ("audio", "opus", ())
    await tone.release(opened.handle)


async def test_the_volume_is_changed_wherever_the_tone_is_open(answering: ScriptedCore) -> None:
    tone = Tone()
    await tone.set_volume(0.4)
    handles = [(await tone.open(answering, Encoding("opus"))).handle for _ in range(2)]  # type: ignore[arg-type]
    assert {request["volume"] for request in answering.sent("source_open")} == {0.4}
    await tone.set_volume(0.1)
    assert answering.sent("source_control") == [
        {"op": "source_control", "source": handle, "action": "volume", "volume": 0.1} for handle in handles
    ]
    with pytest.raises(MediaError, match="0 to 1, not 3"):
        await tone.set_volume(3)
    for handle in handles:
        await tone.release(handle)


async def test_what_the_core_refuses_leaves_nothing_behind(answering: ScriptedCore) -> None:
    with pytest.raises(MediaError, match="#rrggbb"):
        await TestPattern(color="blue").open(answering, Encoding())  # type: ignore[arg-type]
    assert not answering.listeners


async def test_releasing_after_the_core_is_gone_is_harmless(answering: ScriptedCore) -> None:
    tone = Tone()
    opened = await tone.open(answering, Encoding("opus"))  # type: ignore[arg-type]
    answering.alive = False
    await tone.release(opened.handle)
    with pytest.raises(CoreError):
        await tone.open(answering, Encoding("opus"))  # type: ignore[arg-type]


def test_reprs_are_stable() -> None:
    assert repr(TestPattern()) == "rtc.TestPattern(width=1280, height=720, fps=30)"
    assert repr(TestPattern(64, 48, color="#ff0000")) == "rtc.TestPattern(width=64, height=48, fps=30, color='#ff0000')"
    assert repr(Tone()) == "rtc.Tone(440, volume=0.2)"
    assert repr(Tone(beep_every_s=1)) == "rtc.Tone(440, volume=0.2, beep_every_s=1)"


def test_layers_in_a_reply_are_plain_json() -> None:
    assert asdict(plan_layers(320, 180)[0]) == {
        "rid": "",
        "width": 320,
        "height": 180,
        "max_bitrate_bps": 160_000,
        "max_fps": 30.0,
    }
