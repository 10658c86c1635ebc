"""One simulcast layer after another under a subscriber, and what its browser counted meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from dataclasses import dataclass

from tests.kit.chromium import ChromiumPeer
from tests.kit.peer import Inbound

# every change between two of three layers, up and down
ORDER = ("low", "high", "medium", "high", "low", "medium")
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Switches:
    """`took_ms[i]`: from `setVideoQuality`, at `asked_ms[i]` since 1970, to the first picture of that size on the page."""

    asked_ms: tuple[float, ...]
    took_ms: tuple[float, ...]
    before: Inbound
    ended_ms: float
    """When the last picture was waited for, since 1970."""
    after: Inbound

    def percentile_ms(self, percent: float) -> float:
        """Nearest rank."""
        ordered = sorted(self.took_ms)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

    def counted(self, name: str) -> int:
        """How much a counter rose."""
        return int(getattr(self.after, name) - getattr(self.before, name))

    def __str__(self) -> str:
        return (
            f"{len(self.took_ms)} switches, p50 {self.percentile_ms(50):.0f} ms, p95 {self.percentile_ms(95):.0f} ms,"
            f" {self.counted('frames_decoded')} pictures, {self.counted('freeze_count')} freezes,"
            f" {self.counted('frames_dropped')} dropped, {self.counted('packets_lost')} packets lost,"
            f" {self.counted('pli_count')} pictures asked for anew"
        )


async def count(subscriber: ChromiumPeer, track_sid: str) -> Inbound:
    """What was counted when the decoder was least behind, of half a second: a picture that waits to be decoded is not lost."""
    counts = [await subscriber.inbound(track_sid)]
    for _ in range(5):
        await asyncio.sleep(PAUSE_S / 5)
        counts.append(await subscriber.inbound(track_sid))
    return min(counts, key=lambda counted: counted.frames_received - counted.frames_decoded)


async def switch_layers(subscriber: ChromiumPeer, track_sid: str, heights: dict[str, int], times: int) -> Switches:
    """So many `times` another layer of a camera that is shown at its full height now; `heights` by quality."""
    before = await count(subscriber, track_sid)
    asked_ms, took_ms = [], []
    for quality in itertools.islice(itertools.cycle(ORDER), times):
        await asyncio.sleep(PAUSE_S)
        asked_ms.append(time.time() * 1000)
        took_ms.append(await subscriber.time_picture("set_video_quality", track_sid, heights[quality], quality=quality))
    ended_ms = time.time() * 1000
    return Switches(tuple(asked_ms), tuple(took_ms), before, ended_ms, await count(subscriber, track_sid))
