"""Event handlers that belong together, and are taken off together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Emitter(Protocol):
    """What rooms, participants, publications and tracks have in common."""

    def on(self, event: Any, callback: Callable[..., Any]) -> Any: ...
    def off(self, event: Any, callback: Callable[..., Any]) -> Any: ...


class Watch:
    """Calls `changed` at any of the events it was given."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._watched: dict[int, tuple[Emitter, frozenset[str]]] = {}

    def __len__(self) -> int:
        return sum(len(events) for _, events in self._watched.values())

    def follow(self, wanted: Iterable[tuple[Emitter | None, Iterable[str]]]) -> None:
        """Hear exactly these events of these emitters from now on."""
        after = {id(emitter): (emitter, frozenset(events)) for emitter, events in wanted if emitter is not None}
        for key, (emitter, events) in self._watched.items():
            kept = after[key][1] if key in after else frozenset()
            for event in events - kept:
                emitter.off(event, self._hear)
        for key, (emitter, events) in after.items():
            known = self._watched[key][1] if key in self._watched else frozenset()
            for event in events - known:
                emitter.on(event, self._hear)
        self._watched = after

    def close(self) -> None:
        """Hear nothing any more."""
        self.follow(())

    def _hear(self) -> None:
        self._changed()
