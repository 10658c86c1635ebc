"""Our end of one open lane: whatever its page sends is bounded and decoded before the session sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lknb.core.lane_port import LanePort, LaneSession
from lknb.core.lane_ticket import Grant
from lknb.core.message import decode_message
from lknb.errors import WireError
from lknb.logic.allowance import Allowance

MESSAGE_BYTES = 1024 * 1024 + 4_096
"""The largest message a page may send: a picture or a key frame of one MiB, and what is said about it."""
UPWARD_MESSAGES_PER_S = 200
UPWARD_MESSAGES_AT_ONCE = 600
"""A page that captures goes on speaking for 10 s while the kernel, or this process, has no time to hear it; then all that
comes together."""


class LaneEnd:
    """One lane: whom it is for, the way to the page, and what runs on it.

    `on_hello(header)` gets what the page says first, before the session does, and may refuse it with `WireError`. `clock`
    gives monotonic seconds.
    """

    def __init__(
        self,
        grant: Grant,
        port: LanePort,
        session: LaneSession,
        *,
        clock: Callable[[], float],
        on_hello: Callable[[dict[str, Any]], None],
    ) -> None:
        self.grant = grant
        self.port = port
        self.session = session
        self.greeted = False
        """Whether the page has said hello, so that the name of the port is true."""
        self._clock = clock
        self._on_hello = on_hello
        self._allowance = Allowance(UPWARD_MESSAGES_AT_ONCE, UPWARD_MESSAGES_PER_S)

    def receive(self, data: bytes) -> None:
        """One encoded message of the page. Raises `WireError`: the lane is to be closed with 1008."""
        if len(data) > MESSAGE_BYTES:
            raise WireError(f"a page's message of {len(data)} bytes")
        if not self._allowance.take(self._clock()):
            raise WireError(f"more than {UPWARD_MESSAGES_PER_S} messages a second")
        header, buffers = decode_message(data)
        if header.get("type") == "pong":
            # it has done what it is for by coming here
            return
        if header.get("type") == "hello":
            self._on_hello(header)
        self.session.handle(header, buffers)
