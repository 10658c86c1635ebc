"""Media captured and encoded by a page: camera, microphone, screen. They pass through the core as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from lknb.codec.clock import audio_timestamp, now_us, video_timestamp
from lknb.codec.layer import Layer
from lknb.core.capture_message import Chunk, Done
from lknb.core.source.encoded import Kind, Sink
from lknb.errors import MediaDevicesError, MediaError
from lknb.wire.frame import EncodedFrame

_ACTIONS = ("mute", "layers", "bitrate")
_MIN_BITRATE_BPS = 30_000

_EARLY_US = 1_000_000
_LATE_US = 10_000_000
"""A page under load hands things over late; earlier than they can have come means that a clock was set."""


class PageCommands(Protocol):
    """How a source reaches its page, whatever lane the page has by now. Nothing happens while it has none."""

    def tell(self, header: Mapping[str, Any]) -> None:
        """Say something that needs no answer."""

    def ask(self, header: Mapping[str, Any]) -> Awaitable[Done]:
        """Ask, and wait for the answer. Raises `MediaDevicesError`."""

    def ask_later(self, header: Mapping[str, Any]) -> None:
        """Ask; a fault is told to the kernel as that of the capture. A page without a lane hears it with its next."""

    def release(self, capture: int) -> None:
        """Let the page close this capture, and forget it."""


class PageClock:
    """The clock of one page on the monotonic clock of this machine: one offset for all it captures, so that its sound
    and its pictures keep step. It is found again when the page's clock was set, or the page slept."""

    def __init__(self, clock_us: Callable[[], int] = now_us) -> None:
        self._clock_us = clock_us
        self._offset_us: int | None = None

    def timestamp_us(self, page_us: int) -> int:
        """When the page captured what it stamped with `page_us`, and what has just arrived."""
        offset_us = self._clock_us() - page_us
        if self._offset_us is None or not -_EARLY_US <= offset_us - self._offset_us <= _LATE_US:
            self._offset_us = offset_us
        return page_us + self._offset_us


class PageSource:
    """One device of one page. The page's session calls `push` with each of its chunks.

    A muted camera is let go of by the page, and taken again at the end of it; a muted microphone sends nothing. Raises
    `MediaError` for wishes no page can fulfil.
    """

    def __init__(
        self,
        capture: int,
        commands: PageCommands,
        clock: PageClock,
        *,
        device: str,
        kind: Kind,
        codec: str,
        layers: Sequence[Layer] = (),
        encode: Mapping[str, Any] | None = None,
    ) -> None:
        self.device = device
        self.kind: Kind = kind
        self.codec = codec
        self.layers = tuple(layers)
        self.width = self.layers[-1].width if self.layers else 0
        self.height = self.layers[-1].height if self.layers else 0
        self.stereo = False
        self.capture = capture
        self.on_ended: Callable[[str | None], None] | None = None
        self._commands = commands
        self._clock = clock
        self._encode = dict(encode or {})
        self._sink: Sink | None = None
        self._stopped = False
        self._muted = False
        self._wanted_rids = frozenset(self._own_rids)
        self._bitrates_bps = {layer.rid: layer.max_bitrate_bps for layer in self.layers}
        self._told_layers: list[dict[str, Any]] = []

    @property
    def adapts(self) -> bool:
        return self.kind == "video"

    @property
    def rids(self) -> tuple[str, ...]:
        return tuple(layer.rid for layer in self.layers if layer.rid)

    @property
    def _own_rids(self) -> tuple[str, ...]:
        return self.rids or ("",)

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self.resume()

    def resume(self) -> None:
        """Tell the page all there is to know: at the start, and when it has a new lane."""
        if self._sink is None or self._stopped:
            return
        layers = [
            {
                "rid": it.rid,
                "width": it.width,
                "height": it.height,
                "bitrate_bps": it.max_bitrate_bps,
                "fps": it.max_fps,
            }
            for it in self.layers
        ]
        self._commands.tell(
            {"type": "encode", "capture": self.capture, "codec": self.codec, "layers": layers, **self._encode}
        )
        self._told_layers = []
        if self.layers:
            self._tell_layers()
        self._commands.ask_later({"type": "mute", "capture": self.capture, "muted": self._muted})

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._sink = None
            self._commands.release(self.capture)

    def end(self, reason: str) -> None:
        """The page has it no more."""
        if not self._stopped:
            self._stopped = True
            self._sink = None
            if self.on_ended is not None:
                self.on_ended(reason)

    def push(self, chunk: Chunk) -> None:
        """One chunk of the page; dropped before `start`, after `stop`, while muted, and when it is of no layer of ours."""
        if self._sink is None or self._muted or chunk.rid not in self._own_rids:
            return
        timestamp_us = max(0, self._clock.timestamp_us(chunk.timestamp_us))
        convert = audio_timestamp if self.kind == "audio" else video_timestamp
        self._sink(
            EncodedFrame(
                codec=self.codec,
                data=chunk.data,
                timestamp=convert(timestamp_us),
                keyframe=chunk.keyframe if self.kind == "video" else False,
                timestamp_us=timestamp_us,
                width=chunk.width,
                height=chunk.height,
                rid=chunk.rid,
                audio_level=chunk.audio_level,
            )
        )

    def request_keyframe(self, rid: str = "") -> None:
        if self.kind == "video" and self._sink is not None:
            self._commands.tell({"type": "keyframe", "capture": self.capture, "rid": rid})

    async def acquire(self) -> None:
        """Take the device again after a mute, and wait until the page has it. Raises `MediaDevicesError`. When cancelled the
        page lets go of it."""
        # what the page was told last: a mute that comes before its answer holds
        self._muted = False
        try:
            await self._commands.ask({"type": "mute", "capture": self.capture, "muted": False})
        except asyncio.CancelledError:
            self.control("mute", muted=True)
            raise
        except MediaDevicesError:
            self._muted = True
            raise

    async def switch(self, device_id: str) -> Done:
        """Go on with another device of the same kind. Raises `MediaDevicesError`, and keeps the old one then."""
        return await self._commands.ask({"type": "switch", "capture": self.capture, "device_id": device_id})

    def control(self, action: str, **parameters: Any) -> None:
        if action not in _ACTIONS:
            raise MediaError(f"there is no action {action!r}; a source of the page knows {', '.join(_ACTIONS)}")
        if action == "mute":
            muted = bool(parameters["muted"])
            if muted != self._muted and not self._stopped:
                self._muted = muted
                self._commands.ask_later({"type": "mute", "capture": self.capture, "muted": muted})
        elif not self.layers:
            raise MediaError(f"{action} is for pictures")
        elif action == "layers":
            self._wanted_rids = frozenset(parameters["rids"])
            self._tell_layers()
        else:
            self._bitrates_bps |= {rid: int(bps) for rid, bps in parameters["bitrates_bps"].items()}
            self._tell_layers()

    def _tell_layers(self) -> None:
        told = [
            {"rid": it.rid, "bitrate_bps": min(max(self._bitrates_bps[it.rid], _MIN_BITRATE_BPS), it.max_bitrate_bps)}
            for it in self.layers
            if it.rid in self._wanted_rids
        ]
        if told != self._told_layers and self._sink is not None:
            self._told_layers = told
            self._commands.tell({"type": "layers", "capture": self.capture, "layers": told})
