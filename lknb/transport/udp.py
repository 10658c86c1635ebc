"""One UDP socket that an event loop drains, with the kernel's arrival times.

asyncio's datagram transport reads one datagram per turn of the loop and gives no arrival time. Congestion feedback
needs the time a packet reached the machine: measured in user space, a busy loop looks like a congested network, and
Chrome lowers its bit rate.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)

Address = tuple[Any, ...]
"""What the socket module calls an address: (host, port), for IPv6 (host, port, flow, scope)."""

MAX_DATAGRAM_BYTES = 2048
"""Nothing WebRTC sends is larger than an Ethernet frame; what is longer is cut by the kernel and dropped here."""

SOCKET_BUFFER_BYTES = 4 << 20
BATCH = 64
"""Datagrams read per wake-up, so that timers and other sockets get their turn."""

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_PLAUSIBLE_AGE_NS = 10_000_000_000
_AT_ONCE_NS = 20_000
_LOOKS_MAX = 10


@dataclass(slots=True)
class UdpCounters:
    """What happened to the datagrams of one socket."""

    received: int = 0
    empty: int = 0
    oversize: int = 0
    handler_errors: int = 0
    send_dropped: int = 0
    """Not sent because the socket buffer was full."""
    send_failed: int = 0
    """Not sent because the system refused (no route, address not available, ...)."""


class UdpSocket:
    """A bound, non-blocking UDP socket; `on_datagram(data, address, arrival_us)` runs synchronously for each datagram.

    `arrival_us` is microseconds on the axis of `time.monotonic()`: the kernel's stamp where there is one, else the time
    of the wake-up. `data` is never empty and never longer than `MAX_DATAGRAM_BYTES`.
    """

    def __init__(self, host: str, port: int, on_datagram: Callable[[bytes, Address, int], None]) -> None:
        """Bind to a numeric `host`; OSError when that fails. Needs a running loop with `add_reader` (not Windows)."""
        self.counters = UdpCounters()
        self._on_datagram = on_datagram
        self._loop = asyncio.get_running_loop()
        self._closed = False
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            self._ancillary_bytes = _ANCILLARY_BYTES if _enable_timestamps(sock) else 0
            sock.bind((host, port))
            self._loop.add_reader(sock.fileno(), self._on_readable)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        self._sendto = sock.sendto
        self.address: Address = sock.getsockname()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    def sendto(self, data: bytes | memoryview, address: Address) -> None:
        """Send one datagram now, or drop and count it: a full buffer must not stall everybody else's packets."""
        try:
            self._sendto(data, address)
        except BlockingIOError:
            self.counters.send_dropped += 1
        except OSError:
            self.counters.send_failed += 1

    def close(self) -> None:
        """Give the port back. Idempotent; sending afterwards is counted as failed."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _on_readable(self) -> None:
        # the kernel stamps with the wall clock, which may be set at any time: map it anew at each wake-up
        now_ns, offset_ns = _clocks()
        counters, recvmsg, on_datagram = self.counters, self._sock.recvmsg, self._on_datagram
        for _ in range(BATCH):
            try:
                data, ancillary, flags, address = recvmsg(MAX_DATAGRAM_BYTES, self._ancillary_bytes)
            except BlockingIOError:
                return
            except OSError as error:
                if not self._closed:
                    logger.debug("udp receive: %s", error)
                return
            counters.received += 1
            if not data:
                # One empty datagram from anybody closes an aiortc connection, whose first look is data[0].
                counters.empty += 1
                continue
            if flags & socket.MSG_TRUNC:
                counters.oversize += 1
                continue
            arrival_ns = now_ns
            if ancillary:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                stamp_ns = seconds * 1_000_000_000 + nanoseconds - offset_ns
                if -_PLAUSIBLE_AGE_NS < now_ns - stamp_ns < _PLAUSIBLE_AGE_NS:
                    arrival_ns = stamp_ns
            try:
                on_datagram(data, address, arrival_ns // 1000)
            except Exception:
                # one packet's fault must not end the loop that serves everybody
                counters.handler_errors += 1
                if counters.handler_errors <= 10:
                    logger.exception("a datagram handler failed")


def _clocks() -> tuple[int, int]:
    """The monotonic clock, and how far the wall clock is ahead of it, in nanoseconds.

    On a busy machine another thread or process may run between two looks at a clock, which would put all packets of this
    wake-up some milliseconds off: then they are looked at again.
    """
    for _ in range(_LOOKS_MAX):
        before_ns, wall_ns, now_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if now_ns - before_ns < _AT_ONCE_NS:
            break
    return now_ns, wall_ns - now_ns


def _enable_timestamps(sock: socket.socket) -> bool:
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True
