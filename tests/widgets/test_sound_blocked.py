"""A page that was loaded without a click: the browser holds its sound back, and one click lets it go.

Playwright acts as a user whenever it looks into a page, so what comes before the click is asked for over CDP, without.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync
from tests.widgets.test_sound import LEVEL, SET_UP, Hall

SHOWN_BUTTONS = "document.querySelectorAll('.lknb-hear:not([hidden])').length"
WATCH = """
heard = []
room.on("audio_playback_status_changed", heard.append)
"""


@pytest.fixture
def careful_notebook(lab: JupyterLab) -> Iterator[Notebook]:
    """In a Chromium with its rule for people, not that for tests."""
    with lab.another_browser("--autoplay-policy=document-user-activation-required") as browser:
        notebook = lab.open(["pass"] * 6, context=browser.new_context(viewport={"width": 1280, "height": 900}))
        yield notebook
        notebook.close()


class UnseenPage:
    """A page that nobody has touched."""

    def __init__(self, notebook: Notebook) -> None:
        self.page = notebook.context.new_page()
        self._cdp = notebook.context.new_cdp_session(self.page)
        self._cdp.send("Page.navigate", {"url": notebook.lab.url_of(notebook.name)})

    def look(self, expression: str) -> Any:
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": False}
        told = self._cdp.send("Runtime.evaluate", asked)
        return told["result"].get("value")

    def python(self, cell: int, expression: str) -> Any:
        """The JSON value of a Python expression, evaluated in a cell."""
        source = json.dumps(f"import json; print(json.dumps({expression}))")
        notebook = "jupyterapp.shell.currentWidget.content"
        text = self.look(
            f"(async () => {{ const cell = {notebook}.widgets[{cell}]; cell.model.sharedModel.setSource({source});"
            f" {notebook}.activeCellIndex = {cell}; await jupyterapp.commands.execute('notebook:run-cell');"
            " const [output] = cell.model.outputs.toJSON(); return output.text ?? output.ename })()"
        )
        return json.loads(text if isinstance(text, str) else "".join(text))


def test_a_page_without_a_click_shows_a_button_and_plays_after_it(careful_notebook: Notebook, tmp_path: Path) -> None:
    notebook = careful_notebook
    hall = Hall(notebook)
    hall.run(SET_UP, 0)
    hall.run("VideoView(video)", 1)
    hall.run("RoomAudio(room)", 2)
    hall.wait_for_level(LEVEL)
    # from here on: a browser that is slow to begin with its sound seems to want a click for a moment
    wait_until_sync(lambda: hall.value("room.can_playback_audio"))
    hall.run(WATCH, 4)
    assert hall.page.evaluate(SHOWN_BUTTONS) == 0
    notebook.save()
    hall.page.close()

    unseen = UnseenPage(notebook)
    wait_until_sync(lambda: unseen.look(SHOWN_BUTTONS) == 2, 40, what="a button on each view")
    assert unseen.look("navigator.userActivation.hasBeenActive") is False
    wait_until_sync(lambda: unseen.python(3, "room.can_playback_audio") is False)
    told = "[RoomAudio(room).playing, RoomAudio(room).blocked, heard]"
    wait_until_sync(lambda: unseen.python(3, told) == [False, True, [False]], what=lambda: unseen.python(3, told))
    refused = "str((await asyncio.gather(room.start_audio(), return_exceptions=True))[0])"
    assert "Click to hear" in unseen.python(3, refused)
    folder = Path(os.environ.get("LKNB_TEST_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sound_blocked.png").write_bytes(unseen.page.screenshot())
    assert unseen.look("globalThis[Symbol.for('lknb.page')].context.state") == "suspended", "nobody has clicked yet"

    box = unseen.look(
        "(({ x, y, width, height }) => [x + width / 2, y + height / 2])"
        "(document.querySelector('.lknb-video .lknb-hear').getBoundingClientRect())"
    )
    unseen.page.mouse.click(*box)
    wait_until_sync(lambda: unseen.look(SHOWN_BUTTONS) == 0)
    notebook.page = unseen.page
    heard = Hall(notebook)
    heard.wait_for_level(LEVEL)
    told = "[room.can_playback_audio, RoomAudio(room).playing, heard]"
    wait_until_sync(lambda: heard.value(told) == [True, True, [False, True]], what=lambda: heard.value(told))
    assert heard.value("await room.start_audio()") is None
