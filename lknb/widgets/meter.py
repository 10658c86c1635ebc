"""What flows of each track of a room, measured twice a second while somebody wants to know.

One request to the core per room and tick, whatever number of views looks at the figures, and from a thread of its own: a
computing cell makes no gap in them.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lknb.errors import LknbError
from lknb.rtc.core_room import CoreRoom

INTERVAL_S = 0.5
WINDOW_INTERVALS = 2
"""Rates are means over a second: a layer of 15 frames a second would jump otherwise."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What came, or went, of one track in the last second."""

    bitrate_bps: float = 0.0
    frames_per_s: float = 0.0
    width: int = 0
    """Of the last picture that was received; 0 for sound and for tracks of ours."""
    height: int = 0
    lost: float = 0.0
    """Part of the packets that did not arrive, from 0 to 1."""
    layers: int = 0
    """Streams of a track of ours that are sent now."""


Flows: TypeAlias = Mapping[str, Flow]
Listener: TypeAlias = Callable[[Flows], None]


@dataclass(frozen=True, slots=True)
class _Count:
    octets: int
    frames: int
    packets: int
    lost: int
    width: int
    height: int
    layers: int


class Meter:
    """Measures one room for its listeners, which are called on the link's thread and must not block."""

    def __init__(self, core: CoreRoom) -> None:
        self._core = weakref.ref(core)
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._counts: deque[tuple[float, dict[str, _Count]]] = deque(maxlen=WINDOW_INTERVALS + 1)

    @classmethod
    def of(cls, core: CoreRoom) -> Meter:
        """The one meter of a room."""
        with _meters_lock:
            meter = _meters.get(core)
            if meter is None:
                meter = _meters[core] = cls(core)
            return meter

    def add(self, listener: Listener) -> None:
        """Call `listener` with every measurement from now on."""
        with self._lock:
            self._listeners.append(listener)
            if self._stop is None:
                self._counts.clear()
                self._stop = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._stop,), name="lknb meter", daemon=True)
                self._thread.start()

    def remove(self, listener: Listener) -> None:
        """Call `listener` no more; with the last one the measuring ends. Harmless twice."""
        with self._lock:
            if listener not in self._listeners:
                return
            self._listeners.remove(listener)
            if self._listeners or self._stop is None or self._thread is None:
                return
            self._stop.set()
            thread, self._stop, self._thread = self._thread, None, None
        if thread is not threading.current_thread():
            thread.join()

    def _run(self, stop: threading.Event) -> None:
        while True:
            core = self._core()
            if core is None:
                return
            if not core.closed:
                request = {"op": "stats", "room": core.handle, "track_sid": None}
                core.client.request_threadsafe(request).add_done_callback(self._take)
            del core
            if stop.wait(INTERVAL_S):
                return

    def _take(self, answered: concurrent.futures.Future[Any]) -> None:
        try:
            stats, _ = answered.result()
        except (LknbError, concurrent.futures.CancelledError):
            # the room was left meanwhile; the views hear of it as an event
            return
        self._counts.append((time.monotonic(), count_tracks(stats)))
        flows = measure(self._counts)
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(flows)


def count_tracks(stats: Mapping[str, Any]) -> dict[str, _Count]:
    """The counters of each track in a reply of the core."""
    received = {sid: _received(stream) for sid, stream in stats.get("received", {}).items()}
    return received | {sid: _sent(streams) for sid, streams in stats.get("sent", {}).items()}


def measure(counts: Sequence[tuple[float, Mapping[str, _Count]]]) -> dict[str, Flow]:
    """From counters at several times, oldest first, to what flows at the end of them."""
    now, last = counts[-1]
    flows = {}
    for sid, count in last.items():
        then, before = next(((at, seen[sid]) for at, seen in counts if sid in seen), (now, count))
        # counters that went back began anew
        if now <= then or count.octets < before.octets:
            flows[sid] = Flow(width=count.width, height=count.height, layers=count.layers)
            continue
        lost = max(0, count.lost - before.lost)
        expected = count.packets - before.packets + lost
        flows[sid] = Flow(
            bitrate_bps=(count.octets - before.octets) * 8 / (now - then),
            frames_per_s=max(0, count.frames - before.frames) / (now - then),
            width=count.width,
            height=count.height,
            lost=lost / expected if expected > 0 else 0.0,
            layers=count.layers,
        )
    return flows


def _received(stream: Mapping[str, Any]) -> _Count:
    return _Count(
        octets=stream["bytes_received"],
        frames=stream["frames_received"],
        packets=stream["packets_received"],
        lost=stream["packets_lost"],
        width=stream["width"],
        height=stream["height"],
        layers=0,
    )


def _sent(streams: Sequence[Mapping[str, Any]]) -> _Count:
    return _Count(
        octets=sum(stream["bytes_sent"] for stream in streams),
        # the layers show the same frames
        frames=max((stream["frames_sent"] for stream in streams), default=0),
        packets=sum(stream["packets_sent"] for stream in streams),
        lost=sum(stream["packets_lost"] for stream in streams),
        width=0,
        height=0,
        layers=sum(bool(stream["enabled"]) for stream in streams),
    )


_meters: weakref.WeakKeyDictionary[CoreRoom, Meter] = weakref.WeakKeyDictionary()
_meters_lock = threading.Lock()
