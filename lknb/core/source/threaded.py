"""What sources that run by themselves have in common: a thread, a sink, and an end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from lknb.codec.layer import Layer
from lknb.core.source.encoded import Kind, Sink
from lknb.errors import MediaError
from lknb.wire.frame import EncodedFrame

logger = logging.getLogger(__name__)

_JOIN_S = 1.0

Action = Callable[..., dict[str, Any] | None]


class ThreadedSource:
    """An `EncodedSource` with a daemon thread of its own. Subclasses have `_run`, and put their actions into
    `_actions`."""

    def __init__(
        self,
        kind: Kind,
        codec: str,
        *,
        width: int = 0,
        height: int = 0,
        layers: tuple[Layer, ...] = (),
        stereo: bool = False,
    ) -> None:
        self.kind: Kind = kind
        self.codec = codec
        self.width = width
        self.height = height
        self.layers = layers
        self.stereo = stereo
        self.on_ended: Callable[[str | None], None] | None = None
        self._stopped = threading.Event()
        self._muted = False
        self._sink: Sink | None = None
        self._thread: threading.Thread | None = None
        self._actions: dict[str, Action] = {"mute": self._mute}

    @property
    def adapts(self) -> bool:
        return "bitrate" in self._actions

    @property
    def rids(self) -> tuple[str, ...]:
        return tuple(layer.rid for layer in self.layers if layer.rid)

    def start(self, sink: Sink) -> None:
        if self._thread is not None or self._stopped.is_set():
            return
        self._sink = sink
        self._thread = threading.Thread(target=self._main, name=f"lknb-{type(self).__name__}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def request_keyframe(self, rid: str = "") -> None:
        """Nothing to do for sound."""

    def control(self, action: str, **parameters: Any) -> dict[str, Any] | None:
        known = self._actions.get(action)
        if known is None:
            raise MediaError(f"there is no action {action!r}; this source knows {', '.join(self._actions)}")
        try:
            return known(**parameters)
        except (TypeError, ValueError) as error:
            raise MediaError(f"the parameters of {action!r} are wrong: {error}") from error

    def _run(self) -> None:
        """Make frames until `_stopped` is set, or the source has ended by itself."""
        raise NotImplementedError

    def _wake(self) -> None:
        """Let the thread look at what was changed from outside, if it waits for anything but `_stopped`."""

    def _mute(self, muted: bool) -> None:
        was_muted, self._muted = self._muted, muted
        if was_muted and not muted:
            self.request_keyframe()

    def _emit(self, frame: EncodedFrame) -> None:
        if self._sink is not None and not self._stopped.is_set():
            self._sink(frame)

    def _end(self, reason: str | None) -> None:
        if self.on_ended is not None and not self._stopped.is_set():
            self.on_ended(reason)

    def _main(self) -> None:
        try:
            self._run()
        except MediaError as error:
            self._end(error.message)
        except Exception as error:
            # whatever it is, the publisher is to hear of it rather than to see a picture that stands still
            logger.exception("a source failed")
            self._end(f"the source failed: {error!r}")
