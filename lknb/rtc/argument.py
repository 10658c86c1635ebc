"""What callers pass, looked at where they pass it: what is wrong is named there, and not where it would be missed later.

All raise TypeError or ValueError; `what` is how the argument is called. Numbers of numpy are numbers, too.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from lknb.rtc.enumeration import ProtoEnum

E = TypeVar("E", bound=ProtoEnum)


def check_flag(what: str, flag: Any) -> None:
    """True or False, or 1 or 0, as in the messages of protobuf."""
    if not isinstance(flag, bool | np.bool_) and not (isinstance(flag, Integral) and flag in (0, 1)):
        raise TypeError(f"{what} is True or False, not {flag!r}")


def check_text(what: str, text: Any) -> None:
    """A str."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text, not {text!r}")


def check_kind(what: str, value: Any, kind: type) -> None:
    """An object of a class."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} is a {kind.__name__}, not {value!r}")


def check_whole(what: str, number: Any, least: int) -> None:
    """A whole number of `least` or more."""
    if not is_whole(number):
        raise TypeError(f"{what} is a whole number of {least} or more, not {number!r}")
    if number < least:
        raise ValueError(f"{what} is a whole number of {least} or more, not {number}")


def check_seconds(what: str, seconds: Any) -> None:
    """A finite number of 0 or more."""
    if not is_number(seconds):
        raise TypeError(f"{what} is a number of seconds, not {seconds!r}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{what} is 0 seconds or more, not {seconds}")


def is_number(number: Any) -> bool:
    """Whether it is a real number; a flag is none."""
    return isinstance(number, Real) and not isinstance(number, bool)


def is_whole(number: Any) -> bool:
    """Whether it is a whole number."""
    return is_number(number) and isinstance(number, Integral)


def as_member(what: str, value: Any, kind: type[E]) -> E:
    """The value of an enumeration, of which protobuf takes numbers and names."""
    try:
        return kind.Value(value) if isinstance(value, str) else kind(value)
    except (ValueError, TypeError):
        known = ", ".join(member.name for member in kind)
        raise ValueError(f"{what} is a {kind.__name__} ({known}), not {value!r}") from None
