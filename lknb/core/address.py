"""The server's address as a user writes it -> the addresses of its signalling."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from lknb.errors import ConnectError

_SECURE = {"ws": False, "http": False, "wss": True, "https": True}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A LiveKit server: `wss://host:port/base path`, whichever of ws, wss, http and https it was written with."""

    secure: bool
    netloc: str
    host: str
    path: str

    @classmethod
    def parse(cls, url: str) -> ServerAddress:
        """Raises `ConnectError` of kind bad_url, with a text that never repeats what might be a token."""
        if url.count(".") == 2 and "/" not in url and url.startswith("eyJ"):
            raise ConnectError("the url is a token: connect(url, token) takes the url first", "bad_url")
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise ConnectError(f"{url!r} is not a url", "bad_url") from None
        if parts.scheme not in _SECURE or not parts.hostname:
            raise ConnectError(
                f"{url!r} is not the url of a LiveKit server: write it as wss://host, or ws://127.0.0.1:7880", "bad_url"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        netloc = host if port is None else f"{host}:{port}"
        return cls(_SECURE[parts.scheme], netloc, parts.hostname, parts.path.rstrip("/"))

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine by its loopback address; no proxy belongs in between."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def signal_url(self, path: str) -> str:
        """`path` ("/rtc/v1") under the base path, for a websocket."""
        return urlunsplit(("wss" if self.secure else "ws", self.netloc, self.path + path, "", ""))

    def http_url(self, path: str) -> str:
        """`path` under the base path, for a plain request."""
        return urlunsplit(("https" if self.secure else "http", self.netloc, self.path + path, "", ""))

    def __str__(self) -> str:
        return self.signal_url("")
