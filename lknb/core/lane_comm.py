"""The comm carrier of lanes: messages travel over the link to the kernel, which hands them to the comm of a widget.

It works on every page that shows widgets, and is the dearest way. What it costs the kernel is above all that its threads
wake up, and the notebook's server drops what is more than 1,000 messages a second, of all kinds: so the lanes of a core
take turns at which all of them send, and with many of them open several messages of a lane go in one. And nothing tells when
a page is gone, since the comm outlives it: the goodbye of a page that is reloaded is sometimes lost in the browser. So one that
stays silent is asked, and so are those of before when another page shows their widget; who does not answer is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lknb.core.lane_port import LaneName
from lknb.core.message import MAX_BUFFERS, Buffer, encode_message

MESSAGES_PER_S = 400
"""Of all comm lanes together."""
TURN_S = 0.016
"""Between two turns at least: a frame of a display, so that a lane alone never waits, and several hardly."""
BYTES_AT_ONCE = 1024 * 1024
"""In one message to the kernel, unless a single frame is larger."""
PING_AFTER_S = 20.0
GONE_AFTER_S = 50.0
"""Without a word of the page. A kernel that can hear no page while a cell runs, an old one, is not given up at once."""
DOUBTED_S = 5.0
"""Without an answer, when other pages are heard so long after the question: the kernel is not deaf, then."""


class CommTurns:
    """When the comm lanes of a core send: all that have something to say at once, so that the kernel wakes up once for them.

    `emit(lanes, messages)` takes encoded messages, and of each the lane.
    """

    def __init__(self, emit: Callable[[list[str], list[bytes]], None], clock: Callable[[], float]) -> None:
        self._emit = emit
        self._clock = clock
        self._speakers: dict[CommPort, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next_at = float("-inf")

    def ask(self, port: CommPort) -> None:
        """Send what waits at the next turn, which is never at once: what is sent in one turn of the loop goes together."""
        self._speakers[port] = None
        if self._timer is None:
            wait_s = max(0.0, self._next_at - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._begin)

    def send(self, *ports: CommPort) -> None:
        """Send what waits, now."""
        lanes: list[str] = []
        messages: list[bytes] = []
        waiting_bytes = 0
        for port in ports:
            for message in port.take():
                if len(messages) == MAX_BUFFERS or waiting_bytes + len(message) > BYTES_AT_ONCE:
                    self._emit(lanes, messages)
                    lanes, messages, waiting_bytes = [], [], 0
                lanes.append(port.lane)
                messages.append(message)
                waiting_bytes += len(message)
        if messages:
            self._emit(lanes, messages)

    def _begin(self) -> None:
        self._timer = None
        speakers, self._speakers = self._speakers, {}
        self._next_at = self._clock() + max(TURN_S, len(speakers) / MESSAGES_PER_S)
        self.send(*speakers)


class CommPort:
    """A `LanePort` to the page behind one widget's comm.

    Nothing is sent before the page has been heard, for only then everybody on the way knows the lane.

    `lane` is what it is called. `on_closed(code, reason)` is called once. `turns` is shared by all lanes, `held_bytes()` says
    what the link to the kernel holds. `clock` gives monotonic seconds.
    """

    name: LaneName = "comm"
    page_left = False
    """Nothing tells."""

    def __init__(
        self,
        lane: str,
        on_closed: Callable[[int, str], None],
        *,
        turns: CommTurns,
        held_bytes: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self.lane = lane
        self._on_closed = on_closed
        self._turns = turns
        self._held_bytes = held_bytes
        self._clock = clock
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._heard = False
        self.heard_at = self._asked_at = clock()
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
        if self._heard:
            self._turns.ask(self)

    async def close(self, code: int, reason: str) -> None:
        self.end(code, reason)

    def end(self, code: int, reason: str) -> None:
        """As `close`, at once."""
        if not self._open:
            return
        self._turns.send(self)
        self._open = False
        self._on_closed(code, reason)

    def hear(self) -> None:
        """The page has said something."""
        self.heard_at = self._clock()
        if not self._heard:
            self._heard = True
            self._turns.send(self)

    def ask(self) -> None:
        """Have the page say whether it is there."""
        self._asked_at = self._clock()
        self.send({"type": "ping"})

    def watch(self, heard_at: float) -> bool:
        """Whether the page is still there, as far as can be told; asks it when it has been silent. To be called often.

        `heard_at` is when any page was last heard over a comm.
        """
        now = self._clock()
        if now - max(self.heard_at, self._asked_at) >= PING_AFTER_S:
            self.ask()
        if self._asked_at > self.heard_at and heard_at - self._asked_at >= DOUBTED_S:
            return False
        return now - self.heard_at < GONE_AFTER_S

    def take(self) -> list[bytes]:
        """What waits to be sent, and waits no longer."""
        messages, self._outbox = self._outbox, []
        self._outbox_bytes = 0
        return messages
