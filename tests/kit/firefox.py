"""Firefox, headless, with its fake camera and microphone, driven over WebDriver BiDi.

    with Firefox() as firefox:
        notebook = lab.open(["..."], context=firefox)

Playwright drives only Firefoxes of its own making, so this is what a test of ours needs of a page, under the same names:
`evaluate`, `wait_for_function`, `goto`, `locator(...).click()`, `on`. Everything is synchronous.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import websocket

from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.kit.program import Program

NAMES = ("firefox-esr", "firefox")
START_DEADLINE_S = 40.0
CALL_DEADLINE_S = 60.0
PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.navigator.audio.fake_frequency": 440,
    "media.autoplay.default": 0,
    # tests read canvases that a Worker paints: the page then stands still until the Worker answers, which may itself be waiting
    # for the page (each message of a websocket), and both for this long. It was 10 s
    "gfx.offscreencanvas.snapshot-timeout-ms": 200,
}
# as playwright does: what a string is worth, called when it is a function, waited for when it is a promise
_EVALUATE = (
    "async (source, given) => { const found = (0, eval)(source);"
    " return JSON.stringify(await (typeof found === 'function' ? found(JSON.parse(given)) : found)) ?? 'null' }"
)
_CENTRE = (
    "(selector) => { const found = document.querySelector(selector); found.scrollIntoView({ block: 'center' });"
    " const { x, y, width, height } = found.getBoundingClientRect(); return [x + width / 2, y + height / 2] }"
)


def find_firefox() -> str | None:
    """The browser to test with, or None: unlike Chromium, no test needs it, and `tests/run` does not install it."""
    return os.environ.get("LKNB_TEST_FIREFOX") or next(filter(None, map(shutil.which, NAMES)), None)


class Firefox:
    """One browser with a profile of its own; `with`. What it opens is closed with it."""

    def __init__(
        self,
        preferences: Mapping[str, bool | int | str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._preferences = {**PREFERENCES, **(preferences or {})}
        self._environment = dict(environment or {})
        self._pages: dict[str, FirefoxPage] = {}
        self._calls = 0
        self.version = ""

    def __enter__(self) -> Firefox:
        executable = find_firefox()
        assert executable, "no Firefox: install it, or set LKNB_TEST_FIREFOX to its path"
        self._profile = Path(tempfile.mkdtemp(prefix="lknb_firefox_"))
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(it)});\n" for name, it in self._preferences.items()]
        (self._profile / "user.js").write_text("".join(lines))
        self._program = Program(
            [executable, "--headless", "--remote-debugging-port=0", "--profile", self._profile],
            self._profile / "output.log",
            environment={**self._environment, "HOME": str(self._profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
        )
        try:
            told = wait_until_sync(self._address, START_DEADLINE_S, what=self._program.written, interval_s=0.1)
            self._socket = websocket.create_connection(
                f"ws://{told['ws_host']}:{told['ws_port']}/session", suppress_origin=True
            )
            # a notebook that is not saved asks before it goes
            wanted = {"unhandledPromptBehavior": {"default": "accept"}}
            session = self.call("session.new", capabilities={"alwaysMatch": wanted})
            self.version = session["capabilities"]["browserVersion"]
            self.call("session.subscribe", events=["log.entryAdded"])
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("browser.close")
            self._socket.close()
        finally:
            self._end()

    def new_page(self, width: int = 1280, height: int = 900, scale: float = 1.0) -> FirefoxPage:
        context = self.call("browsingContext.create", type="window")["context"]
        viewport = {"width": width, "height": height}
        self.call("browsingContext.setViewport", context=context, viewport=viewport, devicePixelRatio=scale)
        page = self._pages[context] = FirefoxPage(self, context)
        return page

    def cover(self, page: FirefoxPage) -> str:
        """Another tab in front of the page; the context to close when it is to be seen again."""
        context: str = self.call("browsingContext.create", type="tab", referenceContext=page.context)["context"]
        self.call("browsingContext.activate", context=context)
        return context

    def close(self) -> None:
        """Close the pages; the browser stays, for the next notebook."""
        for page in list(self._pages.values()):
            page.close()

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a command; what is said on the console meanwhile goes to its page first."""
        self._calls += 1
        number = self._calls
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        end = time.monotonic() + CALL_DEADLINE_S * TIME_FACTOR
        while True:
            self._socket.settimeout(max(0.1, end - time.monotonic()))
            message = json.loads(self._socket.recv())
            if message["type"] == "event":
                page = self._pages.get(message["params"]["source"].get("context", ""))
                if page is not None:
                    page.hear(message["params"])
            elif message.get("id") == number:
                assert message["type"] == "success", f"{method}: {message['error']}: {message['message']}"
                return message["result"]

    def forget(self, context: str) -> None:
        self._pages.pop(context, None)

    def _address(self) -> Any:
        assert not self._program.has_ended, f"Firefox ended: {self._program.written()}"
        try:
            return json.loads((self._profile / "WebDriverBiDiServer.json").read_text())
        except (OSError, ValueError):
            return None

    def _end(self) -> None:
        self._program.end()
        shutil.rmtree(self._profile, ignore_errors=True)


class FirefoxPage:
    """One page, in a window of its own."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self.context = context
        self._deadline_ms = 30_000.0
        self._handlers: dict[str, Callable[[Any], object]] = {}

    def on(self, event: str, handler: Callable[[Any], object]) -> None:
        """`console` and `pageerror`; other events never come."""
        self._handlers[event] = handler

    def set_default_timeout(self, ms: float) -> None:
        self._deadline_ms = ms

    def goto(self, url: str) -> None:
        self._firefox.call("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression: str, argument: Any = None) -> Any:
        """The JSON value of an expression, or of what the function it is returns. AssertionError when it throws."""
        done = self._firefox.call(
            "script.callFunction", functionDeclaration=_EVALUATE, target={"context": self.context}, awaitPromise=True,
            arguments=[{"type": "string", "value": it} for it in (expression, json.dumps(argument))],
        )  # fmt: skip
        assert done["type"] == "success", done["exceptionDetails"]["text"]
        return json.loads(done["result"]["value"])

    def wait_for_function(self, expression: str, argument: Any = None) -> Any:
        deadline_s = self._deadline_ms / 1_000 / TIME_FACTOR
        return wait_until_sync(lambda: self.evaluate(expression, argument), deadline_s, what=expression, interval_s=0.1)

    def locator(self, selector: str) -> FirefoxLocator:
        return FirefoxLocator(self, selector)

    def click(self, selector: str) -> None:
        """As a person does: the page sees a mouse, and knows that it was not a script's."""
        self.wait_for_function("(selector) => !!document.querySelector(selector)", selector)
        x, y = map(round, self.evaluate(_CENTRE, selector))
        press = [
            {"type": "pointerMove", "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": press}
        self._firefox.call("input.performActions", context=self.context, actions=[mouse])

    def screenshot(self, path: Path) -> None:
        taken = self._firefox.call("browsingContext.captureScreenshot", context=self.context)
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        self._firefox.forget(self.context)
        self._firefox.call("browsingContext.close", context=self.context)

    def hear(self, entry: dict[str, Any]) -> None:
        """An entry of the page's log."""
        text = entry.get("text") or ""
        frames = (entry.get("stackTrace") or {}).get("callFrames") or [{}]
        if entry["type"] == "javascript":
            self._tell("pageerror" if entry["level"] == "error" else "", text)
        else:
            location = {"url": frames[0].get("url", "")}
            self._tell("console", SimpleNamespace(type=entry["level"], text=text, location=location))

    def _tell(self, event: str, what: Any) -> None:
        if event in self._handlers:
            self._handlers[event](what)


class FirefoxLocator:
    """The first element a CSS selector finds."""

    def __init__(self, page: FirefoxPage, selector: str) -> None:
        self._page = page
        self._selector = selector

    def click(self) -> None:
        self._page.click(self._selector)
