"""A real JupyterLab on 127.0.0.1, and notebooks in it, driven through headless Chromium, or Firefox.

    with JupyterLab(tmp_path) as lab:
        notebook = lab.open(["from lknb.widgets import VideoView", "..."])
        notebook.run(0)

Everything is synchronous (playwright's own loop runs under it), so tests that use it are plain functions.
"""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.kit.chromium import FLAGS, find_chromium
from tests.kit.firefox import Firefox
from tests.kit.plugins import LEFT_OUT
from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.kit.program import Program
from tests.kit.windows import Windows

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 40.0
ANSWER_DEADLINE_S = 20.0
PAGE_DEADLINE_MS = 40_000 * TIME_FACTOR
_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": False},
}
_NOTEBOOK = "jupyterapp.shell.currentWidget"
_HAS_CELLS = f"window.jupyterapp && {_NOTEBOOK}?.content?.widgets?.length > 0"
_KERNEL_READY = (
    f"(() => {{ const kernel = {_NOTEBOOK}.sessionContext?.session?.kernel;"
    " return kernel && kernel.status === 'idle' && kernel.connectionStatus === 'connected' })()"
)


class JupyterLab:
    """One server with folders, settings and a browser of its own, below `folder`.

    `host` is the name the browser knows this machine by; one that is not of the loopback interface makes pages as a hub's,
    `secure` or not. `proxy` is whether the server has jupyter-server-proxy, `base_url` where it stands, `headers` what it
    adds to its answers, `whole` whether pages have all plugins, as those of people.
    """

    def __init__(
        self, folder: Path, *, settings: dict[str, Any] | None = None, flags: Sequence[str] = (),
        host: str = "127.0.0.1", secure: bool = True, proxy: bool = True, base_url: str = "/",
        headers: dict[str, str] | None = None, whole: bool = False,
    ) -> None:  # fmt: skip
        self.folder = folder
        self._headers = headers or {}
        self._host = host
        self._secure = secure
        self._proxy = proxy
        self._base_url = base_url
        self.notebooks = folder / "notebooks"
        self._settings = {**_SETTINGS, **(settings or {})}
        self._left_out = () if whole else LEFT_OUT
        self._flags = (*FLAGS, *flags)
        self._opened = 0
        self._browsers = ExitStack()
        self.url = ""
        self.token = ""

    def __enter__(self) -> JupyterLab:
        self._start_server()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close_browser()
        finally:
            self._server.end()

    @cached_property
    def playwright(self) -> Playwright:
        """What drives Chromium, there when it is first asked for."""
        return self._browsers.enter_context(sync_playwright())

    @cached_property
    def browser(self) -> Browser:
        """The Chromium of this JupyterLab, there when it is first asked for: a notebook may be opened in another browser."""
        return self._browsers.enter_context(self.another_browser())

    @cached_property
    def windows(self) -> Windows:
        """Of that Chromium."""
        return Windows(self.browser)

    def close_browser(self) -> None:
        """Close the browser and end what drives it: this thread has no running loop any more. Another is there when asked for."""
        self.__dict__.pop("windows", None)
        self.__dict__.pop("browser", None)
        self.__dict__.pop("playwright", None)
        self._browsers.close()

    def answers(self) -> bool:
        """Whether the server is there and well."""
        try:
            self._ask("api/status")
        except OSError:
            return False
        return True

    def forget(self) -> None:
        """End kernels that are left and take back what was set by hand, so that the next user finds it as it began."""
        for kernel in json.loads(self._ask("api/kernels")):
            try:
                self._ask(f"api/kernels/{kernel['id']}", "DELETE")
            except HTTPError as error:
                # it has ended by itself meanwhile
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
        shutil.rmtree(self._user_settings, ignore_errors=True)

    @property
    def server_pid(self) -> int:
        return self._server.pid

    def open(
        self, cells: Sequence[str], *, name: str = "", context: BrowserContext | Firefox | None = None
    ) -> Notebook:  # fmt: skip
        """A notebook with these code cells, in a window of its own (or one of `context`), its kernel ready."""
        self._opened += 1
        name = name or f"notebook_{self._opened}.ipynb"
        (self.notebooks / name).write_text(json.dumps(_notebook_json(cells)))
        # the kernel starts while the page is loaded, which finds it by the path of the notebook
        self._ask(
            "api/sessions", "POST", {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        )
        windows = self.windows if context is None else None
        page = windows.take() if windows else context.new_page()
        notebook = Notebook(self, context or page.context, page, name, windows)
        notebook.load(reset=True)
        return notebook

    @contextmanager
    def another_browser(self, *flags: str) -> Iterator[Browser]:
        """A browser with other flags, for the `context` of `open`."""
        browser = self.playwright.chromium.launch(
            executable_path=find_chromium(), headless=True, args=[*self._flags, *flags, *self._host_flags()]
        )
        try:
            yield browser
        finally:
            browser.close()

    def url_of(self, name: str, *, reset: bool = False) -> str:
        """The address of a notebook, token included."""
        return f"{self.url}lab/tree/{name}?token={self.token}{'&reset' if reset else ''}"

    @property
    def _user_settings(self) -> Path:
        return self.folder / "home" / "user"

    def _ask(self, path: str, method: str = "GET", given: dict[str, Any] | None = None) -> bytes:
        """What the server's own interface answers. OSError when it does not."""
        url = self.url.replace(self._host, "127.0.0.1") + path
        body = None if given is None else json.dumps(given).encode()
        asked = urllib.request.Request(url, body, {"Authorization": f"token {self.token}"}, method=method)
        with urllib.request.urlopen(asked, timeout=ANSWER_DEADLINE_S * TIME_FACTOR) as answer:
            told: bytes = answer.read()
        return told

    def _host_flags(self) -> list[str]:
        if self._host == "127.0.0.1":
            return []
        flags = [f"--host-resolver-rules=MAP {self._host} 127.0.0.1"]
        origin = "/".join(self.url.split("/")[:3])
        return [*flags, f"--unsafely-treat-insecure-origin-as-secure={origin}"] if self._secure else flags

    def _start_server(self) -> None:
        home = self.folder / "home"
        for path in (home, home / "settings", self.notebooks):
            path.mkdir(parents=True)
        (home / "settings" / "overrides.json").write_text(json.dumps(self._settings))
        page: dict[str, Any] = {"disabledExtensions": dict.fromkeys(self._left_out, True)}
        if self._left_out:
            # no look, at every load, whether JupyterLab's own code has to be built anew
            page["buildAvailable"] = page["buildCheck"] = False
        (home / "settings" / "page_config.json").write_text(json.dumps(page))
        environment = {
            "HOME": str(home),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": str(ROOT),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
            "--ServerApp.port=0", f"--ServerApp.root_dir={self.notebooks}", "--LabApp.expose_app_in_browser=True",
            "--LabApp.news_url=None", f"--LabApp.app_settings_dir={home / 'settings'}",
            f"--LabApp.user_settings_dir={self._user_settings}", f"--LabApp.workspaces_dir={home / 'workspaces'}",
            f"--ServerApp.base_url={self._base_url}", f"--ServerApp.local_hostnames={self._host}",
            f"--ServerApp.jpserver_extensions={{'jupyter_server_proxy': {self._proxy}}}",
            f"--ServerApp.tornado_settings={ {'headers': self._headers}!r}",
        ]  # fmt: skip
        log = self.folder / "server.log"
        self._server = Program(command, log, environment=environment, folder=self.notebooks)
        try:
            info = wait_until_sync(lambda: self._server_info(home), START_DEADLINE_S, what=self._server.written)
        except BaseException:
            self._server.end()
            raise
        self.url, self.token = info["url"].replace("127.0.0.1", self._host), info["token"]

    def _server_info(self, home: Path) -> dict[str, str] | None:
        assert not self._server.has_ended, f"JupyterLab ended: {self._server.written()}"
        for path in (home / "runtime").glob("jpserver-*.json"):
            try:
                info: dict[str, str] = json.loads(path.read_text())
                with urllib.request.urlopen(f"{info['url']}api/status?token={info['token']}", timeout=1):
                    return info
            except (OSError, ValueError):
                continue
        return None


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a cell: its text, and its data by MIME type."""

    kind: str
    text: str
    data: dict[str, Any]


class Notebook:
    """One notebook in one window; `console` has what the page's console said, as (level, text)."""

    def __init__(
        self, lab: JupyterLab, context: BrowserContext | Firefox, page: Page, name: str, windows: Windows | None
    ) -> None:
        """`windows` is what the page came from, and goes back to."""
        self.lab = lab
        self.context = context
        self.page = page
        self.name = name
        self.console: list[tuple[str, str]] = []
        self._windows = windows
        page.set_default_timeout(PAGE_DEADLINE_MS)
        # a page that is dirty asks before it goes
        self._heard = {"console": self._note, "pageerror": self._note_uncaught, "dialog": lambda asked: asked.accept()}
        for event, handler in self._heard.items():
            page.on(event, handler)

    def _note(self, message: ConsoleMessage) -> None:
        self.console.append((message.type, f"{message.text} ({message.location.get('url', '')})"))

    def _note_uncaught(self, error: PlaywrightError) -> None:
        self.console.append(("uncaught", str(error)))

    @property
    def errors(self) -> list[str]:
        """Errors of the page so far, uncaught ones included."""
        return [text for level, text in self.console if level in ("error", "uncaught")]

    @property
    def path(self) -> Path:
        """The file as it was last saved."""
        return self.lab.notebooks / self.name

    def load(self, *, reset: bool = False) -> None:
        """Load, or reload, the page; the kernel, when there is one, goes on."""
        self.page.goto(self.lab.url_of(self.name, reset=reset))
        self.page.wait_for_function(_HAS_CELLS)
        self.page.wait_for_function(_KERNEL_READY)

    def run(self, index: int, source: str | None = None, *, wait: bool = True) -> list[Output]:
        """Run a cell, with another source when one is given. AssertionError when it fails.

        Without `wait` it has only been started when this returns.
        """
        if source is not None:
            self.page.evaluate(
                f"([index, source]) => {_NOTEBOOK}.content.widgets[index].model.sharedModel.setSource(source)",
                [index, source],
            )
        start = (
            f"{_NOTEBOOK}.content.activeCellIndex = index; "
            "const running = jupyterapp.commands.execute('notebook:run-cell');"
        )
        if not wait:
            self.page.evaluate(f"(index) => {{ {start} return 0 }}", index)
            return []
        self.page.evaluate(f"(index) => {{ {start} return running.then(() => 0) }}", index)
        outputs = self.outputs(index)
        failed = [output.text for output in outputs if output.kind == "error"]
        assert not failed, failed[0]
        return outputs

    def outputs(self, index: int) -> list[Output]:
        """What a cell shows."""
        raw = self.page.evaluate(f"(index) => {_NOTEBOOK}.content.widgets[index].model.outputs.toJSON()", index)
        return [_output(output) for output in raw]

    def value(self, index: int, expression: str) -> Any:
        """The JSON value of a Python expression, evaluated in a cell."""
        outputs = self.run(index, f"import json as _json; print(_json.dumps({expression}))")
        assert len(outputs) == 1, f"something else than {expression} was said: {outputs}"
        return json.loads(outputs[0].text)

    def cell(self, index: int) -> Locator:
        """The element of a cell."""
        return self.page.locator(".jp-Notebook-cell").nth(index)

    def command(self, name: str, **arguments: Any) -> None:
        """Run a command of JupyterLab."""
        self.page.evaluate(
            "([name, given]) => jupyterapp.commands.execute(name, given).then(() => 0)", [name, arguments]
        )

    def activate(self, index: int) -> None:
        """Make a cell the one commands act on."""
        self.page.evaluate(f"(index) => {{ {_NOTEBOOK}.content.activeCellIndex = index }}", index)

    def workers(self) -> list[str]:
        """Addresses of the Workers that run, in Chromium. (`page.workers` keeps one for ever that ended while it began.)"""
        session = self.page.context.new_cdp_session(self.page)
        context = session.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]
        targets = session.send("Target.getTargets")["targetInfos"]
        session.detach()
        return [it["url"] for it in targets if it["type"] == "worker" and it["browserContextId"] == context]

    def save(self) -> dict[str, Any]:
        """Save, and give what is in the file."""
        self.command("docmanager:save")
        saved: dict[str, Any] = json.loads(self.path.read_text())
        return saved

    def set_theme(self, name: str) -> None:
        """`JupyterLab Light` or `JupyterLab Dark`."""
        self.command("apputils:change-theme", theme=name)
        light = "Light" in name
        self.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{str(light).lower()}'")

    def restart_kernel(self) -> None:
        """Restart the kernel, without the question."""
        self.page.evaluate(f"{_NOTEBOOK}.sessionContext.restartKernel().then(() => 0)")
        self.page.wait_for_function(_KERNEL_READY)

    def close(self) -> None:
        """Shut the kernel down and close the window."""
        try:
            self.page.evaluate(f"{_NOTEBOOK}.sessionContext.shutdown().then(() => 0)")
        except PlaywrightError as error:
            self.console.append(("error", f"the kernel could not be shut down: {error}"))
        if self._windows is None or not self._windows.give_back(self.page, f"{self.lab.url}api"):
            self.context.close()
            return
        for event, handler in self._heard.items():
            self.page.remove_listener(event, handler)


def _notebook_json(cells: Sequence[str]) -> dict[str, Any]:
    code = [
        {
            "cell_type": "code",
            "id": f"cell-{i}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for i, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": code, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _output(raw: dict[str, Any]) -> Output:
    text = raw.get("text", "")
    if raw["output_type"] == "error":
        text = f"{raw['ename']}: {raw['evalue']}"
    return Output(raw["output_type"], text if isinstance(text, str) else "".join(text), raw.get("data", {}))
