"""A thread that writes a recording, as those see it who began it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from pathlib import Path

from lknb.codec.clock import now_us
from lknb.errors import MediaError
from lknb.rtc.wakeup import Wakeup


class WriterThread(ABC):
    """Begins with `start`, and ends some time after `stop`, or when nothing more is wanted. Both may be called from any
    thread."""

    def __init__(self, path: Path) -> None:
        self.began_us: int | None = None
        self.duration_us: int | None = None
        """How long the recording is, once it has finished."""
        self.error: MediaError | None = None
        self.finished = False
        self.changed = Wakeup()
        """Notified when it has begun, failed, or finished."""
        self._path = path
        self._condition = threading.Condition()
        self._overrun = False
        self._stop_us: int | None = None

    def start(self) -> None:
        """Let the thread run."""
        threading.Thread(target=self._run, name="lknb-recording", daemon=True).start()

    def stop(self) -> None:
        """Record what was captured up to now, and finish. Harmless twice."""
        with self._condition:
            if self._stop_us is None:
                self._stop_us = now_us()
            self._condition.notify_all()

    def _run(self) -> None:
        try:
            self._record()
        except MediaError as error:
            self.error = error
        except Exception as error:
            self.error = MediaError(f"recording {self._path.name!r} failed: {error!r}")
        with self._condition:
            self.finished = True
            self._forget()
        self.changed.notify()

    @abstractmethod
    def _record(self) -> None:
        """All of it, on the thread. May raise `MediaError`."""

    @abstractmethod
    def _forget(self) -> None:
        """Let go of what waited to be written. The condition is held."""
