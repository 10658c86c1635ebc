"""A room of the core: order, loops and ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from lknb.errors import DisconnectedError, PublishTrackError
from lknb.rtc import core_room
from lknb.rtc.core_room import CoreRoom
from tests.rtc.scripted_core import ScriptedCore, turn


class Inbox:
    def __init__(self, core: ScriptedCore, loop: asyncio.AbstractEventLoop) -> None:
        self.taken: list[Any] = []
        self.lost = 0
        self.room = CoreRoom.open(core, loop, self.take, self.lose)  # type: ignore[arg-type]

    def take(self, header: Mapping[str, Any], buffers: list[bytes]) -> None:
        self.taken.append((header["event"], threading.current_thread() is threading.main_thread()))

    def lose(self) -> None:
        self.lost += 1


@pytest.fixture
async def inbox(core: ScriptedCore) -> Inbox:
    return Inbox(core, asyncio.get_running_loop())


async def test_events_wait_for_the_start_and_come_on_the_loop(core: ScriptedCore, inbox: Inbox) -> None:
    core.tell("one")
    await turn()
    assert inbox.taken == []
    inbox.room.start()
    assert inbox.taken == []
    core.tell("two")
    await turn()
    assert inbox.taken == [("one", True), ("two", True)]
    inbox.room.close()


async def test_nothing_comes_or_goes_after_the_end(core: ScriptedCore, inbox: Inbox) -> None:
    inbox.room.start()
    core.tell("one")
    inbox.room.close()
    inbox.room.close()
    inbox.room.send("mute")
    await turn()
    assert (inbox.taken, core.requests, core.listeners) == ([], [], {})
    with pytest.raises(DisconnectedError):
        await inbox.room.request("stats")
    core.die()
    await turn()
    assert inbox.lost == 0


async def test_the_death_of_the_core_is_told_once(core: ScriptedCore, inbox: Inbox) -> None:
    other = Inbox(core, asyncio.get_running_loop())
    core.die()
    await turn()
    assert (inbox.lost, other.lost) == (1, 1)
    inbox.room.close()
    other.room.close()


async def test_a_refusal_nobody_waits_for_is_logged(
    core: ScriptedCore, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(header: Any, buffers: Any) -> Any:
        raise PublishTrackError("no such track")

    core.respond["mute"] = refuse
    with caplog.at_level(logging.WARNING):
        inbox.room.send("mute", {"sid": "TR_1", "muted": True})
    assert "refused mute: no such track" in caplog.text
    inbox.room.close()


async def test_a_call_goes_to_the_loop_from_wherever_it_is_made(inbox: Inbox) -> None:
    called: list[bool] = []
    note = lambda: called.append(threading.current_thread() is threading.main_thread())  # noqa: E731
    inbox.room.call(note)
    assert called == [True]
    thread = threading.Thread(target=inbox.room.call, args=(note,))
    thread.start()
    thread.join()
    await turn()
    assert called == [True, True]
    inbox.room.close()


def test_rooms_whose_loops_are_closed_are_left(core: ScriptedCore) -> None:
    async def make() -> Inbox:
        return Inbox(core, asyncio.get_running_loop())

    first, second, last = (asyncio.run(make()) for _ in range(3))
    # by the joins that come after them, and by the next call
    assert (first.room.closed, second.room.closed, last.room.closed) == (True, True, False)
    last.room.call(lambda: None)
    assert last.room.closed
    assert [header["room"] for header in core.sent("disconnect")] == [1, 2, 3]
    assert not core_room._open_rooms[core]  # type: ignore[index]


def test_a_core_that_dies_after_the_loop_was_closed(core: ScriptedCore) -> None:
    async def make() -> Inbox:
        return Inbox(core, asyncio.get_running_loop())

    inbox = asyncio.run(make())
    core.die()
    assert (inbox.lost, inbox.room.closed) == (0, True)
