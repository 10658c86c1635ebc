"""The core process as its kernel sees it: how it is started, and how it is made to go."""

from __future__ import annotations

import contextlib
import os
import site
import socket
import subprocess
import sys
import threading
from pathlib import Path

from lknb.errors import CoreError

LOG_VARIABLE = "LKNB_LOG"
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class CoreProcess:
    """One `python -m lknb.core`, with our end of its socket.

    `log_fd` is a pipe with its stderr, or None when `LKNB_LOG` is set and it shares ours.
    """

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self._process = process
        self.socket = sock
        self.log_fd: int | None = None
        if process.stderr is not None:
            # the Popen object must not close a descriptor that the channel's thread reads
            self.log_fd = os.dup(process.stderr.fileno())
            process.stderr.close()

    @classmethod
    def start(cls) -> CoreProcess:
        """Start the process; it takes requests at once, and answers when its imports are done. Raises `CoreError`."""
        if not sys.executable:
            raise CoreError("this Python does not know its own executable (sys.executable is empty)")
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "lknb.core", "--fd", str(theirs.fileno()), "--parent", str(os.getpid())]
        if threading.current_thread() is threading.main_thread():
            # PR_SET_PDEATHSIG fires when the starting *thread* ends: safe only for the thread that ends last
            command.append("--die-with-parent")
        try:
            process = subprocess.Popen(
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get(LOG_VARIABLE) else subprocess.PIPE,
                env=child_environment(),
                # an interrupt of the kernel goes to its process group and must not reach the call
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise CoreError(f"the room core process could not be started: {error}") from error
        finally:
            theirs.close()
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, negative for a signal; None when it still runs after `timeout_s`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def stop(self, timeout_s: float) -> int | None:
        """Wait for it to go on its own, having lost the link; then make it go. The exit status."""
        status = self.wait(timeout_s)
        if status is None:
            self._process.kill()
            status = self.wait(timeout_s)
        return status

    def abandon(self) -> None:
        """In a forked child: it is the parent's process, nobody here waits for it."""
        self._process.returncode = 0


def child_environment() -> dict[str, str]:
    """The environment in which a child of ours finds the same lknb as we do, whatever folder the notebook is in."""
    environment = dict(os.environ)
    installed = {Path(path).resolve() for path in (*site.getsitepackages(), site.getusersitepackages())}
    if _PACKAGE_ROOT not in installed:
        # lknb was imported from a checkout or through sys.path; `-P` keeps the notebook's folder, where a file
        # may be called signal.py, off the path of the core
        paths = [str(_PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment
