"""What a room, a participant or a track shows as the last line of a cell, without this floor knowing a single widget.

Importing `lknb.widgets` registers the views. Without it, or outside a notebook, things show their repr.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

ViewFactory: TypeAlias = Callable[[object], object]

_factories: dict[str, ViewFactory] = {}


def register_view(kind: str, factory: ViewFactory) -> None:
    """Show things of this kind by what `factory(thing)` gives, itself something a notebook can display.

    `kind`: `"video"`, `"audio"`, `"participant"`, `"room"`. The last factory registered for a kind wins.
    """
    _factories[kind] = factory


def display_view(kind: str, thing: object) -> None:
    """Display `thing` in the cell that runs: the body of an `_ipython_display_`."""
    from IPython.display import display

    factory = _factories.get(kind)
    if factory is None:
        display({"text/plain": repr(thing)}, raw=True)  # type: ignore[no-untyped-call]
    else:
        display(factory(thing))  # type: ignore[no-untyped-call]
