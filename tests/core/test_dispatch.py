from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lknb.core import dispatch
from lknb.core.dispatch import Dispatcher, Reply
from lknb.errors import ConnectError, PublishDataError
from tests.kit.poll import wait_until


class Operations:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.gate = asyncio.Event()
        self.requests = {
            "echo": self.echo,
            "wait": self.wait,
            "refuse": self.refuse,
            "fault": self.fault,
            "make": self.make,
        }
        self.notices = {"note": lambda header, buffers: self.log.append(header["text"]), "broken": lambda h, b: 1 / 0}

    async def echo(self, header: dict[str, Any], buffers: list[bytes]) -> Reply:
        self.log.append(f"echo {header['text']}")
        return Reply({"text": header["text"]}, buffers)

    async def wait(self, header: dict[str, Any], buffers: list[bytes]) -> Reply:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        return Reply()

    async def refuse(self, header: dict[str, Any], buffers: list[bytes]) -> Reply:
        raise ConnectError("no", "timeout") if header["kind"] == "connect" else PublishDataError("no")

    async def fault(self, header: dict[str, Any], buffers: list[bytes]) -> Reply:
        raise ZeroDivisionError("oops")

    async def make(self, header: dict[str, Any], buffers: list[bytes]) -> Reply:
        return Reply({"made": 1}, undo=lambda: self.unmake(header["text"]))

    async def unmake(self, text: str) -> None:
        self.log.append(f"undo {text}")
        if text == "broken":
            raise RuntimeError("cannot be undone")


class Bench:
    def __init__(self) -> None:
        self.operations = Operations()
        self.sent: list[tuple[dict[str, Any], Any]] = []
        self.dispatcher = Dispatcher(self.operations, lambda header, buffers: self.sent.append((dict(header), buffers)))

    def tell(self, op: str, *buffers: bytes, **header: Any) -> None:
        self.dispatcher.handle(({"op": op, **header}, list(buffers)))

    async def answers(self, count: int) -> list[dict[str, Any]]:
        await wait_until(lambda: len(self.sent) >= count)
        return [header for header, _ in self.sent]


async def test_requests_are_answered():
    bench = Bench()
    bench.tell("echo", b"data", id=5, text="hello")
    assert await bench.answers(1) == [{"id": 5, "ok": {"text": "hello"}}]
    assert bench.sent[0][1] == [b"data"]


async def test_requests_start_in_order_and_do_not_wait_for_each_other():
    bench = Bench()
    bench.tell("wait", id=1)
    for n in (2, 3):
        bench.tell("echo", id=n, text=str(n))
    assert [header["id"] for header in await bench.answers(2)] == [2, 3]
    assert bench.operations.log == ["echo 2", "echo 3"]
    bench.operations.gate.set()
    assert (await bench.answers(3))[2] == {"id": 1, "ok": {}}


async def test_errors_are_answers():
    bench = Bench()
    bench.tell("refuse", id=1, kind="connect")
    bench.tell("refuse", id=2, kind="data")
    bench.tell("fault", id=3)
    bench.tell("nonsense", id=4)
    bench.tell("echo", id=5)
    errors = {header["id"]: header["error"] for header in await bench.answers(5)}
    assert errors[1] == {"type": "ConnectError", "kind": "timeout", "message": "no"}
    assert errors[2] == {"type": "PublishDataError", "message": "no"}
    assert (errors[3]["type"], "oops" in errors[3]["message"]) == ("CoreError", True)
    assert "nonsense" in errors[4]["message"]
    assert "KeyError" in errors[5]["message"]


async def test_notices_run_at_once_and_their_faults_are_logged(caplog):
    bench = Bench()
    bench.tell("note", text="a")
    bench.tell("broken")
    bench.tell("unknown")
    bench.tell("note")
    bench.tell("note", text="b")
    assert bench.operations.log == ["a", "b"]
    assert "ZeroDivisionError" in caplog.text
    assert "unknown" in caplog.text


async def test_cancelling_ends_a_request_that_is_under_way():
    bench = Bench()
    bench.tell("wait", id=1)
    await asyncio.sleep(0)
    bench.tell("cancel", request=1)
    await wait_until(lambda: bench.operations.log == ["cancelled"])
    bench.tell("cancel", request=1)
    bench.tell("cancel", request=99)
    await asyncio.sleep(0)


async def test_cancelling_what_is_done_undoes_it_once():
    bench = Bench()
    bench.tell("make", id=1, text="room")
    await bench.answers(1)
    bench.tell("cancel", request=1)
    bench.tell("cancel", request=1)
    await wait_until(lambda: bench.operations.log == ["undo room"])


async def test_only_the_newest_can_be_undone(monkeypatch):
    monkeypatch.setattr(dispatch, "_UNDO_KEPT", 2)
    bench = Bench()
    for n in range(3):
        bench.tell("make", id=n, text=str(n))
    await bench.answers(3)
    for n in range(3):
        bench.tell("cancel", request=n)
    await wait_until(lambda: len(bench.operations.log) == 2)
    assert bench.operations.log == ["undo 1", "undo 2"]


async def test_an_undo_that_fails_is_logged(caplog):
    bench = Bench()
    bench.tell("make", id=1, text="broken")
    await bench.answers(1)
    bench.tell("cancel", request=1)
    await wait_until(lambda: "cannot be undone" in caplog.text)


async def test_closing_cancels_all_and_waits():
    bench = Bench()
    for n in range(3):
        bench.tell("wait", id=n)
    await asyncio.sleep(0)
    await bench.dispatcher.close()
    assert bench.operations.log == ["cancelled"] * 3


@pytest.mark.parametrize("header", [{"id": 1}, {"id": 1, "op": None}, {}])
async def test_a_message_without_operation_harms_nobody(header):
    bench = Bench()
    bench.dispatcher.handle((header, []))
    bench.tell("echo", id=2, text="x")
    assert (await bench.answers(1 + ("id" in header)))[-1]["ok"] == {"text": "x"}
