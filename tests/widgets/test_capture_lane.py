"""Camera and microphone of a page by each of the lanes, with the others blocked from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.outside import Outside
from tests.kit.poll import wait_until_sync
from tests.kit.server import Server
from tests.widgets.labs import Labs
from tests.widgets.studio import Studio
from tests.widgets.test_browser_lane import PAGES


@pytest.fixture(scope="module", params=PAGES)
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def studio(lane: str, labs: Labs, outside: Outside, server: Server) -> Iterator[Studio]:
    with labs.borrow(**PAGES[lane]) as lab:
        notebook = lab.open(["pass"] * 4)
        with Studio(notebook, outside, server) as made:
            yield made
        notebook.close()


CODECS = {"h264": "", "vp8": ", None, rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.VP8)"}


@pytest.mark.parametrize("codec", CODECS)
def test_a_camera_and_a_microphone_arrive(studio: Studio, lane: str, codec: str, record_property: Any) -> None:
    camera = studio.publish(f"me.set_camera_enabled(True{CODECS[codec]})")
    microphone = studio.publish("me.set_microphone_enabled(True)")
    seen = studio.sees(camera, 1280)
    assert seen.codec == codec
    assert seen.colour[1] > seen.colour[0] + 50, seen.colour
    studio.outside.call(studio.guest.wait_audio(microphone, lambda report: report.level > 0.02, deadline_s=20))
    assert studio.value("bar.lane") == lane
    frames, sounds = studio.frames(camera), studio.sounds(microphone)
    wait_until_sync(lambda: studio.frames(camera) > frames + 30, 15, what="the picture goes on")
    wait_until_sync(lambda: studio.sounds(microphone) > sounds + 50, 15, what="the sound goes on")
    studio.run("for sid in list(me.track_publications): await me.unpublish_track(sid)")
    wait_until_sync(lambda: studio.live() == [], what="the devices are free")


def test_mute_by_the_button_and_by_the_kernel(studio: Studio, lane: str) -> None:
    studio.press("camera")
    wait_until_sync(lambda: studio.bar()["states"]["camera"] == "on", 20, what="the button publishes")
    camera = studio.published("CAMERA")
    studio.sees(camera, 1280)
    studio.press("camera")
    studio.outside.call(studio.guest.wait_event("track_muted", track_sid=camera))
    wait_until_sync(lambda: studio.live() == [], what="the light is off")
    assert studio.publish("me.set_camera_enabled(True)") == camera
    assert studio.live() == ["video"]
    studio.run("await me.unpublish_track(me.get_track_publication(rtc.TrackSource.SOURCE_CAMERA).sid)")
