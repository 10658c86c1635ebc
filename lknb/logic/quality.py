"""Connection quality of one track's path: what loss, delay and missing layers do to it (LiveKit: pkg/sfu/connectionquality).

A score from 0 to 100 after a simplified E-model (ITU-T G.107), once every five seconds: it falls quickly and recovers slowly.
Loss weighs by codec, so that 2 % of a video's packets or 3.75 % of Opus packets are no longer excellent; each simulcast layer a
subscriber has to do without costs 35 points.
"""

from __future__ import annotations

import enum

UPDATE_INTERVAL_S = 5.0
LOSS_WEIGHT = {"video": 10.0, "audio": 8.0 / 1.5}  # Opus repairs much of it with its in-band FEC

_MAXIMUM, _MINIMUM = 100.0, 30.0
_RISE, _FALL = 0.4, 0.8
_LAYER_POINTS = 35.0
_GOOD, _POOR, _LOST = 80.0, 40.0, 20.0


class Quality(enum.IntEnum):
    """LiveKit's ConnectionQuality, with its numbers."""

    POOR = 0
    GOOD = 1
    EXCELLENT = 2
    LOST = 3


class QualityScore:
    """The score of one track's path. `kind` is "audio" or "video"."""

    __slots__ = ("_weight", "value")

    def __init__(self, kind: str) -> None:
        self._weight = LOSS_WEIGHT[kind]
        self.value = _MAXIMUM

    def reset(self) -> None:
        """It is muted or paused on purpose: nothing to complain of."""
        self.value = _MAXIMUM

    def update(
        self, *, packets: int, lost: int, rtt_s: float = 0.0, layers_missing: float = 0.0, expected: bool = True
    ) -> None:
        """One interval: `packets` that came or were sent, `lost` of them, `layers_missing` below the one wanted.

        With `expected` and no packet at all the path is as good as gone.
        """
        if packets + lost <= 0:
            if expected:
                self.value = _POOR
            return
        delay_ms = rtt_s * 1000 / 2
        delay_effect = (delay_ms - 120) / 10 if delay_ms > 160 else delay_ms / 40
        loss_effect = self._weight * 100 * max(0, lost) / (packets + max(0, lost))
        by_packets = max(0.0, _MAXIMUM - delay_effect - loss_effect)
        by_layers = max(0.0, _MAXIMUM - _LAYER_POINTS * max(0.0, layers_missing))
        now = min(by_packets, by_layers)
        factor = _FALL if now < self.value else _RISE
        self.value = max(_MINIMUM, factor * now + (1 - factor) * self.value)


def quality_of(score: float) -> Quality:
    """The quality a score stands for: above 80 excellent, above 40 good, above 20 poor."""
    if score > _GOOD:
        return Quality.EXCELLENT
    if score > _POOR:
        return Quality.GOOD
    return Quality.POOR if score > _LOST else Quality.LOST


def mean_opinion_score(score: float) -> float:
    """The score as a MOS, 1 to 4.5 (ITU-T G.107 Annex B)."""
    if score <= 0:
        return 1.0
    if score >= 100:
        return 4.5
    return 1 + 0.035 * score + 0.000007 * score * (score - 60) * (100 - score)
