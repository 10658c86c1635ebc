"""Windows of a browser for notebooks: one whose notebook was closed serves the next."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, ViewportSize
from playwright.sync_api import Error as PlaywrightError

SIZE: ViewportSize = {"width": 1280, "height": 900}


class Windows:
    """Of one browser, each in a context of its own.

    The process of a page that goes from notebook to notebook has JupyterLab's code ready: a new process takes 2 s more of a
    CPU for it. The document goes, with all that runs in it, and so does what the browser keeps beyond one.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._at_rest: list[Page] = []

    def take(self) -> Page:
        if self._at_rest:
            return self._at_rest.pop()
        return self._browser.new_context(viewport=SIZE).new_page()

    def give_back(self, page: Page, url: str) -> bool:
        """Empty a page by way of something small of the same server, at `url`. False when it is to be closed instead.

        That is when it does not do as it is told, or others are beside it in its context.
        """
        context = page.context
        if context.pages != [page]:
            return False
        try:
            page.goto(url)
            page.evaluate("sessionStorage.clear()")
            session = context.new_cdp_session(page)
            session.send("Storage.clearDataForOrigin", {"origin": page.evaluate("origin"), "storageTypes": "all"})
            session.detach()
            context.clear_cookies()
            context.clear_permissions()
            page.set_viewport_size(SIZE)
        except PlaywrightError:
            return False
        self._at_rest.append(page)
        return True
