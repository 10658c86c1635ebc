"""RTP and RTCP of one peer connection: to which receiver a packet goes, and the reports and feedback both sides owe.

No socket, no clock of its own: packets come and go through callables, `tick` is called every 20 ms.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from lknb.core.outbox import Outbox
from lknb.core.rtp_sender import RtpSender
from lknb.errors import WireError
from lknb.logic.twcc import TwccRecorder
from lknb.wire import extension, rtcp
from lknb.wire.rtp import RtpView, parse_rtp

logger = logging.getLogger(__name__)

TICK_S = 0.02
_FEEDBACK_INTERVAL_S = 0.05
_REPORT_INTERVAL_S = 1.0
_FIRST_REPORT_S = 0.2
_PARKED_PACKETS = 200
_PARKED_REPORTS = 20
_REPORT_BLOCKS_MAX = 31


class Receiver(Protocol):
    """Who takes the packets of one m-line."""

    def receive(self, view: RtpView, arrival_us: int, now: float) -> None:
        """One RTP packet."""

    def sender_report(self, report: rtcp.SenderReport, arrival_us: int, now: float) -> None:
        """A sender report of its SSRC."""

    def tick(self, now: float) -> None:
        """Timers."""

    def reports(self, now: float) -> Iterable[rtcp.ReportBlock]:
        """The report blocks of its streams."""


class MediaSession:
    """Packets of one bundled transport.

    `outbox` and `send_rtcp` take whole packets; `now` is monotonic seconds, `wall_us` microseconds since 1970.
    """

    def __init__(self, cname: str, outbox: Outbox, send_rtcp: Callable[[bytes], None]) -> None:
        self.cname = cname
        self.local_ssrc = secrets.randbelow(0xFFFFFFFE) + 1
        """Of feedback; we may have no stream of our own."""
        self.dropped = 0
        """RTP packets nobody could take."""
        self.outbox = outbox
        self.on_feedback: Callable[[float], None] = _ignore
        """Called, with `now`, when the outbox may have come to another estimate."""
        self._send_rtcp = send_rtcp
        self._senders: list[RtpSender] = []
        self._receivers: dict[str, Receiver] = {}
        self._by_ssrc: dict[int, Receiver] = {}
        self._mid_id = self._transport_cc_id = 0
        self._twcc = TwccRecorder()
        self._last_ssrc = 0
        self._feedback_due = self._report_due = 0.0
        self._parked: list[tuple[RtpView, int]] = []
        self._parked_reports: dict[int, tuple[rtcp.SenderReport, int]] = {}
        outbox.padding = self._padding

    @property
    def idle(self) -> bool:
        """Whether there is nothing to send, receive or report."""
        return not self._senders and not self._receivers

    # ------------------------------------------------------------------ what was negotiated

    def learn_extensions(self, extensions: Mapping[str, int]) -> None:
        """Ids of a section; they are the same in all sections of a bundle."""
        self._mid_id = extensions.get(extension.MID, self._mid_id)
        self._transport_cc_id = extensions.get(extension.TRANSPORT_CC, self._transport_cc_id)
        self.outbox.number_by(self._transport_cc_id)

    def add_sender(self, sender: RtpSender) -> None:
        """Send its reports, and give it the feedback that comes."""
        if sender not in self._senders:
            self._senders.append(sender)

    def remove_sender(self, sender: RtpSender) -> None:
        """Its streams are over (RFC 3550 section 6.6)."""
        if sender in self._senders:
            self._senders.remove(sender)
            self.send_feedback([rtcp.Bye(sender.ssrcs)])

    def bind(self, mid: str, ssrcs: Sequence[int], receiver: Receiver, now: float) -> None:
        """Packets of this m-line, or of these SSRCs, belong to `receiver`; those that came too early go there now."""
        if self._receivers.get(mid) is not receiver:
            self.release(mid)
        self._receivers[mid] = receiver
        for ssrc in ssrcs:
            self._by_ssrc[ssrc] = receiver
        self._report_due = min(self._report_due, now + _FIRST_REPORT_S)
        parked, self._parked = self._parked, []
        for view, arrival_us in parked:
            self._deliver(view, arrival_us, now)
        for report, arrival_us in list(self._parked_reports.values()):
            if report.ssrc in self._by_ssrc:
                del self._parked_reports[report.ssrc]
                self._by_ssrc[report.ssrc].sender_report(report, arrival_us, now)

    def release(self, mid: str) -> None:
        """Nobody takes the packets of this m-line any more."""
        receiver = self._receivers.pop(mid, None)
        self._by_ssrc = {ssrc: other for ssrc, other in self._by_ssrc.items() if other is not receiver}

    # ------------------------------------------------------------------ packets in

    def receive_rtp(self, data: bytes, arrival_us: int, now: float) -> None:
        """One decrypted packet. Total: what cannot be used is counted and dropped."""
        try:
            view = parse_rtp(data)
        except WireError:
            self.dropped += 1
            return
        if self._transport_cc_id:
            value = view.extension(self._transport_cc_id)
            if value is not None and len(value) >= 2:
                self._twcc.add(extension.parse_transport_sequence(value), arrival_us)
                self._last_ssrc = view.ssrc
        self._deliver(view, arrival_us, now)

    def receive_rtcp(self, data: bytes, arrival_us: int, wall_us: int, now: float) -> None:
        """One decrypted compound. Total."""
        try:
            packets = rtcp.parse_rtcp(data)
        except WireError:
            self.dropped += 1
            return
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport):
                self._deliver_report(packet, arrival_us, now)
            for sender in self._senders:
                sender.on_rtcp(packet, wall_us, now)
            self.outbox.on_rtcp(packet, now)
            if isinstance(packet, (rtcp.TransportFeedback, rtcp.Remb)):
                self._estimate_changed(now)

    def _deliver(self, view: RtpView, arrival_us: int, now: float) -> None:
        receiver = self._by_ssrc.get(view.ssrc) or self._by_mid(view)
        if receiver is not None:
            receiver.receive(view, arrival_us, now)
        elif view.payload_start == view.payload_end or len(self._parked) >= _PARKED_PACKETS:
            self.dropped += 1
        else:
            # media can be faster than the description that announces it
            self._parked.append((view, arrival_us))

    def _deliver_report(self, report: rtcp.SenderReport, arrival_us: int, now: float) -> None:
        receiver = self._by_ssrc.get(report.ssrc)
        if receiver is not None:
            receiver.sender_report(report, arrival_us, now)
        elif any(view.ssrc == report.ssrc for view, _ in self._parked) and len(self._parked_reports) < _PARKED_REPORTS:
            # the next comes in three seconds only, and until then nobody knows when anything was captured
            self._parked_reports[report.ssrc] = report, arrival_us

    def _by_mid(self, view: RtpView) -> Receiver | None:
        value = view.extension(self._mid_id) if self._mid_id else None
        if value is None:
            return None
        try:
            receiver = self._receivers.get(extension.parse_text(value))
        except WireError:
            return None
        if receiver is not None:
            self._by_ssrc[view.ssrc] = receiver
        return receiver

    # ------------------------------------------------------------------ reports and feedback out

    def send_feedback(self, packets: Sequence[rtcp.RtcpPacket]) -> None:
        """Send one compound, of which the first packet is a report (RFC 3550 section 6.1), or feedback alone (RFC 5506)."""
        self._send_rtcp(rtcp.build_rtcp(packets))

    def tick(self, wall_us: int, now: float) -> None:
        """Everything that is due."""
        self.outbox.tick(now)
        self._estimate_changed(now)
        for receiver in self._receivers.values():
            receiver.tick(now)
        for sender in self._senders:
            sender.tick(now)
            for report in sender.reports(wall_us, now):
                description = rtcp.SourceDescription(((report.ssrc, ((rtcp.SDES_CNAME, self.cname),)),))
                self.send_feedback([report, description])
        if now >= self._feedback_due:
            self._feedback_due = now + _FEEDBACK_INTERVAL_S
            # libwebrtc ignores feedback whose media ssrc is none of its own
            for feedback in self._twcc.build(self.local_ssrc, self._last_ssrc):
                self.send_feedback([feedback])
        if now >= self._report_due:
            self._report_due = now + _REPORT_INTERVAL_S
            self._send_receiver_reports(now)
        if self._parked and now - self._parked[0][1] / 1e6 > _REPORT_INTERVAL_S:
            self.dropped += len(self._parked)
            self._parked.clear()
            self._parked_reports.clear()

    def _estimate_changed(self, now: float) -> None:
        self.on_feedback(now)
        for sender in self._senders:
            farewell = sender.farewell()
            if farewell is not None:
                self.send_feedback([farewell])

    def _padding(self) -> bytes | None:
        return next((packet for sender in self._senders if (packet := sender.padding()) is not None), None)

    def _send_receiver_reports(self, now: float) -> None:
        blocks = [block for receiver in self._receivers.values() for block in receiver.reports(now)]
        for start in range(0, len(blocks), _REPORT_BLOCKS_MAX):
            report = rtcp.ReceiverReport(self.local_ssrc, tuple(blocks[start : start + _REPORT_BLOCKS_MAX]))
            self.send_feedback([report])


def _ignore(now: float) -> None:
    del now
