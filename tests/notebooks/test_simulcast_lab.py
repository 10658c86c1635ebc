"""`01_simulcast_lab.ipynb` in JupyterLab in Chromium: dragged by a mouse and by its own cell.

With LKNB_TEST_SCREENSHOTS it leaves the picture of the README there, `simulcast_lab.png`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync
from tests.kit.server import ROOT
from tests.kit.token import tokens_in
from tests.notebooks.test_hello_room import SCREENSHOTS

HEIGHT = "(document.querySelector('.jp-Notebook-cell[data-lab] .lknb-video canvas') ?? {}).height"
FIGURES = "[drag.data['time_s'].tolist(), drag.data['height'].tolist(), drag.data['bitrate_bps'].tolist(), marks]"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[JupyterLab]:
    with JupyterLab(tmp_path, whole=True) as running:
        yield running


def without_pictures(value: Any) -> Any:
    """Of what was saved all but the pictures, whose base64 has any three letters somewhere."""
    if isinstance(value, list):
        return [without_pictures(each) for each in value]
    if isinstance(value, dict):
        return {key: without_pictures(each) for key, each in value.items() if not key.startswith("image/")}
    return value


def drag_slider(notebook: Notebook, width: int) -> None:
    """Pull the slider from where it is to this width, with the mouse."""
    page = notebook.page
    base = page.locator(".jp-Notebook-cell[data-lab] .noUi-base").bounding_box()
    handle = page.locator(".jp-Notebook-cell[data-lab] .noUi-handle").bounding_box()
    assert base is not None
    assert handle is not None
    y = handle["y"] + handle["height"] / 2
    page.mouse.move(handle["x"] + handle["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(base["x"] + base["width"] * (width - 80) / (1000 - 80), y, steps=8)
    page.mouse.up()


def settles(figures: Any, value: float) -> bool:
    """Whether they come to this value and stay there. Sooner or later: a rate is the mean of a second, and what was sent
    before may still arrive."""
    there = figures == value
    return bool(there.any()) and bool(there[int(np.argmax(there)) :].all())


def test_the_layer_follows_the_picture_as_it_is_dragged(lab: JupyterLab) -> None:
    source = json.loads((ROOT / "notebooks" / "01_simulcast_lab.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in source["cells"] if cell["cell_type"] == "code"]
    live = next(index for index, cell in enumerate(cells) if "IntSlider(" in cell)
    dragged = next(index for index, cell in enumerate(cells) if "drag = " in cell)
    notebook = lab.open([*cells, "pass"])
    page = notebook.page
    page.set_viewport_size({"width": 1385, "height": 1000})
    try:
        for index in range(live + 1):
            # the plot before the slider is not what is looked at here: stay as long only for that of the drag
            notebook.run(index, cells[index].replace("stay(name)", "stay(name, 0.3)"))
        page.evaluate(
            "(index) => { const cell = document.querySelectorAll('.jp-Notebook-cell')[index];"
            " cell.dataset.lab = ''; cell.querySelector('.jp-OutputArea').scrollIntoView({ block: 'center' }) }",
            live,
        )
        stay_ms = 5_000 if SCREENSHOTS else 0
        for width, height in ((160, 180), (480, 360), (1000, 720), (160, 180), (400, 360)):
            drag_slider(notebook, width)
            wait_until_sync(lambda height=height: page.evaluate(HEIGHT) == height, 20, what=f"{height} at {width}")
            page.wait_for_timeout(stay_ms)
        if SCREENSHOTS:
            output = page.locator(".jp-Notebook-cell[data-lab] .jp-OutputArea-output").first
            output.screenshot(path=Path(SCREENSHOTS) / "simulcast_lab.png")
        for index in range(live + 1, dragged + 1):
            notebook.run(index)
        times, heights, rates, marks = notebook.value(len(cells), FIGURES)
        at = {label: moment for moment, label in marks}
        assert {180, 360, 720} <= set(heights)
        shown = np.array(times)
        hidden = (shown > at["hidden"]) & (shown < at["shown again"])
        assert settles(np.array(rates)[hidden], 0.0), "bytes of a picture that nobody sees"
        wide = (shown > at["1000 px wide"]) & (shown < at["hidden"])
        assert settles(np.array(heights)[wide], 720)
        for index in range(dragged + 1, len(cells)):
            notebook.run(index)
        assert notebook.errors == []
        saved = json.dumps(without_pictures(notebook.save()))
        assert tokens_in(saved) == []
        assert "api_secret" not in saved
        assert "ice-pwd" not in saved
    finally:
        notebook.close()
