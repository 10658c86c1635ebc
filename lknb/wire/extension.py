"""RTP header extensions that LiveKit and its clients negotiate: their URIs, and the values of those read or written
here.

Ids are per connection and come from the SDP; only the URI says what an element means. Parsers raise WireError for a
value of the wrong length.
"""

from __future__ import annotations

from lknb.errors import WireError

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
FRAME_MARKING = "urn:ietf:params:rtp-hdrext:framemarking"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
TIMESTAMP_OFFSET = "urn:ietf:params:rtp-hdrext:toffset"
VIDEO_ORIENTATION = "urn:3gpp:video-orientation"

_ABS_SEND_TIME_UNIT_PER_S = 1 << 18


def pack_audio_level(level: int, voice: bool) -> bytes:
    """RFC 6464: `level` in -dBov, 0 (loudest) to 127 (silent), clamped; `voice` is the voice activity flag. 1 byte."""
    return bytes((0x80 * bool(voice) | min(max(level, 0), 127),))


def parse_audio_level(value: bytes) -> tuple[int, bool]:
    """(level in -dBov 0 to 127, voice flag) of an RFC 6464 element."""
    if not value:
        raise WireError("audio level is empty")
    return value[0] & 127, value[0] > 127


def pack_transport_sequence(sequence_number: int) -> bytes:
    """The transport-wide sequence number, modulo 2^16. 2 bytes."""
    return (sequence_number & 0xFFFF).to_bytes(2, "big")


def parse_transport_sequence(value: bytes) -> int:
    """The transport-wide sequence number, 16 bit. The 4 byte form (version 2 of the draft) begins with it too."""
    if len(value) < 2:
        raise WireError("transport-wide sequence number is shorter than 2 bytes")
    return value[0] << 8 | value[1]


def pack_abs_send_time(now_s: float) -> bytes:
    """Send time in seconds of any clock, as 6.18 bit fixed point that wraps every 64 s. 3 bytes."""
    return (int(now_s * _ABS_SEND_TIME_UNIT_PER_S) & 0xFFFFFF).to_bytes(3, "big")


def parse_abs_send_time(value: bytes) -> float:
    """Send time in seconds, 0 to 64, of an abs-send-time element."""
    if len(value) != 3:
        raise WireError("abs-send-time is not 3 bytes")
    return int.from_bytes(value, "big") / _ABS_SEND_TIME_UNIT_PER_S


def pack_text(text: str) -> bytes:
    """The value of a MID, RID or REPAIRED_RID element (RFC 8852, RFC 9143)."""
    value = text.encode("utf-8", "replace")
    if not 0 < len(value) <= 255:
        raise WireError("mid or rid does not fit a header extension")
    return value


def parse_text(value: bytes) -> str:
    """The text of a MID, RID or REPAIRED_RID element. Two-byte elements may be filled up with zero bytes."""
    try:
        return value.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        raise WireError("mid or rid in a header extension is not ASCII") from None
