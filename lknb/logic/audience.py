"""Who looks at one video track, and how large it is shown: what adaptive stream goes by (sans-I/O).

The delays are livekit-client's (RemoteVideoTrack.ts): who begins to look is told at once, another size when it has not
changed for 100 ms, and that nobody looks any more after 100 ms, so that a view that is made anew costs no pause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lknb.logic.track_setting import Dimensions

REACTION_S = 0.1


@dataclass(frozen=True, slots=True)
class Viewer:
    """A view of the track in a page, or a reader of its frames."""

    size: Dimensions | None
    """In device pixels; None for the full size, whatever that is."""
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Sight:
    """What all viewers together see: whether any is visible, and the largest of them, None when that has full size."""

    visible: bool
    size: Dimensions | None

    @classmethod
    def of(cls, viewers: Iterable[Viewer]) -> Sight:
        """What these viewers see. While none is visible the size is that of the largest one, kept for its return."""
        everybody = list(viewers)
        visible = [viewer for viewer in everybody if viewer.visible]
        sizes = [viewer.size for viewer in visible or everybody]
        known = [size for size in sizes if size is not None]
        largest = max(known, key=lambda size: size.area) if len(known) == len(sizes) and known else None
        return cls(bool(visible), largest)


NOBODY = Sight(False, None)
NOBODY_LEFT = Sight(False, Dimensions(0, 0))
"""Whoever enables a track all the same gets its smallest layer, as with livekit-client."""


class Audience:
    """The viewers of one track, from its subscription on. `settled` is what the server should be asked for.

    None until it was settled for the first time: a track that nobody looks at flows for a moment after it was subscribed
    (with livekit-client until its first packet), which spares a view that is just being made the pause.
    """

    def __init__(self, now: float) -> None:
        self.settled: Sight | None = None
        self._seen = NOBODY
        self._due: float | None = now + REACTION_S

    def observe(self, viewers: Iterable[Viewer], now: float) -> None:
        """These are the viewers now."""
        everybody = list(viewers)
        seen = Sight.of(everybody) if everybody or self._seen is NOBODY else NOBODY_LEFT
        if seen == self._seen:
            return
        self._seen = seen
        appeared = seen.visible and (self.settled is None or not self.settled.visible)
        self._due = None if seen == self.settled else now if appeared else now + REACTION_S

    def poll(self, now: float) -> bool:
        """Whether `settled` is another by now."""
        if self._due is None or now < self._due:
            return False
        self._due = None
        self.settled = self._seen
        return True

    def deadline(self) -> float | None:
        """When to ask next."""
        return self._due
