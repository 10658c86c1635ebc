"""Handlers and their rules."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import weakref
from typing import Any

import pytest

from lknb.errors import DisconnectedError
from lknb.rtc.event_emitter import EventEmitter


def test_handlers_run_in_the_order_of_their_registration() -> None:
    emitter, said = EventEmitter[str](), []
    emitter.on("hi", lambda: said.append(1))
    emitter.on("hi", lambda: said.append(2))
    emitter.emit("hi")
    assert said == [1, 2]


def test_handlers_may_take_fewer_arguments() -> None:
    emitter, said = EventEmitter[str](), []
    emitter.on("hi", lambda: said.append(()))
    emitter.on("hi", lambda a: said.append((a,)))
    emitter.on("hi", lambda a, b: said.append((a, b)))
    emitter.on("hi", lambda *all_: said.append(all_))
    emitter.on("hi", functools.partial(lambda a, b: said.append((a, b)), 0))
    emitter.emit("hi", 1, 2)
    assert said == [(), (1,), (1, 2), (1, 2), (0, 1)]


def test_on_is_also_a_decorator_and_gives_the_handler_back() -> None:
    emitter, said = EventEmitter[str](), []

    @emitter.on("hi")
    def handler(who: str) -> None:
        said.append(who)

    handler("me")
    emitter.emit("hi", "you")
    assert said == ["me", "you"]


def test_the_same_handler_counts_once_and_can_be_taken_off() -> None:
    emitter, said = EventEmitter[str](), []
    handler = emitter.on("hi", lambda: said.append(1))
    emitter.on("hi", handler)
    emitter.emit("hi")
    emitter.off("hi", handler)
    emitter.off("hi", handler)
    emitter.off("never", handler)
    emitter.emit("hi")
    assert said == [1]


def test_once_is_once_even_when_the_handler_emits_again() -> None:
    emitter, said = EventEmitter[str](), []

    @emitter.once("hi")
    def handler() -> None:
        said.append(1)
        emitter.emit("hi")

    other = emitter.once("hi", lambda: said.append(2))
    emitter.off("hi", other)
    emitter.emit("hi")
    emitter.emit("hi")
    assert said == [1]


def test_an_error_is_logged_and_the_next_handler_runs(caplog: pytest.LogCaptureFixture) -> None:
    emitter, said = EventEmitter[str](), []

    @emitter.on("hi")
    def broken() -> None:
        raise ValueError("oh no")

    emitter.on("hi", lambda: said.append(1))
    emitter.emit("hi")
    assert said == [1]
    assert "oh no" in caplog.text


def test_a_type_error_propagates_to_whoever_emits() -> None:
    emitter = EventEmitter[str]()
    emitter.on("hi", lambda a, b: None)
    with pytest.raises(TypeError):
        emitter.emit("hi", 1)


async def test_async_handlers_start_in_order_and_hold_up_nobody() -> None:
    emitter, said, go = EventEmitter[str](), [], asyncio.Event()

    @emitter.on("hi")
    async def first(number: int) -> None:
        said.append(("first", number))
        if number == 1:
            await go.wait()
            said.append("went")

    emitter.on("hi", lambda number: said.append(("second", number)))
    emitter.emit("hi", 1)
    emitter.emit("hi", 2)
    await asyncio.sleep(0)
    assert said == [("second", 1), ("second", 2), ("first", 1), ("first", 2)]
    go.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert said[-1] == "went"


async def test_an_async_handler_is_kept_until_it_is_done() -> None:
    emitter, said = EventEmitter[str](), []
    halted: weakref.WeakSet[asyncio.Future[None]] = weakref.WeakSet()

    @emitter.on("hi")
    async def handler() -> None:
        future = asyncio.get_running_loop().create_future()
        halted.add(future)
        await future
        said.append(1)

    emitter.emit("hi")
    await asyncio.sleep(0)
    gc.collect()
    for future in list(halted):
        future.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert said == [1]
    assert emitter._handler_tasks == set()


async def test_the_error_of_an_async_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    emitter = EventEmitter[str]()

    class Callable:
        async def __call__(self) -> None:
            raise TypeError("oh no")

    emitter.on("hi", Callable())
    emitter.emit("hi")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "an async handler of hi failed" in caplog.text
    assert "oh no" in caplog.text


def test_an_async_handler_without_a_loop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    emitter = EventEmitter[str]()

    async def handler() -> None:
        raise AssertionError("never runs")

    emitter.on("hi", handler)
    with caplog.at_level(logging.ERROR):
        emitter.emit("hi")
    assert "needs a running event loop" in caplog.text


class TestWaiting:
    async def emit_soon(self, emitter: EventEmitter[str], *events: tuple[Any, ...]) -> None:
        for event in events:
            asyncio.get_running_loop().call_soon(functools.partial(emitter.emit, *event))

    async def test_wait_for_gives_what_the_event_carries(self) -> None:
        emitter = EventEmitter[str]()
        await self.emit_soon(emitter, ("none",))
        assert await emitter.wait_for("none") is None
        await self.emit_soon(emitter, ("one", 1))
        assert await emitter.wait_for("one") == 1
        await self.emit_soon(emitter, ("two", 1, 2))
        assert await emitter.wait_for("two") == (1, 2)

    async def test_wait_for_waits_for_the_one_that_is_meant(self) -> None:
        emitter = EventEmitter[str]()
        await self.emit_soon(emitter, ("hi", 1, "a"), ("hi", 2, "b"), ("hi", 3, "c"))
        assert await emitter.wait_for("hi", lambda number: number == 2) == (2, "b")

    async def test_wait_for_says_what_did_not_happen(self) -> None:
        emitter = EventEmitter[str]()
        with pytest.raises(TimeoutError, match=r"'hi' did not happen within 0\.01 s"):
            await emitter.wait_for("hi", timeout=0.01)
        assert emitter._events == {"hi": {}}
        assert emitter._waits == set()

    async def test_the_error_of_a_predicate_reaches_the_waiter(self) -> None:
        emitter = EventEmitter[str]()
        await self.emit_soon(emitter, ("hi", 1))
        with pytest.raises(ZeroDivisionError):
            await emitter.wait_for("hi", lambda number: number / 0)

    async def test_nobody_waits_for_what_cannot_come(self) -> None:
        emitter = EventEmitter[str]()
        asyncio.get_running_loop().call_soon(emitter._fail_waits, "all is over")
        with pytest.raises(DisconnectedError, match="all is over"):
            await emitter.wait_for("hi", timeout=None)
