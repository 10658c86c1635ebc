"""Names that participants chose, fit to be shown to somebody else."""

from __future__ import annotations

import unicodedata

LABEL_CHARACTERS = 80
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# the two joiners that scripts and emoji are written with; they change no order and hide no text
_HARMLESS = frozenset("\u200c\u200d")


def visible_label(text: str) -> str:
    """`text` on one line, at most `LABEL_CHARACTERS` long, and with a mark for each character that would not be seen.

    A name may hold controls that reorder or hide what follows (U+202E and its kin), so that one participant looks like
    another, or a thousand characters.
    """
    if len(text) > LABEL_CHARACTERS:
        text = text[: LABEL_CHARACTERS - 1] + "…"
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in _HIDDEN:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
