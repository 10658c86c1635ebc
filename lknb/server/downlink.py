"""Packets to one subscriber over one transport: what it asks for, and the sender reports it is owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lknb.wire import rtcp

if TYPE_CHECKING:
    from lknb.server.subscription import Subscription
    from lknb.transport.peer import PeerTransport

REPORT_INTERVAL_S = 3.0


class Downlink:
    """The subscriptions that go over one transport, by their SSRC."""

    def __init__(self, transport: PeerTransport) -> None:
        self._transport = transport
        self._subscriptions: dict[int, Subscription] = {}
        self._cnames: dict[int, str] = {}
        self._report_due = 0.0

    def add(self, subscription: Subscription) -> None:
        """Listen to what the subscriber reports about this one."""
        self._subscriptions[subscription.ssrc] = subscription
        self._report_due = 0.0

    def remove(self, subscription: Subscription) -> None:
        """Its stream is over (RFC 3550 section 6.6)."""
        if self._subscriptions.pop(subscription.ssrc, None) is not None and subscription.packets:
            self._transport.send_rtcp(rtcp.build_rtcp([rtcp.Bye((subscription.ssrc,))]))

    def on_rtcp(self, packet: rtcp.RtcpPacket, now: float) -> None:
        """Feedback about our streams; of foreign SSRCs it is ignored."""
        if isinstance(packet, rtcp.Nack):
            subscription = self._subscriptions.get(packet.media_ssrc)
            if subscription is not None:
                subscription.retransmit(packet.lost, now)
        elif isinstance(packet, rtcp.Pli):
            subscription = self._subscriptions.get(packet.media_ssrc)
            if subscription is not None:
                subscription.request_keyframe(now)
        elif isinstance(packet, rtcp.Fir):
            for ssrc, _ in packet.entries:
                subscription = self._subscriptions.get(ssrc)
                if subscription is not None:
                    subscription.request_keyframe(now)
        elif isinstance(packet, (rtcp.ReceiverReport, rtcp.SenderReport)):
            for block in packet.reports:
                subscription = self._subscriptions.get(block.ssrc)
                if subscription is not None:
                    subscription.note_report(block, now)

    def tick(self, now: float) -> None:
        """Sender reports that are due: they carry the publisher's clock, without which sound and picture drift apart."""
        is_due = now >= self._report_due
        if is_due:
            self._report_due = now + REPORT_INTERVAL_S
        for subscription in self._subscriptions.values():
            if not (is_due or subscription.report_wanted):
                continue
            report = subscription.sender_report(now)
            if report is None:
                if is_due:
                    self._report_due = now + 0.2
                continue
            cname = subscription.publication.publisher.sid
            description = rtcp.SourceDescription(((subscription.ssrc, ((rtcp.SDES_CNAME, cname),)),))
            self._transport.send_rtcp(rtcp.build_rtcp([report, description]))
