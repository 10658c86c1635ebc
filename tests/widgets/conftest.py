"""A widget comm without a kernel; and for all tests that need a browser one JupyterLab, a server and who is outside."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import comm
import ipywidgets
import pytest
from comm.base_comm import BaseComm

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.outside import Outside
from tests.kit.server import Server, ServerProcess
from tests.widgets.labs import Labs
from tests.widgets.screen import CLEAN_UP, SET_UP, Screen
from tests.widgets.studio import Studio


class RecordedComm(BaseComm):
    """A comm whose messages stay here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.published: list[tuple[str, Any, Any]] = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any) -> None:
        self.published.append((msg_type, data, buffers))

    @property
    def custom(self) -> list[Any]:
        """Contents of the custom messages so far."""
        return [
            data["content"] for kind, data, _ in self.published if kind == "comm_msg" and data["method"] == "custom"
        ]

    def arrive(self, content: Any, buffers: Any = ()) -> None:
        """A custom message of a page."""
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": list(buffers)})


class RecordedClient:
    """What a view uses of a `CoreClient`."""

    def __init__(self) -> None:
        self.alive = True
        self.requests: list[tuple[dict[str, Any], Future[Any]]] = []
        self.posts: list[tuple[dict[str, Any], list[Any]]] = []
        self.death_handlers: list[Any] = []
        self.listeners: dict[Any, Any] = {}

    def request_threadsafe(self, header: dict[str, Any], buffers: Any = ()) -> Future[Any]:
        future: Future[Any] = Future()
        self.requests.append((header, future))
        return future

    def post(self, header: dict[str, Any], buffers: Any = ()) -> bool:
        self.posts.append((header, list(buffers)))
        return self.alive

    def on_death(self, handler: Any) -> None:
        self.death_handlers.append(handler)

    def die(self) -> None:
        self.alive = False
        for handler in self.death_handlers:
            handler()

    def listen(self, key: Any, handler: Any) -> None:
        self.listeners[key] = handler

    def unlisten(self, key: Any) -> None:
        self.listeners.pop(key, None)


class RecordedTrack:
    """A track of a room that is not there."""

    sid = "TR_cam"
    name = "camera"
    participant_name = ""
    room_handle = 3
    width = 320
    height = 180

    def __init__(self, **about: Any) -> None:
        self.client = RecordedClient()
        self.muted = False
        self.handlers: list[tuple[str, Any]] = []
        for name, value in about.items():
            setattr(self, name, value)

    def on(self, event: str, callback: Any) -> None:
        self.handlers.append((event, callback))

    def off(self, event: str, callback: Any) -> None:
        self.handlers.remove((event, callback))

    def tell(self, event: str) -> None:
        for name, callback in list(self.handlers):
            if name == event:
                callback()


@pytest.fixture
def recorded_comms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Widgets made in the test have a `RecordedComm`; those left over are closed."""
    monkeypatch.setattr(comm, "create_comm", RecordedComm)
    before = set(ipywidgets.Widget.get_manager_state()["state"])
    yield
    for widget in [w for i, w in ipywidgets.widgets.widget._instances.items() if i not in before]:
        widget.close()


@pytest.fixture(scope="package")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    with Labs(tmp_path_factory.mktemp("labs")) as running:
        yield running


@pytest.fixture(scope="module")
def lab(labs: Labs) -> Iterator[JupyterLab]:
    with labs.borrow() as lab:
        # there from here on, so that no test finds another process when it ends
        assert lab.browser
        yield lab


@pytest.fixture(scope="module")
def shared_notebook(lab: JupyterLab) -> Iterator[Notebook]:
    """A notebook of ten cells for tests that need no kernel of their own; each closes what it makes."""
    notebook = lab.open(["pass"] * 10)
    yield notebook
    notebook.close()


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


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """One for all: each studio has a room of its own."""
    with ServerProcess() as process:
        yield process.server


@pytest.fixture(scope="package")
def outside() -> Iterator[Outside]:
    with Outside() as running:
        yield running


@pytest.fixture
def notebook(lab: JupyterLab) -> Iterator[Notebook]:
    """A notebook of four cells with a kernel of its own; the page has said no error."""
    opened = lab.open(["pass"] * 4)
    yield opened
    errors = opened.errors
    opened.close()
    assert errors == []


@pytest.fixture
def studio(notebook: Notebook, outside: Outside, server: Server) -> Iterator[Studio]:
    with Studio(notebook, outside, server) as made:
        yield made
