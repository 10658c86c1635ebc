"""A program that runs beside the tests, and what it writes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.kit.poll import TIME_FACTOR

SHOWN_LETTERS = 2_000


def has_ended(pid: int) -> bool:
    """Whether there is no such process any more, or nothing of it but that nobody has waited for it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        # at any moment, also between two looks at it
        return True


class Program:
    """Runs until `end`. What it writes goes to the file `log`: a pipe that nobody reads would stop it.

    `environment` is what it has besides that of the tests.
    """

    def __init__(
        self, command: Sequence[str | Path], log: Path, *, environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}, cwd=folder
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def written(self) -> str:
        """The last of what it wrote."""
        return self._log.read_text(errors="replace")[-SHOWN_LETTERS:]

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10 * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
