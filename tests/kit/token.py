"""Access tokens for the server under test."""

from __future__ import annotations

import datetime
import itertools
import os
import re

from livekit import api

API_KEY = "testkey"
API_SECRET = "a secret of the tests, 32 bytes or more"

_TOKEN = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.")

_numbers = itertools.count(1)


def room_name() -> str:
    """A room name nobody used before on this machine, so that tests may share a server."""
    return f"room-{os.getpid()}-{next(_numbers)}"


def make_token(
    identity: str,
    room: str,
    *,
    key: str = API_KEY,
    secret: str = API_SECRET,
    name: str = "",
    metadata: str = "",
    attributes: dict[str, str] | None = None,
    ttl_s: float = 600,
    grants: api.VideoGrants | None = None,
) -> str:
    """A signed token; without `grants` it is one to join `room`, publish, subscribe and send data."""
    token = (
        api.AccessToken(key, secret)
        .with_identity(identity)
        .with_ttl(datetime.timedelta(seconds=ttl_s))
        .with_grants(grants or api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True))
    )
    if name:
        token = token.with_name(name)
    if metadata:
        token = token.with_metadata(metadata)
    if attributes:
        token = token.with_attributes(attributes)
    return token.to_jwt()


def tokens_in(text: str) -> list[str]:
    """The beginnings of the tokens in a text; a picture in base64 has none."""
    return _TOKEN.findall(text)
