"""The kernel's side of the link, against a core played by the test on the other end of the socket."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lknb.core import channel
from lknb.core.client import CoreClient
from lknb.core.message import Message, MessageDecoder, encode_message
from lknb.errors import ConnectError, CoreError, PublishTrackError, WireError
from tests.kit.poll import wait_until, wait_until_sync


class FakeCore:
    """The other end of the socket, read and written by the test."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(5.0)
        self._decoder = MessageDecoder()
        self._messages: list[Message] = []

    def read(self) -> Message:
        """The next message; TimeoutError after 5 s."""
        while not self._messages:
            data = self.socket.recv(65536)
            assert data, "the client hung up"
            self._messages += self._decoder.feed(data)
        return self._messages.pop(0)

    def write(self, header: dict[str, Any], *buffers: bytes) -> None:
        self.socket.sendall(encode_message(header, buffers))

    def answer(self, ok: dict[str, Any], *buffers: bytes) -> None:
        """Answer the next request."""
        header, _ = self.read()
        self.write({"id": header["id"], "ok": ok}, *buffers)


@pytest.fixture
def link() -> Iterator[tuple[CoreClient, FakeCore]]:
    ours, theirs = socket.socketpair()
    client = CoreClient(ours)
    yield client, FakeCore(theirs)
    client.close()
    theirs.close()


@contextmanager
def answering(core: FakeCore, *answers: dict[str, Any]) -> Iterator[None]:
    """A thread that answers the next requests."""
    thread = threading.Thread(target=lambda: [core.answer(answer, b"data") for answer in answers])
    thread.start()
    yield
    thread.join()


async def test_a_request_gets_its_reply(link):
    client, core = link
    request = asyncio.create_task(client.request({"op": "stats", "room": 1}, [b"in"]))
    header, buffers = await asyncio.to_thread(core.read)
    assert (header["op"], header["room"], buffers) == ("stats", 1, [b"in"])
    core.write({"id": header["id"], "ok": {"state": "connected"}}, b"out", b"")
    assert await request == ({"state": "connected"}, [b"out", b""])


async def test_replies_may_come_in_any_order(link):
    client, core = link
    requests = [asyncio.create_task(client.request({"op": "stats", "n": n})) for n in range(3)]
    headers = [(await asyncio.to_thread(core.read))[0] for _ in requests]
    for header in reversed(headers):
        core.write({"id": header["id"], "ok": {"n": header["n"]}})
    assert [ok["n"] for ok, _ in await asyncio.gather(*requests)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ({"type": "ConnectError", "kind": "timeout", "message": "too late"}, ConnectError, "too late"),
        ({"type": "PublishTrackError", "message": "no"}, PublishTrackError, "no"),
        ({"type": "SomethingNew", "message": "eh"}, CoreError, "eh"),
        ({}, CoreError, ""),
    ],
)
async def test_errors_come_back_typed(link, error, kind, text):
    client, core = link
    request = asyncio.create_task(client.request({"op": "connect"}))
    header, _ = await asyncio.to_thread(core.read)
    core.write({"id": header["id"], "error": error})
    with pytest.raises(kind) as caught:
        await request
    assert caught.value.message == text
    if kind is ConnectError:
        assert caught.value.kind == "timeout"


async def test_what_no_message_can_carry_is_told_with_a_type(link):
    client, _ = link[0], link[1]
    for header in ({"op": "seek", "position_s": float("nan")}, {"op": "seek", "what": object()}):
        with pytest.raises(CoreError, match="cannot be asked to seek"):
            await client.request(header)


async def test_cancelling_a_request_tells_the_core_and_leaves_nothing_behind(link):
    client, core = link
    request = asyncio.create_task(client.request({"op": "connect"}))
    header, _ = await asyncio.to_thread(core.read)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    cancel, _ = await asyncio.to_thread(core.read)
    assert cancel == {"op": "cancel", "request": header["id"]}
    assert client._pending == {}
    core.write({"id": header["id"], "ok": {}})
    assert await _echo(client, core) == {}


async def test_a_request_cancelled_before_it_began_sends_nothing(link):
    client, core = link
    request = asyncio.create_task(client.request({"op": "connect"}))
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert client._pending == {}
    assert await _echo(client, core) == {}


async def test_cancelling_when_the_reply_is_already_here_still_tells_the_core(link):
    client, core = link
    request = asyncio.create_task(client.request({"op": "connect"}))
    header, _ = await asyncio.to_thread(core.read)
    core.write({"id": header["id"], "ok": {}})
    wait_until_sync(lambda: not client._pending, what="the reply on the link's thread")  # the loop has not run since
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (await asyncio.to_thread(core.read))[0] == {"op": "cancel", "request": header["id"]}


def test_requests_work_from_one_loop_after_another(link):
    client, core = link
    for n in range(2):
        with answering(core, {"n": n}):
            assert asyncio.run(client.request({"op": "stats"})) == ({"n": n}, [b"data"])


def test_requests_work_from_several_loops_at_once(link):
    client, core = link
    results: list[Any] = []
    with answering(core, *({"n": n} for n in range(8))):
        threads = [
            threading.Thread(target=lambda: results.append(asyncio.run(client.request({"op": "stats"}))))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(ok["n"] for ok, _ in results) == list(range(8))


def test_a_reply_for_a_loop_that_is_gone_harms_nobody(link):
    client, core = link
    loop = asyncio.new_event_loop()
    request = loop.create_task(client.request({"op": "stats"}))
    loop.run_until_complete(asyncio.sleep(0))
    header, _ = core.read()
    loop.close()
    core.write({"id": header["id"], "ok": {}})
    with answering(core, {"n": 1}):
        assert asyncio.run(client.request({"op": "stats"})) == ({"n": 1}, [b"data"])
    assert not request.done()
    request.get_coro().close()
    del request, loop
    gc.collect()


def test_request_threadsafe_needs_no_loop(link):
    client, core = link
    future = client.request_threadsafe({"op": "mute"})
    core.answer({"done": True})
    assert future.result(5) == ({"done": True}, [])


def test_cancelling_a_threadsafe_request_tells_the_core(link):
    client, core = link
    future = client.request_threadsafe({"op": "mute"})
    header, _ = core.read()
    assert future.cancel()
    assert core.read()[0] == {"op": "cancel", "request": header["id"]}


def test_events_go_to_their_listener(link):
    client, core = link
    heard: list[Any] = []
    seen = threading.Event()
    client.listen(("room", 1), lambda header, buffers: heard.append((header["event"], buffers)))
    client.listen(("source", 2), lambda header, buffers: heard.append(("source", header["rid"])))
    client.listen(("track", 1, "TR_a"), lambda header, buffers: heard.append(("frame", buffers)))
    client.listen(("room", 3), lambda header, buffers: seen.set())
    core.write({"event": "signal", "room": 1}, b"x")
    core.write({"event": "frame", "room": 1, "track_sid": "TR_a"}, b"f")
    core.write({"event": "frame", "room": 1, "track_sid": "TR_b"}, b"g")
    core.write({"event": "keyframe_request", "source": 2, "rid": "q"})
    core.write({"event": "signal", "room": 99}, b"nobody")
    core.write({"event": "state", "room": 3})
    assert seen.wait(5)
    assert heard == [("signal", [b"x"]), ("frame", [b"f"]), ("source", "q")]
    client.unlisten(("room", 1))
    seen.clear()
    core.write({"event": "signal", "room": 1}, b"y")
    core.write({"event": "state", "room": 3})
    assert seen.wait(5)
    assert len(heard) == 3


def test_a_handler_that_fails_ends_nothing(link, caplog):
    client, core = link
    seen = threading.Event()
    client.listen(("room", 1), lambda header, buffers: 1 / 0)
    client.listen(("room", 2), lambda header, buffers: seen.set())
    core.write({"event": "state", "room": 1})
    core.write({"event": "state", "room": 2})
    assert seen.wait(5)
    assert "ZeroDivisionError" in caplog.text


async def test_the_end_of_the_core_fails_what_is_pending_and_calls_on_death_once(link):
    client, core = link
    deaths: list[str] = []
    client.on_death(lambda: deaths.append("first"))
    client.on_death(lambda: 1 / 0)
    client.on_death(lambda: deaths.append("second"))
    requests = [asyncio.create_task(client.request({"op": "stats"})) for _ in range(3)]
    await asyncio.to_thread(core.read)
    core.socket.close()
    for result in await asyncio.gather(*requests, return_exceptions=True):
        assert isinstance(result, CoreError)
        assert "gone" in result.message
    await wait_until(lambda: deaths == ["first", "second"])
    assert not client.alive
    assert client.post({"op": "keyframe"}) is False
    with pytest.raises(CoreError):
        await client.request({"op": "stats"})
    client.on_death(lambda: deaths.append("late"))
    assert deaths == ["first", "second", "late"]


async def test_bytes_that_are_no_messages_end_the_link(link):
    client, core = link
    request = asyncio.create_task(client.request({"op": "stats"}))
    await asyncio.to_thread(core.read)
    core.socket.sendall(b"\xff" * 64)
    with pytest.raises(CoreError):
        await request


async def test_closing_fails_what_is_pending_but_is_no_death():
    ours, theirs = socket.socketpair()
    client = CoreClient(ours)
    deaths: list[int] = []
    client.on_death(lambda: deaths.append(1))
    request = asyncio.create_task(client.request({"op": "stats"}))
    await asyncio.sleep(0)
    client.close()
    client.close()
    with pytest.raises(CoreError, match="closed"):
        await request
    assert deaths == []
    theirs.close()


def test_media_is_dropped_when_the_link_is_full_and_control_is_not(link):
    client, core = link
    frame = bytes(100_000)
    sent = 0
    while client.post({"op": "frame", "source": 1}, [frame]):
        sent += 1
        assert sent < 1000, "nothing is ever dropped"
    assert channel.MEDIA_LIMIT_BYTES // 2 <= sent * len(frame) <= 3 * channel.MEDIA_LIMIT_BYTES
    assert client.post({"op": "keyframe", "room": 1, "track_sid": "TR_a"})
    future = client.request_threadsafe({"op": "stats"})
    for _ in range(sent):
        assert core.read()[0]["op"] == "frame"
    assert core.read()[0]["op"] == "keyframe"
    core.answer({})
    assert future.result(5) == ({}, [])
    assert client.post({"op": "frame", "source": 1}, [frame])


def test_a_count_that_went_wrong_does_not_stop_the_link(link):
    client, core = link
    client._channel._queued_bytes = 1 << 40
    for _ in range(2):
        assert client.post({"op": "frame", "source": 1}, [b"x"])
        assert core.read()[0]["op"] == "frame"
    assert client._channel._queued_bytes == 0


def test_control_is_bounded_too(link):
    client, _ = link
    blob = bytes(4 * 1024 * 1024)
    sent = 0
    while client.post({"op": "data"}, [blob]):
        sent += 1
        assert sent * len(blob) <= 2 * channel.CONTROL_LIMIT_BYTES
    with pytest.raises(CoreError, match="does not read"):
        client.request_threadsafe({"op": "data"}, [blob]).result(5)


def test_many_threads_send_whole_messages_in_the_order_of_each(link):
    client, core = link
    done = threading.Barrier(5)

    def send(thread: int) -> None:
        for n in range(200):
            assert client.post({"op": "keyframe", "thread": thread, "n": n}, [bytes([thread]) * (n * 37 % 5000)])
        done.wait(20)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    seen: dict[int, int] = {}
    for _ in range(800):
        header, buffers = core.read()
        assert header["n"] == seen.get(header["thread"], -1) + 1
        assert buffers == [bytes([header["thread"]]) * (header["n"] * 37 % 5000)]
        seen[header["thread"]] = header["n"]
    done.wait(20)
    for thread in threads:
        thread.join()


def test_a_message_too_large_is_refused_and_leaves_nothing_pending(link):
    client, _ = link
    with pytest.raises(WireError):
        client.request_threadsafe({"op": "data"}, [bytes(17 * 1024 * 1024)])
    assert client._pending == {}


def test_handles_are_never_used_twice(link):
    client, _ = link
    assert len({client.next_handle() for _ in range(100)}) == 100


async def _echo(client: CoreClient, core: FakeCore) -> dict[str, Any]:
    request = asyncio.create_task(client.request({"op": "stats"}))
    await asyncio.to_thread(core.answer, {})
    return (await request)[0]
