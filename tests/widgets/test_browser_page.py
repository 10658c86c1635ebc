"""`VideoView` in a real JupyterLab in Chromium: pages that are reloaded, hidden or cut off, and what stays behind."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync
from tests.widgets.screen import SET_UP, Screen

LEAST = """
import anywidget
from IPython.display import display
class Least(anywidget.AnyWidget):
    "As small as a widget can be, but for what `Screen.states` looks at."
    _esm = "export default { render({ el }) { el.className = 'lknb-video'; el.dataset.state = 'muted' } };\\n"
"""


@pytest.fixture(scope="module")
def second_notebook(lab: JupyterLab) -> Iterator[Notebook]:
    """For tests that need a kernel of their own; each sets it up from nothing."""
    notebook = lab.open(["pass"] * 4)
    yield notebook
    notebook.close()


def wait_for_words(screen: Screen, words: str) -> None:
    wait_until_sync(lambda: screen.words() == words, what=lambda: f"{words!r}, not {screen.words()!r}")


def test_a_reload_finds_the_picture_again(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.reload()
    screen.wait_for("playing")
    screen.wait_for_picture()
    wait_until_sync(lambda: screen.value("track.stats()['sinks']") == 1, what="the old page's lane is gone")
    screen.wait_for_value("view.state", "playing")


def test_a_reload_under_a_busy_kernel_finds_it_once_the_cell_has_ended(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    # longer than ipywidgets waits for all states at once, so that it asks for each
    screen.notebook.run(3, "time.sleep(6)", wait=False)
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
    screen.wait_for("playing")


def test_a_view_scrolled_out_of_sight_is_paused_and_comes_back(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.run("from IPython.display import HTML; HTML('<div style=\"height: 3000px\">tall</div>')", 3)
    # a cell that runs is scrolled to: one at the bottom asks here, one at the top there
    visible = "[view['visible'] for view in track.stats()['views']]"
    screen.scroll_to(1.0)
    wait_until_sync(lambda: screen.notebook.value(8, visible) == [False])
    wait_until_sync(screen.stands_still, what="what nobody sees is not painted")
    screen.scroll_to(0.0)
    wait_until_sync(lambda: screen.notebook.value(2, visible) == [True])
    screen.wait_for_motion()


def test_a_core_that_died_is_an_end_and_no_riddle(screen: Screen) -> None:
    screen.run("other = FakeCore(); track = other.track('TR_x', participant_name='Bob')", 3)
    screen.run("view = VideoView(track); views.append(view); view")
    screen.wait_for("playing")
    screen.run("other.process.kill(); other.process.wait(); None", 3)
    screen.wait_for("ended")
    wait_for_words(screen, "The video has ended\nThe room is not connected any more.\nBob")
    wait_until_sync(lambda: screen.value("view.state") == "ended")


def test_a_core_that_gives_no_lane_is_explained_and_can_be_tried_again(screen: Screen) -> None:
    screen.run("show(layout={'width': '360px'}); track.refuse(True); view")
    screen.wait_for("error")
    assert "cannot listen for pages" in screen.words()
    wait_until_sync(lambda: screen.value("view.state") == "error")
    wait_until_sync(lambda: "cannot listen for pages" in screen.value("view.error"))
    screen.run("track.refuse(False)", 3)
    screen.page.locator(".lknb-video-retry").focus()
    screen.page.keyboard.press("Enter")
    screen.wait_for("playing")
    wait_until_sync(lambda: screen.value("[view.state, view.error]") == ["playing", ""])


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


def test_views_that_were_closed_leave_nothing_in_the_page(screen: Screen) -> None:
    """JupyterLab itself keeps 28 to 35 KiB of each widget there ever was; a view must add nothing to that."""
    heap = screen.page.context.new_cdp_session(screen.page)
    screen.run(LEAST, 3)
    screen.run("show(); track.mute(True)", 3)

    def used_bytes() -> float:
        screen.notebook.activate(1)
        screen.notebook.command("notebook:clear-cell-output")
        heap.send("HeapProfiler.collectGarbage")
        return float(heap.send("Runtime.getHeapUsage")["usedSize"])

    def churn(widget: str, count: int) -> float:
        screen.run(f"batch = [{widget} for _ in range({count})]\ndisplay(*batch)")
        wait_until_sync(lambda: screen.states() == ["muted"] * count, 30.0)
        screen.run("while batch: batch.pop().close()", 3)
        wait_until_sync(lambda: screen.states() == [])
        return used_bytes()

    def grown_kib_of_each(widget: str) -> float:
        before = churn(widget, 20)
        return (churn(widget, 40) - before) / 1024 / 40

    usual = grown_kib_of_each("Least()")
    ours = grown_kib_of_each("VideoView(track)")
    wait_until_sync(lambda: screen.notebook.workers() == [], what="no Worker is left")
    wait_until_sync(lambda: screen.value("track.stats()['sinks']") == 0)
    assert ours < usual + 4.0


def test_a_restarted_kernel_is_an_end_that_says_what_to_do(second_notebook: Notebook) -> None:
    notebook = second_notebook
    notebook.run(0, SET_UP)
    screen = Screen(notebook)
    screen.run("show()")
    screen.wait_for("playing")
    screen.wait_for_picture()
    notebook.restart_kernel()
    screen.wait_for("ended")
    # until Jupyter says so the page knows only that its lane is gone
    wait_for_words(screen, "This was live video\nIts kernel is gone. Run the cell again to see it.\nAlice")
    assert screen.shows(), "the last picture stays"
    wait_until_sync(lambda: screen.notebook.workers() == [])
    notebook.run(0, SET_UP)
    screen.run("show()")
    screen.wait_for("playing")
    assert notebook.errors == []


def test_a_track_of_a_room_shows_itself_through_the_real_core(second_notebook: Notebook) -> None:
    """No part is a fake: the embedded server, two participants, the core process, the widget that `lknb` shows."""
    notebook = second_notebook
    notebook.run(
        0,
        "import asyncio, lknb\n"
        "server = lknb.DevServer()\n"
        "alice = await lknb.connect('studio', identity='alice')\n"
        "bob = await lknb.connect('studio', identity='bob')\n"
        "publication = await alice.local_participant.publish_track(lknb.TestPattern())\n"
        "seen = bob.remote_participants['alice'].track_publications\n"
        "async with asyncio.timeout(10):\n"
        "    while publication.sid not in seen or seen[publication.sid].track is None:\n"
        "        await asyncio.sleep(0.02)\n"
        "track = seen[publication.sid].track",
    )
    screen = Screen(notebook)
    screen.run("track")
    screen.wait_for("playing")
    assert screen.words() == "alice"
    # the sixth bar of the pattern is red
    screen.page.wait_for_function(
        """() => {
          const canvas = lknbProbe.tiles()[0].querySelector('canvas');
          const copy = new OffscreenCanvas(4, 4).getContext('2d');
          copy.drawImage(canvas, canvas.width * 5.5 / 7, canvas.height / 5, 4, 4, 0, 0, 4, 4);
          const [red, green, blue] = copy.getImageData(0, 0, 1, 1).data;
          return red > 150 && green < 80 && blue < 80;
        }"""
    )
    screen.run("publication.track.mute()", 2)
    screen.wait_for("muted")
    screen.run("publication.track.unmute()", 2)
    screen.wait_for("playing")
    screen.run("await alice.disconnect()", 2)
    screen.wait_for("ended")
    notebook.run(2, "await bob.disconnect(); server.close()")
    assert notebook.errors == []
