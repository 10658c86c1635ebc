"""Chromium with real tabs. A driver that is attached keeps every page visible, so this one can be let go and taken again."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from tests.kit.chromium import FLAGS, find_chromium
from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.kit.program import Program


class TabbedChromium:
    """A browser with a window of tabs; `with`. `attach` gives it to playwright, `detach` takes it away."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._browser: Browser | None = None

    def __enter__(self) -> TabbedChromium:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [find_chromium(), *FLAGS, "--headless", "--window-size=1280,900", "--remote-debugging-port=0"]
        folder = Path(self._folder.name)
        self._program = Program([*command, f"--user-data-dir={folder}", "about:blank"], folder / "output.log")
        told = folder / "DevToolsActivePort"
        try:
            wait_until_sync(lambda: told.exists() and told.read_text().count("\n"), 20, what="the port of Chromium")
        except AssertionError:
            self.__exit__()
            raise
        self._port = int(told.read_text().split()[0])
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()
        self._program.end()
        self._folder.cleanup()

    def attach(self) -> BrowserContext:
        """Have playwright drive its tabs: from now on all pages are visible."""
        self._browser = self._playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{self._port}")
        # others end when they are let go
        return self._browser.contexts[0]

    def detach(self) -> None:
        """Nobody drives it: a page is visible when its tab is in front."""
        if self._browser is not None:
            self._browser.close()
            self._browser = None

    def page(self, part: str) -> Page:
        """The page with this in its address."""
        assert self._browser is not None
        return next(page for context in self._browser.contexts for page in context.pages if part in page.url)

    def tab(self, part: str) -> str:
        """The id of the tab with this in its address."""
        return next(str(it["id"]) for it in self._ask("list") if it["type"] == "page" and part in it["url"])

    def new_tab(self, url: str) -> str:
        """Another tab, in front."""
        return str(self._ask(f"new?{url}", "PUT")["id"])

    def bring_to_front(self, tab: str) -> None:
        self._ask(f"activate/{tab}", parse=False)

    def _ask(self, path: str, method: str = "GET", *, parse: bool = True) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10 * TIME_FACTOR) as answer:
            text = answer.read()
        return json.loads(text) if parse else text
