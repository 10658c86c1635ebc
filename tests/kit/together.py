"""Cases of one test at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping

import pytest


async def side_by_side(subtests: pytest.Subtests, cases: Mapping[str, Coroutine[None, None, None]]) -> None:
    """Run all of them to their end, each a subtest under its name.

    For cases that mostly wait and share nothing, in rooms of their own: what one of them waits for costs the others no
    time. Not for cases that measure how fast something is.
    """
    ended = await asyncio.gather(*cases.values(), return_exceptions=True)
    for name, failure in zip(cases, ended, strict=True):
        with subtests.test(name):
            if failure is not None:
                raise failure
