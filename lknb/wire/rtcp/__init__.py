"""RTCP (RFC 3550 section 6, RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb, draft-holmer-rmcat-transport-wide-cc).

model.py                the packets, frozen values
parse.py                a compound packet -> list of packets
build.py                packets -> one compound packet
transport_feedback.py   the chunk and delta coding of transport-wide feedback, both ways
"""

from lknb.wire.rtcp.build import build_rtcp
from lknb.wire.rtcp.model import (
    SDES_CNAME,
    SDES_MID,
    SDES_RID,
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
from lknb.wire.rtcp.parse import parse_rtcp

__all__ = [
    "SDES_CNAME",
    "SDES_MID",
    "SDES_RID",
    "Bye",
    "Fir",
    "Nack",
    "Pli",
    "ReceiverReport",
    "Remb",
    "ReportBlock",
    "RtcpPacket",
    "SenderReport",
    "SourceDescription",
    "TransportFeedback",
    "build_rtcp",
    "parse_rtcp",
]
