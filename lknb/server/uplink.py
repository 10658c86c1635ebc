"""Packets from one publisher: to which layer they belong, and the feedback they are owed.

A simulcast layer has no SSRC in the SDP: its first packets carry the MID and RID header extensions, which bind their SSRC
from then on (RFC 8852). Feedback: transport-wide arrival times (TWCC) every 50 ms with kernel timestamps, NACK, receiver
reports every second, key frame requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from lknb.errors import WireError
from lknb.logic.twcc import TwccRecorder
from lknb.server.stream import Stream
from lknb.wire import extension, rtcp
from lknb.wire.rtp import RtpView, parse_rtp

if TYPE_CHECKING:
    from lknb.server.publication import Publication
    from lknb.transport.peer import PeerTransport
    from lknb.wire.sdp import MediaSection

logger = logging.getLogger(__name__)

SENDER_SSRC = 1
REPORT_INTERVAL_S = 1.0
STREAMS_MAX = 200


class Uplink:
    """The media a participant sends over one transport."""

    def __init__(self, transport: PeerTransport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock
        self._sections: dict[str, tuple[Publication, int, int]] = {}
        self._streams: dict[int, Stream] = {}
        self._announced: dict[int, str] = {}
        self._mid_id = self._rid_id = self._transport_cc_id = 0
        self._twcc = TwccRecorder()
        self._media_ssrc = 0
        self._report_due = 0.0
        self.dropped = 0

    def learn_extensions(self, extensions: dict[str, int]) -> None:
        """Ids agreed on; they are the same in all sections of a bundle (RFC 8843 section 10.2)."""
        self._mid_id = extensions.get(extension.MID, self._mid_id)
        self._rid_id = extensions.get(extension.RID, self._rid_id)
        self._transport_cc_id = extensions.get(extension.TRANSPORT_CC, self._transport_cc_id)

    def bind(self, section: MediaSection, publication: Publication, payload_type: int) -> None:
        """Packets of this section belong to this publication."""
        known = self._sections.get(section.mid)
        if known is not None and known[1] != payload_type:
            self._streams = {ssrc: stream for ssrc, stream in self._streams.items() if stream.mid != section.mid}
        level_id = section.extensions.get(extension.AUDIO_LEVEL, 0)
        self._sections[section.mid] = (publication, payload_type, level_id)
        if not section.rids:
            for ssrc in section.ssrcs:
                self._announced[ssrc] = section.mid

    def publication_of(self, mid: str) -> Publication | None:
        """What is published in a section."""
        entry = self._sections.get(mid)
        return entry[0] if entry else None

    def release(self, mid: str) -> None:
        """Nothing is published in this section any more."""
        self._sections.pop(mid, None)
        self._announced = {ssrc: m for ssrc, m in self._announced.items() if m != mid}
        self._streams = {ssrc: stream for ssrc, stream in self._streams.items() if stream.mid != mid}

    def on_rtp(self, data: bytes, arrival_us: int) -> None:
        """One decrypted packet. Total: what cannot be used is counted and dropped."""
        try:
            view = parse_rtp(data)
        except WireError:
            self.dropped += 1
            return
        if self._transport_cc_id:
            value = view.extension(self._transport_cc_id)
            if value is not None and len(value) == 2:
                self._twcc.add(value[0] << 8 | value[1], arrival_us)
                self._media_ssrc = view.ssrc
        stream = self._streams.get(view.ssrc)
        if stream is None:
            stream = self._bind(view)
        if stream is None or stream.payload_type != view.payload_type:
            self.dropped += 1
            return
        stream.receive(view, arrival_us, self._clock())

    def _bind(self, view: RtpView) -> Stream | None:
        mid = self._text(view, self._mid_id) or self._announced.get(view.ssrc)
        entry = self._sections.get(mid) if mid else None
        if mid is None or entry is None or len(self._streams) >= STREAMS_MAX:
            return None
        publication, payload_type, level_id = entry
        if view.payload_type != payload_type:
            return None  # retransmission or redundancy formats that were not agreed on
        rid = self._text(view, self._rid_id) or ""
        layer = publication.layer_of(rid)
        stream = Stream(publication, mid, layer, view.ssrc, payload_type, level_id, self)
        replaced = publication.streams.get(layer)
        if replaced is not None:
            self._streams.pop(replaced.ssrc, None)
        self._streams[view.ssrc] = stream
        publication.add_stream(stream, self._clock())
        logger.debug("%s layer %d %r is ssrc %d", publication.sid, layer, rid, view.ssrc)
        return stream

    @staticmethod
    def _text(view: RtpView, id: int) -> str | None:
        value = view.extension(id) if id else None
        if value is None:
            return None
        try:
            return extension.parse_text(value)
        except WireError:
            return None

    def on_rtcp(self, packet: rtcp.RtcpPacket, arrival_us: int) -> None:
        """What the publisher says of its own streams, and when it came: a server that is late tells no other time by it."""
        if isinstance(packet, rtcp.SenderReport):
            stream = self._streams.get(packet.ssrc)
            if stream is not None:
                stream.clock.update(packet.ntp_time, packet.rtp_timestamp, arrival_us / 1e6)
                stream.statistics.sender_report(packet.ntp_time, self._clock())
        elif isinstance(packet, rtcp.Bye):
            for ssrc in packet.sources:
                if ssrc in self._streams:
                    self._streams[ssrc].end(self._clock())

    def request_keyframe(self, ssrc: int) -> None:
        """Ask the publisher for a picture that decodes alone."""
        self._transport.send_rtcp(rtcp.build_rtcp([rtcp.Pli(SENDER_SSRC, ssrc)]))

    def request_packets(self, ssrc: int, sequence_numbers: tuple[int, ...]) -> None:
        """Ask the publisher for packets that are missing."""
        self._transport.send_rtcp(rtcp.build_rtcp([rtcp.Nack(SENDER_SSRC, ssrc, sequence_numbers)]))

    def tick(self, now: float) -> None:
        """Feedback that is due."""
        if self._media_ssrc:
            # libwebrtc ignores feedback whose media ssrc is none of its own
            feedback = self._twcc.build(SENDER_SSRC, self._media_ssrc)
            for packet in feedback:
                self._transport.send_rtcp(rtcp.build_rtcp([packet]))
        for stream in self._streams.values():
            stream.tick(now)
        if now >= self._report_due and self._streams:
            self._report_due = now + REPORT_INTERVAL_S
            blocks = [stream.statistics.report(now) for stream in self._streams.values()]
            for start in range(0, len(blocks), 31):
                report = rtcp.ReceiverReport(SENDER_SSRC, tuple(blocks[start : start + 31]))
                self._transport.send_rtcp(rtcp.build_rtcp([report]))
