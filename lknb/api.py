"""LiveKit's server API for Python, as it is: everything of `livekit.api` under the name `lknb.api`.

`from lknb import api` is `from livekit import api`: tokens, RoomService and the other services, webhooks, and all messages.
"""

from __future__ import annotations

from typing import Any

from livekit import api as _livekit_api
from livekit.api import *  # noqa: F403
from livekit.api import __all__ as __all__


def __getattr__(name: str) -> Any:
    # the messages, which livekit.api has but does not list
    try:
        return getattr(_livekit_api, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return dir(_livekit_api)
