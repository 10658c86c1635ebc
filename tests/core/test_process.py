"""The core process and its kernel, as real processes: who dies when, and what the other one makes of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest
from livekit import api

from lknb.core.client import CoreClient
from lknb.errors import CoreError
from tests.kit.poll import TIME_FACTOR, wait_until, wait_until_sync
from tests.kit.server import ROOT

GONE_WITHIN_S = 3.0

OPEN_SOURCE = {"op": "source_open", "type": "frames", "kind": "video", "codec": "vp8", "width": 64, "height": 64}


@pytest.fixture
def client() -> Iterator[CoreClient]:
    client = CoreClient.spawn()
    yield client
    client.close()


class Kernel:
    """A Python process that runs a script, as a kernel does; the script writes lines, the first one the core's pid."""

    def __init__(self, script: str, **environment: str) -> None:
        prelude = f"""
            import asyncio, os, sys, time
            from lknb.core.client import CoreClient
            OPEN_SOURCE = {OPEN_SOURCE!r}
            client = CoreClient.shared()
            asyncio.run(client.request({{**OPEN_SOURCE, "source": client.next_handle()}}))
            print(client.pid, flush=True)
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
        self.core = psutil.Process(int(self.line()))

    def line(self) -> str:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return line.strip()

    def core_gone_after_s(self) -> float:
        """How long the core outlives this moment."""
        began = time.monotonic()
        wait_until_sync(self._core_is_gone, GONE_WITHIN_S)
        return time.monotonic() - began

    def _core_is_gone(self) -> bool:
        try:
            return not self.core.is_running() or self.core.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            # between the two looks
            return True

    def finish(self) -> tuple[int, str]:
        """The exit status and stderr."""
        _, errors = self.process.communicate(timeout=20 * TIME_FACTOR)
        return self.process.returncode, errors


def test_the_core_starts_at_first_use_and_is_shared():
    kernel = Kernel(
        """
        other = CoreClient.shared()
        print(other is client and other.alive, flush=True)
        """
    )
    assert kernel.line() == "True"
    assert kernel.finish() == (0, "")
    assert kernel.core_gone_after_s() < GONE_WITHIN_S


def test_interpreter_exit_with_requests_in_the_air_is_quiet():
    kernel = Kernel(
        """
        client.on_death(lambda: print("death", flush=True))
        futures = [client.request_threadsafe({"op": "nonsense"}) for _ in range(50)]
        client.post({"op": "frame", "source": 1}, [bytes(1000)])
        """
    )
    status, errors = kernel.finish()
    assert (status, errors) == (0, "")
    assert kernel.core_gone_after_s() < GONE_WITHIN_S


# started by another thread than the main one, the core must not ask for a signal at the end of that thread
OTHER_THREAD = """
    client.close()
    def start():
        other = CoreClient.shared()
        asyncio.run(other.request({**OPEN_SOURCE, "source": 1}))
        print(other.pid, flush=True)
    import threading
    starter = threading.Thread(target=start)
    starter.start()
    starter.join()
    time.sleep(1.2)
    client = CoreClient.shared()
    asyncio.run(client.request({**OPEN_SOURCE, "source": 2}))
    print(client.pid, flush=True)
    """

# a child of C code, which knows nothing of our fork handlers, keeps the descriptor open
HELD_SOCKET = """
    import subprocess
    fd = client._channel._socket.fileno()
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], pass_fds=(fd,))
    print(holder.pid, flush=True)
    """


@pytest.mark.parametrize("held", [False, True], ids=["socket closed", "socket held by a child"])
@pytest.mark.parametrize("thread", ["main", "other"])
def test_a_killed_kernel_takes_its_core_with_it(thread, held):
    parts = [
        OTHER_THREAD if thread == "other" else "",
        HELD_SOCKET if held else "",
        'print("ready", flush=True)\ntime.sleep(60)',
    ]
    kernel = Kernel("\n".join(textwrap.dedent(part) for part in parts))
    if thread == "other":
        kernel.core = psutil.Process(int(kernel.line()))
        assert kernel.line() == str(kernel.core.pid), "the core ended with the thread that started it"
    holder = psutil.Process(int(kernel.line())) if held else None
    assert kernel.line() == "ready"
    try:
        kernel.process.kill()
        assert kernel.core_gone_after_s() < GONE_WITHIN_S
        assert holder is None or holder.is_running()
    finally:
        if holder is not None:
            holder.kill()
        kernel.finish()


def test_a_forked_child_does_not_use_its_parents_link():
    kernel = Kernel(
        """
        import warnings
        # from Python 3.12 on a fork beside threads is warned of; users fork all the same
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
        if pid == 0:
            refused = False
            try:
                client.request_threadsafe({"op": "stats"}).result(5)
            except Exception as error:
                refused = type(error).__name__ == "CoreError"
            posted = client.post({"op": "frame", "source": 1})
            own = CoreClient.shared()
            asyncio.run(own.request({**OPEN_SOURCE, "source": 1}))
            print(refused, posted, client.alive, own.pid != client.pid, flush=True)
            sys.exit(0)  # with atexit, which must leave the parent's core alone
        os.waitpid(pid, 0)
        asyncio.run(client.request({**OPEN_SOURCE, "source": client.next_handle()}))
        print(client.alive, flush=True)
        """
    )
    assert kernel.line() == "True False False True"
    assert kernel.line() == "True"
    assert kernel.finish() == (0, "")


@pytest.mark.parametrize("end", ["exit", "kill"])
async def test_a_kernel_that_ends_is_not_left_in_its_rooms(server, room, end):
    script = """
        import json
        request = json.loads(sys.stdin.readline())
        asyncio.run(client.request(request))
        print("joined", flush=True)
        sys.stdin.readline()
        """
    kernel = Kernel(script)
    request = {"op": "connect", "room": 1, "url": server.url, "token": server.token("alice", room)}
    kernel.process.stdin.write(json.dumps(request) + "\n")
    kernel.process.stdin.flush()
    assert await asyncio.to_thread(kernel.line) == "joined"
    if end == "kill":
        kernel.process.kill()
    status, errors = await asyncio.to_thread(kernel.finish)
    assert (status, errors) == ((0, "") if end == "exit" else (-9, ""))
    async with server.api() as admin:

        async def nobody_there() -> bool:
            listing = await admin.room.list_participants(api.ListParticipantsRequest(room=room))
            return not listing.participants

        await wait_until(nobody_there, GONE_WITHIN_S)


def test_an_interrupt_of_the_kernels_group_does_not_reach_the_core():
    kernel = Kernel(
        """
        import signal
        signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
        os.setpgid(0, 0)
        os.killpg(0, signal.SIGINT)
        asyncio.run(client.request({**OPEN_SOURCE, "source": 99}))
        print("works", flush=True)
        """
    )
    assert [kernel.line(), kernel.line()] == ["interrupted", "works"]
    kernel.core.send_signal(signal.SIGINT)
    assert kernel.finish() == (0, "")


async def test_a_killed_core_is_told_and_replaced(monkeypatch):
    monkeypatch.setattr(CoreClient, "_shared", None)
    first = CoreClient.shared()
    died = asyncio.Event()
    loop = asyncio.get_running_loop()
    first.on_death(lambda: loop.call_soon_threadsafe(died.set))
    await first.request({**OPEN_SOURCE, "source": 1})
    opening = [asyncio.create_task(first.request({**OPEN_SOURCE, "source": n})) for n in (2, 3)]
    os.kill(first.pid, signal.SIGSTOP)
    opening.append(asyncio.create_task(first.request({**OPEN_SOURCE, "source": 4})))
    await asyncio.sleep(0)
    os.kill(first.pid, signal.SIGKILL)
    results = await asyncio.wait_for(asyncio.gather(*opening, return_exceptions=True), 5)
    assert isinstance(results[-1], CoreError)
    assert "exit status -9" in results[-1].message
    await asyncio.wait_for(died.wait(), 5)
    assert not first.alive
    second = CoreClient.shared()
    try:
        assert second is not first
        await second.request({**OPEN_SOURCE, "source": 1})
    finally:
        second.close()


async def test_a_core_that_cannot_start_says_why(monkeypatch, tmp_path):
    broken = tmp_path / "lknb"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('broken installation')")
    monkeypatch.setattr("lknb.core.child._PACKAGE_ROOT", tmp_path)
    client = CoreClient.spawn()
    with pytest.raises(CoreError, match="broken installation"):
        await client.request({"op": "stats"})
    client.close()


def test_no_executable_is_a_core_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(CoreError, match="executable"):
        CoreClient.spawn()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CoreError, match="could not be started"):
        CoreClient.spawn()


def test_files_in_the_notebooks_folder_do_not_shadow_modules_of_the_core(tmp_path, monkeypatch):
    for name in ("signal.py", "logging.py", "asyncio.py", "av.py"):
        (tmp_path / name).write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    client = CoreClient.spawn()
    try:
        asyncio.run(client.request({**OPEN_SOURCE, "source": 1}))
    finally:
        client.close()


async def test_unknown_operations_and_faults_are_errors_not_the_end(client):
    with pytest.raises(CoreError, match="nonsense"):
        await client.request({"op": "nonsense"})
    with pytest.raises(CoreError, match="KeyError"):
        await client.request({"op": "source_open"})
    client.post({"op": "nonsense"})
    client.post({"op": "frame"})
    await client.request({**OPEN_SOURCE, "source": 1})


def test_a_core_process_leaves_nothing_open(client):
    asyncio.run(client.request({**OPEN_SOURCE, "source": 1}))
    process = psutil.Process(client.pid)
    client.close()
    assert not process.is_running()
