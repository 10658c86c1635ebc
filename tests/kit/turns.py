"""Turns of the processes of pytest-xdist: while a test marked `alone` runs, no other does.

Such a test asserts times or rates that hold when it has the machine for itself.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from pathlib import Path

import pytest

# files of the tests themselves are locked: nothing has to be made, nor cleared away after a process that was killed
_DOOR = Path(__file__)
_ROOM = Path(__file__).with_name("__init__.py")


class Turns:
    """A plugin for each of the processes."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        alone = item.get_closest_marker("alone") is not None
        with _ROOM.open("rb") as room:
            # who waits to be alone keeps the door shut, or there would always be another one inside
            with _DOOR.open("rb") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            try:
                return (yield)
            finally:
                fcntl.flock(room, fcntl.LOCK_UN)
