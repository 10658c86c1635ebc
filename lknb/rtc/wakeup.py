"""Coroutines that wait for what a thread does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable


class Wakeup:
    """Wakes coroutines of any event loop from any thread. No loop is kept beyond a wait."""

    def __init__(self) -> None:
        # a finaliser may run in the middle of anything, and notify
        self._lock = threading.RLock()
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is looked at now and after each `notify`."""
        loop = asyncio.get_running_loop()
        while not condition():
            woken: asyncio.Future[None] = loop.create_future()
            with self._lock:
                self._waiting.add(woken)
            try:
                # it may have come true before we were on the list
                if condition():
                    return
                await woken
            finally:
                with self._lock:
                    self._waiting.discard(woken)

    def notify(self) -> None:
        """Let everybody who waits look at their condition again."""
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        for woken in waiting:
            # the loop may have been closed since
            with contextlib.suppress(RuntimeError):
                woken.get_loop().call_soon_threadsafe(_wake, woken)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
