"""Joining a room: `/rtc/v1` with one peer connection where the server has it, else `/rtc` with two."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from livekit.protocol import models, rtc

from lknb.core.address import ServerAddress
from lknb.core.connection import Connection, ConnectionSettings, DualConnection, SingleConnection
from lknb.core.data import DataLink
from lknb.core.options import ConnectOptions
from lknb.core.signal import SignalSocket
from lknb.errors import ConnectError
from lknb.transport.error import TransportError
from lknb.transport.ice_server import IceServer
from lknb.wire.join import build_join_query, build_join_request

logger = logging.getLogger(__name__)

V1_PATH, V0_PATH = "/rtc/v1", "/rtc"


@dataclass(slots=True)
class Joined:
    """A server that has accepted us, and the peer connections for it, not connected yet."""

    signal: SignalSocket
    connection: Connection
    data: DataLink
    response: rtc.JoinResponse


class Joiner:
    """One attempt to join. `settings(data)` makes the settings of its peer connections, without ICE servers."""

    def __init__(
        self,
        address: ServerAddress,
        token: str,
        options: ConnectOptions,
        settings: Callable[[DataLink], ConnectionSettings],
        new_data: Callable[[], DataLink],
    ) -> None:
        self._address = address
        self._token = token
        self._options = options
        self._settings = settings
        self._new_data = new_data

    async def join(self) -> Joined:
        """Raises `ConnectError`; nothing is left open then, nor when it is cancelled."""
        if self._options.single_peer_connection is not False:
            try:
                return await self._join_single()
            except ConnectError as error:
                if error.kind != "unsupported" or self._options.single_peer_connection:
                    raise
                logger.info("%s has no %s, going on with %s", self._address, V1_PATH, V0_PATH)
        return await self._join_dual()

    async def _join_single(self) -> Joined:
        parameters = self._options.join_parameters()
        # A server elsewhere may tell of TURN servers, which must be known before candidates are gathered: then
        # the offer follows the join, as livekit-client does in Firefox.
        early = self._address.is_loopback or self._options.ice_servers
        connection: SingleConnection | None = None
        data = self._new_data()
        try:
            if early:
                connection = await self._open_single(data, self._options.ice_servers, None)
                parameters = replace(parameters, publisher_offer=connection.first_offer())
            signal = await self._open_signal(V1_PATH, build_join_request(parameters))
            try:
                if connection is None:
                    connection = await self._open_single(
                        data, _relays(signal.first.join.ice_servers), signal.first.join
                    )
            except BaseException:
                await signal.close()
                raise
        except BaseException:
            if connection is not None:
                await connection.close()
            raise
        return Joined(signal, connection, data, signal.first.join)

    async def _join_dual(self) -> Joined:
        signal = await self._open_signal(V0_PATH, build_join_query(self._options.join_parameters()))
        servers = self._options.ice_servers or _relays(signal.first.join.ice_servers)
        data = self._new_data()
        connection = DualConnection(self._settings_with(data, servers, signal.first.join))
        try:
            await _open(connection)
        except BaseException:
            await connection.close()
            await signal.close()
            raise
        return Joined(signal, connection, data, signal.first.join)

    async def _open_single(
        self, data: DataLink, servers: Iterable[IceServer], join: rtc.JoinResponse | None
    ) -> SingleConnection:
        connection = SingleConnection(self._settings_with(data, servers, join))
        try:
            await _open(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _open_signal(self, path: str, query: dict[str, str]) -> SignalSocket:
        signal = await SignalSocket.open(
            self._address, path, query, self._token, timeout_s=self._options.connect_timeout_s
        )
        if signal.first.WhichOneof("message") != "join":
            await signal.close()
            raise ConnectError(f"{self._address} answered a join as if it were a resume", "unsupported")
        return signal

    def _settings_with(
        self, data: DataLink, servers: Iterable[IceServer], join: rtc.JoinResponse | None
    ) -> ConnectionSettings:
        # a server asks for relays when plain UDP from here broke soon after it was up
        forced = join is not None and join.client_configuration.force_relay == models.ClientConfigSetting.ENABLED
        relay_only = self._options.relay_only or (forced and not self._address.is_loopback)
        return replace(self._settings(data), ice_servers=tuple(servers), relay_only=relay_only)


async def _open(connection: SingleConnection | DualConnection) -> None:
    try:
        await connection.open()
    except TransportError as error:
        raise ConnectError(f"no peer connection can be opened: {error.message}", "media") from error


def _relays(servers: Iterable[rtc.ICEServer]) -> tuple[IceServer, ...]:
    """The TURN servers among those a server names. STUN is not needed towards an SFU: it learns our address from our
    checks, and a STUN server that does not answer would delay every join by seconds."""
    return tuple(
        IceServer(tuple(urls), server.username, server.credential)
        for server in servers
        if (urls := [url for url in server.urls if url.lower().startswith(("turn:", "turns:"))])
    )
