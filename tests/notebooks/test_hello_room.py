"""`00_hello_room.ipynb` in JupyterLab in Chromium, every process as a user has it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync
from tests.kit.server import ROOT
from tests.kit.token import tokens_in

SCREENSHOTS = os.environ.get("LKNB_TEST_SCREENSHOTS")
"""A folder to keep screenshots in."""

SCROLL = "document.querySelector('.lknb-video').scrollIntoView({block: 'center'})"
# a picture as numbers is large for the driver of the browser: of each only so many pixels
PIXELS = """([index, step]) => {
  const canvas = document.querySelectorAll('.lknb-video canvas')[index];
  if (!canvas || !canvas.width) return null;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  if (!data.subarray(0, 3000).some(Boolean)) return null;
  const seen = [];
  for (let at = 0; at < data.length; at += 4 * step) seen.push(data[at], data[at + 1], data[at + 2]);
  return seen;
}"""


def code_cells() -> list[str]:
    """The notebook's code."""
    notebook = json.loads((ROOT / "notebooks" / "00_hello_room.ipynb").read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    with JupyterLab(tmp_path_factory.mktemp("jupyterlab"), whole=True) as running:
        # there from here on, so that no test finds another process when it ends
        assert running.browser
        yield running


def picture(notebook: Notebook, index: int, step: int = 64) -> list[tuple[int, int, int]] | None:
    """Each `step`-th pixel of a view, row by row, when it shows something."""
    shown: list[int] | None = notebook.page.evaluate(PIXELS, [index, step])
    return None if shown is None else [(shown[i], shown[i + 1], shown[i + 2]) for i in range(0, len(shown), 3)]


def near(pixel: tuple[int, ...], colour: tuple[int, ...]) -> bool:
    """Whether two colours are the same, but for what codecs do to them."""
    return all(abs(a - b) < 30 for a, b in zip(pixel, colour, strict=True))


def agreement(notebook: Notebook, spare: int) -> float:
    """The share of pixels that are the same in the first view and in the painter's frame that the kernel has."""
    here = picture(notebook, 0)
    if here is None:
        return 0.0
    there = notebook.value(spare, "(await videos['painter'].snapshot()).reshape(-1, 3)[::64].tolist()")
    return sum(near(pixel, other) for pixel, other in zip(here, there, strict=True)) / len(there)


def test_every_cell_runs_and_the_pictures_under_the_cell_are_the_published_ones(lab: JupyterLab) -> None:
    cells = code_cells()
    views = next(i for i, cell in enumerate(cells) if "VideoView" in cell)
    mute = next(i for i, cell in enumerate(cells) if ".mute()" in cell)
    notebook = lab.open([*cells, "print('done')"])
    try:
        for index in range(views + 1):
            notebook.run(index)
        # the page may still be making it
        notebook.page.wait_for_selector(".lknb-video", state="attached")
        notebook.page.evaluate(SCROLL)
        ball = wait_until_sync(lambda: picture(notebook, 1, 7), 20, what="the film in its view")
        # the film: a dark blue ground, and a yellow ball on it
        assert sum(near(pixel, (20, 40, 70)) for pixel in ball) > 0.8 * len(ball)
        assert sum(near(pixel, (250, 180, 40)) for pixel in ball) > 0.01 * len(ball)
        # the pattern moves, and the kernel takes its frame a little later: as long as that takes, the more they differ
        wait_until_sync(
            lambda: agreement(notebook, len(cells)) > 0.75,
            20,
            what="the pattern in its view is the frame in the kernel",
        )
        if SCREENSHOTS:
            notebook.activate(views)
            notebook.page.evaluate(SCROLL)
            wait_until_sync(lambda: picture(notebook, 1), 20)
            notebook.page.screenshot(path=Path(SCREENSHOTS) / "hello_room_light.png")
            notebook.set_theme("JupyterLab Dark")
            notebook.page.screenshot(path=Path(SCREENSHOTS) / "hello_room_dark.png")
            notebook.set_theme("JupyterLab Light")
        for index in range(views + 1, mute + 1):
            notebook.run(index)
        assert "painter muted video" in notebook.outputs(mute)[0].text
        for index in range(mute + 1, len(cells)):
            notebook.run(index)
        assert notebook.errors == []
        saved = json.dumps(notebook.save())
        assert tokens_in(saved) == []
        assert "ice-pwd" not in saved
    finally:
        notebook.close()


def test_three_rooms_and_ten_views_share_one_core(lab: JupyterLab) -> None:
    notebook = lab.open(
        [
            "import lknb\nfrom ipywidgets import GridBox, Layout\nfrom lknb import rtc\n"
            "rooms = [await lknb.connect(f'room-{i}', identity='me') for i in range(3)]\n"
            "others = [await lknb.connect(f'room-{i}', identity='other') for i in range(3)]\n"
            "for other in others:\n"
            "    await other.local_participant.publish_track(lknb.TestPattern(320, 180))\n"
            "def tracks():\n"
            "    people = [o for r in rooms for o in r.remote_participants.values()]\n"
            "    return [p.track for o in people for p in o.track_publications.values() if p.track]\n"
            "for room in rooms:\n"
            "    await room.wait_until(lambda: any(p.track for o in room.remote_participants.values()"
            " for p in o.track_publications.values()))",
            "GridBox([lknb.VideoView(tracks()[i % 3]) for i in range(10)],"
            " layout=Layout(grid_template_columns='repeat(5, 180px)'))",
            "import os\nfor room in rooms + others:\n    await room.disconnect()\nlknb.DevServer.current().close()",
        ]
    )
    try:
        notebook.run(0)
        notebook.run(1)
        wait_until_sync(
            lambda: all(picture(notebook, index) for index in range(10)), 30, what="a picture in each of ten views"
        )
        kernel = notebook.value(2, "__import__('os').getpid()")
        children = [child.cmdline() for child in psutil.Process(kernel).children(recursive=True)]
        cores = [command for command in children if "lknb.core" in command]
        assert len(cores) == 1, children
        notebook.run(2, "for room in rooms + others:\n    await room.disconnect()\nlknb.DevServer.current().close()")
        assert notebook.errors == []
    finally:
        notebook.close()
