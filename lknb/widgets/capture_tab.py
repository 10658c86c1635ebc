"""`CaptureTab`: the camera page of a room, a tab of the browser that captures where what shows the notebook may not.

The core serves it (`core.lane_page`), and it has a lane to the core as any page that captures. What a widget would tell its
page over the comm goes by way of the core:

    kernel -> page   {"type": "shown", shown}             as the trait `_shown` of `ControlBar`, and `room`, its name
                     {"type": "refused", client, detail}
                     {"type": "again", ticket}            the room was joined anew, and has another lane
"""

from __future__ import annotations

import functools
import threading
import time
import weakref
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from lknb.core.client import CoreClient
from lknb.core.lane_ticket import OWN_ORIGIN, TAB_VIEW
from lknb.logic.label import visible_label
from lknb.rtc.room import Room
from lknb.widgets.call_buttons import ROOM_EVENTS, CallButtons
from lknb.widgets.esm import tab_css, tab_esm
from lknb.widgets.own_desktop import is_own_desktop
from lknb.widgets.watch import Watch

OPENING_S = 30.0
"""A browser that has to start first, and a person who looks for it."""


class Follower(Protocol):
    """What shows whether the camera page is there."""

    def follow_tab(self) -> None:
        """It has come, or gone; on the room's loop."""


class CaptureTab:
    """Of one room; `tab_of(room)`. It lives as long as its room."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.connected = False
        """Whether it is open, and can be asked."""
        self.followers: weakref.WeakSet[Follower] = weakref.WeakSet()
        self._client: CoreClient | None = None
        self._core_room = 0
        self._opened_at = float("-inf")
        self._shown: dict[str, Any] = {}
        self._buttons = CallButtons(room, lambda client, detail: self._refuse(client, detail))
        self._watch = Watch(self._changed)
        self._watch.follow([(room, ROOM_EVENTS)])
        self._changed()

    def open_here(self) -> bool:
        """Open it in the browser of this machine. False when this is not known to be the person's: they have to do it."""
        if not is_own_desktop():
            return False
        now = time.monotonic()
        # several devices that are asked for at once are one page
        if now - self._opened_at >= OPENING_S:
            self._opened_at = now
            self._request_link(self._open)
        return True

    # ------------------------------------------------------------------ the room, on its loop

    def _changed(self) -> None:
        self._join()
        shown = {**self._buttons.describe(), "room": visible_label(self.room.name)}
        if shown != self._shown:
            self._shown = shown
            self._tell({"type": "shown", "shown": shown})

    def _join(self) -> None:
        core = self.room._core
        if core is None or (core.client, core.handle) == (self._client, self._core_room):
            return
        client, before = self._client, self._core_room
        if client is not None:
            client.unlisten(("view", before, TAB_VIEW))
        self._client, self._core_room, self._shown = core.client, core.handle, {}
        _listen_weakly(core.client, ("view", core.handle, TAB_VIEW), self)
        core.client.post({"op": "own_page"}, [tab_css().encode(), tab_esm().encode()])
        if self.connected:
            self.connected = False
            self._request_link(lambda port, ticket: self._tell({"type": "again", "ticket": ticket}, before))

    def _refuse(self, client: str, detail: str) -> None:
        self._tell({"type": "refused", "client": client, "detail": detail})

    def _tell(self, header: Mapping[str, Any], core_room: int | None = None) -> None:
        if self._client is not None:
            room = self._core_room if core_room is None else core_room
            self._client.post({"op": "tell_tabs", "room": room, "header": header})

    def _tell_followers(self) -> None:
        for follower in list(self.followers):
            follower.follow_tab()

    # ------------------------------------------------------------------ on the thread of the link

    def _hear(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if header["type"] == "click":
            self._buttons.press(header)
        elif header["type"] == "devices_changed":
            self._buttons.follow_devices()
        elif header["type"] == "lane":
            self.connected = bool(header["lane"])
            if self.connected:
                self._opened_at = float("-inf")
            core = self.room._core
            if core is not None:
                core.call(self._tell_followers)

    def _request_link(self, use: Callable[[int, str], None]) -> None:
        assert self._client is not None
        asked = {"op": "lane_ticket", "room": self._core_room, "kind": "capture", "track_sid": "", "view": TAB_VIEW}
        future = self._client.request_threadsafe({**asked, "origin": OWN_ORIGIN})
        future.add_done_callback(functools.partial(_use_link, use))

    def _open(self, port: int, ticket: str) -> None:
        url = f"http://127.0.0.1:{port}/capture#{ticket}"
        # a browser may keep whoever opens it waiting
        threading.Thread(target=webbrowser.open, args=(url,), name="open camera page", daemon=True).start()


def _listen_weakly(client: CoreClient, key: tuple[str, int, str], tab: CaptureTab) -> None:
    """The core, which outlives all rooms, must not keep one that was left."""
    reference = weakref.ref(tab)

    def hear(header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        found = reference()
        if found is not None:
            found._hear(header, buffers)

    client.listen(key, hear)
    weakref.finalize(tab, client.unlisten, key)


def _use_link(use: Callable[[int, str], None], future: Future[Any]) -> None:
    # without a room there is nothing to open a page for
    if not future.cancelled() and future.exception() is None:
        ok, _ = future.result()
        use(ok["port"], ok["ticket"])


_tabs: weakref.WeakValueDictionary[int, CaptureTab] = weakref.WeakValueDictionary()


def tab_of(room: Room) -> CaptureTab:
    """The camera page of a room: the one there is, or a new one."""
    found = _tabs.get(id(room))
    if found is None or found.room is not room:
        # the room's events keep it
        found = _tabs[id(room)] = CaptureTab(room)
    return found
