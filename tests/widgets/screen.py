"""One notebook with video views, as tests of the browser see it; tracks are known colours from `tests.kit.fake_core`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.fake_core import QUARTERS
from tests.kit.jupyterlab import Notebook
from tests.kit.poll import wait_until_sync

SET_UP = """
import time, ipywidgets
from tests.kit.fake_core import FakeCore
from lknb.widgets import VideoView
core = FakeCore()
views, tracks = [], 0
def show(**about):
    "A new track, and a view of it."
    global track, view, tracks
    tracks += 1
    options = {name: about.pop(name) for name in ("fit", "mirror", "layout") if name in about}
    track = core.track(f"TR_{tracks}", **{"participant_name": "Alice", **about})
    view = VideoView(track, **options)
    views.append(view)
    return view
"""
# a box that outlives its children keeps ipywidgets from restoring anything after a reload
CLEAN_UP = "while views: views.pop().close()"

KEYFRAME_ROUNDS = 3
PROBE = """
window.lknbProbe = {
  tiles: () => [...document.querySelectorAll('.lknb-video')],
  // mean colours of a 6 x 6 patch of each quarter of what a tile's canvas shows, at this part of the quarter's width
  quarters: (index, part) => {
    const canvas = lknbProbe.tiles()[index].querySelector('canvas');
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy.drawImage(canvas, 0, 0);
    return [[0, 1], [1, 1], [0, 3], [1, 3]].map(([x, y]) => {
      const data = copy.getImageData(canvas.width * (x + part) / 2 - 3, canvas.height * y / 4 - 3, 6, 6).data;
      return [0, 1, 2].map((channel) => {
        let sum = 0;
        for (let at = channel; at < data.length; at += 4) sum += data[at];
        return Math.round(sum / 36);
      });
    });
  },
  // where the grey bar is, in a row of the red quarter and the green one
  bar: (index) => {
    const canvas = lknbProbe.tiles()[index].querySelector('canvas');
    const copy = new OffscreenCanvas(canvas.width, 1).getContext('2d');
    copy.drawImage(canvas, 0, -8);
    const data = copy.getImageData(0, 0, canvas.width, 1).data;
    for (let x = 0; x < canvas.width; x += 1) if (data[4 * x + 2] > 80) return x;
    return -1;
  },
  watch: (index) => {
    const seen = new Set();
    lknbProbe.watched = seen;
    lknbProbe.timer = setInterval(() => seen.add(lknbProbe.bar(index)), 15);
  },
};
"""


class Screen:
    """What the tests ask of one notebook."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.page.evaluate(PROBE)

    def run(self, source: str, cell: int = 1) -> list[Any]:
        return self.notebook.run(cell, source)

    def value(self, expression: str) -> Any:
        return self.notebook.value(2, expression)

    def wait_for_value(self, expression: str, wanted: Any) -> None:
        """Until the kernel has it so: what a page shows it hears of later."""
        wait_until_sync(
            lambda: self.value(expression) == wanted,
            what=lambda: f"{expression} is {self.value(expression)}, not {wanted}",
        )

    def states(self) -> list[str]:
        return list(self.page.evaluate("lknbProbe.tiles().map((tile) => tile.dataset.state)"))

    def words(self, index: int = 0) -> str:
        return str(self.page.evaluate("(index) => lknbProbe.tiles()[index].innerText", index)).strip()

    def wait_for(self, *states: str, deadline_s: float = 15.0) -> None:
        try:
            wait_until_sync(lambda: self.states() == list(states), deadline_s)
        except AssertionError:
            shown = self.page.evaluate("[...document.querySelectorAll('.jp-OutputArea')].map((area) => area.innerText)")
            pytest.fail(
                f"tiles are {self.states()}, not {list(states)}; outputs {shown}; console {self.notebook.console}"
            )

    def shows(self, index: int = 0, quarters: Any = QUARTERS) -> bool:
        """Whether the tile shows these colours, give or take what a codec changes. The bar hides one place or the other."""
        for part in (0.25, 0.75):
            shown = self.page.evaluate("([index, part]) => lknbProbe.quarters(index, part)", [index, part])
            if all(
                abs(a - b) <= 45
                for one, two in zip(shown, quarters, strict=True)
                for a, b in zip(one, two, strict=True)
            ):
                return True
        return False

    def wait_for_picture(self, index: int = 0, quarters: Any = QUARTERS) -> None:
        wait_until_sync(lambda: self.shows(index, quarters), what="the picture has the colours of the track")

    def wait_for_motion(self, index: int = 0, places: int = 15) -> None:
        """Until the moving bar has been seen in so many places."""
        self.page.evaluate("(index) => lknbProbe.watch(index)", index)
        try:
            wait_until_sync(lambda: self.page.evaluate("lknbProbe.watched.size") >= places, what="the picture moves")
        finally:
            self.page.evaluate("clearInterval(lknbProbe.timer)")

    def wait_for_frames(self, expression: str, count: int) -> None:
        """Until so many more are in a list of the page to which each of its frames adds one."""
        before = self.page.evaluate(f"{expression}.length")
        wait_until_sync(
            lambda: self.page.evaluate(f"{expression}.length") >= before + count, what="the page paints frames"
        )

    def acknowledges(self) -> None:
        """Whether acks return: many more frames are shown than fit into the window, and without acks each window would cost a
        key frame. A machine that stands still for half a second costs one as well, but not several each time."""
        asked = []
        for _ in range(KEYFRAME_ROUNDS):
            before = self.value("track.stats()['keyframe_requests']")
            self.wait_for_motion(places=40)
            asked.append(self.value("track.stats()['keyframe_requests']") - before)
            if asked[-1] <= 1:
                return
        pytest.fail(f"key frames asked for while the picture moved to 40 places: {asked}")

    def stands_still(self, index: int = 0) -> bool:
        """Whether the bar does not move for half a second."""
        self.page.evaluate("(index) => lknbProbe.watch(index)", index)
        self.page.wait_for_timeout(500)
        return bool(self.page.evaluate("(clearInterval(lknbProbe.timer), lknbProbe.watched.size === 1)"))

    def kernel_is_busy(self) -> bool:
        status = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
        return bool(self.page.evaluate(f"{status} === 'busy'"))

    def is_running(self, cell: int) -> bool:
        """Whether the cell has not ended, though the kernel may answer others meanwhile and seem idle."""
        prompt = self.notebook.cell(cell).locator(".jp-InputPrompt").inner_text()
        return prompt.strip() == "[*]:"

    def scroll_to(self, part: float) -> None:
        """Scroll the notebook to this part of its height."""
        self.page.evaluate(
            "(part) => { const outer = document.querySelector('.jp-WindowedPanel-outer');"
            " outer.scrollTop = part * outer.scrollHeight }",
            part,
        )

    def reload(self, *, ready: bool = True) -> None:
        self.notebook.save()
        if ready:
            self.notebook.load()
        else:
            self.page.goto(self.notebook.lab.url_of(self.notebook.name))
        self.page.evaluate(PROBE)

    def hide(self, hidden: bool) -> None:
        """As when another tab of the browser is in front; Chromium's driver keeps every page visible."""
        self.page.evaluate(
            "(hidden) => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });"
            " document.dispatchEvent(new Event('visibilitychange')) }",
            hidden,
        )
