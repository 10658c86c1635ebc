"""Access tokens for rooms."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping
from typing import Any

from lknb.errors import ConnectError

DEV_KEY, DEV_SECRET = "devkey", "secret"
"""What `lknb serve --dev` and `livekit-server --dev` take."""
TOKEN_TTL_S = 600.0
"""Long enough to join; once in, the server hands out fresh tokens."""


def make_token(
    api_key: str,
    api_secret: str,
    identity: str,
    room: str,
    *,
    name: str = "",
    metadata: str = "",
    attributes: Mapping[str, str] | None = None,
    ttl_s: float = TOKEN_TTL_S,
    **grants: Any,
) -> str:
    """A token with which `identity` may join `room` for the next `ttl_s` seconds.

    `grants` are fields of `lknb.api.VideoGrants` (`can_publish`, `can_update_own_metadata`, `hidden`, ...); one that does not
    exist raises TypeError. Raises ConnectError for a key, secret, identity or time to live that no server takes.
    """
    from livekit.api import AccessToken, VideoGrants

    rights = VideoGrants(**{"room_join": True, "room": room, **grants})
    try:
        token = (
            AccessToken(api_key, api_secret)
            .with_identity(identity)
            .with_name(name or identity)
            .with_metadata(metadata)
            .with_grants(rights)
            .with_ttl(datetime.timedelta(seconds=ttl_s))
        )
        if attributes:
            token = token.with_attributes(dict(attributes))
        with warnings.catch_warnings():
            if api_secret == DEV_SECRET:
                # PyJWT finds it too short, which everybody knows who takes it
                warnings.filterwarnings("ignore", message="The HMAC key is")
            return token.to_jwt()
    except (ValueError, OverflowError) as error:
        raise ConnectError(f"no token can be made for {identity!r} in {room!r}: {error}", "bad_request") from error
