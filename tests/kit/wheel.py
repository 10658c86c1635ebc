"""`Peer` over `livekit.rtc` (the official wheel), or over any drop-in of it, in a child process."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Any

from tests.kit.peer import Peer
from tests.kit.poll import TIME_FACTOR
from tests.kit.server import ROOT

CALL_DEADLINE_S = 30.0


class WheelPeer(Peer):
    """A participant on `module`: "livekit.rtc", or "lknb.rtc", which must behave the same."""

    def __init__(self, identity: str, module: str = "livekit.rtc") -> None:
        super().__init__(identity)
        self.module = module
        self.kind = "wheel" if module == "livekit.rtc" else module.partition(".")[0]
        self._process: Process | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> None:
        stderr = None if os.environ.get("LKNB_TEST_PEER_LOG") else DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.kit.room_child",
            self.module,
            stdin=PIPE,
            stdout=PIPE,
            stderr=stderr,
            cwd=ROOT,
            limit=1 << 24,
        )
        self._listener = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            reply = json.loads(line)
            waiting = self._waiting.pop(reply["id"])
            if waiting.done():
                continue
            if "error" in reply:
                waiting.set_exception(AssertionError(f"{self.kind} {self.identity}: {reply['error']}"))
            else:
                waiting.set_result(reply["ok"])
        code = await process.wait()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(AssertionError(f"{self.kind} {self.identity} ended with code {code}"))

    async def call(self, operation: str, **arguments: Any) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "op": operation, **arguments}).encode() + b"\n")
        try:
            return await asyncio.wait_for(waiting, CALL_DEADLINE_S * TIME_FACTOR)
        except TimeoutError:
            raise AssertionError(f"{self.kind} {self.identity}: no answer to {operation}") from None

    async def kill(self) -> None:
        """Vanish without a word."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def close(self) -> None:
        """End of stdin ends the child; the room it may still be in is left without a goodbye."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._listener is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 5 * TIME_FACTOR)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listener
