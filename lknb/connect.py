"""One call into a room: on LiveKit Cloud or a server of yours when `LIVEKIT_URL` is set, else on the embedded server."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import sys
from typing import TYPE_CHECKING

from lknb.access import make_token
from lknb.dev_server import DevServer
from lknb.errors import ConnectError, DevServerError

if TYPE_CHECKING:
    from lknb.rtc.option import RtcConfiguration
    from lknb.rtc.room import Room

URL_VARIABLE = "LIVEKIT_URL"
KEY_VARIABLE = "LIVEKIT_API_KEY"
SECRET_VARIABLE = "LIVEKIT_API_SECRET"


async def connect(
    room: str = "notebook",
    *,
    identity: str | None = None,
    name: str | None = None,
    url: str | None = None,
    token: str | None = None,
    server: DevServer | None = None,
    auto_subscribe: bool = True,
    adaptive_stream: bool | None = None,
    dynacast: bool = False,
    single_peer_connection: bool | None = None,
    connect_timeout: float | None = None,
    rtc_config: RtcConfiguration | None = None,
) -> Room:
    """Join a room and return it, connected.

    Where: `server`, else `url`, else the environment's LIVEKIT_URL, else the `DevServer` of this process, which is started
    if there is none. As whom: `token` if given, which then says room and identity as well; else a token is made for
    `identity` (a random one unless given) in `room`, with the server's key or LIVEKIT_API_KEY and LIVEKIT_API_SECRET.

    A second join with the same identity ends the first: a cell that names its identity can be run again and again.

    `name` is shown to the others. `auto_subscribe`: receive every track as it is published. `adaptive_stream`: have the
    server pause video that nobody sees or reads, and send the rest no larger than it is shown; unless given, so in a
    notebook and nowhere else. `dynacast`: stop encoding layers that nobody watches. `single_peer_connection`: None tries
    one peer connection for both ways and falls back to two, False asks for two. `connect_timeout`: seconds for each attempt
    to reach the server, 5 unless given. `rtc_config`: ICE servers of your own.

    Raises ConnectError; its text says what to set or to look at, its `kind` is stable for programs.
    """
    from lknb.rtc.option import RoomOptions
    from lknb.rtc.room import Room

    options = RoomOptions(
        auto_subscribe=auto_subscribe,
        adaptive_stream=_is_notebook() if adaptive_stream is None else adaptive_stream,
        dynacast=dynacast,
        single_peer_connection=single_peer_connection,
        connect_timeout=connect_timeout,
        rtc_config=rtc_config,
    )
    if not room or identity == "":
        raise ConnectError("a room and an identity need at least one character", "bad_request")
    if connect_timeout is not None and not connect_timeout > 0:
        raise ConnectError(f"connect_timeout is in seconds and above 0, not {connect_timeout!r}", "bad_request")
    if url is not None and not isinstance(url, str):
        raise ConnectError(f"a url is text, such as ws://127.0.0.1:7880, not {url!r}", "bad_url")
    if server is not None and url is not None:
        raise ConnectError("give a server or a url, not both", "bad_request")
    # a server that is given comes before the environment's
    address = None if server is not None else url or os.environ.get(URL_VARIABLE)
    if address is None:
        server = server if server is not None else await _embedded_server()
        address, api_key, api_secret = server.url, server.api_key, server.api_secret
    else:
        api_key, api_secret = os.environ.get(KEY_VARIABLE, ""), os.environ.get(SECRET_VARIABLE, "")
    if token is None and not (api_key and api_secret):
        raise ConnectError(_what_to_set(api_key, api_secret, by_variable=url is None), "not_allowed")
    who = identity if identity is not None else f"guest-{secrets.token_hex(3)}"

    def fresh_token() -> str:
        return make_token(api_key, api_secret, who, room, name=name or "", can_update_own_metadata=True)

    joined = Room()
    await joined.connect(address, token if token is not None else fresh_token(), options)
    if token is None and joined._way_in is not None:
        # ours is good for minutes, and a call may be left and joined again after hours
        joined._way_in = dataclasses.replace(joined._way_in, make_token=fresh_token)
    return joined


def _is_notebook() -> bool:
    """Whether this process is a kernel, whose views tell how large they are."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


async def _embedded_server() -> DevServer:
    running = DevServer.current()
    if running is not None:
        return running
    try:
        return await asyncio.to_thread(DevServer.current_or_new)
    except DevServerError as error:
        raise ConnectError(error.message) from error


def _what_to_set(api_key: str, api_secret: str, *, by_variable: bool) -> str:
    missing = [variable for variable, value in ((KEY_VARIABLE, api_key), (SECRET_VARIABLE, api_secret)) if not value]
    where = f"the server of {URL_VARIABLE}" if by_variable else "the server at that url"
    instead = f", or unset {URL_VARIABLE}" if by_variable else ", or leave the url out"
    return (
        f"no key to join {where} with: set {' and '.join(missing)} in the environment, or pass token=..."
        f"{instead} to use the embedded server"
    )
