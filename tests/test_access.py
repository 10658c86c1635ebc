"""Tokens."""

from __future__ import annotations

from typing import Any

import pytest

from lknb.access import make_token
from lknb.errors import ConnectError


@pytest.mark.parametrize(
    ("arguments", "ttl_s"),
    [
        (("", "secret", "me", "room"), 60.0),
        (("key", "", "me", "room"), 60.0),
        (("key", "secret", "", "room"), 60.0),
        (("key", "secret", "me", ""), 60.0),
        (("key", "secret", "me", "room"), float("nan")),
        (("key", "secret", "me", "room"), 1e30),
    ],
)
def test_what_is_no_token_is_told_with_a_type(arguments: Any, ttl_s: float) -> None:
    with pytest.raises(ConnectError, match="no token can be made") as caught:
        make_token(*arguments, ttl_s=ttl_s)
    assert caught.value.kind == "bad_request"


def test_a_token_is_made() -> None:
    assert make_token("key", "a secret of enough characters, that is 32", "me", "room").count(".") == 2
