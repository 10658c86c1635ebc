"""Faults of devices in a real page, by Chromium's own means where it has them.

Its own: a person who says no, machines without a camera or with two of them, a permission that is taken back while live, and
screens that want a click. It has none to plug a device in or out: `PLUGS` is a stub that does what the browser would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kit.jupyterlab import JupyterLab
from tests.kit.outside import Outside
from tests.kit.poll import wait_until_sync
from tests.kit.server import Server
from tests.kit.windows import SIZE
from tests.widgets.studio import Studio

# Chromium's field trial, which makes it ask for the click that the standard asks for
WANTS_CLICK = "--enable-features=GetDisplayMediaRequiresUserActivation"
MEANS = {
    "denied": ("--use-fake-ui-for-media-stream=deny", "is blocked for this page"),
    "not_found": ("--use-fake-device-for-media-stream=device-count=0", "There is no camera"),
}

# a stub: devices of these ids are not there any more, and those that were live have ended. The second camera never is there:
# it gives MJPEG, which this browser can encode with a GPU only
PLUGS = """
globalThis.lknbGone = new Set();
const devices = navigator.mediaDevices;
const list = devices.enumerateDevices.bind(devices);
const take = devices.getUserMedia.bind(devices);
const isThere = ({ deviceId, label }) => !lknbGone.has(deviceId) && label !== "fake_device_1";
devices.enumerateDevices = async () => (await list()).filter(isThere);
devices.getUserMedia = async (asked) => {
  if (!asked.video) return take(asked);
  const there = (await devices.enumerateDevices()).filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
  const wanted = asked.video.deviceId?.exact ?? there[0];
  if (!wanted) throw new DOMException("stub", "NotFoundError");
  if (!there.includes(wanted)) throw new OverconstrainedError("deviceId", "");
  return take({ ...asked, video: { ...asked.video, deviceId: { exact: wanted } } });
};
globalThis.lknbUnplug = (id) => {
  lknbGone.add(id);
  for (const track of lknbTracks) {
    if (track.readyState !== "live" || track.getSettings().deviceId !== id) continue;
    track.stop();
    track.dispatchEvent(new Event("ended"));
  }
  devices.dispatchEvent(new Event("devicechange"));
};
globalThis.lknbPlug = (id) => {
  lknbGone.delete(id);
  devices.dispatchEvent(new Event("devicechange"));
};
0;
"""
HEARD = """
heard = []
room.on("media_devices_changed", lambda: heard.append(["changed"]))
room.on("media_devices_error", lambda error: heard.append(["error", error.kind, error.reason]))
room.on("active_device_changed", lambda kind, device_id: heard.append([kind, device_id]))
"""


@contextmanager
def open_studio(lab: JupyterLab, outside: Outside, server: Server, *flags: str) -> Iterator[Studio]:
    """A studio in a browser of its own, with these flags."""
    with lab.another_browser(*flags) as browser:
        notebook = lab.open(["pass"] * 4, context=browser.new_context(viewport=SIZE))
        with Studio(notebook, outside, server) as studio:
            yield studio
        notebook.close()


@pytest.mark.parametrize("reason", MEANS)
def test_the_person_is_told_and_so_is_the_program(
    lab: JupyterLab, outside: Outside, server: Server, reason: str
) -> None:
    flag, words = MEANS[reason]
    with open_studio(lab, outside, server, flag) as studio:
        studio.press("camera")
        wait_until_sync(lambda: words in studio.bar()["fault"], 20, what="the page says so")
        told = studio.run(
            "heard = []\nroom.on('media_devices_error', heard.append)\n"
            "try:\n    await asyncio.wait_for(me.set_camera_enabled(True), 20)\n"
            "except lknb.errors.MediaDevicesError as error:\n"
            "    print(error.kind, error.reason, heard == [error], error)"
        )
        assert told.startswith(f"camera {reason} True ")
        assert words in told
        assert studio.bar()["states"] == {"microphone": "off", "camera": "off", "screen": "off"}
        assert studio.live() == []
        assert studio.value("len(me.track_publications)") == 0
        if reason == "denied":
            studio.press("screen")
            wait_until_sync(lambda: "screen is not shared" in studio.bar()["fault"], 20, what="nor a screen")


class Idle:
    """A page that is looked at without a click: what playwright asks of a page counts as one, and lasts for five seconds."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._session = studio.notebook.context.new_cdp_session(studio.notebook.page)

    def evaluate(self, expression: str) -> Any:
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": False}
        return self._session.send("Runtime.evaluate", asked)["result"].get("value")

    def share_from_a_cell(self) -> None:
        """Run the cell that wants a screen, once no click is left: a window that is opened uses one up."""
        self.evaluate("navigator.userActivation.isActive && open('about:blank').close()")
        wait_until_sync(lambda: not self.evaluate("navigator.userActivation.isActive"), what="no click is left")
        notebook = "jupyterapp.shell.currentWidget.content"
        self.evaluate(f"{notebook}.activeCellIndex = 3; void jupyterapp.commands.execute('notebook:run-cell'); 0")

    def asks(self) -> bool:
        return bool(self.evaluate("!document.querySelector('.lknb-bar-ask').hidden"))

    def ends(self, how: str) -> None:
        text = "jupyterapp.shell.currentWidget.content.widgets[3].model.outputs.toJSON()[0]?.text ?? ''"
        wait_until_sync(lambda: how in self.evaluate(text), 20, what=lambda: f"the cell says {self.evaluate(text)}")
        assert not self.asks()


SHARE = """
try:
    shared = await me.set_screen_share_enabled(True)
    print("shared", shared.muted)
except lknb.errors.MediaDevicesError as error:
    print(error.kind, error.reason, error)
"""


def test_a_screen_that_a_cell_asks_for_without_a_click(lab: JupyterLab, outside: Outside, server: Server) -> None:
    with open_studio(lab, outside, server, WANTS_CLICK) as studio:
        idle = Idle(studio)
        page = studio.notebook.page
        page.evaluate(
            "(source) => jupyterapp.shell.currentWidget.content.widgets[3].model.sharedModel.setSource(source)", SHARE
        )
        # nobody clicks: a minute is half a second here
        page.evaluate(
            "() => { globalThis.lknbWait = setTimeout;"
            " globalThis.setTimeout = (run, ms, ...given) => lknbWait(run, ms === 60_000 ? 500 : ms, ...given) }"
        )
        idle.share_from_a_cell()
        wait_until_sync(idle.asks, what="the bar asks for a click")
        idle.ends("screen needs_click")
        assert idle.evaluate("document.querySelector('.lknb-bar-fault').textContent").startswith("The browser wants a")
        idle.evaluate("globalThis.setTimeout = lknbWait; 0")
        # the person says no
        idle.share_from_a_cell()
        wait_until_sync(idle.asks, what="the bar asks for a click")
        page.locator(".lknb-bar-ask button", has_text="Not now").click()
        idle.ends("screen denied")
        assert studio.value("len(me.track_publications)") == 0
        # and yes
        idle.share_from_a_cell()
        wait_until_sync(idle.asks, what="the bar asks for a click")
        page.locator(".lknb-bar-ask button", has_text="Share screen").click()
        idle.ends("shared False")
        wait_until_sync(lambda: studio.bar()["states"]["screen"] == "on", what="it is shared")
        studio.wait_for_bar(live=True)
        assert studio.bar()["fault"] == ""
        # the picture alone, as the call asked
        assert studio.value("len(me.track_publications)") == 1
        studio.outside.call(studio.guest.wait_video(studio.value("shared.sid"), lambda seen: seen.frames > 2))


def test_devices_come_and_go(lab: JupyterLab, outside: Outside, server: Server) -> None:
    with open_studio(lab, outside, server, "--use-fake-device-for-media-stream=device-count=3,fps=30") as studio:
        page = studio.notebook.page
        page.evaluate(PLUGS)
        studio.run(HEARD)
        studio.notebook.run(3, "picker = lknb.DevicePicker(room)\npicker")
        camera = studio.publish("me.set_camera_enabled(True)")
        studio.sees(camera, 1280)
        first, second = (it["device_id"] for it in cameras(studio))
        wait_until_sync(lambda: studio.value("heard") == [["camera", first]], what="it is told which is used")

        def menus() -> list[list[str]]:
            found: list[list[str]] = page.evaluate(
                "['.lknb-bar-device[data-device=camera] select', '.lknb-preview-menu'].map((menu) =>"
                " [...document.querySelector(menu).options].map(({ value }) => value))"
            )
            return found

        def unplug(device_id: str) -> None:
            page.evaluate("(id) => lknbUnplug(id)", device_id)

        def plug(device_id: str) -> None:
            page.evaluate("(id) => lknbPlug(id)", device_id)

        wait_until_sync(lambda: menus() == [[first, second]] * 2, what="both menus have both")
        unplug(second)
        wait_until_sync(lambda: menus() == [[first]] * 2, what="one is gone")
        wait_until_sync(lambda: studio.value("heard")[1:] == [["changed"]], what="the room tells, once")
        assert [it["device_id"] for it in cameras(studio)] == [first]
        plug(second)
        wait_until_sync(lambda: menus() == [[first, second]] * 2, what="both are there again")
        # nobody chose the one that is live: another one takes over
        studio.run("heard.clear()")
        unplug(first)
        wait_until_sync(lambda: ["camera", second] in studio.value("heard"), what="the other one is in use")
        count = studio.frames(camera)
        wait_until_sync(lambda: studio.frames(camera) > count + 5, 20, what="the picture goes on")
        assert "This page goes on with" in studio.bar()["fault"]
        studio.wait_for_bar(states={"microphone": "off", "camera": "on", "screen": "off"}, live=True)
        assert studio.live() == ["video"]
        assert outside.call(studio.guest.events("track_muted")) == []
        # the one that was chosen: nothing takes its place
        plug(first)
        studio.run(f"await me.switch_active_device('camera', {first!r})")
        wait_until_sync(lambda: studio.value("me.get_active_device('camera')") == first, what="switched")
        assert studio.bar()["fault"] == ""
        studio.run("heard.clear()")
        unplug(first)
        outside.call(studio.guest.wait_event("track_muted", track_sid=camera))
        wait_until_sync(lambda: ["error", "camera", "ended"] in studio.value("heard"), what="the program is told")
        assert studio.bar()["fault"].startswith("The camera is gone")
        studio.wait_for_bar(states={"microphone": "off", "camera": "muted", "screen": "off"}, live=False)
        assert studio.live() == []
        assert studio.value(f"me.track_publications[{camera!r}].muted") is True
        # a click says again what is wrong, and nobody else is told of a camera that is not there
        studio.press("camera")
        wait_until_sync(lambda: "not connected any more" in studio.bar()["fault"], 20, what="and again")
        assert (studio.bar()["states"]["camera"], studio.bar()["live"]) == ("muted", False)
        assert outside.call(studio.guest.events("track_unmuted")) == []
        # another one, by the program
        studio.run(f"await me.switch_active_device('camera', {second!r})")
        assert studio.publish("me.set_camera_enabled(True)") == camera
        count = studio.frames(camera)
        wait_until_sync(lambda: studio.frames(camera) > count + 5, 20, what="the picture is back")
        studio.wait_for_bar(states={"microphone": "off", "camera": "on", "screen": "off"}, fault="")
        assert studio.live() == ["video"]


def cameras(studio: Studio) -> list[dict[str, str]]:
    found: list[dict[str, str]] = studio.value(
        "[{'device_id': it.device_id} for it in await lknb.devices() if it.kind == 'camera']"
    )
    return found


def take_back(studio: Studio, *devices: str) -> None:
    """As when the person blocks these for the page, one straight after the other."""
    session = studio.notebook.context.new_cdp_session(studio.notebook.page)
    target = session.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
    browser = studio.notebook.context.browser
    assert browser is not None
    for name in devices:
        denied = {"permission": {"name": name}, "setting": "denied", "browserContextId": target}
        browser.new_browser_cdp_session().send("Browser.setPermission", denied)


@pytest.fixture
def once(lab: JupyterLab, outside: Outside, server: Server) -> Iterator[Studio]:
    """A studio whose permissions may be changed: nothing else uses its context."""
    notebook = lab.open(["pass"] * 4, context=lab.browser.new_context(viewport=SIZE))
    with Studio(notebook, outside, server) as studio:
        yield studio
    notebook.close()


def test_a_permission_that_is_taken_back_while_live(once: Studio, outside: Outside) -> None:
    studio = once
    studio.run(HEARD + "camera, microphone = await asyncio.wait_for(me.enable_camera_and_microphone(), 20)")
    camera, microphone = studio.value("[camera.sid, microphone.sid]")
    studio.sees(camera, 1280)
    began = time.monotonic()
    # with the first one Chromium ends both, as they were one question: the page takes the other one again meanwhile
    take_back(studio, "camera", "microphone")
    for sid in (camera, microphone):
        outside.call(studio.guest.wait_event("track_muted", track_sid=sid))
    assert time.monotonic() - began < 4
    assert studio.live() == []
    studio.wait_for_bar(states={"microphone": "muted", "camera": "muted", "screen": "off"}, live=False)
    assert "blocked for this page" in studio.bar()["fault"]

    def told() -> Any:
        return sorted(it for it in studio.value("heard") if it[0] == "error")

    both = [["error", "camera", "denied"], ["error", "microphone", "denied"]]
    wait_until_sync(lambda: told() == both, what=lambda: f"the program is told of both, not {told()}")


def test_a_camera_whose_permission_is_taken_back_leaves_the_microphone(once: Studio, outside: Outside) -> None:
    studio = once
    studio.run(HEARD + "camera, microphone = await asyncio.wait_for(me.enable_camera_and_microphone(), 20)")
    camera, microphone = studio.value("[camera.sid, microphone.sid]")
    used = studio.value("me.get_active_device('microphone')")
    studio.run("heard.clear()")
    take_back(studio, "camera")
    outside.call(studio.guest.wait_event("track_muted", track_sid=camera))
    wait_until_sync(lambda: studio.live() == ["audio"], what="Chromium may end both; one is taken again")
    count = studio.packets(microphone)
    wait_until_sync(lambda: studio.packets(microphone) > count + 20, 20, what="the sound goes on")
    studio.wait_for_bar(states={"microphone": "on", "camera": "muted", "screen": "off"}, live=True)
    assert studio.bar()["fault"].startswith("The camera is blocked for this page")
    wait_until_sync(lambda: studio.value("heard") == [["error", "camera", "denied"]], what="that alone is told")
    assert studio.value("me.get_active_device('microphone')") == used
    assert outside.call(studio.guest.events("track_muted", track_sid=microphone)) == []


# stubs: a microphone that may not be used, and a device that the browser takes away
DENY_MICROPHONE = """
globalThis.lknbTake = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (asked) =>
  asked.audio ? Promise.reject(new DOMException("stub", "NotAllowedError")) : lknbTake(asked);
globalThis.lknbQuery = navigator.permissions.query.bind(navigator.permissions);
navigator.permissions.query = async (asked) => (asked.name === "microphone" ? { state: "denied" } : lknbQuery(asked));
0;
"""
ALLOW_MICROPHONE = """
navigator.mediaDevices.getUserMedia = lknbTake;
navigator.permissions.query = lknbQuery;
0;
"""
TAKE_AWAY = """(kind) => {
  const track = lknbTracks.find((it) => it.kind === kind && it.readyState === "live");
  track.stop();
  track.dispatchEvent(new Event("ended"));
}"""
PREVIEW = """() => {
  const preview = document.querySelector(".lknb-preview");
  const [fault, button] = [".lknb-bar-fault", ".lknb-bar-button"].map((it) => preview.querySelector(it));
  return [preview.dataset.live, fault.hidden ? "" : fault.textContent, button.textContent];
}"""


def test_a_preview_keeps_the_device_that_is_not_at_fault(studio: Studio) -> None:
    page = studio.notebook.page
    page.evaluate(DENY_MICROPHONE)
    studio.notebook.run(3, "preview = lknb.CameraPreview()\npreview")
    wait_until_sync(lambda: studio.live() == ["video"], 20, what="the picture is there all the same")
    wait_until_sync(lambda: page.evaluate(PREVIEW)[1] != "", what="what is wrong is said")
    wait_until_sync(lambda: page.evaluate(PREVIEW)[::2] == ["true", "Stop the camera"], what="and that it is live")
    _, fault, _ = page.evaluate(PREVIEW)
    assert fault.startswith("The microphone is blocked for this page")
    assert "camera" not in fault
    page.evaluate(ALLOW_MICROPHONE)
    start = page.locator(".lknb-preview .lknb-bar-button")
    start.click()
    wait_until_sync(lambda: studio.live() == [], what="let go of")
    start.click()
    wait_until_sync(lambda: studio.live() == ["audio", "video"], 20, what="both are there")
    wait_until_sync(lambda: page.evaluate(PREVIEW) == ["true", "", "Stop the camera"], what="and it says so")
    page.evaluate(TAKE_AWAY, "video")
    wait_until_sync(lambda: page.evaluate(PREVIEW)[1].startswith("The camera is gone"), what="it is said")
    wait_until_sync(lambda: page.evaluate(PREVIEW)[::2] == ["false", "Stop the microphone"], what="the other goes on")
    assert studio.live() == ["audio"]
    page.evaluate(TAKE_AWAY, "audio")
    wait_until_sync(lambda: "The microphone is gone" in page.evaluate(PREVIEW)[1], what="so is the other")
    assert "The camera is gone" in page.evaluate(PREVIEW)[1]
    wait_until_sync(lambda: page.evaluate(PREVIEW)[::2] == ["false", "Show my camera"], what="nothing is shown")
    start.click()
    wait_until_sync(lambda: studio.live() == ["audio", "video"], 20, what="and anew")
    wait_until_sync(lambda: page.evaluate(PREVIEW) == ["true", "", "Stop the camera"], what="and it says so")


# a stub: Workers from now on have encoders that fail at every picture but small ones, after they said that they can
BREAK_ENCODERS = """
const stub = `self.VideoEncoder = class extends VideoEncoder {
  constructor(init) { super(init); this.tell = init.error; }
  configure(config) { super.configure(config); this.width = config.width; }
  encode(frame, options) {
    if (this.width <= 320) return super.encode(frame, options);
    this.close();
    queueMicrotask(() => this.tell(new DOMException("stub", "OperationError")));
  }
};\\n`;
globalThis.Blob = class extends Blob {
  constructor(parts, options) { super(options?.type === "text/javascript" ? [stub, ...parts] : parts, options); }
};
0;
"""


def test_an_encoder_that_fails_for_good_ends_the_publication(studio: Studio, outside: Outside) -> None:
    page = studio.notebook.page
    page.evaluate(BREAK_ENCODERS)
    page.locator(".lknb-bar-leave").click()
    page.locator(".lknb-bar-join").click()
    wait_until_sync(lambda: studio.bar()["status"] == "", 20, what="the page has a Worker with the stub")
    studio.run("me = room.local_participant\n" + HEARD)
    camera = studio.publish("me.set_camera_enabled(True)")
    outside.call(studio.guest.wait_event("track_unpublished", track_sid=camera, deadline_s=20))
    assert studio.bar()["fault"].startswith("This browser fails to encode the camera as ")
    assert "video_codec=rtc.VideoCodec." in studio.bar()["fault"]
    # those outside may know it sooner than the program
    wait_until_sync(lambda: ["error", "camera", "unsupported"] in studio.value("heard"), what="the program is told")
    wait_until_sync(lambda: studio.value("len(me.track_publications)") == 0, what="nothing is published")
    wait_until_sync(lambda: studio.live() == [], what="the device is free")
    studio.wait_for_bar(states={"microphone": "off", "camera": "off", "screen": "off"}, live=False)


def test_a_preview_whose_permission_is_taken_back_lets_go(once: Studio) -> None:
    once.notebook.run(3, "preview = lknb.CameraPreview()\npreview")
    page = once.notebook.page
    fault = page.locator(".lknb-preview .lknb-bar-fault")
    button = page.locator(".lknb-preview .lknb-bar-button")
    wait_until_sync(lambda: sorted(once.live()) == ["audio", "video"], 20, what="it shows")
    take_back(once, "camera")
    wait_until_sync(lambda: once.live() == ["audio"], what="the microphone goes on, the camera does not")
    wait_until_sync(lambda: "camera is blocked for this page" in fault.inner_text(), what="the person is told")
    assert "microphone" not in fault.inner_text()
    wait_until_sync(lambda: button.text_content() == "Stop the microphone", what="what goes on can be stopped")
    take_back(once, "microphone")
    wait_until_sync(lambda: once.live() == [], what="nothing is open any more")
    wait_until_sync(lambda: "microphone is blocked" in fault.inner_text(), what="the person is told of both")
    assert "camera is blocked" in fault.inner_text()
    wait_until_sync(lambda: button.text_content() == "Show my camera", what="it can be asked for again")
