"""Coroutines that wait for what a thread does."""

from __future__ import annotations

import asyncio
import threading

from lknb.rtc.wakeup import Wakeup
from tests.kit.poll import wait_until


async def test_a_condition_that_holds_is_not_waited_for() -> None:
    await Wakeup().wait_for(lambda: True)


async def test_a_thread_wakes_everybody_whose_condition_holds() -> None:
    wakeup = Wakeup()
    count = 0

    def work() -> None:
        nonlocal count
        for _ in range(3):
            count += 1
            wakeup.notify()

    waits = [asyncio.ensure_future(wakeup.wait_for(lambda needed=needed: count >= needed)) for needed in (1, 3, 4)]
    await asyncio.sleep(0)
    threading.Thread(target=work).start()
    await asyncio.gather(*waits[:2])
    assert not waits[2].done()
    count = 4
    wakeup.notify()
    await waits[2]
    assert not wakeup._waiting


async def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    wakeup = Wakeup()
    wait = asyncio.ensure_future(wakeup.wait_for(lambda: False))
    await wait_until(lambda: bool(wakeup._waiting))
    wait.cancel()
    await asyncio.gather(wait, return_exceptions=True)
    assert not wakeup._waiting
    wakeup.notify()


def test_a_loop_that_was_closed_disturbs_nobody() -> None:
    wakeup = Wakeup()

    async def begin() -> None:
        wakeup._waiting.add(asyncio.get_running_loop().create_future())

    asyncio.run(begin())
    wakeup.notify()

    async def wait() -> None:
        done = False

        def work() -> None:
            nonlocal done
            done = True
            wakeup.notify()

        threading.Timer(0.01, work).start()
        await wakeup.wait_for(lambda: done)

    asyncio.run(wait())
