"""What the path to the server takes, by its feedback: Google's congestion control (draft-ietf-rmcat-gcc-02).

    bandwidth_sent.py     feedback -> packets with the times of sending and arrival, and losses
    bandwidth_delay.py    a queue that grows (sections 5.1 to 5.4)
    bandwidth_rate.py     the delay-based estimate (section 5.5)
    bandwidth_loss.py     the loss-based cap (section 6)
    bandwidth_probe.py    bursts that find out about more

The estimate is the smaller of the two, and of a receiver's REMB (draft-alvestrand-rmcat-remb) if one comes. With
feedback that has no arrival times, there is only what receiver reports say of losses, and REMB.
"""

from __future__ import annotations

from math import inf

from lknb.logic.bandwidth_delay import DelayDetector, Usage
from lknb.logic.bandwidth_loss import LossController
from lknb.logic.bandwidth_probe import ProbePlan
from lknb.logic.bandwidth_rate import MIN_BPS, ArrivedRate, RateController
from lknb.logic.bandwidth_sent import SentPackets
from lknb.wire.rtcp import Remb, TransportFeedback

START_BPS = 1_000_000
"""Enough for sound and the two lower layers of a camera at once; the first burst, at three times that, opens the third
a round trip later. A path that takes less is overrun for the few hundred milliseconds that it takes to see it."""

_SILENCE_S = 2.0
_SILENCE_EVERY_S = 1.0
_SILENCE_SHARE = 0.7
_RTT_GAIN = 0.2


class BandwidthEstimator:
    """One transport. `wanted_bps` is what there is to send at most; beyond it nothing is probed for.

    Nothing a peer says makes it raise. All sizes are those on the wire, headers of UDP and IP included.
    """

    __slots__ = (
        "_arrived",
        "_delay",
        "_feedback_at",
        "_loss",
        "_probes",
        "_rate",
        "_remb_bps",
        "_reports_at",
        "_sent",
        "_sent_at",
        "_silent_at",
        "expects_feedback",
        "rtt_s",
        "wanted_bps",
    )

    def __init__(self, start_bps: float = START_BPS) -> None:
        self.expects_feedback = False
        """Whether the receiver has agreed to transport-wide feedback."""
        self.wanted_bps = 0.0
        self.rtt_s = 0.1
        """Round trip in seconds, with the time the receiver gathers feedback."""
        self._sent = SentPackets()
        self._delay = DelayDetector()
        self._rate = RateController(start_bps)
        self._loss = LossController()
        self._probes = ProbePlan()
        self._arrived = ArrivedRate()
        self._remb_bps = inf
        self._feedback_at: float | None = None
        self._reports_at: float | None = None
        self._silent_at = self._sent_at = 0.0

    @property
    def estimate_bps(self) -> float:
        """What may be sent; infinite when nobody says anything of it."""
        delay_bps = self._rate.bps if self.expects_feedback else inf
        return max(min(delay_bps, self._loss.bps, self._remb_bps), MIN_BPS)

    @property
    def probe_bps(self) -> float:
        """The rate of the burst that is being sent, to be filled up with padding; 0 for none."""
        return self._probes.rate_bps

    def sent(self, number: int, size_bytes: int, now: float) -> None:
        """A packet leaves under a transport-wide number (16 bit)."""
        self._sent_at = now
        self._sent.add(number, size_bytes, now, self._probes.tag(size_bytes, now))

    def handle(self, packet: TransportFeedback | Remb, now: float) -> None:
        """Feedback has arrived."""
        if isinstance(packet, Remb):
            self._remb_bps = float(packet.bitrate_bps)
            return
        report = self._sent.match(packet)
        if not report.arrivals and not report.lost:
            return
        if self._feedback_at is not None and now - self._feedback_at > _SILENCE_S:
            self._probes.hurry(now)
        self._feedback_at = now
        for arrival in report.arrivals:
            self._delay.add(arrival)
            self._arrived.add(arrival)
            if arrival.probe:
                self._probes.arrived(arrival)
        if report.arrivals:
            last = max(arrival.sent_s for arrival in report.arrivals)
            self.rtt_s += _RTT_GAIN * (now - last - self.rtt_s)
        fell = self._rate.update(self._delay.usage, self._arrived, self.rtt_s, now)
        capped_bps = self._loss.bps
        fell |= self._loss.add(report.lost, len(report.arrivals), self.estimate_bps, self._arrived.bps, now)
        if fell:
            self._probes.calm(now)
            return
        if self._loss.bps == inf > capped_bps:
            # the losses were not ours: what was taken away for them may be there
            self._probes.hurry(now)
        shown_bps = self._probes.result(self.estimate_bps, now)
        if shown_bps is not None and self._delay.usage is not Usage.OVER:
            # what arrives is there, whatever a burst has shown
            shown_bps = max(shown_bps, min(self._arrived.bps or 0.0, self.estimate_bps))
            self._rate.set(shown_bps, now)
            self._loss.lift(shown_bps)

    def report_loss(self, fraction_lost: float, now: float) -> None:
        """A receiver report on one of our streams: counts where no other feedback comes (section 6)."""
        if self._feedback_at is not None:
            return
        passed_s = 1.0 if self._reports_at is None else min(now - self._reports_at, 1.0)
        self._reports_at = now
        self._loss.update(fraction_lost, passed_s, self.estimate_bps, None)

    def poll(self, now: float) -> bool:
        """To be called every few tens of milliseconds; True when a probe begins (see `probe_bps`)."""
        if self._feedback_at is None:
            # before the first feedback nothing is known, not even that there will be any
            return False
        unanswered = self._sent_at - self._feedback_at > _SILENCE_S / 2
        if unanswered and now - max(self._feedback_at, self._silent_at) > _SILENCE_S:
            self._silent_at = now - _SILENCE_S + _SILENCE_EVERY_S
            self._rate.set(_SILENCE_SHARE * self._rate.bps, now)
        if self._delay.usage is not Usage.NORMAL or now - self._feedback_at > _SILENCE_S:
            return False
        return self._probes.begin(self.estimate_bps, min(self.wanted_bps, self._remb_bps), now) is not None

    def restart_probe(self) -> None:
        """What was sent of a probe is too far behind its pace."""
        self._probes.restart()

    def give_up_probe(self, now: float) -> None:
        """There is nothing to fill a probe with."""
        self._probes.give_up(now)
