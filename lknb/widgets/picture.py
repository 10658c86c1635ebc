"""The last picture of a view, so that a saved notebook shows more than an empty box.

The page sends pictures over the lane all the time; the output of the cell is replaced seldom. JupyterLab renders an output
that is replaced again, and leaves the old view behind as a detached element until the output goes: harmless once, a leak
every ten seconds. So it is replaced with the first picture, when nobody looks at the page, and when the view ends.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lknb.widgets.comm import update_display

REPLACE_INTERVAL_S = 30.0


class SavedPicture:
    """The picture of one view, and the outputs that show the view.

    `bundle()` is what such an output holds apart from the picture. Thread-safe. `clock` gives monotonic seconds.
    """

    def __init__(
        self, display_id: str, bundle: Callable[[], Mapping[str, Any]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.display_id = display_id
        self._bundle = bundle
        self._clock = clock
        self._lock = threading.Lock()
        self._png = b""
        self._displayed = False
        self._replaced_at = float("-inf")
        self._replaced_png = b""

    @property
    def png(self) -> bytes:
        """The last picture, empty when there was none."""
        return self._png

    def bundle(self) -> dict[str, Any]:
        """MIME types and data for the output of a cell."""
        data = dict(self._bundle())
        if self._png:
            data["image/png"] = base64.b64encode(self._png).decode("ascii")
        return data

    def displayed(self) -> None:
        """The bundle stands in an output under `display_id` now."""
        with self._lock:
            self._displayed = True
            self._replaced_png = self._png

    def take(self, png: bytes, *, unseen: bool) -> None:
        """The page sent a picture; `unseen` says that nobody looks at it there at the moment."""
        with self._lock:
            first = not self._png
            self._png = png
            due = unseen and self._clock() - self._replaced_at >= REPLACE_INTERVAL_S
        if first or due:
            self.replace()

    def replace(self) -> None:
        """Put the present picture into the outputs, unless it is there already."""
        with self._lock:
            if not self._displayed or not self._png or self._png == self._replaced_png:
                return
            self._replaced_at = self._clock()
            self._replaced_png = self._png
        update_display(self.display_id, self.bundle())

    def leave(self, text: str) -> None:
        """The view is closed: the picture takes its place in the outputs."""
        with self._lock:
            if not self._displayed or not self._png:
                return
            self._displayed = False
        picture = base64.b64encode(self._png).decode("ascii")
        update_display(self.display_id, {"text/plain": text, "image/png": picture})
