"""SRTP of one direction, in place: libsrtp called through the binding of pylibsrtp, without its copies and checks.

`Session.protect()` costs 1.6 to 2.5 us a packet, the call itself 0.9 to 1.6. Where the binding looks unlike what we
know, the public methods are used (`contract.IN_PLACE_SRTP`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pylibsrtp

from lknb.transport import contract

MAX_PACKET_BYTES = 1500 - pylibsrtp.SRTP_MAX_TRAILER_LEN
"""The largest plain RTP packet: pylibsrtp's buffer without the room for the authentication tag."""
MAX_RTCP_BYTES = 1500 - pylibsrtp.SRTP_MAX_SRTCP_TRAILER_LEN
MAX_PROTECTED_BYTES = 1500


class SendCounters(Protocol):
    """Where `rtp_sender` counts."""

    rtp_sent: int
    send_oversize: int
    send_failed: int


Transform = Callable[[bytes], bytes]
"""One packet in, one out. pylibsrtp.Error: not authentic, a replay, no room; ValueError: too long."""


def protect_rtcp(session: pylibsrtp.Session) -> Transform:
    """RTCP -> SRTCP."""
    if not contract.IN_PLACE_SRTP:
        return session.protect_rtcp
    return _in_place(session, contract.lib.srtp_protect_rtcp, MAX_RTCP_BYTES)


def unprotect_rtp(session: pylibsrtp.Session) -> Transform:
    """SRTP -> RTP."""
    if not contract.IN_PLACE_SRTP:
        return session.unprotect
    return _in_place(session, contract.lib.srtp_unprotect, MAX_PROTECTED_BYTES)


def unprotect_rtcp(session: pylibsrtp.Session) -> Transform:
    """SRTCP -> RTCP."""
    if not contract.IN_PLACE_SRTP:
        return session.unprotect_rtcp
    return _in_place(session, contract.lib.srtp_unprotect_rtcp, MAX_PROTECTED_BYTES)


def rtp_sender(
    session: pylibsrtp.Session, transmit: Callable[[bytes | memoryview], None], counters: SendCounters
) -> Callable[[bytes], None]:
    """RTP -> SRTP -> `transmit`, in one call: an SFU does this for each packet of each subscriber.

    The datagram handed to `transmit` is valid only until that returns.
    """
    if not contract.IN_PLACE_SRTP:
        protect = session.protect

        def send_copy(packet: bytes) -> None:
            try:
                data = protect(packet)
            except ValueError:
                counters.send_oversize += 1
            except pylibsrtp.Error:
                counters.send_failed += 1
            else:
                counters.rtp_sent += 1
                transmit(data)

        return send_copy
    ffi, function, max_bytes = contract.ffi, contract.lib.srtp_protect, MAX_PACKET_BYTES
    data = ffi.new("char[]", max_bytes + pylibsrtp.SRTP_MAX_SRTCP_TRAILER_LEN)
    view = memoryview(ffi.buffer(data))
    length = ffi.new("int *")
    owner = session._srtp

    def send(packet: bytes) -> None:
        size = len(packet)
        if size > max_bytes:
            counters.send_oversize += 1
            return
        view[0:size] = packet
        length[0] = size
        if function(owner[0], data, length):
            counters.send_failed += 1
            return
        counters.rtp_sent += 1
        transmit(view[0 : length[0]])

    return send


def _in_place(session: pylibsrtp.Session, function: Callable[..., int], max_bytes: int) -> Transform:
    ffi, errors = contract.ffi, pylibsrtp.ERRORS
    # A buffer for each direction of each session: two loops in two threads may run at once, libsrtp without the GIL.
    data = ffi.new("char[]", max_bytes + pylibsrtp.SRTP_MAX_SRTCP_TRAILER_LEN)
    buffer = ffi.buffer(data)
    length = ffi.new("int *")
    owner = session._srtp  # freed with this reference, so the closure keeps it

    def transform(packet: bytes) -> bytes:
        size = len(packet)
        if size > max_bytes:
            raise ValueError("packet is too long")
        buffer[0:size] = packet
        length[0] = size
        status = function(owner[0], data, length)
        if status:
            raise pylibsrtp.Error(errors[status] if status < len(errors) else "unknown error")
        return buffer[0 : length[0]]  # type: ignore[no-any-return]

    return transform
