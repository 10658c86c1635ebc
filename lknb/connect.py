"""One call into a room: on LiveKit Cloud or a server of yours when `LIVEKIT_URL` is set, else on the embedded server."""

from __future__ import annotations

import asyncio
import os
import secrets
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
    adaptive_stream: bool = False,
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

    Raises ConnectError; its text says what to set or to look at.
    """
    from lknb.rtc.option import RoomOptions
    from lknb.rtc.room import Room

    options = RoomOptions(
        auto_subscribe=auto_subscribe,
        adaptive_stream=adaptive_stream,
        dynacast=dynacast,
        single_peer_connection=single_peer_connection,
        connect_timeout=connect_timeout,
        rtc_config=rtc_config,
    )
    if server is not None and url is not None:
        raise ConnectError("give a server or a url, not both", "bad_request")
    # a server that is given comes before the environment's
    address = None if server is not None else url or os.environ.get(URL_VARIABLE)
    if address is None:
        server = server if server is not None else await _embedded_server()
        address, api_key, api_secret = server.url, server.api_key, server.api_secret
    else:
        api_key, api_secret = os.environ.get(KEY_VARIABLE, ""), os.environ.get(SECRET_VARIABLE, "")
    if token is None:
        if not api_key or not api_secret:
            raise ConnectError(_what_to_set(address, api_key, api_secret), "not_allowed")
        who = identity if identity is not None else f"guest-{secrets.token_hex(3)}"
        token = make_token(api_key, api_secret, who, room, name=name or "", can_update_own_metadata=True)
    joined = Room()
    await joined.connect(address, token, options)
    return joined


async def _embedded_server() -> DevServer:
    running = DevServer.current()
    if running is not None:
        return running
    try:
        return await asyncio.to_thread(DevServer.current_or_new)
    except DevServerError as error:
        raise ConnectError(error.message) from error


def _what_to_set(address: str, api_key: str, api_secret: str) -> str:
    missing = [variable for variable, value in ((KEY_VARIABLE, api_key), (SECRET_VARIABLE, api_secret)) if not value]
    return (
        f"no key to join {address} with: set {' and '.join(missing)} in the environment, or pass token=..., "
        f"or unset {URL_VARIABLE} to use the embedded server"
    )
