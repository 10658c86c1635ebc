"""The impairment model between two UDP ends on 127.0.0.1.

A client that is told the relay's port (see `ws_proxy.SignalProxy`) sends its media through it. Every client address
gets a socket of its own towards the server, which so sees as many peers as there are. A packet enters the path when the
kernel got it: a relay that had no CPU for a while would else find a queue full that was empty.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from lknb.transport.udp import Address, UdpSocket
from tests.kit.impair import Conditions, Impairment


class UdpRelay:
    """127.0.0.1:`port` in front of 127.0.0.1:`server_port`; `async with`.

    `up` and `down` are the conditions of both directions, for every client that comes from then on and, through
    `set_conditions`, for those that are there.
    """

    def __init__(
        self, server_port: int, *, up: Conditions | None = None, down: Conditions | None = None, seed: int = 0
    ) -> None:
        self._server: Address = ("127.0.0.1", server_port)
        self._up, self._down, self._seed = up or Conditions(), down or Conditions(), seed
        self._paths: dict[Address, _Path] = {}
        self._front: UdpSocket
        self.port = 0

    async def __aenter__(self) -> UdpRelay:
        # looked up each time: a meter may stand before it
        self._front = UdpSocket("127.0.0.1", 0, lambda *given: self.received(*given))
        self.port = self._front.address[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path in self._paths.values():
            path.close()
        self._front.close()

    @property
    def up(self) -> list[Impairment]:
        """Towards the server, one of each client."""
        return [path.up for path in self._paths.values()]

    @property
    def down(self) -> list[Impairment]:
        """Towards the clients, one of each."""
        return [path.down for path in self._paths.values()]

    def set_conditions(self, *, up: Conditions | None = None, down: Conditions | None = None) -> None:
        """New conditions, from now on, of all clients; None leaves a direction as it is."""
        self._up, self._down = up or self._up, down or self._down
        for path in self._paths.values():
            path.up.conditions, path.down.conditions = self._up, self._down

    def black_out(self, duration_s: float) -> None:
        """Both directions of everybody go dark."""
        now = time.monotonic()
        for direction in (*self.up, *self.down):
            direction.black_out(now, duration_s)

    def received(self, packet: bytes, client: Address, arrival_us: int) -> None:
        """A datagram of a client."""
        path = self._paths.get(client)
        if path is None:
            # each direction of each client has a fate of its own, the same in every run
            seed = self._seed + 2 * len(self._paths)
            path = self._paths[client] = _Path(self._front, client, self._server, seed, self._up, self._down)
        path.send_up(packet, arrival_us)


class _Path:
    """Both directions of one client."""

    def __init__(
        self, front: UdpSocket, client: Address, server: Address, seed: int, up: Conditions, down: Conditions
    ) -> None:
        self._front, self._client, self._server = front, client, server
        self.up, self.down = Impairment(up, seed), Impairment(down, seed + 1)
        self._back = UdpSocket("127.0.0.1", 0, self._send_down)
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def send_up(self, packet: bytes, arrival_us: int) -> None:
        self.up.send(packet, arrival_us / 1e6)
        self._flush(self.up)

    def _send_down(self, packet: bytes, _: Address, arrival_us: int) -> None:
        self.down.send(packet, arrival_us / 1e6)
        self._flush(self.down)

    def _flush(self, direction: Impairment) -> None:
        for packet in direction.receive(time.monotonic()):
            if direction is self.down:
                self._front.sendto(packet, self._client)
            else:
                self._back.sendto(packet, self._server)
        deadline = direction.deadline()
        timer = self._timers.pop(id(direction), None)
        if timer is not None:
            timer.cancel()
        if deadline is not None:
            loop = asyncio.get_running_loop()
            delay_s = max(0.0, deadline - time.monotonic())
            self._timers[id(direction)] = loop.call_later(delay_s, self._flush, direction)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._back.close()
