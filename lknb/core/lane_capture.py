"""The lane of a page that captures: its messages up, counted and checked, and the core's commands down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lknb.core.capture_message import Hello, Media, parse_capture
from lknb.core.lane_ticket import LINK_LIFETIME_S, TAB_VIEW
from lknb.errors import WireError

if TYPE_CHECKING:
    from lknb.core.capture import Captures
    from lknb.core.capture_page import CapturePage
    from lknb.core.lane_port import LanePort
    from lknb.core.lane_ticket import Grant

ACK_INTERVAL_S = 0.25
"""Four messages a second, which a lane over the kernel can bear; the page stops encoding long before it fills."""
LINK_INTERVAL_S = LINK_LIFETIME_S / 2


class CaptureSession:
    """One open lane of one page. `handle` raises `WireError` for what no page of ours would send; the lane is closed
    then, and the page's captures end as if it had been closed."""

    def __init__(
        self, grant: Grant, port: LanePort, captures: Captures, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.grant = grant
        self.opened_at = clock()
        self._port = port
        self._captures = captures
        self._clock = clock
        self._page: CapturePage | None = None
        self._is_tab = grant.view == TAB_VIEW
        self._sequence = -1
        self._acknowledged = -1
        self._acknowledged_at = self.opened_at
        self._link_due_at = float("-inf")

    def handle(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        message = parse_capture(header, buffers)
        if isinstance(message, Hello):
            if self._page is not None:
                raise WireError("a second hello on one lane")
            self._page = self._captures.join(self, message)
            return
        if self._page is None:
            raise WireError("a capturing page that does not say hello first")
        if isinstance(message, Media):
            if message.sequence <= self._sequence:
                raise WireError(f"media {message.sequence} after {self._sequence}")
            self._sequence = message.sequence
            self.refresh()
        self._page.handle(message)

    def send(self, header: Mapping[str, Any]) -> None:
        """A command for the page."""
        self._port.send(dict(header))

    def renew_link(self) -> None:
        """The link was used: another one, soon."""
        self._link_due_at = float("-inf")

    def refresh(self) -> None:
        """Acknowledge what has come: how the page knows that there is somebody, and how far the lane is behind. And renew
        the link to our own page of those that may need it."""
        now = self._clock()
        if now >= self._link_due_at and self._page is not None and (self._is_tab or not self._page.able):
            link = self._captures.link(self.grant.room)
            if link is not None:
                self._link_due_at = now + LINK_INTERVAL_S
                self.send({"type": "link", "port": link[0], "ticket": link[1]})
        if now - self._acknowledged_at >= ACK_INTERVAL_S and self._sequence != self._acknowledged:
            self._acknowledged, self._acknowledged_at = self._sequence, now
            self.send({"type": "ack", "sequence": self._sequence})

    def closed(self) -> None:
        self._captures.leave(self)
        if self._page is not None:
            self._page.disconnect(self, left=self._port.page_left)
