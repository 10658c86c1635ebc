"""The public API on the real core process and the real server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lknb.rtc.room import Room

Join = Callable[..., Awaitable[Room]]
