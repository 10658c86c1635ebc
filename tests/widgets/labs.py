"""JupyterLab servers that outlive a module of tests: one takes three seconds to start, and as long again on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.kit.jupyterlab import JupyterLab


class Labs:
    """One server for each way to set it up, started when it is first borrowed; they end with `with`.

    A browser is the borrower's: what drives it keeps a loop running in its thread, beside which no other test has one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, JupyterLab] = {}
        self._started = 0
        self._closing = ExitStack()

    def __enter__(self) -> Labs:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @contextmanager
    def borrow(self, **settings: Any) -> Iterator[JupyterLab]:
        """The server with these settings of `JupyterLab`, as it began; another one, when that of before does not answer."""
        key = repr(sorted(settings.items()))
        lab = self._running.get(key)
        if lab is None or not lab.answers():
            self._started += 1
            lab = self._closing.enter_context(JupyterLab(self._folder / str(self._started), **settings))
            self._running[key] = lab
        try:
            yield lab
        finally:
            lab.close_browser()
            if lab.answers():
                lab.forget()
