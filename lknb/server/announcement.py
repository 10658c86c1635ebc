"""What the others are told of one participant: at once, or, when it changes faster than they could read, put together.

An update tells everything there is to know of a participant, so that only the newest counts: one with 512 KiB of metadata
that mutes itself a hundred times a second costs the others a megabyte a second, not fifty.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lknb import limits
from lknb.logic.budget import Budget

if TYPE_CHECKING:
    from lknb.server.participant import Participant


class Announcement:
    """`changed` whenever something that is told has changed, `changed_soon` when it can wait for the clock."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self._budget = Budget(limits.ANNOUNCED_BYTES_PER_S, limits.ANNOUNCED_BYTES_PER_S)
        self._due = False

    def changed(self) -> None:
        """Tell it now if there is room for it."""
        self._due = True
        self.tick(time.monotonic())

    def changed_soon(self) -> None:
        """Tell it with the next tick."""
        self._due = True

    def tick(self, now: float) -> None:
        """Tell what is due."""
        participant = self._participant
        if not self._due or participant.gone or self._budget.wait_s(now):
            return
        self._due = False
        fresh = [publication for publication in participant.publications.values() if not publication.live]
        for publication in fresh:
            publication.live = True
        participant.list_tracks()
        participant.room.announce(participant)
        self._budget.spend(participant.info.ByteSize(), now)
        # clients drop a track of which they have not been told
        for publication in fresh:
            for other in list(participant.room.participants.values()):
                other.subscriber.reconcile(publication)
