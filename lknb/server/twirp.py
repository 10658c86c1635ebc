"""Twirp over HTTP (twitchtv.github.io/twirp/docs/spec_v7.html): routing, encodings, and errors with their codes."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError, Message

logger = logging.getLogger(__name__)

STATUS = {
    "canceled": 408,
    "invalid_argument": 400,
    "malformed": 400,
    "deadline_exceeded": 408,
    "not_found": 404,
    "bad_route": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "failed_precondition": 412,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
}


class TwirpError(Exception):
    """An answer other than success. `code` is one of Twirp's, in `STATUS`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def response(self) -> web.Response:
        """The HTTP form."""
        return web.json_response({"code": self.code, "msg": self.message}, status=STATUS[self.code])


@dataclass(frozen=True, slots=True)
class Method:
    """One remote procedure: `call(authorisation header, request)`."""

    request: type[Message]
    call: Callable[[str, Message], Awaitable[Message]]


async def serve(
    methods: Mapping[str, Method], authorise: Callable[[str], object], request: web.Request
) -> web.Response:
    """Answer one HTTP request for the method named in its path.

    `authorise` is asked about the Authorization header before a byte of the body is read: a stranger's megabytes cost
    nothing.
    """
    try:
        authorise(request.headers.get("Authorization", ""))
        return await _serve(methods, request)
    except TwirpError as error:
        return error.response()
    except web.HTTPRequestEntityTooLarge:
        return TwirpError("resource_exhausted", "the request is too large").response()
    except Exception:
        logger.exception("%s failed", request.path)
        return TwirpError("internal", "internal error").response()


async def _serve(methods: Mapping[str, Method], request: web.Request) -> web.Response:
    name = request.match_info["method"]
    method = methods.get(name)
    if method is None or request.method != "POST":
        raise TwirpError("bad_route", f"no handler for {request.method} {request.path}")
    kind = request.content_type
    if kind not in ("application/protobuf", "application/json"):
        raise TwirpError("bad_route", f"unexpected Content-Type: {kind!r}")
    body = await request.read()
    try:
        if kind == "application/json":
            message = Parse(body or b"{}", method.request(), ignore_unknown_fields=True)
        else:
            message = method.request.FromString(body)
    except (DecodeError, ParseError, UnicodeDecodeError, json.JSONDecodeError):
        raise TwirpError("malformed", "the request could not be decoded") from None
    answer = await method.call(request.headers.get("Authorization", ""), message)
    if kind == "application/json":
        text = MessageToJson(
            answer, preserving_proto_field_name=True, indent=None, always_print_fields_with_no_presence=True
        )
        return web.Response(text=text, content_type="application/json")
    return web.Response(body=answer.SerializeToString(), content_type="application/protobuf")
