"""Waiting for conditions: the only place in the tests where time passes without a reason."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

TIME_FACTOR = float(os.environ.get("LKNB_TEST_TIME_FACTOR", "1"))
"""Stretches every deadline: LKNB_TEST_TIME_FACTOR=4 on a slow machine."""


async def wait_until(
    condition: Callable[[], T | Awaitable[T]],
    deadline_s: float = 10.0,
    *,
    what: str | Callable[[], object] = "",
    interval_s: float = 0.02,
) -> T:
    """The first truthy value of `condition`, which may be a coroutine function.

    Raises AssertionError after `deadline_s` (times TIME_FACTOR); `what` is said then, called late when it is callable
    so that it can show how far things came.
    """
    began = time.monotonic()
    end = began + deadline_s * TIME_FACTOR
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() >= end:
            told = what() if callable(what) else what
            raise AssertionError(f"not within {time.monotonic() - began:.1f} s: {told or condition}")
        await asyncio.sleep(interval_s)


def wait_until_sync(
    condition: Callable[[], T],
    deadline_s: float = 10.0,
    *,
    what: str | Callable[[], object] = "",
    interval_s: float = 0.02,
) -> T:
    """`wait_until` for tests without a loop."""
    end = time.monotonic() + deadline_s * TIME_FACTOR
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            told = what() if callable(what) else what
            raise AssertionError(f"not within {deadline_s * TIME_FACTOR:.1f} s: {told or condition}")
        time.sleep(interval_s)
