"""A moving test picture, for when there is no camera."""

from __future__ import annotations

from lknb.codec.layer import plan_layers
from lknb.codec.simulcast import LayerEncoder
from lknb.core.source.pace import Pacer
from lknb.core.source.painter import Color, Painter
from lknb.core.source.threaded import ThreadedSource
from lknb.errors import FrameError, MediaError

MAX_FPS = 60.0
_US_PER_S = 1_000_000


class TestPattern(ThreadedSource):
    """Colour bars with a moving bar, a frame number and a clock; or, with `color`, pictures of one known colour.

    `color` is "#rrggbb" or (r, g, b). Pictures that cannot be made in time are left out; the number counts them.
    Raises `MediaError`.
    """

    __test__ = False  # not for pytest, whatever the name says

    def __init__(
        self,
        *,
        width: int = 1280,
        height: int = 720,
        fps: float = 30.0,
        color: Color | None = None,
        codec: str = "vp8",
        simulcast: bool = True,
        max_bitrate_bps: int | None = None,
        max_fps: float | None = None,
    ) -> None:
        if not 1 <= fps <= MAX_FPS:
            raise MediaError(f"a test pattern has 1 to {MAX_FPS:.0f} frames a second, not {fps}")
        fps = min(fps, max_fps or fps)
        try:
            self._painter = Painter(width, height, color)
            layers = plan_layers(width, height, simulcast=simulcast, max_bitrate_bps=max_bitrate_bps, max_fps=fps)
            self._encoder = LayerEncoder(codec, layers)
        except FrameError as error:
            raise MediaError(f"a test pattern of {width}x{height}: {error.message}") from error
        super().__init__("video", codec, width=width, height=height, layers=layers)
        self._fps = fps
        self._actions["bitrate"] = self._encoder.set_bitrates
        self._actions["layers"] = self._encoder.set_active

    def request_keyframe(self, rid: str = "") -> None:
        self._encoder.request_keyframe(rid)

    def _run(self) -> None:
        pacer = Pacer(self._fps)
        start_us: int | None = None
        while (tick := pacer.wait(self._stopped)) is not None:
            start_us = tick.timestamp_us if start_us is None else start_us
            if self._muted:
                continue
            picture = self._painter.paint(tick.index, (tick.timestamp_us - start_us) / _US_PER_S)
            for frame in self._encoder.encode(picture, tick.timestamp_us):
                self._emit(frame)
