"""The widget comm, made safe for other threads and for kernels at work.

ipykernel's own ways do not fit a stream that runs beside the user's cells. Measured on 6.31 to 7.4:

- A send from another thread fails (7.0: LookupError), or takes the last request as its parent, and disturbs the routing of
  replies (7.4). The session's own `send` with an empty parent does neither; it queues to the IOPub thread.
- 7.4 routes a comm's replies to the shell that last sent on it. A widget made in a cell is so pinned to the main shell, and
  hears nothing while a cell runs.
- Every comm message triggers `post_execute`, which on a subshell closes the figures the running cell is still drawing:
  matplotlib users lose them.

All of it is private API: where a version has it not, nothing is done.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class _Handled(threading.local):
    """The comm message this thread handles just now."""

    message: Mapping[str, Any] | None = None


_handled = _Handled()


def harden(comm: Any) -> None:
    """Take one comm out of reply routing and of the execution hooks; to be called right after it was made."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
    if hasattr(comm, "_msg_callback"):

        def handle_msg(message: Any) -> None:
            if comm._msg_callback is None:
                return
            _handled.message = message
            try:
                comm._msg_callback(message)
            finally:
                _handled.message = None

        comm.handle_msg = handle_msg


def send(comm: Any, data: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
    """Send a comm message, from any thread.

    While a message of the page is handled it is the parent: by that JupyterLab, reloaded under a busy kernel, recognises
    the states it asked for. Otherwise there is none. Buffers go out later, on the IOPub thread, and without a copy: they
    must never change again.
    """
    kernel = getattr(comm, "kernel", None)
    session = getattr(kernel, "session", None)
    if kernel is None or session is None:
        comm.send(data=dict(data), buffers=list(buffers) or None)
        return
    content = {"data": _json_clean(data), "comm_id": comm.comm_id}
    session.send(
        kernel.iopub_socket,
        "comm_msg",
        content,
        parent=_handled.message or {},
        ident=comm.topic,
        buffers=list(buffers) or None,
    )


def publish_display(data: Mapping[str, Any], display_id: str | None = None, *, update: bool = False) -> None:
    """Display MIME types and data in the cell that runs."""
    from IPython.display import display

    display(dict(data), raw=True, display_id=display_id, update=update)  # type: ignore[no-untyped-call]


def update_display(display_id: str, data: Mapping[str, Any]) -> None:
    """Replace what is displayed under this id, from any thread."""
    kernel = _kernel()
    if kernel is None:
        publish_display(data, display_id, update=True)
        return
    content = {"data": _json_clean(data), "metadata": {}, "transient": {"display_id": display_id}}
    kernel.session.send(kernel.iopub_socket, "update_display_data", content, parent={}, ident=b"update_display_data")


def kernel_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop cells run on, or None outside a kernel."""
    loop = getattr(getattr(_kernel(), "io_loop", None), "asyncio_loop", None)
    return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def call_on_kernel_loop(callback: Callable[[], None]) -> None:
    """Run `callback` where cells run: at once when that is here, or when there is no such loop; else soon.

    Observers of traits are the user's code, which expects the thread of its cells. While a cell computes they wait.
    """
    loop = kernel_loop()
    if loop is None or not loop.is_running() or _runs_here(loop):
        callback()
    else:
        loop.call_soon_threadsafe(callback)


def cell_is_running() -> bool:
    """Whether a cell is under way, awaiting or not: a kernel without subshells hears no page until it has ended."""
    return _cells.running


class _Cells:
    """Follows the execution of cells. This module is imported by one, if there are any."""

    def __init__(self) -> None:
        self.running = False
        kernel = _kernel()
        events = getattr(getattr(kernel, "shell", None), "events", None)
        if events is not None:
            self.running = True
            events.register("pre_run_cell", self._begin)
            events.register("post_run_cell", self._end)

    def _begin(self, *_: Any) -> None:
        self.running = True

    def _end(self, *_: Any) -> None:
        self.running = False


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _kernel() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return getattr(get_ipython(), "kernel", None)


def _json_clean(data: Mapping[str, Any]) -> Any:
    try:
        from ipykernel.jsonutil import json_clean
    except ImportError:
        return dict(data)
    return json_clean(dict(data))  # type: ignore[no-untyped-call]


_cells = _Cells()
