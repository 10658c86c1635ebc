"""The impairment model between two UDP ends on 127.0.0.1.

A client that is told the relay's port (see `ws_proxy.SignalProxy`) sends its media through it. Every client address
gets a socket of its own towards the server, which so sees as many peers as there are.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from tests.kit.impair import Conditions, Impairment

Address = tuple[str, int]


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
        self._opening: set[asyncio.Task[None]] = set()
        self._front: asyncio.DatagramTransport
        self.port = 0

    async def __aenter__(self) -> UdpRelay:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: _Front(self), local_addr=("127.0.0.1", 0))
        self.port = self._front.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
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

    def received(self, packet: bytes, client: Address) -> None:
        """A datagram from a client."""
        path = self._paths.get(client)
        if path is None:
            # each direction of each client has a fate of its own, the same in every run
            seed = self._seed + 2 * len(self._paths)
            path = self._paths[client] = _Path(self._front, client, self._server, seed, self._up, self._down)
            task = asyncio.get_running_loop().create_task(path.open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        path.send_up(packet)


class _Front(asyncio.DatagramProtocol):
    def __init__(self, relay: UdpRelay) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._relay.received(data, addr)


class _Path(asyncio.DatagramProtocol):
    """Both directions of one client."""

    def __init__(
        self,
        front: asyncio.DatagramTransport,
        client: Address,
        server: Address,
        seed: int,
        up: Conditions,
        down: Conditions,
    ) -> None:
        self._front, self._client, self._server = front, client, server
        self.up, self.down = Impairment(up, seed), Impairment(down, seed + 1)
        self._back: asyncio.DatagramTransport | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._back, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._server)
        self._flush(self.up)

    def send_up(self, packet: bytes) -> None:
        self.up.send(packet, time.monotonic())
        self._flush(self.up)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.down.send(data, time.monotonic())
        self._flush(self.down)

    def _flush(self, direction: Impairment) -> None:
        if direction is self.up and self._back is None:
            return
        for packet in direction.receive(time.monotonic()):
            if direction is self.down:
                self._front.sendto(packet, self._client)
            elif self._back is not None:
                self._back.sendto(packet)
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
        if self._back is not None:
            self._back.close()
