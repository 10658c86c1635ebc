"""The embedded LiveKit-compatible server, started beside the notebook and gone with it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any, ClassVar, cast

from lknb.access import TOKEN_TTL_S, make_token
from lknb.core.child import child_environment
from lknb.errors import DevServerError

START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 3.0
_TAIL_LINES = 30


class DevServer:
    """A LiveKit-compatible server in a process of its own, on 127.0.0.1 only.

    Starts when made, and ends with `close()`, with the block of a `with` or `async with`, or with this process, even when
    that is killed. Key and secret are random, made for this server, and kept in memory only.

    Raises DevServerError, with the last lines the server wrote, when it does not come up within `start_timeout` seconds.
    """

    _living: ClassVar[list[DevServer]] = []
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, *, port: int = 0, rtc_port: int = 0, start_timeout: float = START_TIMEOUT_S) -> None:
        """`port` (TCP, signalling) and `rtc_port` (UDP, media) are free ones unless given."""
        self.api_key = f"API{secrets.token_hex(6)}"
        self._api_secret = secrets.token_urlsafe(32)
        self._owner_pid = os.getpid()
        command = _command(port, rtc_port)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**child_environment(), "LIVEKIT_KEYS": f"{self.api_key}: {self._api_secret}"},
                # interrupting the kernel signals its process group, and must not end the server
                start_new_session=True,
            )
        except OSError as error:
            raise DevServerError(f"the server could not be started: {error}") from error
        self._output = _Output(self._process)
        try:
            ready = self._wait_ready(start_timeout)
        except BaseException:
            self._stop()
            raise
        self.url: str = ready["url"]
        self.port: int = ready["port"]
        self.rtc_port: int = ready["rtc_port"]
        self._living.append(self)

    @classmethod
    def current(cls) -> DevServer | None:
        """The server of this process: the one started last that still runs, None when there is none."""
        for server in reversed(cls._living):
            if server.alive:
                return server
        return None

    @classmethod
    def current_or_new(cls) -> DevServer:
        """The server of this process, started if there is none. Raises DevServerError."""
        with cls._lock:
            for server in list(cls._living):
                if not server.alive:
                    server.close()
            return cls.current() or cls()

    @property
    def api_secret(self) -> str:
        """The secret tokens are signed with."""
        return self._api_secret

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, and belongs to this process (not to the one we were forked from)."""
        return os.getpid() == self._owner_pid and self._process.poll() is None

    def token(
        self,
        identity: str,
        room: str = "notebook",
        *,
        name: str = "",
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
        ttl_s: float = TOKEN_TTL_S,
        **grants: Any,
    ) -> str:
        """A token with which `identity` may join `room`, for `ttl_s` seconds from now.

        `grants` are fields of `lknb.api.VideoGrants`, such as `can_publish=False` or `can_update_own_metadata=True`.
        """
        return make_token(
            self.api_key,
            self._api_secret,
            identity,
            room,
            name=name,
            metadata=metadata,
            attributes=attributes,
            ttl_s=ttl_s,
            **grants,
        )

    def print_join_info(self, room: str = "notebook", identity: str = "guest", **grants: Any) -> None:
        """Print what somebody needs to join from another program on this machine: the URL and a fresh token.

        Whoever has the token can join; it is in the saved notebook if the cell's output is.
        """
        print(f"URL:   {self.url}")
        print(f"Token: {self.token(identity, room, **grants)}")
        print(f"Valid for {TOKEN_TTL_S / 60:.0f} minutes, for {identity} in room {room}.")

    def close(self) -> None:
        """End the server; its rooms are told SERVER_SHUTDOWN. Harmless twice, and in a forked child."""
        if os.getpid() != self._owner_pid:
            return
        with contextlib.suppress(ValueError):
            self._living.remove(self)
        self._stop()

    def __enter__(self) -> DevServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> DevServer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"lknb.DevServer(url={self.url!r}, {'running' if self.alive else 'ended'})"

    def _wait_ready(self, timeout_s: float) -> dict[str, Any]:
        line = self._output.first_line(timeout_s)
        try:
            ready = json.loads(line)
            if ready["event"] == "ready":
                return {key: ready[key] for key in ("url", "port", "rtc_port")}
        except (ValueError, KeyError, TypeError):
            pass
        if self._output.ended:
            # its pipes close a moment before it can be reaped
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
        status = self._process.poll()
        how = f"ended with status {status}" if status is not None else f"was not ready within {timeout_s:g} s"
        raise DevServerError(f"the server {how}{self._output.tail()}")

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.close()


class _Output:
    """What the server writes: the first line of its stdout, and the last lines of its stderr.

    A thread reads both to their end, so that the server never waits for a full pipe.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        # both were asked for as pipes
        self._stdout = cast(IO[bytes], process.stdout)
        self._stderr = cast(IO[bytes], process.stderr)
        self._head = b""
        self._lines: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._has_line = threading.Event()
        self.ended = False
        """Whether stdout was closed: the process ends, or has."""
        self._thread = threading.Thread(target=self._read, name="lknb-dev-server-output", daemon=True)
        self._thread.start()

    def first_line(self, timeout_s: float) -> bytes:
        """The first line of stdout, or what there is of it when the server ends or time is up."""
        self._has_line.wait(timeout_s)
        return self._head.partition(b"\n")[0]

    def tail(self) -> str:
        """The last lines of stderr, as the end of a sentence."""
        # the last words may still be on their way
        self._thread.join(0.2)
        text = b"".join(self._lines).decode(errors="replace").strip()
        return f"; its last words:\n{text}" if text else ""

    def close(self) -> None:
        """The process is gone: wait for the thread, close the pipes."""
        self._thread.join()
        self._stdout.close()
        self._stderr.close()

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ, self._take_stdout)
            selector.register(self._stderr, selectors.EVENT_READ, self._take_stderr)
            while selector.get_map():
                for key, _ in selector.select():
                    data = os.read(key.fd, 65536)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
                        if key.fileobj is self._stdout:
                            self.ended = True
                            self._has_line.set()

    def _take_stdout(self, data: bytes) -> None:
        if not self._has_line.is_set():
            self._head += data
            if b"\n" in self._head:
                self._has_line.set()

    def _take_stderr(self, data: bytes) -> None:
        self._lines.extend(data.splitlines(keepends=True))


def _command(port: int, rtc_port: int) -> list[str]:
    if not sys.executable:
        raise DevServerError("this Python does not know its own executable (sys.executable is empty)")
    command = [sys.executable, "-P", "-m", "lknb", "serve", "--json", "--bind", "127.0.0.1"]
    return [*command, "--port", str(port), "--rtc-port", str(rtc_port), "--parent", str(os.getpid())]


@atexit.register
def _close_all() -> None:
    for server in list(DevServer._living):
        server.close()
