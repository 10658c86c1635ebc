"""The core's end of the link to its kernel: an asyncio protocol that tells when media no longer fit."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lknb.core.message import Buffer, Message, MessageDecoder, encode_message
from lknb.errors import WireError

logger = logging.getLogger(__name__)

MEDIA_LIMIT_BYTES = 512 * 1024
CONTROL_LIMIT_BYTES = 64 * 1024 * 1024


class KernelLink(asyncio.Protocol):
    """Messages to and from the kernel.

    A busy kernel reads late. Control messages wait for it, up to 64 MiB; media only while less than 512 KiB is waiting:
    `has_room` says so, and `on_room` callbacks run when room has come back.
    """

    def __init__(self) -> None:
        self._on_message: Callable[[Message], None] | None = None
        self._decoder = MessageDecoder()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._overflowing = False
        self._room_callbacks: list[Callable[[], None]] = []
        self.lost = asyncio.Event()

    @classmethod
    async def open(cls, sock: socket.socket) -> KernelLink:
        """The link over this connected stream socket. It reads nothing before `start`."""
        sock.setblocking(False)
        _, link = await asyncio.get_running_loop().create_connection(cls, sock=sock)
        return link

    def start(self, on_message: Callable[[Message], None]) -> None:
        """Give every message of the kernel to `on_message`."""
        self._on_message = on_message
        if self._transport is not None:
            self._transport.resume_reading()

    @property
    def has_room(self) -> bool:
        """Whether a media frame may be sent now."""
        return self._transport is not None and not self._paused and not self.lost.is_set()

    @property
    def waiting_bytes(self) -> int:
        """How much the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call once when `has_room` becomes true again."""
        self._room_callbacks.append(callback)

    def send(self, header: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> None:
        """Send or queue one message. Nothing happens when the kernel is gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > CONTROL_LIMIT_BYTES:
            if not self._overflowing:
                logger.warning("the kernel has not read its events for long; events are dropped")
            self._overflowing = True
            return
        self._overflowing = False
        transport.write(encode_message(header, buffers))

    def close(self) -> None:
        """Close the socket once all is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        transport.set_write_buffer_limits(high=MEDIA_LIMIT_BYTES, low=MEDIA_LIMIT_BYTES // 4)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._decoder.feed(data)
        except WireError:
            logger.exception("the kernel's messages cannot be read")
            self.lost.set()
            return
        if self._on_message is not None:
            for message in messages:
                self._on_message(message)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        callbacks, self._room_callbacks = self._room_callbacks, []
        for callback in callbacks:
            callback()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.lost.set()
