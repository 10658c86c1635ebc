from __future__ import annotations

import asyncio
import socket

import pytest

from lknb.core import link as link_module
from lknb.core.link import MEDIA_LIMIT_BYTES, KernelLink
from lknb.core.message import Message, MessageDecoder, encode_message
from tests.kit.poll import wait_until


@pytest.fixture
def sockets():
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    yield ours, theirs
    theirs.close()
    ours.close()


def read(sock: socket.socket, decoder: MessageDecoder) -> list[Message]:
    try:
        return decoder.feed(sock.recv(1 << 20))
    except BlockingIOError:
        return []


async def test_nothing_is_read_before_start_and_then_all(sockets):
    ours, theirs = sockets
    link = await KernelLink.open(ours)
    theirs.send(encode_message({"n": 1}) + encode_message({"n": 2}))
    await asyncio.sleep(0.02)
    seen: list[Message] = []
    link.start(seen.append)
    await wait_until(lambda: len(seen) == 2)
    assert [header["n"] for header, _ in seen] == [1, 2]
    link.close()
    await link.lost.wait()


async def test_a_kernel_that_hangs_up_is_noticed_and_sends_do_nothing(sockets):
    ours, theirs = sockets
    link = await KernelLink.open(ours)
    link.start(lambda message: None)
    theirs.close()
    await asyncio.wait_for(link.lost.wait(), 5)
    assert not link.has_room
    link.send({"n": 1})
    link.close()


async def test_rubbish_from_the_kernel_is_its_end(sockets):
    ours, theirs = sockets
    link = await KernelLink.open(ours)
    link.start(lambda message: None)
    theirs.send(b"\xff" * 100)
    await asyncio.wait_for(link.lost.wait(), 5)
    link.close()
    await asyncio.sleep(0)


async def test_a_kernel_that_does_not_read_leaves_no_room_for_media_and_control_waits(sockets):
    ours, theirs = sockets
    link = await KernelLink.open(ours)
    link.start(lambda message: None)
    rooms: list[bool] = []
    sent = 0
    while link.has_room:
        link.send({"event": "frame", "n": sent}, [bytes(50_000)])
        sent += 1
        assert sent * 50_000 < 4 * MEDIA_LIMIT_BYTES
    link.on_room(lambda: rooms.append(link.has_room))
    link.send({"event": "signal"})
    decoder, seen = MessageDecoder(), []
    await asyncio.sleep(0.02)
    assert rooms == []

    async def read_on() -> bool:
        seen.extend(read(theirs, decoder))
        return len(seen) == sent + 1

    await wait_until(read_on, interval_s=0.001)
    assert [header["event"] for header, _ in seen] == ["frame"] * sent + ["signal"]
    await wait_until(lambda: rooms)
    assert rooms == [True]
    link.close()
    await link.lost.wait()


async def test_control_is_bounded(sockets, monkeypatch, caplog):
    monkeypatch.setattr(link_module, "CONTROL_LIMIT_BYTES", 1_000_000)
    ours, theirs = sockets
    link = await KernelLink.open(ours)
    for n in range(100):
        link.send({"n": n}, [bytes(100_000)])
    assert link._transport.get_write_buffer_size() < 1_300_000
    assert caplog.text.count("has not read") == 1
    theirs.close()
    link.close()
    await link.lost.wait()
