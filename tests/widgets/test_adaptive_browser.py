"""Adaptive stream in a real JupyterLab: what of a camera of the official client arrives while its view is this or that.

Times are printed (`-s`); what is asserted is wide enough for a busy machine. What arrives is counted where it arrives from
the server, in the room core.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.outside import Outside
from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.kit.server import Server
from tests.kit.tabs import TabbedChromium
from tests.kit.token import room_name
from tests.kit.wheel import WheelPeer
from tests.widgets.flow import RECORD, Eye, Flow

STOPS_S = 1.0
APPEARS_S = 0.3
"""What is promised."""
MARGIN = 4 * TIME_FACTOR

SET_UP = """
import lknb
room = await lknb.connect(url={url!r}, token={token!r}, adaptive_stream=True)
track = await room.wait_for_track("studio")
record(room, track.sid, {file!r})
publication = next(iter(room.remote_participants["studio"].track_publications.values()))
"""
VIEW = "view = lknb.VideoView(track, layout={'width': '100%'}); view"
TALL = "from IPython.display import HTML; HTML('<div style=\"height: 3000px\">tall</div>')"
SMALL, MIDDLE, LARGE = "300px", "600px", "900px"
"""Widths of an output, with the prompt beside it, that want layers of 180, 360 and 720 lines."""
FIRST, SECOND, OTHER, TALL_CELL = 1, 2, 3, 4


class Scene:
    """A notebook with a view of a camera in three layers."""

    def __init__(self, notebook: Notebook, file: str) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.flow = Flow(notebook.lab.notebooks / file)
        self.eye = Eye(self.page)

    def style(self, name: str, value: str, cell: int = FIRST) -> None:
        """Of what stands around the output of a cell: the view itself is made anew now and then."""
        self.page.evaluate(
            "([cell, name, value]) => document.querySelectorAll('.jp-Notebook-cell')[cell]"
            ".querySelector('.jp-Cell-outputWrapper').style.setProperty(name, value)",
            [cell, name, value],
        )

    def command(self, name: str) -> None:
        self.notebook.activate(FIRST)
        self.notebook.command(name)

    def scroll_to(self, part: float) -> None:
        self.page.evaluate(
            "(part) => { const outer = document.querySelector('.jp-WindowedPanel-outer');"
            " outer.scrollTop = part * outer.scrollHeight }",
            part,
        )

    def hide(self, what: str, do: Callable[[], Any]) -> None:
        at_s = time.time()
        do()
        after_s = self.flow.stopped_after(at_s)
        print(f"{what}: the last byte after {after_s * 1000:.0f} ms")
        assert after_s < STOPS_S * MARGIN

    def show(self, what: str, do: Callable[[], Any]) -> None:
        self.eye.watch()
        at_s = time.time()
        do()
        after_s = self.eye.seen_after(at_s)
        print(f"{what}: a new picture after {after_s * 1000:.0f} ms")
        assert after_s < APPEARS_S * MARGIN


@pytest.fixture(scope="module")
def room(server: Server) -> Iterator[str]:
    """A room with a camera of 720p in three layers in it, published by the official client."""
    room = room_name()
    with Outside() as outside:
        studio = outside.join(lambda: WheelPeer("studio"), server, room)
        outside.call(studio.publish_video((40, 90, 160), width=1280, height=720, frame_rate=20, simulcast=True))
        yield room


def set_up(notebook: Notebook, server: Server, room: str, identity: str) -> Scene:
    file = f"{identity}.txt"
    notebook.run(0, RECORD + SET_UP.format(url=server.url, token=server.token(identity, room), file=file))
    notebook.run(FIRST, VIEW)
    scene = Scene(notebook, file)
    # the official client begins with the small layer, and sends the large one when it knows the way to be good
    scene.flow.wait_height(720, 60)
    return scene


@pytest.fixture(scope="module")
def shared_scene(lab: JupyterLab, server: Server, room: str) -> Iterator[Scene]:
    notebook = lab.open(["pass"] * 5)
    yield set_up(notebook, server, room, "viewer")
    notebook.run(OTHER, "await room.disconnect()")
    errors = notebook.errors
    notebook.close()
    assert errors == []


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    shared_scene.style("display", "")
    shared_scene.style("width", SMALL)
    shared_scene.notebook.run(FIRST, VIEW)
    shared_scene.flow.wait_height(180)
    return shared_scene


def test_the_size_of_the_view_chooses_the_layer(scene: Scene) -> None:
    for css, size in ((MIDDLE, [640, 360]), (LARGE, [1280, 720]), (SMALL, [320, 180]), (LARGE, [1280, 720])):
        scene.style("width", css)
        after_s = scene.flow.wait_height(size[1])
        wait_until_sync(lambda size=size: scene.eye.size() == size, what=f"a picture of {size} in the canvas")
        print(f"{css} wide: {size[1]} lines arrive after {after_s * 1000:.0f} ms")


def test_what_nobody_sees_is_not_sent_and_is_back_at_once(scene: Scene) -> None:
    scene.hide("collapsed", lambda: scene.command("notebook:hide-cell-outputs"))
    scene.show("opened", lambda: scene.command("notebook:show-cell-outputs"))
    scene.hide("display: none", lambda: scene.style("display", "none"))
    scene.show("displayed", lambda: scene.style("display", ""))
    scene.notebook.run(TALL_CELL, TALL)
    scene.scroll_to(0.0)
    scene.flow.flows()
    scene.hide("scrolled away", lambda: scene.scroll_to(1.0))
    scene.show("scrolled back", lambda: scene.scroll_to(0.0))
    scene.hide("output cleared", lambda: scene.command("notebook:clear-cell-output"))
    scene.notebook.activate(TALL_CELL)
    scene.notebook.command("notebook:clear-cell-output")


def test_of_two_views_the_largest_visible_one_decides(scene: Scene) -> None:
    scene.notebook.run(SECOND, "large = lknb.VideoView(track, layout={'width': '100%'}); large")
    scene.flow.wait_height(720)
    scene.style("display", "none", SECOND)
    scene.flow.wait_height(180)
    scene.style("display", "", SECOND)
    scene.flow.wait_height(720)
    scene.style("display", "none")
    scene.flow.flows_for(1.0)
    assert scene.flow.samples()[-1].height == 720
    scene.hide("both hidden", lambda: scene.style("display", "none", SECOND))
    scene.style("display", "")
    scene.flow.wait_height(180)
    scene.notebook.run(SECOND, "large.close()")


def test_a_busy_cell_does_not_hinder_it(scene: Scene) -> None:
    scene.notebook.run(OTHER, "time.sleep(60)", wait=False)
    busy = scene.notebook.cell(OTHER).locator(".jp-InputPrompt")
    wait_until_sync(lambda: busy.inner_text().strip() == "[*]:")
    scene.hide("hidden while a cell runs", lambda: scene.style("display", "none"))
    scene.show("shown while a cell runs", lambda: scene.style("display", ""))
    scene.style("width", MIDDLE)
    scene.flow.wait_height(360)
    assert busy.inner_text().strip() == "[*]:", "the cell had ended before"
    scene.notebook.command("notebook:interrupt-kernel")
    wait_until_sync(lambda: busy.inner_text().strip() != "[*]:")


def test_set_enabled_comes_before_what_is_seen(scene: Scene) -> None:
    """Both ways, as in livekit-client; it stays said, so nothing of this scene comes after."""
    scene.hide("set_enabled(False)", lambda: scene.notebook.run(OTHER, "publication.set_enabled(False)"))
    scene.style("display", "none")
    scene.page.wait_for_timeout(300)
    scene.style("display", "")
    scene.style("width", MIDDLE)
    at_s = time.time()
    assert scene.flow.stopped_after(at_s, quiet_s=1.0) == 0.0, "not a byte for a view that appears"
    scene.notebook.run(OTHER, "publication.set_enabled(True)")
    scene.flow.wait_height(360)
    scene.style("display", "none")
    scene.flow.wait_height(180)
    scene.flow.flows_for(1.0)


def test_a_tab_in_the_background_gets_nothing(lab: JupyterLab, server: Server, room: str) -> None:
    """A real tab, behind another one, in a browser that nobody drives meanwhile."""
    with TabbedChromium(lab.playwright) as tabs:
        notebook = lab.open(["pass"] * 5, name="tab.ipynb", context=tabs.attach())
        scene = set_up(notebook, server, room, "tabs")
        scene.eye.watch()
        scene.page.evaluate(
            "window.turned = []; document.addEventListener('visibilitychange',"
            " () => turned.push([document.visibilityState, Date.now() / 1000])); 0"
        )
        tab = tabs.tab("tab.ipynb")
        tabs.detach()
        other = tabs.new_tab("about:blank")
        tabs.bring_to_front(other)
        scene.flow.stopped_after(time.time())
        tabs.bring_to_front(tab)
        scene.flow.flows()
        tabs.attach()
        scene.eye.page = tabs.page("tab.ipynb")
        (hidden, gone_s), (visible, back_s) = scene.eye.page.evaluate("turned")
        assert (hidden, visible) == ("hidden", "visible")
        stopped_s = max(it.at_s for it in scene.flow.growths() if it.at_s < back_s) - gone_s
        print(f"tab in the background: the last byte after {stopped_s * 1000:.0f} ms")
        assert stopped_s < STOPS_S * MARGIN
        pictured_s = scene.eye.seen_after(back_s)
        print(f"tab in front: a new picture after {pictured_s * 1000:.0f} ms")
        assert pictured_s < APPEARS_S * MARGIN
