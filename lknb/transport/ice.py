"""What both kinds of ICE have in common: where datagrams go, and when silence means that the peer is gone."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lknb.wire.sdp import TransportParameters

IceState = Literal["new", "connected", "disconnected", "failed", "closed"]

MAX_QUEUED_DTLS = 1024
"""DTLS datagrams kept for a handshake that has not started, or a loop that lags."""


@dataclass(slots=True)
class IceCounters:
    """What happened to the datagrams of one transport after its socket."""

    unknown_kind: int = 0
    """First byte is neither DTLS nor SRTP (RFC 7983)."""
    dtls_dropped: int = 0
    """The queue for DTLS was full."""


class IceTransport(ABC):
    """The path to one peer. Under `DtlsTransport` it stands for aiortc's `RTCIceTransport`: `role`, `_recv`, `_send`.

    The state goes new -> connected <-> disconnected -> failed, as silence lasts; anything heard from the peer makes it
    connected again. `closed` is final.
    """

    lite = False

    def __init__(self, *, disconnected_after_s: float, failed_after_s: float) -> None:
        self.on_srtp: Callable[[bytes, int], None] = _ignore_srtp
        self.on_state: Callable[[IceState], None] = _ignore_state
        self.counters = IceCounters()
        self.last_seen_us = 0
        """Arrival of the last datagram from the peer, microseconds of the monotonic clock."""
        self._disconnected_after_us = int(disconnected_after_s * 1e6)
        self._failed_after_us = int(failed_after_s * 1e6)
        self._state: IceState = "new"
        self._silent = False
        self._timer: asyncio.TimerHandle | None = None
        self._dtls_queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    @property
    def state(self) -> IceState:
        return self._state

    @property
    def role(self) -> str:
        """ "controlling" or "controlled" (RFC 8445 section 6.1.1)."""
        return "controlled"

    @abstractmethod
    async def gather(self) -> None:
        """Make the local candidates; idempotent."""

    @abstractmethod
    def credentials(self) -> tuple[str, str]:
        """The user fragment and password to put into the next local description."""

    @abstractmethod
    def candidates(self) -> tuple[str, ...]:
        """The local candidates, "candidate:..."."""

    @abstractmethod
    async def connect(self, remote: TransportParameters) -> None:
        """Return when there is a path to the peer. ConnectionError when there is none, or it is closed."""

    @abstractmethod
    async def update_remote(self, remote: TransportParameters) -> None:
        """A later description: new candidates; other credentials are an ICE restart (RFC 8839 section 4.4.1.1.1).

        After it `credentials()` and `candidates()` are those for the answer.
        """

    @abstractmethod
    async def restart(self) -> None:
        """Make new local credentials for the next offer; the old path is used until the new one is up."""

    @abstractmethod
    async def add_candidate(self, candidate: str | None) -> None:
        """One trickled candidate, "candidate:..."; "" or None ends them. What cannot be used is ignored."""

    @abstractmethod
    async def wait_restarted(self) -> None:
        """Return when no restart is under way. ConnectionError when the restart failed."""

    @abstractmethod
    def send(self, data: bytes | memoryview) -> None:
        """Send to the peer now; nothing happens while there is no path."""

    async def close(self) -> None:
        """Release everything; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._state != "closed":
            self._set_state("closed")
            self._dtls_queue.put_nowait(None)

    # what RTCDtlsTransport asks of an RTCIceTransport

    async def _recv(self) -> bytes:
        data = None if self._state == "closed" else await self._dtls_queue.get()
        if data is None or self._state == "closed":
            raise ConnectionError("the ICE transport is closed")
        return data

    async def _send(self, data: bytes) -> None:
        self.send(data)

    # for the subclasses

    def receive(self, data: bytes, arrival_us: int) -> None:
        """One datagram of the peer that is not STUN (RFC 7983)."""
        self.last_seen_us = arrival_us
        if self._silent:
            self._set_state("connected")
        first = data[0]
        if 127 < first < 192:
            self.on_srtp(data, arrival_us)
        elif 19 < first < 64:
            if self._dtls_queue.qsize() < MAX_QUEUED_DTLS:
                self._dtls_queue.put_nowait(data)
            else:
                self.counters.dtls_dropped += 1
        else:
            self.counters.unknown_kind += 1

    def seen(self, arrival_us: int) -> None:
        """The peer answered or asked a check."""
        self.last_seen_us = arrival_us
        if self._state != "connected":
            self._set_state("connected")

    def _set_state(self, state: IceState) -> None:
        if state == self._state or self._state == "closed":
            return
        self._state = state
        self._silent = state in ("disconnected", "failed")
        if state == "connected" and self._timer is None:
            self._watch()
        self.on_state(state)

    def _watch(self) -> None:
        """Look at the silence again when it could have become too long."""
        silence_us = time.monotonic_ns() // 1000 - self.last_seen_us
        self._timer = None
        if silence_us >= self._failed_after_us:
            self._set_state("failed")
            return
        if silence_us >= self._disconnected_after_us:
            limit_us = self._failed_after_us
            self._set_state("disconnected")
        else:
            limit_us = self._disconnected_after_us
        if self._state != "closed" and self._timer is None:
            delay_s = max(limit_us - silence_us, 0) / 1e6 + 0.01
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._watch)


def _ignore_srtp(data: bytes, arrival_us: int) -> None:
    del data, arrival_us


def _ignore_state(state: IceState) -> None:
    del state
