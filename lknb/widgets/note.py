"""`Note`: a sentence where nothing else is to be seen, and what to run to change that."""

from __future__ import annotations

from typing import Any

from lknb.rtc.core_room import CoreRoom
from lknb.widgets.control_view import ControlView, Watched
from lknb.widgets.esm import control_esm


class Note(ControlView):
    """A sentence, and a line of code; both fit to be shown already."""

    _module = "note"
    _esm = control_esm("note")

    def __init__(self, text: str, code: str = "", **traits: Any) -> None:
        self._text = text
        self._line = code
        super().__init__(**traits)

    @property
    def text(self) -> str:
        """The sentence."""
        return self._text

    def say(self, text: str, code: str = "") -> None:
        """Say something else."""
        self._text, self._line = text, code
        self._show()

    def __repr__(self) -> str:
        return f"Note({self._text!r})"

    def _core(self) -> CoreRoom | None:
        return None

    def _follow(self) -> Watched:
        return ()

    def _describe(self) -> dict[str, Any]:
        return {"text": self._text, "code": self._line}
