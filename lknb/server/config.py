"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

SECRET_BYTES_MIN = 32
DEV_KEY, DEV_SECRET = "devkey", "secret"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Addresses, keys and timers of one server.

    `keys` maps API key to secret. Times are in seconds, LiveKit's defaults.
    """

    keys: dict[str, str] = field(repr=False)
    bind: str = "127.0.0.1"
    port: int = 7880
    rtc_port: int = 0
    ping_interval_s: int = 5
    ping_timeout_s: int = 15
    empty_timeout_s: int = 300
    departure_timeout_s: int = 20
    join_timeout_s: float = 60.0
    resume_window_s: float = 15.0
    token_refresh_s: float = 300.0
    dynacast_lower_delay_s: float = 5.0


def parse_keys(text: str) -> dict[str, str]:
    """The keys of `--keys "key: secret"`, one pair a line, as livekit-server takes them.

    Raises ValueError, which says what is wrong without showing a secret.
    """
    keys: dict[str, str] = {}
    for pair in text.splitlines():
        if not pair.strip():
            continue
        key, colon, secret = pair.partition(":")
        key, secret = key.strip(), secret.strip()
        if not colon or not key or not secret:
            raise ValueError('keys are written "key: secret", with a colon and a space between')
        keys[key] = secret
    if not keys:
        raise ValueError('no key given: write --keys "key: secret"')
    return keys


def check_keys(keys: dict[str, str]) -> None:
    """Refuse secrets that can be guessed. Raises ValueError."""
    for key, secret in keys.items():
        if len(secret.encode()) < SECRET_BYTES_MIN:
            raise ValueError(
                f"the secret of {key} is shorter than {SECRET_BYTES_MIN} bytes; make one with `openssl rand -hex 32`"
            )


def is_loopback(host: str) -> bool:
    """Whether an address to bind is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
