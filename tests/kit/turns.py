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
        # folders are locked, which are those of the run: nothing has to be made, nor cleared away after a kill
        root, folder = item.config.rootpath, Path(item.config.args[0].partition("::")[0])
        with _opened(folder if folder.is_dir() and folder != root else Path(__file__).parent) as room:
            # who waits to be alone keeps the door shut, or there would always be another one inside
            with _opened(root) as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            return (yield)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor; closing it ends its lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
