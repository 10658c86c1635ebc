"""Turns of the processes of pytest-xdist: while a test marked `alone` runs, no other does.

Such a test asserts times or rates that hold when it has the machine for itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Turns:
    """A plugin for each of the processes."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        alone = item.get_closest_marker("alone") is not None
        # in the folder for temporary files of the whole run, of which each process has a part
        folder = Path(item.config.option.basetemp).parent
        with _opened(folder / "room") as room:
            # who waits to be alone keeps the door shut, or there would always be another one inside
            with _opened(folder / "door") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            return (yield)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of a file to lock; closing it ends its lock."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
