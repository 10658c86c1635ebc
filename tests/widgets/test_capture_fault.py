"""Faults of devices by Chromium's own means: a person who says no, and a machine without a camera or a microphone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.jupyterlab import JupyterLab
from tests.kit.outside import Outside
from tests.kit.poll import wait_until_sync
from tests.kit.server import ServerProcess
from tests.widgets.studio import Studio

MEANS = {
    "denied": ("--use-fake-ui-for-media-stream=deny", "is blocked for this page"),
    "not_found": ("--use-fake-device-for-media-stream=device-count=0", "There is no camera"),
}


@pytest.fixture(params=MEANS)
def reason(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def studio(reason: str, tmp_path: Path) -> Iterator[Studio]:
    with ServerProcess() as process, Outside() as outside, JupyterLab(tmp_path, flags=[MEANS[reason][0]]) as lab:
        notebook = lab.open(["pass"] * 4)
        made = Studio(notebook, outside, process.server)
        made.set_up()
        yield made
        notebook.close()


def test_the_person_is_told_and_so_is_the_program(studio: Studio, reason: str) -> None:
    _, words = MEANS[reason]
    studio.press("camera")
    wait_until_sync(lambda: words in studio.bar()["fault"], 20, what="the page says so")
    told = studio.run(
        "heard = []\nroom.on('media_devices_error', heard.append)\n"
        "try:\n    await asyncio.wait_for(me.set_camera_enabled(True), 20)\n"
        "except lknb.errors.MediaDevicesError as error:\n"
        "    print(error.kind, error.reason, heard == [error], error)"
    )
    assert told.startswith(f"camera {reason} True ")
    assert words in told
    assert studio.bar()["states"] == {"microphone": "off", "camera": "off", "screen": "off"}
    assert studio.live() == []
    assert studio.value("len(me.track_publications)") == 0
