"""Comm lanes of this kernel: messages from the core to the comm of a widget, and back.

Nothing here waits for the kernel's loop. What comes from the core is handed to the comm on the thread of the link to it;
what comes from a page is handed to the core on whatever thread the comm is heard. One comm message of a page may carry
messages of several lanes, also of other widgets, because each costs the page as much as a large one.
"""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lknb.core.client import CoreClient

KERNEL = secrets.token_hex(8)
"""By this a page knows which of its lanes can go together."""
LANES_IN_ONE_MESSAGE = 64
_LANE_CHARACTERS = 32

_open: dict[str, CommLane] = {}
_watched: weakref.WeakSet[CoreClient] = weakref.WeakSet()


class LaneOwner(Protocol):
    """What a comm lane needs of its widget: a way to all of its pages."""

    def send(self, content: Any, buffers: Any = None) -> None: ...


class CommLane:
    """One lane that is open in the core, to one page of a widget. The page finds itself by `client`, its own name."""

    def __init__(self, owner: LaneOwner, core: CoreClient, lane: str, client: str) -> None:
        self.lane = lane
        self.core = core
        self._owner = owner
        self._client = client
        _open[lane] = self
        if core not in _watched:
            _watched.add(core)
            core.listen(("lanes",), _bring_down)
            core.on_death(_close_those_of_the_dead)

    def bring_down(self, messages: Sequence[bytes]) -> None:
        """Messages of the core for the page."""
        self._owner.send({"type": "down", "client": self._client, "lane": self.lane}, list(messages))

    def lose(self) -> None:
        """The core has closed it, or is gone: the page is told."""
        if _open.pop(self.lane, None) is not None:
            self._owner.send({"type": "closed", "client": self._client, "lane": self.lane})

    def close(self) -> None:
        """The page has left, or there is no widget any more: the core is told."""
        if _open.pop(self.lane, None) is not None:
            self.core.post({"op": "lane_close", "lane": self.lane})


def bring_up(lanes: Any, buffers: Sequence[Any]) -> list[str]:
    """Hand a page's messages to the core: each buffer is one of the lane at its place in `lanes`.

    Returns the lanes that are not open (any more). What is not of this form is dropped.
    """
    if not isinstance(lanes, list) or len(lanes) != len(buffers) or len(lanes) > LANES_IN_ONE_MESSAGE:
        return []
    unknown = []
    for lane, buffer in zip(lanes, buffers, strict=True):
        if not isinstance(lane, str) or len(lane) > _LANE_CHARACTERS:
            continue
        found = _open.get(lane)
        if found is not None:
            found.core.post({"op": "lane_up", "lane": lane}, [bytes(buffer)])
        elif lane not in unknown:
            unknown.append(lane)
    return unknown


def open_lane(lane: Any) -> CommLane | None:
    """The lane of this name, if it is open."""
    return _open.get(lane) if isinstance(lane, str) else None


def _bring_down(header: Mapping[str, Any], messages: Sequence[bytes]) -> None:
    """An event "lanes_down" of a core: all that its lanes say in one turn."""
    by_lane: dict[str, list[bytes]] = {}
    for lane, message in zip(header["lanes"], messages, strict=True):
        by_lane.setdefault(lane, []).append(message)
    for lane, its_messages in by_lane.items():
        found = _open.get(lane)
        if found is not None:
            found.bring_down(its_messages)


def _close_those_of_the_dead() -> None:
    for lane in list(_open.values()):
        if not lane.core.alive:
            lane.lose()
