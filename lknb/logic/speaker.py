"""Who speaks, and how loud: LiveKit's algorithm with LiveKit's defaults.

Of each audio track `AudioLevel` keeps a smoothed linear level (LiveKit: pkg/sfu/audio/audiolevel.go), fed with the
levels of the RFC 6464 header extension; `SpeakerBoard` turns the levels of a room into the changes its participants
are told (pkg/rtc/room.go audioUpdateWorker).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SILENT_LEVEL = 127
ACTIVE_LEVEL = 35
"""-dBov; as loud or louder counts as speech."""
OBSERVE_MS = 400
ACTIVE_MS = 160
"""40 % of the observed time must be speech."""
STALE_S = 0.8
SMOOTHING = 2 / 3
"""Of an exponential mean over two intervals."""
UPDATE_INTERVAL_S = 0.4
QUANTIZATION = 8

ACTIVE_THRESHOLD = 10 ** (-ACTIVE_LEVEL / 20)
"""The linear level from which on somebody is an active speaker, about 0.0178."""


class AudioLevel:
    """The level of one audio track."""

    __slots__ = ("_active_ms", "_loudest", "_observed_at", "_observed_ms", "_smoothed")

    def __init__(self) -> None:
        self._smoothed = 0.0
        self._loudest = SILENT_LEVEL
        self._active_ms = 0.0
        self._observed_ms = 0.0
        self._observed_at = -math.inf

    def observe(self, level: int, duration_ms: float, now: float) -> None:
        """One packet: its level (-dBov, 0 loudest to 127 silent) and how much time it covers."""
        self._observed_at = now
        self._observed_ms += duration_ms
        if level <= ACTIVE_LEVEL:
            self._active_ms += duration_ms
            if level < self._loudest:
                self._loudest = level
        if self._observed_ms < OBSERVE_MS:
            return
        smoothed = 0.0
        if self._active_ms >= ACTIVE_MS:
            # 10^(-adjusted / 20), where adjusted = loudest - 20 log10(active / observed): a window that was only partly
            # speech counts for less
            linear = 10 ** (-self._loudest / 20) * (self._active_ms / OBSERVE_MS)
            smoothed = self._smoothed + (linear - self._smoothed) * SMOOTHING
        self._reset(smoothed)

    def level(self, now: float) -> float:
        """Linear, 0 to about 1; 0 when nothing was observed for 800 ms. Active from `ACTIVE_THRESHOLD` on."""
        if now - self._observed_at >= STALE_S:
            self._reset(0.0)
        return self._smoothed

    def _reset(self, smoothed: float) -> None:
        self._smoothed = smoothed
        self._loudest = SILENT_LEVEL
        self._active_ms = self._observed_ms = 0.0


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a room is told of one participant: `level` in steps of 1/8, 0 when not `active`."""

    sid: str
    level: float
    active: bool


class SpeakerBoard:
    """The active speakers of one room, as they were told last."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[str, Speaker] = {}

    def update(self, levels: Mapping[str, float]) -> tuple[Speaker, ...]:
        """What changed, for a `speakers_changed` message; call it every `UPDATE_INTERVAL_S`.

        `levels`: linear level of each participant by sid, the loudest of its tracks. The louder come first, then those
        who stopped; who is not in `levels` stopped. Levels are rounded up, so that a small change is none.
        """
        active: dict[str, Speaker] = {}
        for sid, level in sorted(levels.items(), key=lambda item: -item[1]):
            if level >= ACTIVE_THRESHOLD:
                active[sid] = Speaker(sid, math.ceil(level * QUANTIZATION) / QUANTIZATION, True)
        changed = [speaker for sid, speaker in active.items() if self._told.get(sid) != speaker]
        changed += [Speaker(sid, 0.0, False) for sid in self._told if sid not in active]
        self._told = active
        return tuple(changed)

    @property
    def active(self) -> tuple[Speaker, ...]:
        """Who speaks, loudest first: what somebody who joins now is told."""
        return tuple(self._told.values())

    def forget(self, sid: str) -> None:
        """A participant left: nobody needs to hear that it is silent."""
        self._told.pop(sid, None)
