"""Whether a room's sound is heard, without this floor knowing where: `lknb.widgets` plays it in the pages that show the room."""

from __future__ import annotations

import weakref
from typing import Protocol


class Playback(Protocol):
    """What plays the sound of one room."""

    @property
    def can_playback(self) -> bool:
        """False while a browser that is to play holds the sound back."""

    async def start(self) -> None:
        """Have browsers that hold it back play. Raises `MediaError` when they want the user's click."""


_playbacks: weakref.WeakKeyDictionary[object, weakref.ref[Playback]] = weakref.WeakKeyDictionary()


def register_playback(room: object, playback: Playback) -> None:
    """From now on `playback` plays the sound of `room`; it is not kept alive by that."""
    _playbacks[room] = weakref.ref(playback)


def playback_of(room: object) -> Playback | None:
    """What plays the sound of `room`, None when nothing does."""
    found = _playbacks.get(room)
    return found() if found is not None else None
