"""Full ICE (RFC 8445) for a client, with ICE restart under a living DTLS.

aioice cannot restart: a restart is a new agent with new sockets and credentials, and the datagrams of both go to the
same DTLS until the new path is up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from aioice.ice import get_host_addresses

from lknb.transport.ice import IceTransport
from lknb.transport.ice_agent import IceAgent
from lknb.transport.ice_server import IceServer, IceServers, select_servers
from lknb.transport.udp import Address
from lknb.wire.sdp import TransportParameters

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
RETIRE_AFTER_S = 0.5
"""How long the old path is still listened to after a restart."""
RESTART_TIMEOUT_S = 15.0


class FullIceTransport(IceTransport):
    """The client's end. A peer that is ICE-lite makes us controlling, whatever `controlling` says."""

    lite = False

    def __init__(
        self,
        controlling: bool,
        *,
        interfaces: Literal["loopback", "all"] = "loopback",
        ice_servers: Sequence[IceServer] = (),
        relay_only: bool = False,
        disconnected_after_s: float = 5.0,
        failed_after_s: float = 15.0,
    ) -> None:
        """`interfaces`: "loopback" binds 127.0.0.1 alone and takes loopback candidates alone; "all" is for a server on
        another machine, and only then `ice_servers` are asked (none by default). `relay_only`: only through TURN."""
        super().__init__(disconnected_after_s=disconnected_after_s, failed_after_s=failed_after_s)
        self._controlling = controlling
        self._loopback = interfaces == "loopback"
        self._servers = IceServers() if self._loopback else select_servers(ice_servers)
        self._relay_only = relay_only
        self._remote: tuple[str, str] | None = None
        self._active: IceAgent | None = None
        """The agent whose path is used."""
        self._pending: IceAgent | None = None
        """The agent of the first connect or of a restart, until it has a path."""
        self._path: tuple[Callable[[bytes, Address], None], Address] | None = None
        self._agents: set[IceAgent] = set()
        """All that hold sockets."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = False
        """Whether the pending agent has its remote credentials."""
        self._settled = asyncio.Event()
        """No restart is under way."""
        self._settled.set()
        self._restart_error = ""

    @property
    def role(self) -> str:
        agent = self.agent
        controlling = self._controlling if agent is None else agent.ice_controlling
        return "controlling" if controlling else "controlled"

    @property
    def agent(self) -> IceAgent | None:
        """The newest agent, for its counters."""
        return self._pending or self._active

    async def gather(self) -> None:
        if self.agent is None and self._state != "closed":
            self._pending = await self._new_agent()

    def credentials(self) -> tuple[str, str]:
        agent = self._newest()
        return agent.local_username, agent.local_password

    def candidates(self) -> tuple[str, ...]:
        return tuple(f"candidate:{candidate.to_sdp()}" for candidate in self._newest().local_candidates)

    async def connect(self, remote: TransportParameters) -> None:
        await self.gather()
        agent = self._pending
        if agent is None or self._begun:
            raise ConnectionError("the ICE transport is closed, or was connected before")
        self._remote = (remote.ufrag, remote.pwd)
        await self._establish(agent, remote)

    async def update_remote(self, remote: TransportParameters) -> None:
        if self._remote is None or self._state == "closed":
            return
        credentials = (remote.ufrag, remote.pwd)
        answers_restart = not self._settled.is_set() and not self._begun
        if answers_restart or credentials != self._remote:
            if not answers_restart:
                await self.restart()
            agent = self._pending
            if agent is not None:
                self._remote = credentials
                self._begun = True
                self._spawn(self._finish_restart(agent, remote))
            return
        for candidate in remote.candidates:
            await self.add_candidate(candidate)
        if remote.end_of_candidates:
            await self.add_candidate(None)

    async def restart(self) -> None:
        if self._remote is None or self._state in ("new", "closed"):
            return
        self._settled.clear()
        self._restart_error = ""
        self._begun = False
        abandoned, self._pending = self._pending, None
        if abandoned is not None:
            await self._discard(abandoned)
        try:
            self._pending = await self._new_agent()
        except BaseException:
            self._settle("no local address could be bound")
            raise

    async def add_candidate(self, candidate: str | None) -> None:
        agent = self.agent
        if agent is not None:
            await agent.add_candidate(candidate)

    async def wait_restarted(self) -> None:
        await self._settled.wait()
        if self._state == "closed":
            raise ConnectionError("the ICE transport is closed")
        if self._restart_error:
            raise ConnectionError(self._restart_error)

    def send(self, data: bytes | memoryview) -> None:
        path = self._path
        if path is not None:
            path[0](bytes(data), path[1])

    async def close(self) -> None:
        await super().close()
        self._path = self._active = self._pending = None
        self._settled.set()
        for task in self._tasks:
            task.cancel()
        agents, self._agents = self._agents, set()
        await asyncio.gather(*(agent.close() for agent in agents), *self._tasks, return_exceptions=True)

    # agents

    def _newest(self) -> IceAgent:
        agent = self.agent
        if agent is None:
            raise ConnectionError("there are no candidates yet, or the ICE transport is closed")
        return agent

    async def _new_agent(self) -> IceAgent:
        hosts: Sequence[str] = (LOOPBACK,)
        if not self._loopback:
            hosts = [LOOPBACK, *get_host_addresses(use_ipv4=True, use_ipv6=True)]
        agent = IceAgent(
            controlling=self._controlling,
            hosts=() if self._relay_only else hosts,
            loopback_only=self._loopback,
            servers=self._servers,
            relay_only=self._relay_only,
            on_data=self.receive,
            on_heard=self._on_heard,
            on_path=self._on_path,
            on_expired=self._on_expired,
        )
        self._agents.add(agent)
        try:
            await agent.gather_candidates()
            if self._state == "closed":
                raise ConnectionError("the ICE transport is closed")
            if not agent.local_candidates:
                raise ConnectionError("no local address could be bound, and no TURN server helped")
        except BaseException:
            await self._discard(agent)
            raise
        return agent

    async def _establish(self, agent: IceAgent, remote: TransportParameters) -> None:
        """Check until the agent has a path, and make it the active one."""
        self._begun = True
        agent.remote_username, agent.remote_password = remote.ufrag, remote.pwd
        agent.remote_is_lite = remote.ice_lite
        if remote.ice_lite and not agent.ice_controlling:
            agent.switch_role(ice_controlling=True)
        for candidate in remote.candidates:
            await agent.add_candidate(candidate)
        if remote.end_of_candidates:
            await agent.add_candidate(None)
        checks = agent.begin()
        await asyncio.wait({checks, agent.nominated}, return_when=asyncio.FIRST_COMPLETED)
        if agent.path is None or self._state == "closed":
            raise ConnectionError(self._explain(agent))
        old, self._active = self._active, agent
        self._pending = None
        self._begun = False
        self._path = agent.path
        self.seen(time.monotonic_ns() // 1000)
        if old is not None:
            self._spawn(self._retire(old))

    def _explain(self, agent: IceAgent) -> str:
        if self._state == "closed":
            return "the ICE transport is closed"
        ignored = agent.counters.candidates_ignored
        if ignored and self._loopback and not agent.remote_candidates:
            return f'all {ignored} candidates of the peer were ignored: only interfaces="all" reaches other machines'
        return f"no answer on any of {len(agent.remote_candidates)} candidates of the peer ({ignored} were ignored)"

    async def _finish_restart(self, agent: IceAgent, remote: TransportParameters) -> None:
        error = ""
        try:
            async with asyncio.timeout(RESTART_TIMEOUT_S):
                await self._establish(agent, remote)
        except (ConnectionError, TimeoutError) as failure:
            # the old path stays, if it still works
            error = str(failure) or f"no path within {RESTART_TIMEOUT_S:g} s"
            logger.info("an ICE restart failed: %s", error)
            await self._discard(agent)
        if self._pending is agent:
            self._pending = None
            self._begun = False
            self._settle(error)
        elif self._active is agent and self._pending is None:
            self._settle("")

    def _settle(self, error: str) -> None:
        self._restart_error = error
        self._settled.set()

    async def _retire(self, agent: IceAgent) -> None:
        await asyncio.sleep(RETIRE_AFTER_S)
        await self._discard(agent)

    async def _discard(self, agent: IceAgent) -> None:
        self._agents.discard(agent)
        await agent.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # events of agents

    def _on_path(self, agent: IceAgent) -> None:
        if agent is self._active:
            self._path = agent.path

    def _on_heard(self, arrival_us: int) -> None:
        self.last_seen_us = arrival_us
        if self._silent:
            self._set_state("connected")

    def _on_expired(self, agent: IceAgent) -> None:
        """The peer does not want our packets any more: none may be sent, whatever it sends itself."""
        if agent is self._active:
            self._path = None
            agent.mute()
            self._spawn(self._discard(agent))
            self._set_state("failed")
