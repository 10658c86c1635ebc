"""Tickets: what lets one page open one lane, once.

A page cannot be recognised by its address: every program of this machine reaches a loopback port, any page in any
browser can try to, and behind jupyter-server-proxy the `Host` is somebody else's. So the kernel hands a page a random
ticket over the widget's comm, which only pages of that notebook can read, and the lane takes nothing else.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass

from lknb.errors import WireError

LANE_KINDS = ("video", "audio", "capture")
COMM_ORIGIN = "comm://kernel"
"""Stands for the page's origin on lanes over the comm, which need no ticket: who can write to it is in the notebook."""
OWN_ORIGIN = "page://core"
"""Stands for the origin of the page the core serves itself: only the browser knows the name it reaches us by."""
TAB_VIEW = "tab"
"""The view of that page, which no widget has."""
TICKET_LIFETIME_S = 30.0
LINK_LIFETIME_S = 120.0
"""Of a ticket in a link that waits for somebody to click on it."""
TICKETS = 256
"""Handed out and neither used nor expired; the oldest goes when there are more."""

_TICKET_BYTES = 16
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,31}://[^\s/?#]{1,255}")
_NAME = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a ticket opens. Raises `WireError` for values no page of ours would name."""

    room: int
    """The kernel's handle of the room."""

    kind: str
    """What the lane is for: "video", one track; "audio", all sound of the room; "capture", devices of the page."""

    track_sid: str
    """Of a video lane; empty for the others."""

    view: str
    """The widget the lane belongs to; several pages may show one widget."""

    origin: str
    """`location.origin` of the page, which its browser puts into the websocket's `Origin` header by itself."""

    def __post_init__(self) -> None:
        if not isinstance(self.room, int) or isinstance(self.room, bool):
            raise WireError("a lane's room is not a number")
        if not isinstance(self.kind, str) or self.kind not in LANE_KINDS:
            raise WireError(f"a lane is for one of {', '.join(LANE_KINDS)}")
        names = (self.track_sid, self.view) if self.kind == "video" else (self.view,)
        for name in names:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise WireError("a lane's track or view has no proper name")
        if self.kind != "video" and self.track_sid != "":
            raise WireError(f"a lane for {self.kind} is of no single track")
        # A sandboxed frame has the origin "null", which it shares with every other sandboxed frame: it proves nothing.
        if not isinstance(self.origin, str) or not _ORIGIN.fullmatch(self.origin):
            raise WireError("a lane needs the origin of its page")


class TicketBook:
    """The tickets that are out. `now` is in monotonic seconds."""

    def __init__(self) -> None:
        self._tickets: dict[bytes, tuple[Grant, float]] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(self, grant: Grant, now: float, lifetime_s: float = TICKET_LIFETIME_S) -> str:
        """A new ticket: 128 random bits as 32 hexadecimal digits, good for one use within `lifetime_s`."""
        self._forget_old(now)
        if len(self._tickets) >= TICKETS:
            del self._tickets[next(iter(self._tickets))]
        ticket = secrets.token_hex(_TICKET_BYTES)
        self._tickets[ticket.encode()] = (grant, now + lifetime_s)
        return ticket

    def redeem(self, ticket: str, origin: str, now: float) -> Grant | None:
        """What the ticket grants to a page of this origin, or None. Whatever the answer, the ticket is used up."""
        self._forget_old(now)
        shown = ticket.encode(errors="surrogateescape")
        # Every ticket is compared, and each in constant time, so that the time of a refusal tells nothing.
        matches = [held for held in self._tickets if hmac.compare_digest(held, shown)]
        if not matches:
            return None
        grant, _ = self._tickets.pop(matches[0])
        return grant if hmac.compare_digest(grant.origin.encode(), origin.encode(errors="surrogateescape")) else None

    def _forget_old(self, now: float) -> None:
        for ticket in [held for held, (_, expires) in self._tickets.items() if now >= expires]:
            del self._tickets[ticket]
