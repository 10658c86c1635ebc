"""What every widget of this package is: safe on other threads, quiet in a busy kernel, and with a repr that never changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import traitlets
from ipywidgets import Widget

from lknb.widgets import comm

WIDGET_MIME_TYPE = "application/vnd.jupyter.widget-view+json"


class Hardened(Widget):  # type: ignore[misc]
    """A widget whose comm may be used from any thread, and that shows itself by its repr where there are no widgets."""

    _own_layout = False
    """Whether its layout is closed with it."""

    def __init__(self, *arguments: Any, **traits: Any) -> None:
        unknown = [name for name in traits if name != "model_id" and not self.has_trait(name)]
        if unknown:
            # traitlets only warns of it, where nobody looks
            raise TypeError(f"{type(self).__name__} takes no {unknown[0]!r}")
        super().__init__(*arguments, **traits)

    def close(self) -> None:
        """Take the widget out of all pages. Harmless twice."""
        opened = self.comm
        if opened is None:
            return
        layout = self.layout if self._own_layout else None
        super().close()
        opened.on_msg(None)
        if layout is not None:
            layout.close()

    @traitlets.observe("comm")
    def _harden_comm(self, change: Any) -> None:
        if change["new"] is not None:
            comm.harden(change["new"])

    def _send(self, msg: Mapping[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        opened = self.comm
        if opened is not None:
            comm.send(opened, msg, buffers or ())

    def _ipython_display_(self, **_: Any) -> None:
        # ipywidgets takes the other method away when a widget is closed
        comm.publish_display({"text/plain": repr(self)} if self.comm is None else self._repr_mimebundle_()[0])

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {"text/plain": repr(self), WIDGET_MIME_TYPE: view}, {}


class HardenedWidget(Hardened, anywidget.AnyWidget):
    """An anywidget of that kind."""
