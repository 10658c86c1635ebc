"""The kernel's end of the link: a socket, its daemon thread, and sends that never block and never take a lock for long.

Sends may come from any thread, from a finaliser in the middle of another send, or next to a cell that keeps the
interpreter lock: so a sender tries the socket itself, and only what the socket does not take waits for the thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable

from lknb.core.message import Message, MessageDecoder
from lknb.errors import WireError

logger = logging.getLogger(__name__)

MEDIA_LIMIT_BYTES = 1024 * 1024
CONTROL_LIMIT_BYTES = 64 * 1024 * 1024
_READ_BYTES = 256 * 1024
_TAIL_BYTES = 8 * 1024


class Channel:
    """Whole messages in and out of one stream socket.

    `on_message` and `on_close` run on the channel's thread. `on_close(reason)` comes once, when the peer or the socket is
    gone; not after `close()`. `log_fd` is a pipe to keep the last 8 KiB of (the core's stderr), or None.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_message: Callable[[Message], None],
        on_close: Callable[[str], None],
        log_fd: int | None = None,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._on_message = on_message
        self._on_close = on_close
        self._log_fd = log_fd
        self._log_tail = b""
        self._decoder = MessageDecoder()
        self._queue: deque[memoryview] = deque()
        self._queued_bytes = 0
        self._sending = threading.Lock()
        self._blocked = False
        self._closed = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="lknb-core-link", daemon=True)

    def start(self) -> None:
        """Begin to read. Messages can be sent before."""
        self._thread.start()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def log_tail(self) -> str:
        """The last lines the peer wrote to the log pipe."""
        return self._log_tail.decode(errors="replace").strip()

    def send(self, data: bytes, *, media: bool = False) -> bool:
        """Send or queue one message; False when it was dropped: the channel is closed, or too much waits already.

        Media gives up at 1 MiB waiting, anything else at 64 MiB.
        """
        limit = MEDIA_LIMIT_BYTES if media else CONTROL_LIMIT_BYTES
        # A finaliser may send between any two bytecodes of another send, so the count can drift; it means
        # something only while something waits, and starts again from nothing whenever the queue runs empty.
        if self._closed or (self._queue and self._queued_bytes + len(data) > limit):
            return False
        self._queued_bytes += len(data)
        self._queue.append(memoryview(data))
        self._flush()
        return True

    def close(self) -> None:
        """Stop the thread and close the socket. From any thread, also the channel's own; harmless twice."""
        self._closed = True
        self._wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)
        if not self._thread.is_alive():
            self._close_files()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's files without a word to the peer."""
        self._closed = True
        self._close_files()

    def _close_files(self) -> None:
        for file in (self._socket, self._wake_reader, self._wake_writer):
            file.close()
        if self._log_fd is not None:
            os.close(self._log_fd)
            self._log_fd = None

    def _wake(self) -> None:
        # full means the thread is about to wake up anyway, closed that there is no thread any more
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"\0")

    def _flush(self) -> None:
        # Whoever appends while another thread holds the lock leaves its message to that thread, which looks at
        # the queue again after it has let go of the lock.
        while self._queue and not self._blocked and self._sending.acquire(blocking=False):
            try:
                self._write_queue()
            finally:
                self._sending.release()

    def _write_queue(self) -> None:
        while self._queue:
            waiting = self._queue[0]
            try:
                sent = self._socket.send(waiting)
            except BlockingIOError:
                self._blocked = True
                self._wake()
                return
            except OSError:
                # the reading side finds out why and tells
                self._queue.clear()
                break
            if sent == len(waiting):
                self._queue.popleft()
                self._queued_bytes -= sent
            else:
                self._queue[0] = waiting[sent:]
                self._queued_bytes -= sent
        self._queued_bytes = 0

    def _run(self) -> None:
        reason = "the link broke"
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ, self._read_socket)
            selector.register(self._wake_reader, selectors.EVENT_READ, self._read_wake)
            if self._log_fd is not None:
                selector.register(self._log_fd, selectors.EVENT_READ, self._read_log)
            try:
                self._loop(selector)
            except EOFError:
                reason = "it closed the link"
            except (OSError, WireError) as error:
                reason = f"the link broke: {error}"
        if self._closed:
            self._close_files()
            return
        self._closed = True
        self._drain_log()
        self._close_files()
        self._on_close(reason)

    def _loop(self, selector: selectors.BaseSelector) -> None:
        while not self._closed:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._blocked else 0)
            if selector.get_key(self._socket).events != events:
                selector.modify(self._socket, events, self._read_socket)
            for key, ready in selector.select():
                if ready & selectors.EVENT_WRITE:
                    self._blocked = False
                    self._flush()
                if ready & selectors.EVENT_READ and not key.data():
                    selector.unregister(key.fileobj)

    def _read_socket(self) -> bool:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            raise EOFError
        for message in self._decoder.feed(data):
            try:
                self._on_message(message)
            except Exception:
                # one handler's fault must not cost every room of the notebook its link
                logger.exception("a handler of the room core's messages failed")
        return True

    def _read_wake(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)
        return True

    def _read_log(self) -> bool:
        if self._log_fd is None:
            return False
        data = os.read(self._log_fd, 65536)
        self._log_tail = (self._log_tail + data)[-_TAIL_BYTES:]
        return bool(data)

    def _drain_log(self) -> None:
        if self._log_fd is None:
            return
        os.set_blocking(self._log_fd, False)
        with contextlib.suppress(OSError):
            while self._read_log():
                pass
