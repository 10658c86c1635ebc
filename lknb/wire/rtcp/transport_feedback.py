"""The body of transport-wide feedback: packet status chunks and receive deltas.

draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1. Each packet has a two-bit symbol: 0 not received, 1
received with a delta of one byte, 2 received with a signed delta of two bytes, 3 reserved. A 16 bit chunk holds either
a run of up to 8,191 equal symbols, or a vector of 14 one-bit symbols (0 and 1 only), or of 7 two-bit ones.
"""

from __future__ import annotations

from struct import Struct

from lknb import limits
from lknb.errors import WireError
from lknb.wire.rtcp.model import TransportFeedback

DELTA_US = 250
REFERENCE_TIME_US = 64_000

_LOST, _SMALL, _LARGE = 0, 1, 2
_RUN_MAX = 0x1FFF
_ONE_BIT_SYMBOLS = 14
_TWO_BIT_SYMBOLS = 7

_head = Struct("!LLHHL")
_uint16 = Struct("!H")
_int16 = Struct("!h")

# What a vector chunk says, by its 14 low bits; looked up instead of shifted out symbol by symbol.
_ONE_BIT_SHIFTS = tuple(range(13, -1, -1))
_TWO_BIT_SHIFTS = tuple(range(12, -1, -2))


def parse_transport_feedback(data: bytes, start: int, end: int) -> TransportFeedback:
    """The feedback whose two SSRCs and body lie in `data[start:end]`, padding excluded."""
    if start + _head.size > end:
        raise WireError("transport feedback is shorter than its header")
    sender_ssrc, media_ssrc, base, count, times = _head.unpack_from(data, start)
    if count > limits.TRANSPORT_FEEDBACK_PACKETS:
        raise WireError("transport feedback covers too many packets")
    symbols, position = _parse_chunks(data, start + _head.size, end, count)
    packets: list[int | None] = []
    arrival = 0
    for symbol in symbols:
        if symbol == _LOST:
            packets.append(None)
            continue
        size = symbol
        if position + size > end:
            raise WireError("transport feedback ends before its deltas")
        arrival += data[position] if symbol == _SMALL else _int16.unpack_from(data, position)[0]
        position += size
        packets.append(arrival * DELTA_US)
    return TransportFeedback(sender_ssrc, media_ssrc, base, times & 0xFF, times >> 8, tuple(packets))


def _parse_chunks(data: bytes, position: int, end: int, count: int) -> tuple[list[int], int]:
    symbols: list[int] = []
    while len(symbols) < count:
        if position + 2 > end:
            raise WireError("transport feedback ends before its status chunks")
        chunk = data[position] << 8 | data[position + 1]
        position += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13] * min(chunk & _RUN_MAX, count - len(symbols))
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in _TWO_BIT_SHIFTS]
        else:
            symbols += [chunk >> shift & 1 for shift in _ONE_BIT_SHIFTS]
    del symbols[count:]
    if 3 in symbols:
        raise WireError("transport feedback has a reserved status symbol")
    return symbols, position


def build_transport_feedback(feedback: TransportFeedback) -> bytes:
    """The SSRCs and the body of a feedback packet, not padded. Raises WireError for a count or a step too large."""
    count = len(feedback.packets)
    if not 0 < count <= limits.TRANSPORT_FEEDBACK_PACKETS:
        raise WireError("transport feedback covers no packets, or too many")
    symbols = bytearray()
    deltas = bytearray()
    last = 0
    for arrival in feedback.packets:
        if arrival is None:
            symbols.append(_LOST)
            continue
        # Rounding the arrival, not the step, keeps rounding errors from adding up.
        ticks = (arrival + DELTA_US // 2) // DELTA_US
        delta = ticks - last
        last = ticks
        if 0 <= delta <= 0xFF:
            symbols.append(_SMALL)
            deltas.append(delta)
        elif -0x8000 <= delta <= 0x7FFF:
            symbols.append(_LARGE)
            deltas += _int16.pack(delta)
        else:
            raise WireError("transport feedback has a step between arrivals that is too long")
    times = (feedback.reference_time_64ms & 0xFFFFFF) << 8 | feedback.feedback_count & 0xFF
    head = _head.pack(feedback.sender_ssrc, feedback.media_ssrc, feedback.base_sequence_number & 0xFFFF, count, times)
    return head + _build_chunks(bytes(symbols)) + deltas


def _build_chunks(symbols: bytes) -> bytes:
    """The chunk that covers most of what is left, again and again."""
    chunks = bytearray()
    count = len(symbols)
    position = 0
    while position < count:
        symbol = symbols[position]
        window = symbols[position : position + _RUN_MAX]
        run = len(window) - len(window.lstrip(window[:1]))
        one_bit = symbols[position : position + _ONE_BIT_SYMBOLS]
        if run >= _ONE_BIT_SYMBOLS or run == count - position:
            chunks += _uint16.pack(symbol << 13 | run)
            position += run
        elif _LARGE not in one_bit:
            bits = 0
            for bit in one_bit:
                bits = bits << 1 | bit
            chunks += _uint16.pack(0x8000 | bits << _ONE_BIT_SYMBOLS - len(one_bit))
            position += len(one_bit)
        elif run >= _TWO_BIT_SYMBOLS:
            chunks += _uint16.pack(symbol << 13 | run)
            position += run
        else:
            two_bit = symbols[position : position + _TWO_BIT_SYMBOLS]
            bits = 0
            for pair in two_bit:
                bits = bits << 2 | pair
            chunks += _uint16.pack(0xC000 | bits << 2 * (_TWO_BIT_SYMBOLS - len(two_bit)))
            position += len(two_bit)
    return bytes(chunks)
