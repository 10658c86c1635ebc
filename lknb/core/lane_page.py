"""The page that captures outside of the notebook, as a browser gets it from the core.

Some front ends keep cameras from what a notebook shows: VS Code from all of it, a site by its Permissions-Policy. A tab of the
browser, at `http://127.0.0.1:<port>/capture`, is a page of its own, and a secure one. It is one document that loads nothing;
what it consists of comes from the kernel, since no script lives on this floor. By itself it can do nothing: what opens its
lane is the ticket behind the `#` of the link, which no browser sends to any server, and which it takes out of its address
before anything else.
"""

from __future__ import annotations

import base64
import hashlib
import re

from aiohttp import web

from lknb.core.lane_ticket import OWN_ORIGIN

PATH = "/capture"
_OWN_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
"""The names a browser of this machine reaches us by, at our port or one that is forwarded to it. A page of somebody else
whose name was made to point here (DNS rebinding) asks for another host."""
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%231976d2' "
    "stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M15 11l6-4v10l-6-4M5 6h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 "
    "1-2-2V8a2 2 0 0 1 2-2z'/%3E%3C/svg%3E"
)
_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Camera page</title>
<link rel="icon" href="{icon}">
<style>{style}</style>
</head>
<body>
<noscript>This page needs JavaScript.</noscript>
<script type="module">{script}</script>
</body>
</html>
"""


class OwnPage:
    """The document, once the kernel has told its parts. `answer` serves `PATH`."""

    def __init__(self) -> None:
        self._body = b""
        self._policy = ""

    def fill(self, style: str, script: str) -> None:
        """What it consists of; neither may hold `</style` or `</script`, which would end it."""
        self._body = _DOCUMENT.format(icon=_ICON, style=style, script=script).encode()
        self._policy = (
            f"default-src 'none'; script-src '{_digest(script)}' blob:; style-src '{_digest(style)}'; worker-src blob:; "
            "img-src data:; media-src blob:; connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )

    def answer(self, request: web.Request) -> web.Response:
        """The page, or why not."""
        if not _OWN_HOST.fullmatch(request.host):
            return web.Response(status=421, text="This page is for the machine it is on: open it at 127.0.0.1.\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}, text="This page can only be looked at.\n")
        if not self._body or request.query_string:
            return web.Response(status=404, text="There is no such page.\n")
        headers = {
            "Content-Security-Policy": self._policy.format(host=request.host),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
        }
        return web.Response(body=self._body, content_type="text/html", charset="utf-8", headers=headers)


def origin_of(request: web.Request) -> str:
    """The origin of the page that opens a lane: as its browser says, and `OWN_ORIGIN` when that is our own page."""
    origin = request.headers.get("Origin", "")
    return OWN_ORIGIN if _OWN_HOST.fullmatch(request.host) and origin == f"http://{request.host}" else origin


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
