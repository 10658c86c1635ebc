"""The comm carrier of lanes: messages travel over the link to the kernel, which hands them to the comm of a widget.

It works on every page that shows widgets, and is the dearest way. The notebook's server drops what is more than
1,000 messages a second, of all kinds, so the lanes of a core share a budget: with many of them open several messages of a
lane go in one. And nothing tells when a page is gone, since the comm outlives it: one that stays silent is asked, and given
up when it does not answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lknb.core.lane_port import LaneName
from lknb.core.message import MAX_BUFFERS, Buffer, encode_message

MESSAGES_PER_S = 400
"""Of all comm lanes together."""
PING_AFTER_S = 20.0
GONE_AFTER_S = 50.0
"""Without a word of the page. A kernel that can hear no page while a cell runs, an old one, is not given up at once."""


class CommPort:
    """A `LanePort` to the page behind one widget's comm.

    Nothing is sent before the page has been heard, for only then everybody on the way knows the lane.

    `emit(messages)` takes encoded messages, `on_closed(code, reason)` is called once. `share()` says how many lanes share
    the budget, `held_bytes()` what the link to the kernel holds. `clock` gives monotonic seconds.
    """

    name: LaneName = "comm"
    page_left = False
    """Nothing tells."""

    def __init__(
        self,
        emit: Callable[[list[bytes]], None],
        on_closed: Callable[[int, str], None],
        *,
        share: Callable[[], int],
        held_bytes: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._emit = emit
        self._on_closed = on_closed
        self._share = share
        self._held_bytes = held_bytes
        self._clock = clock
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._emitted_at = float("-inf")
        self._flushing: asyncio.TimerHandle | None = None
        self._heard = False
        self._heard_at = self._asked_at = clock()
        self._open = True

    @property
    def waiting_bytes(self) -> int:
        return self._outbox_bytes + self._held_bytes()

    def send(self, header: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> None:
        if not self._open:
            return
        data = encode_message(header, buffers)
        self._outbox.append(data)
        self._outbox_bytes += len(data)
        if self._flushing is None and self._heard:
            # never at once: what is sent in one turn of the loop goes together
            wait_s = self._emitted_at + self._share() / MESSAGES_PER_S - self._clock()
            self._flushing = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._flush)

    async def close(self, code: int, reason: str) -> None:
        self.end(code, reason)

    def end(self, code: int, reason: str) -> None:
        """As `close`, at once."""
        if not self._open:
            return
        self._flush()
        self._open = False
        self._on_closed(code, reason)

    def hear(self) -> None:
        """The page has said something."""
        self._heard_at = self._clock()
        if not self._heard:
            self._heard = True
            self._flush()

    def watch(self) -> bool:
        """Whether the page is still there, as far as can be told; asks it when it has been silent. To be called often."""
        now = self._clock()
        if now - max(self._heard_at, self._asked_at) >= PING_AFTER_S:
            self._asked_at = now
            self.send({"type": "ping"})
        return now - self._heard_at < GONE_AFTER_S

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if not self._open:
            return
        while self._outbox:
            messages = [self._outbox.popleft() for _ in range(min(len(self._outbox), MAX_BUFFERS))]
            self._outbox_bytes -= sum(map(len, messages))
            self._emitted_at = self._clock()
            self._emit(messages)
