"""RTCP values -> one compound packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from struct import error as struct_error
from typing import Any

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
    TransportFeedback,
)
from lknb.wire.rtcp.transport_feedback import build_transport_feedback

_header = Struct("!BBH")
_uint32 = Struct("!L")
_two_ssrcs = Struct("!LL")
_sender_info = Struct("!LQLLL")
_report_block = Struct("!LLLLLL")
_nack_entry = Struct("!HH")
_fir_entry = Struct("!LB3x")

_COUNT_MAX = 31


def build_rtcp(packets: Iterable[RtcpPacket]) -> bytes:
    """The packets as one compound, in the order given (RFC 3550 wants a report first, except in reduced-size RTCP).

    Sequence numbers and packet, octet and feedback counts are taken modulo their width. The caller keeps the compound
    below the path's MTU. Raises WireError for more than 31 reports or sources in a packet and for values that do not
    fit.
    """
    compound = bytearray()
    for packet in packets:
        try:
            kind, count, body = _BUILDERS[type(packet)](packet)
        except struct_error:
            raise WireError(f"a value of {type(packet).__name__} does not fit its field") from None
        if count > _COUNT_MAX:
            raise WireError(f"{type(packet).__name__} holds more than 31 blocks")
        padding = -len(body) % 4
        if padding:
            # only transport feedback has a body that is not made of words
            body += bytes(padding - 1) + bytes((padding,))
        if len(body) > 0xFFFF * 4:
            raise WireError(f"{type(packet).__name__} is longer than an RTCP packet can be")
        compound += _header.pack(0xA0 | count if padding else 0x80 | count, kind, len(body) // 4) + body
    return bytes(compound)


def _reports(reports: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        _report_block.pack(
            block.ssrc,
            block.fraction_lost << 24 | min(max(block.packets_lost, -0x800000), 0x7FFFFF) & 0xFFFFFF,
            block.highest_sequence & 0xFFFFFFFF,
            block.jitter,
            block.last_sr,
            block.delay_since_last_sr,
        )
        for block in reports
    )


def _sender_report(packet: SenderReport) -> tuple[int, int, bytes]:
    info = _sender_info.pack(
        packet.ssrc,
        packet.ntp_time,
        packet.rtp_timestamp & 0xFFFFFFFF,
        packet.packet_count & 0xFFFFFFFF,
        packet.octet_count & 0xFFFFFFFF,
    )
    return model.SENDER_REPORT, len(packet.reports), info + _reports(packet.reports)


def _receiver_report(packet: ReceiverReport) -> tuple[int, int, bytes]:
    return model.RECEIVER_REPORT, len(packet.reports), _uint32.pack(packet.ssrc) + _reports(packet.reports)


def _source_description(packet: SourceDescription) -> tuple[int, int, bytes]:
    body = bytearray()
    for ssrc, items in packet.chunks:
        body += _uint32.pack(ssrc)
        for kind, text in items:
            value = text.encode("utf-8", "replace")
            if not 0 < kind < 256 or len(value) > 255:
                raise WireError("SDES item has kind 0 or more than 255 bytes")
            body += bytes((kind, len(value))) + value
        body += bytes(4 - len(body) % 4)
    return model.SOURCE_DESCRIPTION, len(packet.chunks), bytes(body)


def _bye(packet: Bye) -> tuple[int, int, bytes]:
    body = b"".join(map(_uint32.pack, packet.sources))
    if packet.reason:
        reason = packet.reason.encode("utf-8", "replace")
        if len(reason) > 255:
            raise WireError("BYE reason has more than 255 bytes")
        body += bytes((len(reason),)) + reason
        body += bytes(-len(body) % 4)
    return model.BYE, len(packet.sources), body


def _pli(packet: Pli) -> tuple[int, int, bytes]:
    return model.PAYLOAD_FEEDBACK, model.PLI_FORMAT, _two_ssrcs.pack(packet.sender_ssrc, packet.media_ssrc)


def _fir(packet: Fir) -> tuple[int, int, bytes]:
    entries = b"".join(_fir_entry.pack(ssrc, number & 0xFF) for ssrc, number in packet.entries)
    return model.PAYLOAD_FEEDBACK, model.FIR_FORMAT, _two_ssrcs.pack(packet.sender_ssrc, 0) + entries


def _nack(packet: Nack) -> tuple[int, int, bytes]:
    body = bytearray(_two_ssrcs.pack(packet.sender_ssrc, packet.media_ssrc))
    first = following = -1
    for number in packet.lost:
        distance = (number - first) & 0xFFFF
        if first < 0 or not 0 < distance <= 16:
            if first >= 0:
                body += _nack_entry.pack(first, following)
            first, following = number & 0xFFFF, 0
        else:
            following |= 1 << distance - 1
    if first >= 0:
        body += _nack_entry.pack(first, following)
    return model.TRANSPORT_LAYER_FEEDBACK, model.NACK_FORMAT, bytes(body)


def _remb(packet: Remb) -> tuple[int, int, bytes]:
    exponent = max(packet.bitrate_bps.bit_length() - 18, 0)
    if packet.bitrate_bps < 0 or packet.bitrate_bps >> 64 or len(packet.ssrcs) > 255:
        raise WireError("REMB bitrate is beyond 64 bits, or there are more than 255 streams")
    mantissa = packet.bitrate_bps >> exponent
    body = _two_ssrcs.pack(packet.sender_ssrc, 0) + b"REMB"
    body += _uint32.pack(len(packet.ssrcs) << 24 | exponent << 18 | mantissa)
    return model.PAYLOAD_FEEDBACK, model.APPLICATION_FORMAT, body + b"".join(map(_uint32.pack, packet.ssrcs))


def _transport_feedback(packet: TransportFeedback) -> tuple[int, int, bytes]:
    return model.TRANSPORT_LAYER_FEEDBACK, model.TRANSPORT_FEEDBACK_FORMAT, build_transport_feedback(packet)


_BUILDERS: dict[type, Callable[[Any], tuple[int, int, bytes]]] = {
    SenderReport: _sender_report,
    ReceiverReport: _receiver_report,
    SourceDescription: _source_description,
    Bye: _bye,
    Pli: _pli,
    Fir: _fir,
    Nack: _nack,
    Remb: _remb,
    TransportFeedback: _transport_feedback,
}
