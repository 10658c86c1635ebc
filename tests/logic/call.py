"""One video stream through all the machines that keep it alive, in simulated time."""

from __future__ import annotations

import heapq
from itertools import pairwise

from lknb.logic.history import PacketHistory
from lknb.logic.jitter_video import VideoJitterBuffer
from lknb.logic.nack import NackGenerator
from lknb.logic.throttle import Throttle
from lknb.wire.frame import EncodedFrame
from tests.logic.media import Packet, Path, VideoSource

TICK_S = 0.01
_KEYFRAME_REQUEST = "keyframe"


class Call:
    """A sender with history, that makes key frames on request; a path with loss both ways; a receiver that asks for packets
    and key frames. The round trip is 20 ms."""

    def __init__(
        self,
        seed: int,
        loss: float = 0.0,
        blackouts: tuple[tuple[float, float], ...] = (),
        requests_lost: int = 0,
        resends_max: int = 6,
    ) -> None:
        """`requests_lost`: so many key frame requests get lost, the first ones."""
        self._source = VideoSource()
        self._down = Path(seed, loss=loss, blackouts=blackouts)
        self._up = Path(seed + 1, loss=loss, blackouts=blackouts)
        self._history = PacketHistory(500, resends_max=resends_max)
        self._sent: dict[int, Packet] = {}
        self._nack = NackGenerator(rtt_s=0.02)
        self._buffer = VideoJitterBuffer("vp8")
        self._buffer.rtt_s = 0.02
        self._throttle = Throttle(0.5)
        self._requests_lost = requests_lost
        self._keyframe = False
        self._under_way: list[tuple[float, int, Packet | tuple[int, ...] | str]] = []
        self._count = 0
        self.lost = self.resent = self.keyframe_requests = 0
        self.shown: list[tuple[float, bytes]] = []

    def run(self, seconds: float) -> None:
        for tick in range(round(seconds / TICK_S)):
            now = tick * TICK_S
            if self._source.now <= now:
                self._send_picture()
            while self._under_way and self._under_way[0][0] <= now:
                at, _, what = heapq.heappop(self._under_way)
                self._arrive(at, what)
            self._show(now, self._buffer.poll(now))
            while numbers := self._nack.poll(now):
                self._send(self._up, now, numbers)
            if self._buffer.keyframe_needed and self._throttle.allow(now):
                self._nack.discard_before(self._buffer.next_sequence_number)
                self.keyframe_requests += 1
                if self.keyframe_requests > self._requests_lost:
                    self._send(self._up, now, _KEYFRAME_REQUEST)

    def _send_picture(self) -> None:
        for packet in self._source.picture(keyframe=self._keyframe):
            self._sent[packet.sequence_number] = packet
            self._history.put(packet.sequence_number, packet.payload)
            self.lost += not self._send(self._down, packet.sent_at, packet)
        self._keyframe = False

    def _send(self, path: Path, now: float, what: Packet | tuple[int, ...] | str) -> bool:
        arrivals = path.arrivals(now)
        for at in arrivals:
            self._count += 1
            heapq.heappush(self._under_way, (at, self._count, what))
        return bool(arrivals)

    def _arrive(self, now: float, what: Packet | tuple[int, ...] | str) -> None:
        if isinstance(what, Packet):
            self._nack.add(what.sequence_number, now)
            self._show(now, self._buffer.add(*what.fields, now, round(now * 1e6)))
        elif isinstance(what, str):
            self._keyframe = True
        else:
            for number in what:
                if self._history.take(number, now, 0.02) is not None:
                    self.resent += 1
                    self._send(self._down, now, self._sent[number])

    def _show(self, now: float, frames: list[EncodedFrame]) -> None:
        self.shown += [(now, frame.data) for frame in frames]

    def longest_freeze_s(self) -> float:
        return max(b - a for (a, _), (b, _) in pairwise(self.shown))
