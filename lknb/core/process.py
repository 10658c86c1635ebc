"""The life of a core process: from its socket to its end, which must come soon after its kernel's."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from lknb.core.child import LOG_VARIABLE
from lknb.core.dispatch import Dispatcher
from lknb.core.link import KernelLink
from lknb.core.operation import RoomCore

logger = logging.getLogger(__name__)

PARENT_POLL_S = 0.5
LEAVE_LIMIT_S = 1.5
_PR_SET_PDEATHSIG = 1


def run(sock: socket.socket, parent_pid: int, *, die_with_parent: bool) -> None:
    """Serve the kernel behind `sock` until it is gone; at most `LEAVE_LIMIT_S` longer."""
    _configure_logging()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve(sock, parent_pid, die_with_parent=die_with_parent))
    # threads of codecs or resolvers may still be in a call; nothing is left that they could finish
    logging.shutdown()
    os._exit(0)


async def _serve(sock: socket.socket, parent_pid: int, *, die_with_parent: bool) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if die_with_parent:
        _end_with_parent()
    _watch_parent(parent_pid, lambda: loop.call_soon_threadsafe(ended.set))
    link = await serve_link(sock, ended)
    link.close()


async def serve_link(sock: socket.socket, ended: asyncio.Event) -> KernelLink:
    """Answer the kernel behind `sock` until it hangs up or `ended` is set, then leave all rooms."""
    link = await KernelLink.open(sock)
    core = RoomCore(link)
    dispatcher = Dispatcher(core, link.send)
    link.start(dispatcher.handle)
    waits = [asyncio.ensure_future(link.lost.wait()), asyncio.ensure_future(ended.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await _leave(dispatcher, core)
    return link


async def _leave(dispatcher: Dispatcher, core: RoomCore) -> None:
    try:
        async with asyncio.timeout(LEAVE_LIMIT_S):
            await dispatcher.close()
            await core.close()
    except TimeoutError:
        logger.warning("some rooms were left without a word: closing them took too long")


def _configure_logging() -> None:
    level = os.environ.get(LOG_VARIABLE, "WARNING").upper()
    known = logging.getLevelNamesMapping()
    logging.basicConfig(
        level=known.get(level, logging.DEBUG),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def _end_with_parent() -> None:
    """Ask Linux for SIGTERM when the thread that started us ends; elsewhere polling has to do."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _watch_parent(parent_pid: int, on_gone: Callable[[], object]) -> None:
    """The end of the socket is not enough to see the kernel die: a child it forked may hold the socket open."""

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(PARENT_POLL_S)
        try:
            on_gone()
        except RuntimeError:
            return  # the loop is closed: we are leaving already
        # a loop stuck in some call must not keep an orphan alive
        time.sleep(LEAVE_LIMIT_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
