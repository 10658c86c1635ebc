"""RTCP packets as frozen values. All SSRCs are unsigned 32 bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
BYE: Final = 203
TRANSPORT_LAYER_FEEDBACK: Final = 205
PAYLOAD_FEEDBACK: Final = 206

NACK_FORMAT: Final = 1
TRANSPORT_FEEDBACK_FORMAT: Final = 15
PLI_FORMAT: Final = 1
FIR_FORMAT: Final = 4
APPLICATION_FORMAT: Final = 15

SDES_CNAME: Final = 1
SDES_RID: Final = 12
"""RtpStreamId (RFC 8852)."""
SDES_MID: Final = 15
"""RFC 9143 section 15.1."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What one receiver says about one stream (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int = 0
    """Lost since the last report, in 1/256: 0 to 255."""
    packets_lost: int = 0
    """Lost since the start, signed 24 bit; building clamps it. Negative with duplicates."""
    highest_sequence: int = 0
    """Extended highest sequence number received, 32 bit: wraps in the upper half."""
    jitter: int = 0
    """Interarrival jitter in RTP timestamp units."""
    last_sr: int = 0
    """Middle 32 bits of the NTP time of the last sender report, 0 for none."""
    delay_since_last_sr: int = 0
    """Since that report arrived, in 1/65,536 s."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """RFC 3550 section 6.4.1. `ntp_time` is 64 bit: seconds since 1900 above, fraction below."""

    ssrc: int
    ntp_time: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RFC 3550 section 6.4.2."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """RFC 3550 section 6.5: (ssrc, items) for each source, an item being (SDES_CNAME | SDES_MID | ..., text)."""

    chunks: tuple[tuple[int, tuple[tuple[int, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """RFC 3550 section 6.6."""

    sources: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pli:
    """Picture loss indication: a key frame is needed (RFC 4585 section 6.3.1)."""

    sender_ssrc: int
    media_ssrc: int


@dataclass(frozen=True, slots=True)
class Fir:
    """Full intra request (RFC 5104 section 4.3.1): (media ssrc, command sequence number 0 to 255) pairs."""

    sender_ssrc: int
    entries: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK (RFC 4585 section 6.2.1): 16 bit sequence numbers that are missing, rising (modulo 2^16)."""

    sender_ssrc: int
    media_ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Remb:
    """Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb) over the given streams together.

    18 bits of the bitrate survive the wire; it is rounded down.
    """

    sender_ssrc: int
    bitrate_bps: int
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

    `packets` covers the sequence numbers from `base_sequence_number` on, without a hole: the arrival of each in
    microseconds after the reference time, or None where it did not arrive. The wire carries steps of 250 us; a step
    between two arrivals must be within -8,192,000 and 8,191,750 us, the first one counting from the reference time.
    """

    sender_ssrc: int
    media_ssrc: int
    base_sequence_number: int
    feedback_count: int
    """0 to 255, one more with each feedback packet of a transport; taken modulo 256 when built."""
    reference_time_64ms: int
    """24 bit, in units of 64 ms of the receiver's clock; taken modulo 2^24 when built."""
    packets: tuple[int | None, ...]


RtcpPacket: TypeAlias = (
    SenderReport | ReceiverReport | SourceDescription | Bye | Pli | Fir | Nack | Remb | TransportFeedback
)
