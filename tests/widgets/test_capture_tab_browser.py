"""The camera page, a tab of the browser, for a JupyterLab whose Permissions-Policy keeps its pages from all devices.

The policy is a header of the server, so getUserMedia is refused by Chromium itself. VS Code's notebooks are refused in the
same way, in a frame without that permission.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.kit.jupyterlab import PAGE_DEADLINE_MS, JupyterLab, Notebook
from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.widgets.studio import LIVE, SPY, Studio

POLICY = {"Permissions-Policy": "camera=(), microphone=(), display-capture=()"}
TAB = """() => ({
  states: Object.fromEntries(
    [...document.querySelectorAll('.lknb-bar-device')].map((it) => [it.dataset.device, it.dataset.state])),
  fault: document.querySelector('.lknb-bar-fault').textContent, status: document.querySelector('.lknb-bar-status').textContent,
  live: !document.querySelector('.lknb-bar-mark').hidden, title: document.title, room: document.querySelector('h1').textContent,
})"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    with JupyterLab(tmp_path_factory.mktemp("forbidden"), headers=POLICY) as lab:
        # there before the first test, and so not left behind by it
        assert lab.browser.is_connected()
        yield lab


@pytest.fixture
def notebook(lab: JupyterLab) -> Iterator[Notebook]:
    """Its page says on the console what it may not do."""
    opened = lab.open(["pass"] * 4)
    yield opened
    opened.close()


class Tab:
    """The camera page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(PAGE_DEADLINE_MS)
        page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.wait_for_selector(".lknb-bar")
        page.evaluate(SPY)

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.page.evaluate(TAB)
        return shown

    def press(self, device: str) -> None:
        self.page.locator(f".lknb-bar-device[data-device={device}] .lknb-bar-button").click()

    def live(self) -> list[str]:
        found: list[str] = self.page.evaluate(LIVE)
        return found


def open_tab(studio: Studio) -> Tab:
    link = studio.notebook.page.locator(".lknb-bar-open[href]")
    link.wait_for()
    with studio.notebook.context.expect_page() as opened:
        link.click()
    tab = Tab(opened.value)
    wait_until_sync(lambda: tab.shown()["status"] == "", 20, what="the tab has a lane")
    return tab


def test_a_camera_page_captures_where_the_notebook_may_not(studio: Studio, record_property: Any) -> None:
    refused = studio.notebook.page.evaluate(
        "navigator.mediaDevices.getUserMedia({ video: true }).then(() => '', (error) => error.name)"
    )
    assert refused == "NotAllowedError", "Chromium itself keeps this page from cameras"
    assert "A rule keeps this page from cameras" in studio.bar()["fault"]
    told = studio.run(
        "try:\n    await asyncio.wait_for(me.set_camera_enabled(True), 20)\n"
        "except lknb.errors.MediaDevicesError as error:\n    print(error.kind, error.reason, error)"
    )
    assert told.startswith("camera front_end ")
    assert "“Open camera page”" in told

    tab = open_tab(studio)
    assert tab.shown()["room"] == studio.room
    assert "#" not in tab.page.url, "the ticket is out of the address"
    assert tab.page.evaluate("history.length") <= 2
    assert tab.live() == [], "an open page captures nothing by itself"
    wait_until_sync(lambda: "camera page" in studio.bar()["status"], what="the notebook knows of it")
    wait_until_sync(lambda: studio.bar()["fault"] == "", what="and there is no fault any more")

    tab.press("camera")
    wait_until_sync(lambda: studio.bar()["states"]["camera"] == "on", 20, what="a click in the tab publishes")
    wait_until_sync(lambda: tab.shown()["states"]["camera"] == "on", what="the tab says so")
    camera = studio.published("CAMERA")
    seen = studio.sees(camera, 1280)
    assert (seen.codec, seen.height) == ("h264", 720)
    assert seen.colour[1] > seen.colour[0] + 50, seen.colour
    # and a cell of the notebook reaches the tab
    microphone = studio.publish("me.set_microphone_enabled(True)")
    heard = studio.outside.call(studio.guest.wait_audio(microphone, lambda report: report.level > 0.02, deadline_s=20))
    assert heard.codec == "opus"
    assert tab.live() == ["audio", "video"]
    wait_until_sync(lambda: tab.shown()["live"], what="the tab has a mark")
    tab.page.wait_for_function("document.querySelector('.lknb-tab-video').videoWidth === 1280")
    kinds = studio.value("sorted({device.kind for device in await lknb.devices()})")
    assert {"camera", "microphone"} <= set(kinds)

    # the buttons of the notebook are those of the tab
    wait_until_sync(lambda: studio.bar()["states"]["camera"] == "on", what="the notebook says so")
    studio.wait_for_bar(live=True)
    studio.press("camera")
    studio.outside.call(studio.guest.wait_event("track_muted", track_sid=camera))
    wait_until_sync(lambda: tab.live() == ["audio"], what="the light is off")
    studio.press("camera")
    studio.outside.call(studio.guest.wait_event("track_unmuted", track_sid=camera))
    wait_until_sync(lambda: tab.live() == ["audio", "video"], what="and on again")

    began = time.monotonic()
    tab.page.close()
    for sid in (camera, microphone):
        studio.outside.call(studio.guest.wait_event("track_unpublished", track_sid=sid, deadline_s=10))
    took_s = time.monotonic() - began
    record_property("evidence", f"the wheel knew {took_s:.2f} s after the tab was closed")
    assert took_s < 2
    wait_until_sync(lambda: "A rule keeps" in studio.bar()["fault"], what="the notebook offers the page again")
    assert tab.problems == []
    href = studio.notebook.page.locator(".lknb-bar-open[href]").get_attribute("href")
    assert href is not None
    ticket = href.partition("#")[2]
    assert len(ticket) == 32
    studio.notebook.save()
    assert ticket not in studio.notebook.path.read_text()


def test_a_camera_page_that_is_reloaded_comes_back_and_a_link_works_once(studio: Studio) -> None:
    link = studio.notebook.page.locator(".lknb-bar-open[href]")
    link.wait_for()
    used = link.get_attribute("href")
    tab = open_tab(studio)
    camera = studio.publish("me.set_camera_enabled(True)")
    studio.sees(camera, 1280)
    tab.page.reload()
    studio.outside.call(studio.guest.wait_event("track_unpublished", track_sid=camera))
    tab = Tab(tab.page)
    wait_until_sync(lambda: tab.shown()["status"] == "", 20, what="it has a lane again")
    assert tab.live() == []
    camera = studio.publish("me.set_camera_enabled(True)")
    studio.sees(camera, 1280)
    # whoever finds the link in a history
    other = studio.notebook.context.new_page()
    other.goto(used)
    late = Tab(other)
    wait_until_sync(lambda: "used before" in late.shown()["status"], 20, what="it says why it opens nothing")
    assert "Press “Open camera page” in the notebook" in late.shown()["status"]
    other.close()
    assert tab.live() == ["video"], "and the page there is does not notice"
    tab.page.close()


def test_a_camera_page_follows_its_room_and_lets_go_when_the_kernel_dies(studio: Studio) -> None:
    tab = open_tab(studio)
    camera = studio.publish("me.set_camera_enabled(True)")
    studio.sees(camera, 1280)
    tab.page.locator(".lknb-bar-leave").click()
    wait_until_sync(lambda: tab.live() == [], what="the device is free")
    wait_until_sync(lambda: "Not in the room" in tab.shown()["status"], what="it says so")
    token = studio.server.token("me", studio.room)
    studio.run(f"await room.connect({studio.server.url!r}, {token!r}); me = room.local_participant")
    wait_until_sync(lambda: tab.shown()["status"] == "", 20, what="it is in the room again")
    camera = studio.publish("me.set_camera_enabled(True)")
    studio.sees(camera, 1280)
    studio.notebook.page.evaluate("void jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    began = time.monotonic()
    wait_until_sync(lambda: tab.live() == [], what="the device is free")
    assert time.monotonic() - began < 2 * TIME_FACTOR
    studio.outside.call(studio.guest.wait_event("track_unpublished", track_sid=camera))
    wait_until_sync(lambda: "kernel of the notebook is gone" in tab.shown()["status"], 30, what="and why is said")


def test_a_second_camera_page_takes_over_by_a_click(studio: Studio) -> None:
    first = open_tab(studio)
    camera = studio.publish("me.set_camera_enabled(True)")
    studio.sees(camera, 1280)
    # the link in the notebook gives way to the page that is there, so the kernel makes one
    studio.run(
        "import webbrowser\nlinks = []\nwebbrowser.open = links.append\n"
        "bar.tab._request_link(bar.tab._open)\n"
        "async with asyncio.timeout(20):\n    while not links: await asyncio.sleep(0.01)"
    )
    page = studio.notebook.context.new_page()
    page.goto(studio.value("links[0]"))
    second = Tab(page)
    wait_until_sync(
        lambda: second.shown()["states"]["camera"] == "page", 20, what="it knows that another page captures"
    )
    second.press("camera")
    studio.outside.call(studio.guest.wait_event("track_unpublished", track_sid=camera))
    wait_until_sync(lambda: (first.live(), second.live()) == ([], ["video"]), what="handed over")
    second.page.close()
    first.page.close()
