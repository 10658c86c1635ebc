"""One open source, and everybody who takes its frames: publications in rooms, and views of our own camera."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from lknb.core.source import EncodedSource
from lknb.core.track import Fanout, Sink
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame

logger = logging.getLogger(__name__)

_IN_FLIGHT_MAX = 256


class Feed:
    """A source on the event loop.

    It starts with its first sink and stops at `close`. Frames made in worker threads hop onto the loop; when the loop lags
    so far that 256 of them wait, each layer pauses until its next key frame, so that no sink sees a broken stream.
    """

    def __init__(self, handle: int, source: EncodedSource, on_ended: Callable[[str | None], None]) -> None:
        self.handle = handle
        self.source = source
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._fanout = Fanout(source.kind)
        self._running = False
        self._in_flight = 0
        self._paused_rids: set[str] = set()
        self._wanted_rids: dict[Sink, frozenset[str]] = {}
        self._told = frozenset(source.rids or ("",))
        self._aims_bps: dict[Sink, Mapping[str, int]] = {}
        self._told_bps: dict[str, int] = {}
        source.on_ended = lambda error: self._hop(partial(on_ended, error))

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self.source.kind

    @property
    def adapts(self) -> bool:
        """Whether the encoders follow a bitrate (see `aim`)."""
        return self.source.adapts

    def attach(self, sink: Sink, *, keyframe: bool = True) -> None:
        """Deliver frames of all layers to `sink`, from a key frame on."""
        self._fanout.add(sink, keyframe=keyframe)
        if not self._running and not self.closed:
            self._running = True
            self.source.start(self._take)
            self._tell_bitrates()
        elif keyframe:
            self.request_keyframe()

    def detach(self, sink: Sink) -> None:
        """Deliver no more."""
        self._fanout.remove(sink)
        self._wanted_rids.pop(sink, None)
        self._aims_bps.pop(sink, None)
        self._tell_source()
        self._tell_bitrates()

    def want(self, sink: Sink, rids: Iterable[str] | None) -> None:
        """Which layers this sink has a use for; None for all, nothing for a track that is muted.

        The source rests while no sink wants anything, and spares the layers nobody wants.
        """
        if rids is None:
            self._wanted_rids.pop(sink, None)
        else:
            self._wanted_rids[sink] = frozenset(rids)
        self._tell_source()

    def aim(self, sink: Sink, bitrates_bps: Mapping[str, int]) -> None:
        """What each layer, by rid, may take on the way to this sink. Of several sinks the narrowest way counts."""
        self._aims_bps[sink] = bitrates_bps
        self._tell_bitrates()

    def request_keyframe(self, rid: str = "") -> None:
        """Ask the encoder for a key frame of one layer, or of all."""
        if not self.closed and self.kind == "video":
            self.source.request_keyframe(rid)

    def close(self) -> None:
        """Stop the source for good; harmless twice."""
        self.closed = True
        self.source.stop()

    def _tell_source(self) -> None:
        if self.closed or not self._running:
            return
        everything = frozenset(self.source.rids or ("",))
        unrestricted = len(self._fanout) > len(self._wanted_rids)
        wanted = everything if unrestricted else frozenset().union(*self._wanted_rids.values())
        if wanted == self._told:
            return
        before, self._told = self._told, wanted
        if bool(wanted) != bool(before):
            self.source.control("mute", muted=not wanted)
        if wanted and self.source.rids:
            try:
                self.source.control("layers", rids=[rid for rid in self.source.rids if rid in wanted])
            except MediaError:
                logger.debug("the source %d has no layers to spare", self.handle)

    def _tell_bitrates(self) -> None:
        if self.closed or not self._running or not self.adapts:
            return
        narrowest: dict[str, int] = {}
        for bitrates_bps in self._aims_bps.values():
            for rid, bitrate_bps in bitrates_bps.items():
                narrowest[rid] = min(bitrate_bps, narrowest.get(rid, bitrate_bps))
        changed = {rid: bps for rid, bps in narrowest.items() if bps != self._told_bps.get(rid)}
        if changed:
            self._told_bps |= changed
            self.source.control("bitrate", bitrates_bps=changed)

    def _take(self, frame: EncodedFrame) -> None:
        if threading.get_ident() == self._thread_id:
            self._fanout.deliver(frame)
            return
        if self._in_flight >= _IN_FLIGHT_MAX:
            self._paused_rids.add(frame.rid)
        elif frame.rid in self._paused_rids and self.kind == "video" and not frame.keyframe:
            self.request_keyframe(frame.rid)
        else:
            self._paused_rids.discard(frame.rid)
            self._in_flight += 1
            self._hop(partial(self._deliver, frame))

    def _deliver(self, frame: EncodedFrame) -> None:
        self._in_flight -= 1
        if not self.closed:
            self._fanout.deliver(frame)

    def _hop(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            # the loop is closed, and with it everybody who wanted frames
            self.closed = True
