"""The servers a bench compares: lknb's own, and the real one where the environment names it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from tests.kit.server import Server, ServerProcess, external_server


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server under the bench; `pid` 0 when its CPU cannot be read."""

    name: str
    server: Server
    pid: int

    def cpu_s(self) -> float:
        """CPU time of the process so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def candidates() -> Iterator[list[Candidate]]:
    """lknb in a process of its own, then the server of LKNB_TEST_LIVEKIT_URL with LKNB_TEST_LIVEKIT_PID."""
    with ServerProcess() as process:
        found = [Candidate("lknb", process.server, process.server.pid)]
        if "LKNB_TEST_LIVEKIT_URL" in os.environ:
            pid = int(os.environ.get("LKNB_TEST_LIVEKIT_PID", "0"))
            found.append(Candidate("livekit-server (Go)", external_server(), pid))
        yield found
