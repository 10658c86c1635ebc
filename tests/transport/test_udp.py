from __future__ import annotations

import asyncio
import socket
import sys
import time

import pytest

from lknb.transport import udp
from lknb.transport.udp import BATCH, MAX_DATAGRAM_BYTES, UdpSocket
from tests.kit.poll import wait_until
from tests.transport.pair import stranger

Received = list[tuple[bytes, object, int]]


def collect(received: Received) -> UdpSocket:
    return UdpSocket("127.0.0.1", 0, lambda *datagram: received.append(datagram))


async def test_datagrams_arrive_in_order_with_their_source() -> None:
    received: Received = []
    sock, peer = collect(received), stranger()
    sent = [bytes([1 + i % 250]) * (1 + i * 7) for i in range(3 * BATCH)]
    for data in sent:
        peer.sendto(data, sock.address)
    await wait_until(lambda: len(received) == len(sent))
    assert [data for data, _, _ in received] == sent
    assert {address for _, address, _ in received} == {peer.getsockname()}
    sock.sendto(b"back", peer.getsockname())
    assert peer.recv(100) == b"back"
    sock.close()
    peer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="kernel timestamps are Linux's")
async def test_the_time_is_the_kernels_not_the_readers() -> None:
    received: Received = []
    sock, peer = collect(received), stranger()
    before_us = time.monotonic_ns() // 1000
    peer.sendto(b"x", sock.address)
    sent_us = time.monotonic_ns() // 1000
    time.sleep(0.05)  # the loop is busy while the datagram waits
    await wait_until(lambda: received)
    assert before_us - 200 <= received[0][2] <= sent_us + 5_000
    sock.close()
    peer.close()


async def test_a_wall_clock_that_jumps_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    received: Received = []
    sock, peer = collect(received), stranger()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600_000_000_000)
    before_us = time.monotonic_ns() // 1000
    peer.sendto(b"x", sock.address)
    await wait_until(lambda: received)
    assert before_us <= received[0][2] <= time.monotonic_ns() // 1000
    sock.close()
    peer.close()


def test_a_pause_between_two_looks_at_the_clocks_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    pauses = [0.02, 0.02, *[0.0] * 8]

    def interrupted() -> int:
        time.sleep(pauses.pop(0))
        return real()

    # a machine that stands still between the two reads the one too early
    expected_ns = max(real() - time.monotonic_ns() for _ in range(10))
    monkeypatch.setattr(time, "time_ns", interrupted)
    _, offset_ns = udp._clocks()
    assert len(pauses) < 8
    assert abs(offset_ns - expected_ns) < 5_000_000


async def test_without_kernel_timestamps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "_enable_timestamps", lambda sock: False)
    received: Received = []
    sock, peer = collect(received), stranger()
    before_us = time.monotonic_ns() // 1000
    peer.sendto(b"x", sock.address)
    await wait_until(lambda: received)
    assert before_us <= received[0][2] <= time.monotonic_ns() // 1000
    sock.close()
    peer.close()


async def test_empty_and_oversize_datagrams_are_dropped() -> None:
    received: Received = []
    sock, peer = collect(received), stranger()
    for data in (b"", bytes(MAX_DATAGRAM_BYTES + 1), bytes(65_507), b"", bytes(MAX_DATAGRAM_BYTES)):
        peer.sendto(data, sock.address)
    await wait_until(lambda: received)
    assert [len(data) for data, _, _ in received] == [MAX_DATAGRAM_BYTES]
    assert (sock.counters.empty, sock.counters.oversize, sock.counters.received) == (2, 2, 5)
    sock.close()
    peer.close()


async def test_a_failing_handler_does_not_end_the_reading(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[bytes] = []

    def handle(data: bytes, address: object, arrival_us: int) -> None:
        seen.append(data)
        raise ValueError("a fault of the caller")

    sock, peer = UdpSocket("127.0.0.1", 0, handle), stranger()
    for i in range(20):
        peer.sendto(bytes([i]), sock.address)
    await wait_until(lambda: len(seen) == 20)
    assert sock.counters.handler_errors == 20
    assert caplog.text.count("Traceback") == 10
    sock.close()
    peer.close()


async def test_a_full_socket_drops_and_counts() -> None:
    sock = collect([])

    class Full:
        def sendto(self, data: bytes, address: object) -> None:
            raise BlockingIOError

    sock._sendto = Full().sendto  # type: ignore[assignment]
    for _ in range(3):
        sock.sendto(b"x", ("127.0.0.1", 9))
    assert sock.counters.send_dropped == 3
    sock.close()


async def test_what_cannot_be_sent_is_counted() -> None:
    sock = collect([])
    sock.sendto(bytes(70_000), ("127.0.0.1", 9))
    sock.close()
    sock.close()
    sock.sendto(b"x", ("127.0.0.1", 9))
    assert sock.counters.send_failed == 2
    assert sock.closed


async def test_closing_in_the_handler() -> None:
    peer = stranger()
    seen: list[bytes] = []

    def handle(data: bytes, address: object, arrival_us: int) -> None:
        seen.append(data)
        sock.close()

    sock = UdpSocket("127.0.0.1", 0, handle)
    for i in range(5):
        peer.sendto(bytes([i]), sock.address)
    await wait_until(lambda: seen)
    await asyncio.sleep(0)
    assert seen == [b"\0"]
    peer.close()


async def test_buffers_are_asked_for() -> None:
    sock = collect([])
    granted = sock._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    plain = stranger()
    assert granted >= plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    plain.close()
    sock.close()
