"""One offer at a time (RFC 3264 section 4): what changes while it is under way goes into the next one.

Whoever offers (the client's publisher connection, the server's subscriber connection) asks here when, and whether an answer
is the one that is waited for.
"""

from __future__ import annotations

ANSWER_TIMEOUT_S = 15.0
"""After that a negotiation is given up, on both sides of LiveKit."""


class OfferTurn:
    """`request` a negotiation; when `due`, `begin` an offer; when an answer it `accepts` is in force, or none will come,
    `end` it."""

    __slots__ = ("_deadline", "covered", "id", "requested")

    def __init__(self, last_id: int = 0) -> None:
        self.id = last_id
        """Of the newest offer."""
        self.requested = 0
        self.covered = 0
        """The requests, counted from 1, that the newest offer has taken in."""
        self._deadline: float | None = None

    def request(self) -> int:
        """Something changed; the number of this request."""
        self.requested += 1
        return self.requested

    @property
    def waiting(self) -> bool:
        """Whether an offer has no answer yet."""
        return self._deadline is not None

    @property
    def due(self) -> bool:
        """Whether the next offer is to be made now."""
        return not self.waiting and self.covered < self.requested

    def begin(self, now: float) -> int:
        """An offer of everything requested so far goes out; its id."""
        self.covered = self.requested
        self.id += 1
        self._deadline = now + ANSWER_TIMEOUT_S
        return self.id

    def accepts(self, id: int) -> bool:
        """Whether an answer with this id, 0 from peers that do not count, is the one that is waited for."""
        return self.waiting and id in (0, self.id)

    def overdue(self, now: float) -> bool:
        """Whether the answer has not come in time."""
        return self._deadline is not None and now > self._deadline

    def end(self) -> None:
        """Nothing is under way any more."""
        self._deadline = None
