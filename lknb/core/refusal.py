"""Why a server did not let us in, in words that say what to do about it.

Nothing here trusts or repeats the token: its claims are read, unverified, only to name the mistake that is seen most often.
"""

from __future__ import annotations

import base64
import json
import ssl
from typing import Any

import aiohttp
from livekit.protocol import models

from lknb.core.address import ServerAddress
from lknb.errors import ConnectError

ROOM_NOT_FOUND_TEXT = "requested room does not exist"
"""The body that tells a 404 about the room from one about the path (livekit: pkg/service/errors.go)."""

_BODY_CHARACTERS = 200
_REASONS = models.DisconnectReason


def status_error(status: int, body: str, address: ServerAddress, token: str, now_s: float) -> ConnectError:
    """The error for an HTTP status in place of the websocket; `now_s` is the wall clock in seconds."""
    said = f" ({' '.join(body.split())[:_BODY_CHARACTERS]})" if body.strip() else ""
    if status in (401, 403):
        hint = token_hint(token, now_s) or (
            "check that the API key and secret it was signed with are this server's, that it has not expired, that both "
            "clocks are right, and that it grants room_join for this room"
        )
        return ConnectError(f"{address} refused the token, {status}{said}: {hint}", "not_allowed")
    if status == 404 and ROOM_NOT_FOUND_TEXT in body:
        return ConnectError(
            f"the room does not exist on {address}, and the server does not create rooms on join: create it first, "
            "with api.LiveKitAPI().room.create_room",
            "room_not_found",
        )
    if status == 400:
        return ConnectError(f"{address} did not understand the request, 400{said}", "bad_request")
    if status == 429 or status >= 500:
        return ConnectError(f"{address} cannot take this connection now, {status}{said}", "unavailable")
    return ConnectError(
        f"{address} is not a LiveKit server, or its signalling is under another path: it answered {status}{said}",
        "unsupported",
    )


def transport_error(error: Exception, address: ServerAddress) -> ConnectError:
    """The error for a connection that did not come to HTTP at all."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectError(f"there is no host {address.host!r}: check the url", "unavailable")
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        scheme = "is the server plain (ws:// instead of wss://), or its certificate not trusted here?"
        return ConnectError(f"no TLS connection to {address}: {scheme}", "unavailable")
    if isinstance(error, aiohttp.ClientConnectorError):
        start = (
            " `lknb serve` or lknb.DevServer() starts one"
            if address.is_loopback
            else " Check the host, port and network"
        )
        return ConnectError(f"nothing answers at {address}: is a server running there?{start}.", "unavailable")
    if isinstance(error, aiohttp.InvalidURL):
        return ConnectError(f"{address} is not a url", "bad_url")
    return ConnectError(f"the connection to {address} broke before the room was joined: {_said(error)}", "unavailable")


def _said(error: Exception) -> str:
    # aiohttp's own errors hold the request's URL, and with it the offer and its ICE password
    return type(error).__name__ if isinstance(error, aiohttp.ClientResponseError) else str(error)


def timeout_error(address: ServerAddress, timeout_s: float) -> ConnectError:
    """The error for a server that takes the connection and does not answer."""
    return ConnectError(
        f"{address} did not answer within {timeout_s:g} s: it may be no LiveKit server, or be overloaded", "timeout"
    )


def leave_error(reason: int, address: ServerAddress) -> ConnectError:
    """The error for a server that answers the join with a leave."""
    return ConnectError(
        f"{address} sent us away: {_REASONS.Name(reason) if reason in _REASONS.values() else reason}", "leave"
    )


def token_hint(token: str, now_s: float) -> str:
    """What is wrong with a token by its own claims; empty when nothing shows."""
    claims = _claims(token)
    if claims is None:
        return "it is not a LiveKit token (three parts with dots between, made by api.AccessToken(...).to_jwt())"
    grants = claims.get("video")
    grants = grants if isinstance(grants, dict) else {}
    expires, begins = claims.get("exp"), claims.get("nbf")
    if isinstance(expires, (int, float)) and expires < now_s:
        return f"it expired {_ago(now_s - expires)} ago by this machine's clock: make a new one"
    if isinstance(begins, (int, float)) and begins > now_s + 60:
        return f"it is valid only in {_ago(begins - now_s)} by this machine's clock: the clock that made it is ahead"
    if not grants.get("roomJoin"):
        return "it has no room_join grant: VideoGrants(room_join=True, room=...)"
    if not grants.get("room"):
        return "it names no room: VideoGrants(room_join=True, room=...)"
    if not claims.get("sub") and not claims.get("jti"):
        return "it has no identity: AccessToken(...).with_identity(...)"
    return ""


def _claims(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
