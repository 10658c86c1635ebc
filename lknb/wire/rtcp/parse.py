"""A compound RTCP packet -> values. Total: a datagram of a peer gives a list or WireError."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from lknb import limits
from lknb.errors import WireError
from lknb.wire.rtcp import model
from lknb.wire.rtcp.model import (
    Bye,
    Fir,
    Nack,
    Pli,
    ReceiverReport,
    Remb,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
)
from lknb.wire.rtcp.transport_feedback import parse_transport_feedback

_header = Struct("!BBH")
_uint32 = Struct("!L")
_two_ssrcs = Struct("!LL")
_sender_info = Struct("!LQLLL")
_report_block = Struct("!LLLLLL")
_nack_entry = Struct("!HH")
_fir_entry = Struct("!LB3x")

_REMB_TAG = b"REMB"


def parse_rtcp(data: bytes) -> list[RtcpPacket]:
    """The packets of one decrypted compound, in order; types and formats not known here are passed over.

    Reduced-size compounds (RFC 5506), which do not begin with a report, are accepted. Raises WireError for a compound
    over the limits of `lknb.limits`, a version other than 2, a length or a padding that leaves the packet, or a body
    shorter than its count says.
    """
    total = len(data)
    if not 4 <= total <= limits.RTCP_BYTES:
        raise WireError("RTCP packet is shorter than a header, or too long")
    packets: list[RtcpPacket] = []
    position = 0
    for _ in range(limits.RTCP_PACKETS):
        if position + 4 > total:
            raise WireError("RTCP compound ends within a header")
        first, kind, words = _header.unpack_from(data, position)
        start = position + 4
        position = end = start + 4 * words
        if first >> 6 != 2 or end > total:
            raise WireError("RTCP version is not 2, or a length leaves the compound")
        if first & 0x20:
            padding = data[end - 1]
            if not 0 < padding <= end - start:
                raise WireError("RTCP padding leaves the packet")
            end -= padding
        parse = _PARSERS.get(kind)
        if parse is not None:
            packet = parse(data, start, end, first & 0x1F)
            if packet is not None:
                packets.append(packet)
        if position == total:
            return packets
    raise WireError("RTCP compound holds too many packets")


def _need(start: int, size: int, end: int) -> None:
    if start + size > end:
        raise WireError("RTCP packet is shorter than its contents")


def _reports(data: bytes, start: int, end: int, count: int) -> tuple[ReportBlock, ...]:
    _need(start, 24 * count, end)
    reports = []
    for position in range(start, start + 24 * count, 24):
        ssrc, lost, highest, jitter, last_sr, delay = _report_block.unpack_from(data, position)
        packets_lost = lost & 0xFFFFFF
        if packets_lost & 0x800000:
            packets_lost -= 0x1000000
        reports.append(ReportBlock(ssrc, lost >> 24, packets_lost, highest, jitter, last_sr, delay))
    return tuple(reports)


def _sender_report(data: bytes, start: int, end: int, count: int) -> RtcpPacket:
    _need(start, 24, end)
    ssrc, ntp_time, rtp_timestamp, packet_count, octet_count = _sender_info.unpack_from(data, start)
    reports = _reports(data, start + 24, end, count)
    return SenderReport(ssrc, ntp_time, rtp_timestamp, packet_count, octet_count, reports)


def _receiver_report(data: bytes, start: int, end: int, count: int) -> RtcpPacket:
    _need(start, 4, end)
    return ReceiverReport(_uint32.unpack_from(data, start)[0], _reports(data, start + 4, end, count))


def _source_description(data: bytes, start: int, end: int, count: int) -> RtcpPacket:
    chunks = []
    position = start
    for _ in range(count):
        _need(position, 5, end)
        ssrc = _uint32.unpack_from(data, position)[0]
        position += 4
        items = []
        while data[position]:
            _need(position, 2, end)
            text_start = position + 2
            text_end = text_start + data[position + 1]
            _need(text_end, 1, end)
            items.append((data[position], data[text_start:text_end].decode("utf-8", "replace")))
            position = text_end
        # the item list ends with one zero byte or more, up to the next word
        position += 4 - (position - start) % 4
        chunks.append((ssrc, tuple(items)))
    return SourceDescription(tuple(chunks))


def _bye(data: bytes, start: int, end: int, count: int) -> RtcpPacket:
    _need(start, 4 * count, end)
    position = start + 4 * count
    sources = tuple(_uint32.unpack_from(data, at)[0] for at in range(start, position, 4))
    if position == end:
        return Bye(sources)
    reason_end = position + 1 + data[position]
    _need(reason_end, 0, end)
    return Bye(sources, data[position + 1 : reason_end].decode("utf-8", "replace"))


def _transport_layer_feedback(data: bytes, start: int, end: int, format: int) -> RtcpPacket | None:
    if format == model.TRANSPORT_FEEDBACK_FORMAT:
        return parse_transport_feedback(data, start, end)
    if format != model.NACK_FORMAT:
        return None
    _need(start, 8, end)
    if (end - start) % 4:
        raise WireError("RTCP NACK is not a whole number of entries")
    sender_ssrc, media_ssrc = _two_ssrcs.unpack_from(data, start)
    lost: list[int] = []
    for position in range(start + 8, end, 4):
        first, following = _nack_entry.unpack_from(data, position)
        lost.append(first)
        while following:
            bit = following & -following
            lost.append(first + bit.bit_length() & 0xFFFF)
            following ^= bit
        if len(lost) > limits.NACK_SEQUENCE_NUMBERS:
            raise WireError("RTCP NACK names too many packets")
    return Nack(sender_ssrc, media_ssrc, tuple(lost))


def _payload_feedback(data: bytes, start: int, end: int, format: int) -> RtcpPacket | None:
    if format not in (model.PLI_FORMAT, model.FIR_FORMAT, model.APPLICATION_FORMAT):
        return None
    _need(start, 8, end)
    sender_ssrc, media_ssrc = _two_ssrcs.unpack_from(data, start)
    if format == model.PLI_FORMAT:
        return Pli(sender_ssrc, media_ssrc)
    start += 8
    if format == model.APPLICATION_FORMAT:
        return _remb(sender_ssrc, data, start, end) if data[start : min(start + 4, end)] == _REMB_TAG else None
    if (end - start) % 8:
        raise WireError("RTCP FIR is not a whole number of entries")
    return Fir(sender_ssrc, tuple(_fir_entry.unpack_from(data, at) for at in range(start, end, 8)))


def _remb(sender_ssrc: int, data: bytes, start: int, end: int) -> RtcpPacket:
    _need(start, 8, end)
    count = data[start + 4]
    bitrate_bps = ((data[start + 5] & 3) << 16 | data[start + 6] << 8 | data[start + 7]) << (data[start + 5] >> 2)
    if bitrate_bps >> 64:
        raise WireError("RTCP REMB bitrate is beyond 64 bits")
    _need(start + 8, 4 * count, end)
    ssrcs = tuple(_uint32.unpack_from(data, start + 8 + 4 * index)[0] for index in range(count))
    return Remb(sender_ssrc, bitrate_bps, ssrcs)


_PARSERS: dict[int, Callable[[bytes, int, int, int], RtcpPacket | None]] = {
    model.SENDER_REPORT: _sender_report,
    model.RECEIVER_REPORT: _receiver_report,
    model.SOURCE_DESCRIPTION: _source_description,
    model.BYE: _bye,
    model.TRANSPORT_LAYER_FEEDBACK: _transport_layer_feedback,
    model.PAYLOAD_FEEDBACK: _payload_feedback,
}
