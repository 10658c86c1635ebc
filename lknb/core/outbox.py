"""The way out of one transport: packets are paced, numbered across all streams, and remembered for their feedback.

The number is written when a packet leaves, not when it is built: what overtakes in the queue, and what is sent again,
gets the number of its place (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

from lknb.logic.bandwidth import START_BPS, BandwidthEstimator
from lknb.logic.pacer import CATCH_UP_S, Pacer
from lknb.logic.rate_meter import RateMeter
from lknb.wire import rtcp
from lknb.wire.extension import pack_transport_sequence
from lknb.wire.rtp import HEADER_BYTES, ONE_BYTE_PROFILE

BURST_PACKETS = 40
"""What leaves in one turn of the loop at most, whatever the pace."""

_OVERHEAD_BYTES = 20 + 8 + 10
"""IPv4, UDP and the SRTP tag."""
_PACE = 1.5
"""Of the estimate: enough to catch up with a key frame. libwebrtc takes 2.5, with which a key frame of a layer that has
just been let in fills the queue so far that the layer is taken back."""

# The number is the first element of the extension block, behind the block's own 4 bytes and its own id.
_PROFILE = ONE_BYTE_PROFILE.to_bytes(2, "big")
_EXTENSION_BIT = 0x10
_PROFILE_AT = HEADER_BYTES
_ELEMENT_AT = HEADER_BYTES + 4
_NUMBER_AT = _ELEMENT_AT + 1

Schedule = Callable[[float, Callable[[], None]], Any]


class Outbox:
    """`send(packet)` is the transport; `call_later(delay_s, callback)` a timer; `clock` its monotonic seconds."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        call_later: Schedule,
        *,
        start_bps: float = START_BPS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.padding: Callable[[], bytes | None] = _no_padding
        """A packet of nothing, for probes."""
        self.estimator = BandwidthEstimator(start_bps)
        self._send = send
        self._call_later = call_later
        self._clock = clock
        self._pacer = Pacer()
        self._sound = RateMeter()
        self._number_id = self._number = 0
        self._scheduled = False

    def number_by(self, id: int) -> None:
        """The header extension with this id carries the transport-wide number, by which feedback names the packets; 0
        for none."""
        self._number_id = id
        self.estimator.expects_feedback = id != 0

    @property
    def estimate_bps(self) -> float:
        """What the path takes, headers included; infinite when nobody says anything of it."""
        return self.estimator.estimate_bps

    def send_now(self, packet: bytes) -> None:
        """Sound: it is small, and does not wait."""
        now = self._clock()
        self._sound.add(now, len(packet) + _OVERHEAD_BYTES)
        self._release(packet)

    def sound_bps(self, now: float) -> float:
        """What sound takes, headers included."""
        return self._sound.bps(now)

    def put(self, ssrc: int, packets: Iterable[bytes]) -> None:
        """The packets of a picture leave when their turn comes, which may be at once."""
        for packet in packets:
            self._pacer.put(ssrc, packet)
        self._begin()

    def put_again(self, ssrc: int, packet: bytes) -> None:
        """A packet that was lost leaves as the next."""
        self._pacer.put_urgent(ssrc, packet)
        self._begin()

    def waiting(self, ssrc: int) -> int:
        """Packets of a stream that have not left yet, but for those that leave again."""
        return self._pacer.waiting(ssrc)

    def drop(self, ssrc: int) -> int:
        """Forget what waits of a stream; how many packets that were which have never left."""
        return self._pacer.drop(ssrc)

    def on_rtcp(self, packet: rtcp.RtcpPacket, now: float) -> None:
        """Feedback that may be about the path."""
        if isinstance(packet, (rtcp.TransportFeedback, rtcp.Remb)):
            self.estimator.handle(packet, now)
        elif isinstance(packet, rtcp.ReceiverReport) and packet.reports:
            lost = sum(block.fraction_lost for block in packet.reports) / 256 / len(packet.reports)
            self.estimator.report_loss(lost, now)

    def tick(self, now: float) -> None:
        """Timers; a probe may begin."""
        if self.estimator.poll(now):
            self._pacer.spread(now)
            if not self._scheduled:
                self._pump()

    def _begin(self) -> None:
        if not self._scheduled:
            self._pacer.begin(self._clock())
            self._pump()

    def _pump(self) -> None:
        self._scheduled = False
        now = self._clock()
        pacer, estimator = self._pacer, self.estimator
        if estimator.probe_bps and now - pacer.free_at() > CATCH_UP_S:
            pacer.spread(now)
            estimator.restart_probe()
        pacer.rate_bps = estimator.probe_bps or _PACE * estimator.estimate_bps
        for _ in range(BURST_PACKETS):
            packet = pacer.take(now) or self._probe_packet(now)
            if packet is None:
                break
            self._release(packet)
        deadline = pacer.free_at() if estimator.probe_bps else pacer.deadline()
        if deadline is not None:
            self._scheduled = True
            self._call_later(max(0.0, deadline - now) if isfinite(deadline) else 0.0, self._pump)

    def _probe_packet(self, now: float) -> bytes | None:
        """While a probe lasts, padding fills up what the pictures leave."""
        if not self.estimator.probe_bps or now < self._pacer.free_at():
            return None
        packet = self.padding()
        if packet is None:
            self.estimator.give_up_probe(now)
        else:
            self._pacer.spend(len(packet), now)
        return packet

    def _release(self, packet: bytes) -> None:
        if (
            self._number_id
            and packet[0] & _EXTENSION_BIT
            and packet[_PROFILE_AT : _PROFILE_AT + 2] == _PROFILE
            and packet[_ELEMENT_AT] == self._number_id << 4 | 1
        ):
            self._number = self._number + 1 & 0xFFFF
            number = pack_transport_sequence(self._number)
            packet = packet[:_NUMBER_AT] + number + packet[_NUMBER_AT + len(number) :]
            # by the clock of this very moment: each sending may cost the loop its turn, and a burst stamped as one would look
            # like a queue on the path
            self.estimator.sent(self._number, len(packet) + _OVERHEAD_BYTES, self._clock())
        self._send(packet)


def _no_padding() -> bytes | None:
    return None
