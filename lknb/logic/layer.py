"""Which simulcast layers are alive, and which of them a subscriber gets (LiveKit: pkg/sfu/streamtracker, videolayerselector)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf

PAUSE_S = 0.3
PAUSE_PICTURES = 5
"""A higher layer is dead when a lower one has gone on without it for so long, by both measures. LiveKit takes 0.5 to 1 s,
by the packets of the layer alone."""
LONG_PAUSE_S = 1.0
LONG_PAUSE_PICTURES = 10
"""The same for a lower layer beside higher ones, which may be a slow one, and for a layer that has been given up wrongly."""
FALSE_ALARM_S = 1.0
"""A layer that goes on so soon after its death was never dead."""
LENIENT_S = 60.0
BACK_S = 2.0
"""So long a layer that comes back must go on before it is live again: a sender that cannot make up its mind is not followed
up and down."""


class LayerActivity:
    """Liveness of one layer: live on its first packet, dead when the other layers of the track go on without it.

    Only against others can a pause be told from a slow camera, a screen on which nothing happens, a sender that has
    stalled, or a path that has: those hold up all layers alike, and then nothing else would be better. So time is counted
    in pictures of the others, too, and a track of one layer never dies.
    """

    __slots__ = ("_back_at", "_died_at", "_heard_at", "_lenient_until", "_marks", "_seen", "_spoke", "_timestamp", "layer",
                 "live", "pictures")  # fmt: skip

    def __init__(self, layer: int) -> None:
        self.layer = layer
        self.live = False
        self.pictures = 0
        """So far."""
        self._timestamp: int | None = None
        self._seen = self._spoke = False
        self._heard_at = self._lenient_until = self._died_at = -inf
        self._back_at: float | None = None
        self._marks: dict[LayerActivity, int] = {}
        """Pictures of the others when this layer was last heard."""

    def packet(self, timestamp: int) -> bool:
        """A media packet that is newer than all before it, of the picture with this RTP timestamp; True when that made the
        layer live. Packets that come late or again say nothing."""
        self._spoke = True
        if timestamp != self._timestamp:
            self._timestamp = timestamp
            self.pictures += 1
        if self._seen:
            return False
        self._seen = self.live = True
        return True

    def reset(self) -> None:
        """Forget the past: the next packet makes the layer live (after a mute, or when it was switched off on request)."""
        self._seen = self._spoke = self.live = False
        self._back_at = None

    def end(self) -> bool:
        """The sender says that it stops; True when `live` changed."""
        before, self.live = self.live, False
        self._spoke, self._back_at, self._died_at = False, None, -inf
        return before

    def tick(self, now: float, layers: Collection[LayerActivity]) -> bool:
        """To be called some twenty times a second, with all layers of the track; True when `live` changed."""
        if not self._seen:
            return False
        if self._spoke:
            self._spoke = False
            self._heard_at = now
            self._marks = {other: other.pictures for other in layers}
            return not self.live and self._revive(now, layers)
        if not any(self._is_left_behind(other, now) for other in layers):
            return False
        self._back_at = None
        if self.live:
            self.live = False
            self._died_at = now
            return True
        return False

    def _is_left_behind(self, other: LayerActivity, now: float) -> bool:
        quick = other.layer < self.layer and now >= self._lenient_until
        pause_s, pictures = (PAUSE_S, PAUSE_PICTURES) if quick else (LONG_PAUSE_S, LONG_PAUSE_PICTURES)
        # one that was not there then has begun since
        return now - self._heard_at >= pause_s and other.pictures - self._marks.get(other, 0) >= pictures

    def _revive(self, now: float, layers: Collection[LayerActivity]) -> bool:
        if now - self._died_at < FALSE_ALARM_S:
            self._lenient_until = now + LENIENT_S
        elif any(other.live for other in layers):
            if self._back_at is None:
                self._back_at = now
            if now - self._back_at < BACK_S:
                return False
        self.live = True
        return True


def choose_layer(live: Iterable[int], wanted: int) -> int | None:
    """The best live layer up to the wanted one, else the lowest above it, else None."""
    layers = sorted(live)
    below = [layer for layer in layers if layer <= wanted]
    if below:
        return below[-1]
    return layers[0] if layers else None
