"""Lanes in a real JupyterLab in Chromium: each one with the others blocked from outside, and from one to another.

On pages of `lab.test` there is no direct lane; where the server has no jupyter-server-proxy none through it, either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync
from tests.widgets.labs import Labs
from tests.widgets.screen import CLEAN_UP, SET_UP, Screen

PAGES = {
    "direct": {"proxy": False},
    "proxy": {"host": "lab.test", "base_url": "/user/jo/"},
    "comm": {"host": "lab.test", "proxy": False},
}


@pytest.fixture(scope="module", params=PAGES)
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lane_notebook(lane: str, labs: Labs) -> Iterator[Notebook]:
    """A notebook whose page has this lane only."""
    with labs.borrow(**PAGES[lane]) as lab:
        notebook = lab.open(["pass"] * 10)
        notebook.run(0, SET_UP + "from lknb.widgets.comm_lane import _open as comm_lanes")
        yield notebook
        notebook.close()


@pytest.fixture
def screen(lane_notebook: Notebook) -> Iterator[Screen]:
    screen = Screen(lane_notebook)
    yield screen
    screen.run(CLEAN_UP, 9)
    wait_until_sync(lambda: screen.value("len(comm_lanes)") == 0)


def test_a_page_of_plain_http_from_elsewhere_shows_pictures_and_says_why(tmp_path: Path) -> None:
    with JupyterLab(tmp_path / "lab", host="lab.test", secure=False) as lab:
        notebook = lab.open(["pass"] * 10)
        assert notebook.page.evaluate("[isSecureContext, typeof VideoDecoder]") == [False, "undefined"]
        notebook.run(0, SET_UP)
        screen = Screen(notebook)
        screen.run("show(width=640, height=360, layout={'width': '400px'})")
        screen.wait_for("playing")
        screen.wait_for_picture()
        screen.wait_for_motion(places=20)
        note = notebook.page.locator(".lknb-video-note")
        assert "ssh -L" in note.inner_text()
        assert "https or localhost" in note.inner_text()
        size = notebook.page.evaluate(
            "(() => { const c = document.querySelector('canvas'); return [c.width, c.height] })()"
        )
        assert size == [400, 225], "no larger than it is seen"
        screen.wait_for_value("[view.lane, view.state, view.error]", ["proxy", "playing", ""])
        if "LKNB_TEST_SCREENSHOTS" in os.environ:
            folder = Path(os.environ["LKNB_TEST_SCREENSHOTS"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "stills.png").write_bytes(notebook.cell(1).locator(".jp-OutputArea").screenshot())
        screen.run("view.close()", 3)
        wait_until_sync(lambda: screen.value("track.stats()['sinks']") == 0)
        notebook.close()


def test_the_picture_comes_by_the_lane_there_is(screen: Screen, lane: str) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.acknowledges()
    screen.wait_for_value("[view.lane, view.state, view.error]", [lane, "playing", ""])
    screen.wait_for_value("track.stats()['sinks']", 1)


# until it is interrupted
SPIN = "while True: pass"


@pytest.mark.parametrize("work", ["time.sleep(60)", pytest.param(SPIN, marks=pytest.mark.alone)], ids=["sleep", "spin"])
def test_a_busy_cell_does_not_stop_it(screen: Screen, lane: str, work: str) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.notebook.run(3, work, wait=False)
    wait_until_sync(lambda: screen.is_running(3))
    screen.wait_for_motion(places=30)
    assert screen.is_running(3), "the cell had ended before the picture moved"
    screen.notebook.command("notebook:interrupt-kernel")
    wait_until_sync(lambda: not screen.is_running(3))
    screen.wait_for_value("[view.lane, view.state]", [lane, "playing"])


def test_a_view_displayed_in_a_busy_cell_plays(screen: Screen, lane: str) -> None:
    screen.notebook.run(3, "from IPython.display import display; display(show()); time.sleep(60)", wait=False)
    screen.wait_for("playing")
    screen.wait_for_picture()
    assert screen.is_running(3), "it played only when the cell had ended"
    screen.notebook.command("notebook:interrupt-kernel")
    wait_until_sync(lambda: not screen.is_running(3))


def test_reloads_leave_no_lane_behind(screen: Screen, lane: str) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    comms = "len(__import__('comm').get_comm_manager().comms)"
    before = screen.value(comms)
    # over the comm nothing but the page itself can say that it is gone, and sometimes not even that
    for _ in range(20 if lane == "comm" else 3):
        screen.reload()
        screen.wait_for("playing")
    screen.wait_for_picture()
    wait_until_sync(
        lambda: screen.value("track.stats()['sinks']") == 1,
        what=lambda: f"the old pages' lanes are gone, not {screen.value('list(comm_lanes)')}",
    )
    screen.wait_for_value(comms, before)
    screen.wait_for_value("len(comm_lanes)", int(lane == "comm"))
    screen.wait_for_value("[view.lane, view.state]", [lane, "playing"])


def test_mute_end_and_last_picture(screen: Screen, lane: str) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    wait_until_sync(lambda: screen.value("len(view.last_picture)") > 0)
    screen.run("track.mute(True)", 3)
    screen.wait_for("muted")
    screen.run("track.mute(False)", 3)
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.run("before = view.last_picture; track.end()", 3)
    screen.wait_for("ended")
    wait_until_sync(lambda: screen.value("view.last_picture != before"), what="the last picture is kept")
    wait_until_sync(lambda: screen.value("view.state") == "ended")


def test_a_lane_that_is_cut_off_is_replaced_without_a_word(screen: Screen, lane: str) -> None:
    """The same one again, or over the comm where the port cannot be reached any more."""
    screen.run("show()")
    screen.wait_for("playing")
    screen.page.evaluate(
        """() => {
          const tile = lknbProbe.tiles()[0];
          const states = (window.lknbStates = []);
          new MutationObserver(() => states.push(tile.dataset.state)).observe(tile, { attributes: true });
        }"""
    )
    for port, expected in (("None", lane), ("9", "comm")):
        screen.run(f"track.misdirect({port}) if {port} else None; lanes = []", 3)
        screen.run("view.observe(lambda change: lanes.append(change['new']), 'lane'); track.cut()", 3)
        wait_until_sync(lambda expected=expected: screen.value("lanes[-1:]") == [expected])
        screen.wait_for_motion()
        screen.wait_for_picture()
        screen.run("view.unobserve_all('lane')", 3)
    assert set(screen.page.evaluate("lknbStates")) <= {"playing"}, "the view flickered"
    screen.wait_for_value("[view.state, view.error, track.stats()['sinks']]", ["playing", "", 1])


def test_four_views_stay_within_the_budgets_of_the_server_and_the_page(screen: Screen, lane: str) -> None:
    """JupyterLab pays 15 to 27 ms for each message up; the server drops what is more than 1,000 a second."""
    screen.run(
        "for _ in range(4): show(layout={'width': '300px'})\nviews.append(ipywidgets.HBox(views[-4:])); views[-1]",
    )
    screen.wait_for(*["playing"] * 4)
    screen.wait_for_motion(3)
    counts = screen.page.evaluate(
        """async () => {
          const counts = { send: 0, recv: 0 };
          const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          const count = (_, { msg, direction }) => { if (msg.header.msg_type === 'comm_msg') counts[direction] += 1; };
          kernel.anyMessage.connect(count);
          await new Promise((resolve) => setTimeout(resolve, 4000));
          kernel.anyMessage.disconnect(count);
          return counts;
        }"""
    )
    if lane == "comm":
        assert 4 <= counts["send"] <= 4 * 8, counts
        assert counts["send"] < counts["recv"] <= 4 * 450, counts
    else:
        assert counts == {"send": 0, "recv": 0}
    for index in range(4):
        screen.wait_for_picture(index)


def test_figures_of_a_cell_are_shown_while_views_play(screen: Screen) -> None:
    """A comm message that runs the hooks of a cell's end closes the figures the cell is still drawing."""
    screen.run("show()")
    screen.wait_for("playing")
    outputs = screen.run(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\n"
        "for _ in range(3):\n    plt.figure(); plt.plot([1, 2]); time.sleep(0.5)",
        3,
    )
    assert [output.kind for output in outputs if "image/png" in output.data] == ["display_data"] * 3
