"""What is captured ends with its page and with its kernel, and nothing of it is left anywhere."""

from __future__ import annotations

import os
import time
from typing import Any

import psutil

from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.widgets.studio import SET_UP, SPY, Studio

RELOADS = int(os.environ.get("LKNB_TEST_RELOADS", "8"))
"""LKNB_TEST_RELOADS=20 takes a minute."""
HELD = """
import comm as _comm
from lknb.widgets import comm_lane as _lanes
def held():
    core = room._core.client
    return [len(_comm.get_comm_manager().comms), len(_lanes._open), len(core._listeners), len(core._pending)]
"""


def ghosts(studio: Studio) -> Any:
    """What the official client outside still knows as published."""
    return studio.outside.call(studio.guest.tracks())


def test_a_page_that_is_reloaded_again_and_again(studio: Studio, record_property: Any) -> None:
    studio.run(HELD)
    studio.notebook.save()
    # with nothing asked of the core that it has still to answer
    held = wait_until_sync(lambda: (now := studio.value("held()"))[-1] == 0 and now, what="the core has answered")
    core = psutil.Process(studio.value("room._core.client.pid"))
    lanes = open_lanes(core)
    assert lanes == 1
    descriptors = core.num_fds()
    took_s = []
    for _ in range(RELOADS):
        camera = studio.publish("me.set_camera_enabled(True)")
        studio.outside.call(studio.guest.wait_video(camera, lambda seen: seen.frames > 2))
        assert studio.live() == ["video"]
        began = time.monotonic()
        studio.notebook.load()
        gone = studio.outside.call(studio.guest.wait_event("track_unpublished", track_sid=camera))
        took_s.append(gone.at_s - began)
        assert ghosts(studio) == {}
        studio.notebook.page.wait_for_selector(".lknb-bar")
        studio.notebook.page.evaluate(SPY)
        wait_until_sync(lambda: studio.bar()["status"] == "", 20, what="the page has a lane")
        studio.wait_for_bar(states={"microphone": "off", "camera": "off", "screen": "off"}, live=False)
        assert studio.live() == []
        # the kernel hears of the old page's end by itself, later than those outside may
        wait_until_sync(
            lambda: studio.value("[len(me.track_publications), held()]") == [0, held],
            what="nothing of the old page is left",
        )
        wait_until_sync(lambda: open_lanes(core) == lanes, what="one lane, that of the new page")
    record_property("evidence", f"{RELOADS} reloads: gone for others after {', '.join(f'{it:.2f}' for it in took_s)} s")
    assert max(took_s) < 2 * TIME_FACTOR
    wait_until_sync(lambda: core.num_fds() <= descriptors, what="the core holds no descriptor more")


def open_lanes(core: psutil.Process) -> int:
    """Websockets of pages that are open in the core."""
    ports = {it.laddr.port for it in core.net_connections("tcp") if it.status == psutil.CONN_LISTEN}
    return sum(it.status == psutil.CONN_ESTABLISHED and it.laddr.port in ports for it in core.net_connections("tcp"))


def test_a_kernel_that_ends_frees_all_devices(studio: Studio, record_property: Any) -> None:
    page = studio.notebook.page
    ends = ("restarted", "killed", "restarted")
    took = []
    for number, end in enumerate(ends):
        if number:
            token = studio.server.token("me", studio.room)
            studio.notebook.run(0, SET_UP.format(url=studio.server.url, token=token))
            wait_until_sync(lambda: studio.bar()["status"] == "", 20, what="the page has a lane")
        camera = studio.publish("me.set_camera_enabled(True)")
        studio.outside.call(studio.guest.wait_video(camera, lambda seen: seen.frames > 2))
        studio.notebook.run(3, "import os\npreview = lknb.CameraPreview()\npreview")
        wait_until_sync(lambda: len(studio.live()) == 3, 20, what="the preview has its own")
        kernel, core = studio.value("[os.getpid(), room._core.client.pid]")
        began = time.monotonic()
        if end == "killed":
            psutil.Process(kernel).kill()
        else:
            page.evaluate("void jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        # the bar's lane closes with the core; for the preview Jupyter has to notice, which looks every three seconds
        wait_until_sync(lambda: len(studio.live()) <= 2, what="the bar's camera is free")
        bar_s = time.monotonic() - began
        wait_until_sync(lambda: studio.live() == [], what="and what the preview has")
        took.append((end, bar_s, time.monotonic() - began))
        studio.outside.call(studio.guest.wait_event("track_unpublished", track_sid=camera))
        assert ghosts(studio) == {}
        wait_until_sync(lambda: "The kernel is gone" in studio.bar()["status"], what="the bar says so")
        fault = page.locator(".lknb-preview .lknb-bar-fault")
        wait_until_sync(
            lambda fault=fault: fault.text_content() == "The kernel is goneRun the cell again.",
            what="so does the preview",
        )
        wait_until_sync(
            page.locator(".lknb-preview .lknb-bar-button").is_disabled, what="and its button can do nothing"
        )
        wait_until_sync(lambda core=core: not psutil.pid_exists(core), what="the core went with its kernel")
        page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'")
    told = [f"{end}: bar {bar_s:.2f} s, preview {preview_s:.2f} s" for end, bar_s, preview_s in took]
    record_property("evidence", "; ".join(told))
    assert max(bar_s for _, bar_s, _ in took) < 2 * TIME_FACTOR
    assert max(preview_s for end, _, preview_s in took if end == "restarted") < 2 * TIME_FACTOR
    assert max(preview_s for _, _, preview_s in took) < 10 * TIME_FACTOR
