"""The error of this floor. The floors above turn it into what their callers know, `ConnectError(kind="media")` say."""

from __future__ import annotations

from lknb.errors import LknbError


class TransportError(LknbError):
    """ICE or DTLS did not connect, the transport is closed, or a data channel cannot take the message."""
