"""`ControlView`: the base of the views that show no video, such as tables and meters.

What a view shows is one JSON value, the trait `_shown`, made anew by `_describe()` when something may be different, and sent
only when it is. Figures that change all the time go out as messages, and are in no saved notebook. What the user does comes in
as messages; they arrive on whatever thread the kernel picks, and are handled on the room's loop.

A view follows its room only while a page shows it: a cell that is run again leaves a widget behind, and that one then costs
nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import traitlets
from ipywidgets import Layout

from lknb.rtc.core_room import CoreRoom
from lknb.widgets import comm
from lknb.widgets.esm import control_code, control_css
from lknb.widgets.hardened import HardenedWidget
from lknb.widgets.meter import Flows, Meter
from lknb.widgets.room_audio import audio_id_of
from lknb.widgets.watch import Emitter, Watch

logger = logging.getLogger(__name__)

REFRESH_INTERVAL_S = 0.2
_VIEWER_CHARACTERS = 64
_VIEWERS = 32

Watched = Iterable[tuple[Emitter | None, Iterable[str]]]


class ControlView(HardenedWidget):
    """See the module. A subclass says what it follows, what it shows, and what its messages do."""

    _css = control_css()
    _code = traitlets.Unicode(read_only=True).tag(sync=True)
    _audio = traitlets.Unicode(read_only=True).tag(sync=True)
    _shown = traitlets.Dict(read_only=True).tag(sync=True)

    _module = ""
    """What draws it, in js/; a subclass says so here, and in `_esm`, which anywidget wants of every class."""

    metered = False
    """Whether `_take_flows` is to be called."""

    def __init__(self, **traits: Any) -> None:
        self._watch = Watch(self._changed)
        self._viewers: dict[str, None] = {}
        self._meter: Meter | None = None
        self._due: asyncio.TimerHandle | None = None
        self._refreshed_at = float("-inf")
        self._showing = threading.RLock()
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width="100%")
        self.set_trait("_shown", self._describe())
        self.set_trait("_audio", audio_id_of(self._core()))
        super().__init__(**traits)

    @traitlets.default("_code")
    def _default_code(self) -> str:
        return control_code(self._module)

    # ------------------------------------------------------------------ of a subclass

    def _describe(self) -> dict[str, Any]:
        """What is shown, in JSON; text of strangers through `visible_label`."""
        raise NotImplementedError

    def _follow(self) -> Watched:
        """Emitters and their events after which something else may be shown."""
        raise NotImplementedError

    def _core(self) -> CoreRoom | None:
        """The room as the core has it; None while it is not connected."""
        raise NotImplementedError

    def _act(self, content: Mapping[str, Any]) -> None:
        """What the user did. On the room's loop."""

    def _take_flows(self, flows: Flows) -> None:
        """What flows of each track now. On the link's thread."""

    def _greet(self) -> None:
        """A page shows the view from now on."""

    # ------------------------------------------------------------------ of the base

    def close(self) -> None:
        """Take the view out of all pages and let go of the room. Harmless twice."""
        if self.comm is None:
            # also what ipywidgets does to one whose making failed
            return
        self._sleep()
        self._viewers.clear()
        super().close()

    def _refresh(self) -> None:
        """Look at everything again, and show it."""
        self._due = None
        if self.comm is None:
            return
        self._refreshed_at = time.monotonic()
        if self._viewers:
            self._wake()
        self._show()

    def _show(self) -> None:
        """Tell the pages what is to be seen, if that is news. From any thread."""
        with self._showing:
            shown = self._describe()
            if shown != self._shown:
                self.set_trait("_shown", shown)

    def _changed(self) -> None:
        """Something may be different: show it soon, and not more than five times a second."""
        if self.comm is None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._refresh()
            return
        if self._due is not None and not self._due.cancelled() and self._due.when() > loop.time():
            return
        wait_s = max(0.0, self._refreshed_at + REFRESH_INTERVAL_S - time.monotonic())
        self._due = loop.call_later(wait_s, self._refresh)

    def _handle_custom_msg(self, content: Any, buffers: Any) -> None:
        if not isinstance(content, dict):
            super()._handle_custom_msg(content, buffers)
            return
        kind, viewer = content.get("type"), content.get("viewer")
        if kind in ("hello", "bye"):
            if isinstance(viewer, str) and 0 < len(viewer) <= _VIEWER_CHARACTERS:
                self._on_loop(self._meet if kind == "hello" else self._part, viewer)
        elif kind == "act":
            self._on_loop(self._take_act, content)
        else:
            super()._handle_custom_msg(content, buffers)

    def _on_loop(self, function: Any, *arguments: Any) -> None:
        core = self._core()
        if core is None:
            comm.call_on_kernel_loop(lambda: function(*arguments))
        else:
            core.call(function, *arguments)

    def _meet(self, viewer: str) -> None:
        if self.comm is None:
            return
        self._viewers[viewer] = None
        if len(self._viewers) > _VIEWERS:
            # pages that were reloaded say no goodbye
            del self._viewers[next(iter(self._viewers))]
        self._refresh()
        self._greet()

    def _part(self, viewer: str) -> None:
        self._viewers.pop(viewer, None)
        if not self._viewers:
            self._sleep()

    def _take_act(self, content: Mapping[str, Any]) -> None:
        if self.comm is None:
            return
        try:
            self._act(content)
        except Exception as error:
            # a page's message must not end in the loop of the room; what was refused is said where it was asked
            logger.info("%s: %s", type(self).__name__, error)
            self.send({"type": "refused", "detail": str(error).partition("\n")[0]})
        self._refresh()

    def _wake(self) -> None:
        self._watch.follow(self._follow())
        core = self._core() if self.metered else None
        # a room that was connected again has another core room
        self._measure(Meter.of(core) if core is not None else None)

    def _sleep(self) -> None:
        self._watch.close()
        self._measure(None)
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _measure(self, meter: Meter | None) -> None:
        before, self._meter = self._meter, meter
        if before is meter:
            return
        if before is not None:
            before.remove(self._take_flows)
        if meter is not None:
            meter.add(self._take_flows)
