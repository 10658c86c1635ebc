"""lknb in Firefox: views, sound, and its fake camera and microphone, as official clients outside get them.

Firefox has no MediaStreamTrackProcessor, so pictures and sound of its devices go another way than in Chromium.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from tests.kit.firefox import Firefox, find_firefox
from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.outside import Outside
from tests.kit.poll import wait_until_sync
from tests.kit.server import Server
from tests.kit.sound_server import SAMPLE_RATE_HZ, SoundServer, find_pulseaudio
from tests.widgets.labs import Labs
from tests.widgets.screen import CLEAN_UP, SET_UP, Screen
from tests.widgets.studio import Studio

pytestmark = pytest.mark.skipif(find_firefox() is None, reason="no Firefox on this machine (apt install firefox-esr)")
needs_loudspeaker = pytest.mark.skipif(
    find_pulseaudio() is None, reason="no pulseaudio on this machine: Firefox runs no sound without a loudspeaker"
)

DECODES = "VideoDecoder.isConfigSupported({ codec: 'avc1.42E01F' }).then(({ supported }) => supported)"
# what the page itself shows of the camera it has given out
CAMERA = """async () => {
  const video = document.createElement('video');
  video.muted = true;
  video.srcObject = new MediaStream([lknbTracks.find((track) => track.kind === 'video' && track.readyState === 'live')]);
  await video.play();
  const copy = new OffscreenCanvas(16, 9).getContext('2d');
  copy.drawImage(video, 0, 0, 16, 9);
  return [...copy.getImageData(8, 4, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture(scope="module")
def lab(labs: Labs) -> Iterator[JupyterLab]:
    with labs.borrow() as lab:
        yield lab


@pytest.fixture(scope="module")
def loudspeaker() -> Iterator[SoundServer | None]:
    with ExitStack() as stack:
        yield stack.enter_context(SoundServer()) if find_pulseaudio() else None


@pytest.fixture(scope="module")
def firefox(loudspeaker: SoundServer | None) -> Iterator[Firefox]:
    with Firefox(environment=loudspeaker.environment if loudspeaker else {}) as running:
        yield running


@pytest.fixture
def notebook(lab: JupyterLab, firefox: Firefox) -> Iterator[Notebook]:
    opened = lab.open(["pass"] * 10, context=firefox)
    yield opened
    errors = opened.errors
    opened.close()
    assert errors == []


def pitch_hz(sound: np.ndarray[Any, Any]) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE_HZ / len(sound)


def test_views_play_on_the_direct_lane(notebook: Notebook) -> None:
    notebook.run(0, SET_UP)
    screen = Screen(notebook)
    for codec in ("vp8", "h264"):
        screen.run(f"show(codec={codec!r})")
        screen.wait_for("playing")
        screen.wait_for_picture()
        screen.wait_for_motion()
        screen.wait_for_value("[view.state, view.error, view.lane]", ["playing", "", "direct"])
        if codec == "vp8" or notebook.page.evaluate(DECODES):
            assert not screen.page.evaluate("document.querySelector('.lknb-video-note').checkVisibility()")
        screen.run(CLEAN_UP, 9)


def test_the_camera_reaches_a_wheel_outside_in_three_layers_and_while_nobody_sees_the_page(
    studio: Studio, firefox: Firefox, record_property: Any
) -> None:
    camera = studio.publish("me.set_camera_enabled(True)")
    assert studio.sees(camera, 1280).codec == "vp8", "its H264 encoder gathers a second of pictures first"
    for quality, width in (("low", 320), ("medium", 640), ("high", 1280)):
        studio.outside.call(studio.guest.set_video_quality(camera, quality))
        seen = studio.sees(camera, width)
    assert studio.bar()["live"]
    assert studio.live() == ["video"]

    def same_colour() -> bool:
        # it goes through all colours, slowly
        here = studio.notebook.page.evaluate(CAMERA)
        there = studio.outside.call(studio.guest.video(camera)).colour
        return all(abs(a - b) < 60 for a, b in zip(here, there, strict=True))

    wait_until_sync(same_colour, what="they see what the page sees")
    rates = []
    for hidden in (False, True):
        if hidden:
            front = firefox.cover(studio.notebook.page)
            assert studio.notebook.page.evaluate("document.visibilityState") == "hidden"
        before, began = studio.frames(camera), time.monotonic()
        wait_until_sync(lambda before=before: studio.frames(camera) > before + 40, 20, what="the picture goes on")
        rates.append((studio.frames(camera) - before) / (time.monotonic() - began))
    firefox.call("browsingContext.close", context=front)
    record_property("evidence", f"{seen.width}x{seen.height} {seen.codec}, {rates[0]:.1f} fps, hidden {rates[1]:.1f}")
    studio.run("await me.set_camera_enabled(False)")
    wait_until_sync(lambda: studio.live() == [], what="the camera is let go of")


@needs_loudspeaker
def test_a_room_is_heard_and_the_microphone_too(studio: Studio, loudspeaker: SoundServer) -> None:
    microphone = studio.publish("me.set_microphone_enabled(True)")
    heard = studio.outside.call(
        studio.guest.wait_audio(microphone, lambda report: abs(report.peak_hz - 440) < 10, deadline_s=20)
    )
    assert heard.level > 0.005
    before, began = studio.sounds(microphone), time.monotonic()
    wait_until_sync(lambda: studio.sounds(microphone) >= before + 200, 20, what="the sound goes on")
    assert (studio.sounds(microphone) - before) / (time.monotonic() - began) < 120, "100 frames of 10 ms a second"
    studio.run(
        "await me.unpublish_track(me.get_track_publication(rtc.TrackSource.SOURCE_MICROPHONE).sid)\n"
        "bob = await lknb.connect('heard', identity='bob')\n"
        "other = await lknb.connect('heard', identity='listener')\n"
        "await bob.local_participant.publish_track(lknb.Tone(880, volume=0.3))\n"
        "await other.wait_for_track('bob', kind=1)"
    )
    studio.notebook.run(3, "audio = lknb.RoomAudio(other)\naudio")
    wait_until_sync(lambda: studio.value("audio.playing"), 20, what="the page plays")
    wait_until_sync(lambda: abs(pitch_hz(loudspeaker.record(0.5)) - 880) < 10, what="the tone is heard", interval_s=0)


def test_what_it_cannot_capture_is_told_here_and_there(studio: Studio) -> None:
    studio.run("asked = asyncio.create_task(me.set_screen_share_enabled(True))")
    asks = "document.querySelector('.lknb-bar-ask')?.checkVisibility()"
    wait_until_sync(lambda: studio.notebook.page.evaluate(asks), what="the bar asks for a click")
    # headless, it has no screen
    studio.press("screen")
    wait_until_sync(lambda: "There is no screen to share" in studio.bar()["fault"], what="the page says so")
    told = studio.run(
        "try:\n    await asked\nexcept lknb.errors.MediaDevicesError as error:\n    print(error.kind, error.reason)"
    )
    assert told == "screen not_found\n"
    assert studio.live() == []


def test_one_without_a_loudspeaker_and_without_h264_says_so(lab: JupyterLab, outside: Outside, server: Server) -> None:
    with Firefox({"media.cubeb.force_null_context": True, "media.ffmpeg.enabled": False}) as poor:
        notebook = lab.open(["pass"] * 10, context=poor)
        with Studio(notebook, outside, server) as studio:
            told = studio.run(
                "try:\n    await asyncio.wait_for(me.set_microphone_enabled(True), 20)\n"
                "except lknb.errors.MediaDevicesError as error:\n    print(error.kind, error.reason, error)"
            )
            assert told.startswith("microphone unsupported ")
            assert "Connect one, or headphones" in told
            bar = studio.bar()
            assert "no loudspeaker" in bar["fault"]
            assert not bar["live"]
            assert studio.live() == []
            assert studio.value("len(me.track_publications)") == 0
            assert not notebook.page.evaluate(DECODES)
            assert studio.sees(studio.publish("me.set_camera_enabled(True)"), 1280).codec == "vp8"
        notebook.run(0, SET_UP)
        screen = Screen(notebook)
        screen.run("show(codec='h264')")
        screen.wait_for("playing")
        screen.wait_for_picture()
        assert "no decoder for this video" in screen.words()
        screen.run(CLEAN_UP, 9)
        errors = notebook.errors
        notebook.close()
        assert errors == []
