"""What a room is connected with, as the kernel says it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol import models

from lknb._version import __version__
from lknb.transport.ice_server import IceServer
from lknb.wire.join import JoinParameters

PROTOCOL = 16
"""LiveKit's signalling protocol we speak (livekit: pkg/rtc/types/protocol_version.go)."""

CONNECT_TIMEOUT_S = 5.0
"""For the signal connection and, once more, for the answer to the join; as LiveKit's clients."""


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """Options of one connection.

    `single_peer_connection`: None tries `/rtc/v1` and falls back to `/rtc`, True insists, False goes straight to `/rtc`.
    `client_protocol` and `capabilities` (names of `ClientInfo.Capability`) say what the room API above can do: peers act
    on it.
    """

    auto_subscribe: bool = True
    adaptive_stream: bool = False
    dynacast: bool = False
    single_peer_connection: bool | None = None
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    ice_servers: tuple[IceServer, ...] = ()
    relay_only: bool = False
    client_protocol: int = 0
    capabilities: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> ConnectOptions:
        """The options of a connect request; keys not known here are passed over, None means the default."""
        known = {name: value for name, value in options.items() if name in cls.__slots__ and value is not None}
        servers = known.get("ice_servers", ())
        known["ice_servers"] = tuple(
            IceServer(tuple(server["urls"]), server.get("username", ""), server.get("credential", ""))
            for server in servers
        )
        known["capabilities"] = tuple(known.get("capabilities", ()))
        return cls(**known)

    def join_parameters(self) -> JoinParameters:
        """The join they stand for, without an offer."""
        known = frozenset(models.ClientInfo.Capability.keys())
        return JoinParameters(
            client_info=models.ClientInfo(
                sdk=models.ClientInfo.SDK.PYTHON,
                version=__version__,
                protocol=PROTOCOL,
                os=sys.platform,
                os_version=platform.release(),
                client_protocol=self.client_protocol,
                capabilities=[name for name in self.capabilities if name in known],
            ),
            auto_subscribe=self.auto_subscribe,
            adaptive_stream=self.adaptive_stream,
            attributes=dict(self.attributes),
        )
