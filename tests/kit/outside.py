"""Peers outside the browser for tests that are plain functions: a loop of their own, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.kit.peer import Peer
from tests.kit.poll import TIME_FACTOR
from tests.kit.server import Server

T = TypeVar("T")
CALL_DEADLINE_S = 60.0


class Outside:
    """A loop that runs beside the test; `with`. Peers opened through it are closed with it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="outside")
        # one worker, there from the beginning: no test finds a thread more than before
        self._executor = ThreadPoolExecutor(1, "outside worker")
        self._loop.set_default_executor(self._executor)
        self._peers: list[Peer] = []

    def __enter__(self) -> Outside:
        self._executor.submit(int).result()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for peer in reversed(self._peers):
                self.call(peer.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._executor.shutdown()
            self._loop.close()

    def call(self, work: Coroutine[Any, Any, T], deadline_s: float = CALL_DEADLINE_S) -> T:
        """What the coroutine gives, run on the loop outside."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(deadline_s * TIME_FACTOR)

    def join(self, make: Callable[[], Peer], server: Server, room: str) -> Peer:
        """A peer in a room."""

        async def joined() -> Peer:
            peer = make()
            await peer.open()
            self._peers.append(peer)
            await peer.connect(server.url, server.token(peer.identity, room), single_peer_connection=True)
            return peer

        return self.call(joined())

    def leave(self, peer: Peer) -> None:
        """Close a peer before the end."""
        self._peers.remove(peer)
        self.call(peer.close())
