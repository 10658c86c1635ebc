"""Nothing a test opened may be open after it.

Looked at: asyncio tasks, threads, file descriptors, child processes. Everything has a short grace, because a socket
closes one turn of the loop after `close()` and a thread ends after its last line. A test that failed already is not
looked at: its traceback keeps everything alive.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.kit.poll import TIME_FACTOR

GRACE_S = 3.0
COLLECT_AFTER_S = 0.1
_FD_DIR = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")
# Opened once by a library for the life of the process.
_PROCESS_WIDE = ("/dev/urandom", "/dev/random", "/dev/null", "/sys/", "/proc/")


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds at one moment, each as {key: how it is shown}."""

    threads: dict[int, str]
    descriptors: dict[tuple[int, str], str]
    children: dict[int, str]

    @classmethod
    def now(cls) -> Held:
        return cls(_threads(), _descriptors(), _children())

    def since(self, before: Held) -> list[str]:
        """One line for each thing held now and not before."""
        pairs = (
            ("thread", self.threads, before.threads),
            ("descriptor", self.descriptors, before.descriptors),
            ("child process", self.children, before.children),
        )
        return [f"{kind} {now[key]}" for kind, now, then in pairs for key in now.keys() - then.keys()]


@contextmanager
def no_leak(grace_s: float = GRACE_S) -> Iterator[None]:
    """Raise AssertionError when the block leaves threads, descriptors or child processes behind."""
    before = Held.now()
    yield
    assert_no_leak(before, grace_s)


def assert_no_leak(before: Held, grace_s: float = GRACE_S) -> None:
    """Raise AssertionError when more is held than `before`, after a grace."""
    began = time.monotonic()
    # mostly a thread that is about to end: a collection takes longer, a third of a second once all modules are there
    collect_at, end = began + COLLECT_AFTER_S, began + grace_s * TIME_FACTOR
    while (left := Held.now().since(before)) and time.monotonic() < end:
        if time.monotonic() >= collect_at:
            gc.collect()
            collect_at = end
        time.sleep(0.01)
    assert not left, "left behind: " + "; ".join(sorted(left))


async def assert_no_task_left(grace_s: float = GRACE_S) -> None:
    """Raise AssertionError when the running loop has a task besides the calling one, after a grace."""
    end = time.monotonic() + grace_s * TIME_FACTOR
    while True:
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
        if not left:
            return
        if time.monotonic() >= end:
            raise AssertionError("tasks left running: " + "; ".join(sorted(_shown(task) for task in left)))
        await asyncio.sleep(0.01)


def _shown(task: asyncio.Task[object]) -> str:
    frames = task.get_stack(limit=1)
    place = f" at {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
    return f"{task.get_name()} {getattr(task.get_coro(), '__qualname__', '')}{place}"


def _threads() -> dict[int, str]:
    return {thread.ident: thread.name for thread in threading.enumerate() if thread.ident is not None}


def _descriptors() -> dict[tuple[int, str], str]:
    found = {}
    for name in os.listdir(_FD_DIR):
        try:
            target = os.readlink(_FD_DIR / name)
        except OSError:
            # the descriptor of the listing itself, or closed meanwhile; where links cannot be read the number must do
            if _FD_DIR.parts[1] == "proc":
                continue
            target = ""
        if not target.startswith(_PROCESS_WIDE):
            found[int(name), target] = f"{name} -> {target}"
    return found


def _children() -> dict[int, str]:
    tasks = Path("/proc/self/task")
    try:
        pids = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    except OSError:
        pids = [process.pid for process in psutil.Process().children()]
    return {pid: f"{pid} {_command(pid)}" for pid in pids}


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())[:200] or "(ended, not waited for)"
    except psutil.Error:
        return "(gone)"
