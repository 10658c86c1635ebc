"""Packets of one stream of a media file, between the thread that reads and a thread that plays."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import av

from lknb.core.source.encoded import Kind

_READ_AHEAD_US = 2_000_000
_MAX_PACKETS = 2_000


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """A packet due at `play_us`. `epoch` says which seek it came after."""

    packet: av.Packet[Any]
    play_us: int
    epoch: int
    offset_us: int
    """What to add to a time stamp of the stream, in microseconds, for play time."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A turn in the stream: `"seek"` forgets what came before, `"loop"` follows the last packet before the start
    comes again, `"end"` the very last. `play_us` is where the stream goes on."""

    turn: Literal["seek", "loop", "end"]
    play_us: int
    error: str | None = None


Item: TypeAlias = MediaPacket | Marker


class PacketQueue:
    """One player's share of a file. `active` is set while a thread takes items."""

    def __init__(self, kind: Kind, changed: threading.Condition) -> None:
        self.kind: Kind = kind
        self.active = False
        self._changed = changed
        self._items: deque[Item] = deque()

    @property
    def full(self) -> bool:
        """Whether enough is read ahead. A queue without a player is never full: `trim` keeps it short."""
        if not self.active or not self._items:
            return False
        first, last = self._items[0].play_us, self._items[-1].play_us
        return last - first > _READ_AHEAD_US or len(self._items) >= _MAX_PACKETS

    @property
    def has_end(self) -> bool:
        """Whether the end of the file is in it."""
        last = self._items[-1] if self._items else None
        return isinstance(last, Marker) and last.turn == "end"

    def put(self, item: Item) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._items.clear()
            self._changed.notify_all()

    def get(self, interrupted: threading.Event) -> Item | None:
        """The next item, waiting for it; None when `interrupted` is set, by someone who notifies the condition."""
        with self._changed:
            while not interrupted.is_set():
                if self._items:
                    item = self._items.popleft()
                    self._changed.notify_all()
                    return item
                self._changed.wait()
            return None

    def trim(self, position_us: int) -> None:
        """Forget what no player can need any more that begins at this play time: all before the last key frame, and what is
        too much."""
        with self._changed:
            if self.active:
                return
            keep = max(0, len(self._items) - _MAX_PACKETS)
            for index, item in enumerate(self._items):
                if item.play_us > position_us:
                    break
                if isinstance(item, Marker) or item.packet.is_keyframe:
                    keep = max(keep, index)
            for _ in range(keep):
                self._items.popleft()
