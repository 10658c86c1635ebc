"""`VideoView` in a real JupyterLab in Chromium, on lanes of a core process whose tracks are known colours."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.fake_core import QUARTERS
from tests.kit.jupyterlab import JupyterLab, Notebook
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

LEAST = """
import anywidget
from IPython.display import display
class Least(anywidget.AnyWidget):
    "As small as a widget can be, but for what `Screen.states` looks at."
    _esm = "export default { render({ el }) { el.className = 'lknb-video'; el.dataset.state = 'muted' } };\\n"
"""

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

    def stands_still(self, index: int = 0) -> bool:
        """Whether the bar does not move for half a second."""
        self.page.evaluate("(index) => lknbProbe.watch(index)", index)
        self.page.wait_for_timeout(500)
        return bool(self.page.evaluate("(clearInterval(lknbProbe.timer), lknbProbe.watched.size === 1)"))

    def kernel_is_busy(self) -> bool:
        status = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
        return bool(self.page.evaluate(f"{status} === 'busy'"))

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


@pytest.fixture(scope="module")
def set_up(shared_notebook: Notebook) -> Screen:
    shared_notebook.run(0, SET_UP)
    return Screen(shared_notebook)


@pytest.fixture
def screen(set_up: Screen) -> Iterator[Screen]:
    """The shared notebook; whatever the test shows is closed, and the page has said no error."""
    yield set_up
    set_up.run(CLEAN_UP, 9)
    for cell in range(1, 9):
        set_up.notebook.activate(cell)
        set_up.notebook.command("notebook:clear-cell-output")
    errors = list(set_up.notebook.errors)
    set_up.notebook.console.clear()
    assert errors == []


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_the_picture_is_that_of_the_track_and_flows(screen: Screen, codec: str) -> None:
    screen.run(f"show(codec={codec!r})")
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.wait_for_motion()
    stats = screen.value("track.stats()")
    assert stats["sinks"] == 1
    assert stats["keyframe_requests"] <= 2, "one for the lane, and no lack of another since"
    assert stats["views"] == [{"width": 320, "height": 180, "dpr": 1, "visible": True}]
    assert screen.value("[view.state, view.error, view.muted]") == ["playing", "", False]
    # acks return: far more frames than fit into the window have been shown
    screen.wait_for_motion(places=40)


def test_a_busy_cell_does_not_stop_the_picture(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.notebook.run(3, "end = time.monotonic() + 4\nwhile time.monotonic() < end: pass", wait=False)
    wait_until_sync(screen.kernel_is_busy)
    screen.wait_for_motion(places=20)
    assert screen.kernel_is_busy(), "the cell had ended before the picture moved"


def test_two_views_of_one_widget_and_two_widgets_of_one_track(screen: Screen) -> None:
    screen.run("show()")
    screen.run("twin = VideoView(track, name='Twin', fit='cover', mirror=True); box = ipywidgets.HBox([view, twin])")
    screen.run("views.extend([twin, box]); box", 3)
    screen.run("view")
    screen.wait_for("playing", "playing", "playing")
    for index in range(3):
        screen.wait_for_picture(index)
    assert [screen.words(index) for index in range(3)] == ["Alice", "Alice", "Twin"]
    assert screen.value("track.stats()['sinks']") == 2, "a lane for each widget, not for each view"
    style = (
        "(index) => { const style = getComputedStyle(lknbProbe.tiles()[index].querySelector('canvas'));"
        " return [style.objectFit, style.transform] }"
    )
    assert screen.page.evaluate(style, 0) == ["contain", "none"]
    assert screen.page.evaluate(style, 2) == ["cover", "matrix(-1, 0, 0, 1, 0, 0)"]
    screen.run("view.name = 'Bob'; view.mirror = True", 4)
    wait_until_sync(lambda: screen.words(0) == screen.words(1) == "Bob")
    assert screen.page.evaluate(style, 1) == ["contain", "matrix(-1, 0, 0, 1, 0, 0)"]


def test_a_muted_track_shows_nothing_and_says_so(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.run("track.mute(True)", 3)
    screen.wait_for("muted")
    assert screen.words() == "Video is off\nAlice"
    hidden = "getComputedStyle(lknbProbe.tiles()[0].querySelector('.lknb-video-screen')).visibility"
    assert screen.page.evaluate(hidden) == "hidden"
    wait_until_sync(lambda: screen.value("[view.state, view.muted]") == ["muted", True])
    screen.run("track.mute(False)", 3)
    screen.wait_for("playing")
    screen.wait_for_picture()
    wait_until_sync(lambda: screen.value("[view.state, view.muted]") == ["playing", False])


def test_a_track_without_a_picture_yet_says_that_it_waits(screen: Screen) -> None:
    screen.run("show(); track.hold(True); view")
    screen.wait_for("waiting")
    assert screen.words() == "Waiting for the first picture…\nAlice"
    screen.run("track.hold(False)", 3)
    screen.wait_for("playing")


def test_the_end_is_said_and_leaves_the_last_picture_in_page_and_file(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.run("track.end()", 3)
    screen.wait_for("ended")
    assert screen.words() == "The video has ended\nAlice"
    assert screen.shows()
    wait_until_sync(lambda: screen.value("view.state") == "ended")
    outputs = screen.notebook.save()["cells"][1]["outputs"]
    assert set(outputs[0]["data"]) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}


def test_nothing_moves_or_flickers_when_the_picture_is_stored(screen: Screen) -> None:
    """Each replaced output is rendered again; the canvas goes over from the old view to the new one."""
    screen.run("show()")
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.page.evaluate(
        """() => {
          const frames = (window.lknbFrames = []);
          const look = () => {
            const area = document.querySelectorAll('.jp-Notebook-cell')[1].querySelector('.jp-OutputArea');
            const tile = area.querySelector('.lknb-video');
            const canvas = tile && tile.querySelector('canvas');
            let painted = false;
            if (canvas && canvas.width > 1) {
              const copy = new OffscreenCanvas(2, 2).getContext('2d');
              copy.drawImage(canvas, canvas.width / 4, canvas.height * 3 / 4, 1, 1, 0, 0, 2, 2);
              painted = copy.getImageData(0, 0, 1, 1).data[2] > 80;
            }
            frames.push([area.getBoundingClientRect().height, tile ? tile.dataset.state : area.innerText, painted]);
            if (frames.length < 1000) requestAnimationFrame(look);
          };
          look();
        }"""
    )
    for number in range(3):
        screen.run(f"view._picture._replaced_png = b'{number}'; view._picture.replace()", 3)
        screen.page.wait_for_timeout(200)
    frames = screen.page.evaluate("lknbFrames.splice(0, lknbFrames.length)")
    assert len(frames) > 20
    assert {tuple(frame) for frame in frames} == {(frames[0][0], "playing", True)}
    assert len(screen.states()) == 1, "views that were left are gone from the page"


def test_a_closed_view_leaves_its_picture(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    wait_until_sync(lambda: screen.value("len(view.last_picture)") > 0)
    screen.run("view.close()", 3)
    wait_until_sync(lambda: screen.states() == [])
    image = screen.notebook.cell(1).locator(".jp-RenderedImage img")
    image.wait_for()
    assert image.evaluate("(image) => [image.naturalWidth, image.naturalHeight]") == [320, 180]
    wait_until_sync(lambda: screen.value("track.stats()['sinks']") == 0)


def test_a_reload_finds_the_picture_again(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.reload()
    screen.wait_for("playing")
    screen.wait_for_picture()
    wait_until_sync(lambda: screen.value("track.stats()['sinks']") == 1, what="the old page's lane is gone")
    assert screen.value("view.state") == "playing"


def test_a_reload_under_a_busy_kernel_finds_it_once_the_cell_has_ended(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    # longer than ipywidgets waits for all states at once, so that it asks for each
    screen.notebook.run(3, "time.sleep(7)", wait=False)
    screen.reload(ready=False)
    screen.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length > 0")
    screen.wait_for("playing", deadline_s=30.0)
    screen.wait_for_picture()


def test_a_page_nobody_looks_at_stores_the_picture_and_gets_no_video(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    wait_until_sync(lambda: screen.value("len(view.last_picture)") > 0)
    screen.run("view._picture._replaced_at = float('-inf'); before = view.last_picture", 3)
    screen.hide(True)
    try:
        stored = "view.last_picture != before and view._picture._replaced_png == view.last_picture"
        wait_until_sync(lambda: screen.value(stored))
        wait_until_sync(screen.stands_still, what="no frame is sent any more")
    finally:
        screen.hide(False)
    screen.wait_for_motion()
    assert screen.states() == ["playing"]


def test_a_view_scrolled_out_of_sight_is_paused_and_comes_back(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.run("from IPython.display import HTML; HTML('<div style=\"height: 3000px\">tall</div>')", 3)
    # a cell that runs is scrolled to: one at the bottom asks here, one at the top there
    visible = "[view['visible'] for view in track.stats()['views']]"
    screen.scroll_to(1.0)
    wait_until_sync(lambda: screen.notebook.value(8, visible) == [False])
    assert screen.stands_still(), "what nobody sees is not painted"
    screen.scroll_to(0.0)
    wait_until_sync(lambda: screen.notebook.value(2, visible) == [True])
    screen.wait_for_motion()


def test_a_core_that_died_is_an_end_and_no_riddle(screen: Screen) -> None:
    screen.run("other = FakeCore(); track = other.track('TR_x', participant_name='Bob')", 3)
    screen.run("view = VideoView(track); views.append(view); view")
    screen.wait_for("playing")
    screen.run("other.process.kill(); other.process.wait(); None", 3)
    screen.wait_for("ended")
    assert screen.words() == "The video has ended\nThe room is not connected any more.\nBob"
    wait_until_sync(lambda: screen.value("view.state") == "ended")


def test_a_port_the_page_cannot_reach_is_explained_and_can_be_tried_again(screen: Screen) -> None:
    screen.run("show(layout={'width': '360px'}); track.misdirect(9); view")
    screen.wait_for("error")
    assert "127.0.0.1:9" in screen.words()
    assert "ssh -L 9:127.0.0.1:9" in screen.words()
    wait_until_sync(lambda: screen.value("view.state") == "error")
    assert "127.0.0.1:9" in screen.value("view.error")
    screen.run("track.misdirect(None)", 3)
    screen.page.locator(".lknb-video-retry").focus()
    screen.page.keyboard.press("Enter")
    screen.wait_for("playing")
    wait_until_sync(lambda: screen.value("[view.state, view.error]") == ["playing", ""])


def test_a_hostile_name_is_text(screen: Screen) -> None:
    name = '<img src=x onerror="window.hit=1"></script>\u202e'
    screen.run(f"show(participant_name={name!r})")
    screen.wait_for("playing")
    assert screen.words() == name[:-1] + "\N{REPLACEMENT CHARACTER}"
    assert screen.page.evaluate("lknbProbe.tiles()[0].querySelectorAll('img, script').length") == 0
    assert screen.page.evaluate("window.hit") is None


def test_it_is_named_for_those_who_do_not_see_it(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    assert screen.page.get_by_role("group", name="Video of Alice").count() == 1
    assert screen.page.get_by_role("img", name="Picture of Alice").count() == 1
    screen.run("track.mute(True)", 3)
    screen.wait_for("muted")
    assert screen.page.locator(".lknb-video [role=status]").inner_text() == "Video is off"
    assert screen.page.get_by_role("img", name="Picture of Alice").count() == 0


def test_the_box_has_the_shape_of_the_track_from_the_start(screen: Screen) -> None:
    screen.run("show(width=240, height=320); track.hold(True); view")
    screen.wait_for("waiting")
    box = screen.page.locator(".lknb-video").bounding_box()
    assert box is not None
    screen.run("track.hold(False)", 3)
    screen.wait_for("playing")
    screen.wait_for_picture()
    after = screen.page.locator(".lknb-video").bounding_box()
    assert after is not None
    assert (after["width"], after["height"]) == (box["width"], box["height"])
    assert abs(box["height"] / box["width"] - 320 / 240) < 0.01


def test_a_track_of_unknown_size_takes_the_shape_of_its_first_picture(screen: Screen) -> None:
    screen.run("show(width=320, height=240, known_size=False)")
    screen.wait_for("playing")
    box = screen.page.locator(".lknb-video").bounding_box()
    assert box is not None
    assert abs(box["height"] / box["width"] - 240 / 320) < 0.01


def test_the_saved_file_has_the_picture_and_no_secret(screen: Screen) -> None:
    screen.run(
        "import lknb.widgets.video_view as module\n"
        "issued = []\n"
        "answer = VideoView._answer_hello\n"
        "def spy(self, to, future):\n"
        "    issued.append(future.result()[0])\n"
        "    answer(self, to, future)\n"
        "VideoView._answer_hello = spy",
        3,
    )
    screen.run("show()")
    screen.wait_for("playing")
    wait_until_sync(lambda: screen.value("len(view.last_picture)") > 0)
    (issued,) = screen.value("issued")
    screen.run("VideoView._answer_hello = answer", 3)
    assert len(issued["ticket"]) == 32
    # with the state of all widgets, as the command "Save Widget State" does
    screen.page.evaluate("jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')")
    for cell in (2, 3):
        screen.notebook.activate(cell)
        screen.notebook.command("notebook:clear-cell-output")
    saved = screen.notebook.save()
    text = json.dumps(saved)
    assert "TR_" in json.dumps(saved["metadata"]), "the widget state is in the file"
    assert issued["ticket"] not in text
    assert str(issued["port"]) not in json.dumps(saved["metadata"])
    assert "image/png" in saved["cells"][1]["outputs"][0]["data"]


def test_two_hundred_views_leave_nothing_in_the_page(screen: Screen) -> None:
    """JupyterLab itself keeps 28 to 35 KiB of each widget there ever was; a view must add nothing to that."""
    heap = screen.page.context.new_cdp_session(screen.page)
    screen.run(LEAST, 3)
    screen.run("show(); track.mute(True)", 3)

    def used_bytes() -> float:
        screen.notebook.activate(1)
        screen.notebook.command("notebook:clear-cell-output")
        heap.send("HeapProfiler.collectGarbage")
        return float(heap.send("Runtime.getHeapUsage")["usedSize"])

    def grown_kib_of_each(widget: str, rounds: int) -> float:
        for number in range(rounds + 1):
            screen.run(f"batch = [{widget} for _ in range(40)]\ndisplay(*batch)")
            wait_until_sync(lambda: screen.states() == ["muted"] * 40, 30.0)
            screen.run("while batch: batch.pop().close()", 3)
            wait_until_sync(lambda: screen.states() == [])
            if number == 0:
                before = used_bytes()
        return (used_bytes() - before) / 1024 / 40 / rounds

    usual = grown_kib_of_each("Least()", 1)
    ours = grown_kib_of_each("VideoView(track)", 4)
    wait_until_sync(lambda: screen.page.workers == [], what="no Worker is left")
    wait_until_sync(lambda: screen.value("track.stats()['sinks']") == 0)
    assert ours < usual + 4.0


def test_without_webcodecs_the_view_says_what_to_do(screen: Screen) -> None:
    screen.page.evaluate("lknbProbe.decoder = window.VideoDecoder, delete window.VideoDecoder")
    try:
        screen.run("show(layout={'width': '400px'})")
        screen.wait_for("error")
    finally:
        screen.page.evaluate("window.VideoDecoder = lknbProbe.decoder, 0")
    assert screen.words().startswith("This browser cannot decode video\nIt has no WebCodecs. Open the notebook in")
    wait_until_sync(lambda: screen.value("view.state") == "error")
    assert "WebCodecs" in screen.value("view.error")


def test_a_restarted_kernel_is_an_end_that_says_what_to_do(lab: JupyterLab) -> None:
    notebook = lab.open(["pass"] * 3)
    try:
        notebook.run(0, SET_UP)
        screen = Screen(notebook)
        screen.run("show()")
        screen.wait_for("playing")
        screen.wait_for_picture()
        notebook.restart_kernel()
        screen.wait_for("ended")
        assert screen.words() == "This was live video\nIts kernel is gone. Run the cell again to see it.\nAlice"
        assert screen.shows(), "the last picture stays"
        wait_until_sync(lambda: screen.page.workers == [])
        notebook.run(0, SET_UP)
        screen.run("show()")
        screen.wait_for("playing")
        assert notebook.errors == []
    finally:
        notebook.close()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_looks_right_in_both_themes(screen: Screen, theme: str, tmp_path: Path) -> None:
    """Contrast is computed; the pictures are for people: LKNB_TEST_SCREENSHOTS names a folder to keep them in."""
    screen.notebook.set_theme(f"JupyterLab {theme}")
    screen.run(
        """
        def of(name, **about):
            track = core.track(f"TR_{name}", participant_name=name, **about)
            views.append(VideoView(track))
            return track
        live, waits, muted, ended, lost = of("Alice", width=640, height=360), of("Bob"), of("Carol"), of("Dave"), of("Erin")
        waits.hold(True); muted.mute(True); lost.misdirect(9)
        rows = [ipywidgets.HBox(views[:3]), ipywidgets.HBox(views[3:])]
        views += [*rows, ipywidgets.VBox(rows)]
        views[-1]
        """,
    )
    wait_until_sync(lambda: screen.states()[3:] == ["playing", "error"])
    screen.run("ended.end()", 3)
    screen.wait_for("playing", "waiting", "muted", "ended", "error")
    folder = Path(os.environ.get("LKNB_TEST_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"video_view_{theme.lower()}.png").write_bytes(
        screen.notebook.cell(1).locator(".jp-OutputArea").screenshot()
    )
    contrasts = screen.page.evaluate(
        """() => {
          const parse = (color) => color.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const over = (top, under) => top.slice(0, 3).map((c, i) => c * (top[3] ?? 1) + under[i] * (1 - (top[3] ?? 1)));
          return lknbProbe.tiles().flatMap((tile) => {
            const ground = parse(getComputedStyle(tile).backgroundColor);
            const text = (name) => {
              const element = tile.querySelector(name);
              if (!element || !element.offsetParent || !element.textContent) return [];
              const color = parse(getComputedStyle(element).color);
              const opacity = Number(getComputedStyle(element).opacity);
              const own = parse(getComputedStyle(element).backgroundColor);
              const panel = tile.dataset.picture === 'true' ? [255, 255, 255].map((c) => c * 0.38) : ground;
              // the name lies on the picture, of which white is the worst
              const below = name.includes('name') ? over(own, [255, 255, 255]) : panel;
              const [a, b] = [light(over([...color.slice(0, 3), opacity], below)), light(below)].sort((x, y) => y - x);
              return [[tile.dataset.state + name, (a + 0.05) / (b + 0.05)]];
            };
            return [...text('.lknb-video-title'), ...text('.lknb-video-detail'), ...text('.lknb-video-name')];
          });
        }"""
    )
    assert len(contrasts) >= 8
    assert [pair for pair in contrasts if pair[1] < 4.5] == [], "WCAG 2.2, 1.4.3"
    clipped = (
        "lknbProbe.tiles().map((tile) => tile.querySelector('.lknb-video-panel'))"
        ".filter((panel) => !panel.hidden && panel.scrollHeight > panel.clientHeight + 1).length"
    )
    assert screen.page.evaluate(clipped) == 0
    screen.notebook.set_theme("JupyterLab Light")


def test_the_time_from_running_the_cell_to_a_picture(screen: Screen, record_property: Any) -> None:
    screen.run("show(); None", 3)
    began = time.monotonic()
    screen.notebook.run(1, "view", wait=False)
    wait_until_sync(lambda: screen.states() == ["playing"], interval_s=0.01)
    elapsed_s = time.monotonic() - began
    record_property("first_picture_s", round(elapsed_s, 3))
    assert elapsed_s < 3.0
