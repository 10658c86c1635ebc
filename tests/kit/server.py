"""The servers under test: lknb's own, started as a process, and a real LiveKit server that somebody else runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from livekit import api

from tests.kit.poll import TIME_FACTOR, wait_until_sync
from tests.kit.token import API_KEY, API_SECRET, make_token

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Server:
    """A server to connect to. `url` is ws://host:port."""

    url: str
    key: str = API_KEY
    secret: str = field(default=API_SECRET, repr=False)
    rtc_port: int = 0
    pid: int = 0

    @property
    def http_url(self) -> str:
        return self.url.replace("ws", "http", 1)

    def token(self, identity: str, room: str, **options: Any) -> str:
        """`make_token` with this server's key."""
        return make_token(identity, room, key=self.key, secret=self.secret, **options)

    def api(self) -> api.LiveKitAPI:
        """The official admin client; `async with`, or `await ...aclose()`."""
        return api.LiveKitAPI(self.http_url, self.key, self.secret)


def external_server() -> Server:
    """The real LiveKit server of LKNB_TEST_LIVEKIT_URL, _API_KEY and _API_SECRET. KeyError without them."""
    return Server(
        url=os.environ["LKNB_TEST_LIVEKIT_URL"].rstrip("/").replace("http", "ws", 1),
        key=os.environ["LKNB_TEST_LIVEKIT_API_KEY"],
        secret=os.environ["LKNB_TEST_LIVEKIT_API_SECRET"],
    )


class ServerProcess:
    """`python -m lknb serve` on 127.0.0.1, from its ready line to its end; a context manager.

    `options` are further flags ("--ping-interval", "1"). `port` 0 lets the system choose: to come back on the same port
    after a kill, start another one with `port=first.server.port`.
    """

    def __init__(self, *options: str, port: int = 0, rtc_port: int = 0, ready_s: float = 15.0) -> None:
        self._command = [sys.executable, "-m", "lknb", "serve", "--json", "--bind", "127.0.0.1", "--port", str(port)]
        self._command += ["--keys", f"{API_KEY}: {API_SECRET}"]
        # a run that is killed must not leave servers behind
        self._command += ["--parent", str(os.getpid())]
        self._command += ["--rtc-port", str(rtc_port)] if rtc_port else []
        self._command += options
        self._ready_s = ready_s
        self._process: subprocess.Popen[bytes] | None = None
        # files, not pipes: nobody reads them while the server runs, and a full pipe would stop it
        self._files = ExitStack()
        self._output: IO[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.port = port
        self.ready_after_s = 0.0
        self.server: Server

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Server:
        """Start it and wait for its ready line. AssertionError, with what it wrote, when that does not come."""
        began = time.monotonic()
        self._output = self._files.enter_context(_scratch())
        self._log = self._files.enter_context(_scratch())
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(self._command, stdout=self._output, stderr=self._log, env=environment)
        try:
            ready = self._wait_ready(self._process)
        except BaseException:
            self.kill()
            raise
        self.ready_after_s = time.monotonic() - began
        self.port = int(ready["port"])
        self.server = Server(url=ready["url"], rtc_port=int(ready.get("rtc_port", 0)), pid=self._process.pid)
        return self.server

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        wait_until_sync(
            lambda: b"\n" in _written(self._output) or process.poll() is not None, self._ready_s, what="the ready line"
        )
        line, _, _ = _written(self._output).partition(b"\n")
        assert line, f"no ready line of {' '.join(self._command[1:4])}, exit code {process.poll()}\n{self.log()}"
        ready = json.loads(line)
        assert ready.get("event") == "ready", f"the first line is not the ready line: {line!r}"
        return dict(ready)

    def log(self) -> str:
        """What it wrote to stderr so far."""
        return _written(self._log).decode(errors="replace")

    def stop(self, within_s: float = 5.0) -> int:
        """SIGTERM; the exit code. AssertionError when it does not end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(within_s * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            log = self.log()
            self.kill()
            raise AssertionError(f"lknb serve does not end on SIGTERM within {within_s} s\n{log}") from None
        self._files.close()
        return code

    def kill(self) -> None:
        """SIGKILL, as when the machine takes it away."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._files.close()


def _scratch() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _written(file: IO[bytes] | None) -> bytes:
    # pread, not seek: the child writes at the shared offset
    return b"" if file is None or file.closed else os.pread(file.fileno(), 1 << 20, 0)
