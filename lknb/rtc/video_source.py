"""Pictures that the notebook makes: numpy arrays, PIL images or frames, encoded in a thread and sent."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lknb.codec import pixel
from lknb.codec.clock import now_us
from lknb.codec.layer import MIN_SIDE_PIXELS, plan_layers
from lknb.codec.simulcast import LayerEncoder
from lknb.errors import CoreError, FrameError, MediaError
from lknb.rtc.argument import check_flag
from lknb.rtc.capture_clock import CaptureClock
from lknb.rtc.source import Encoding, Kind, OpenSource
from lknb.rtc.video_buffer_type import VideoBufferType, VideoRotation, format_name
from lknb.rtc.video_frame import VideoFrame
from lknb.rtc.video_output import VideoOutput

if TYPE_CHECKING:
    import av
    from PIL.Image import Image

    from lknb.core.client import CoreClient

logger = logging.getLogger(__name__)

_US_PER_S = 1_000_000
_LAST_US = 2**63
"""Microseconds since any zero fit into this."""

# When a key frame is asked for, or the last picture was not sent in all layers, a new one is waited for so long; then
# the last one is sent again. So a picture that nothing follows reaches everybody.
_REPEAT_AFTER_US = 100_000


@dataclass(frozen=True, slots=True)
class _Capture:
    picture: av.VideoFrame
    timestamp_us: int
    degrees: int


class VideoSource:
    """Where a local video track gets its pictures from.

    `width` and `height` are what is announced and what the layers are planned for; pictures of another size are sent
    in theirs. They are encoded in one thread, only while a track of the source is published, and the newest wins:
    whoever captures faster than can be encoded loses pictures, not time. With `is_screencast` bitrates and layers are
    those of a screen share.

    Raises `FrameError` for sides below 18 or above 4,096 pixels.
    """

    kind: Kind = "video"

    def __init__(self, width: int, height: int, *, is_screencast: bool = False) -> None:
        check_flag("is_screencast", is_screencast)
        pixel.check_size(width, height)
        if min(width, height) < MIN_SIDE_PIXELS:
            raise FrameError(f"expected sides of at least {MIN_SIDE_PIXELS} pixels, got {width}x{height}")
        self.width = int(width)
        self.height = int(height)
        self.is_screencast = is_screencast
        self._changed = threading.Condition()
        self._outputs: dict[int, VideoOutput] = {}
        self._thread: threading.Thread | None = None
        self._clock = CaptureClock()
        self._new: _Capture | None = None
        self._last: _Capture | None = None
        self._repeat_at_us: int | None = None
        self._closed = False

    def capture_frame(
        self,
        frame: VideoFrame | NDArray[np.uint8] | Image | av.VideoFrame,
        *,
        timestamp_us: int = 0,
        rotation: VideoRotation | int = VideoRotation.VIDEO_ROTATION_0,
        metadata: object | None = None,
        format: str | VideoBufferType | None = None,
    ) -> None:
        """Send a picture: a VideoFrame, an array of uint8, a PIL image or an `av.VideoFrame`.

        Of an array the shape says what it holds, strided, read-only or not: (height, width, 3) is RGB, (height,
        width, 4) RGBA, (height, width) or (height, width, 1) gray. Where that is not so, `format` says it: "rgb24",
        "bgr24" (OpenCV), "rgba", "bgra", "argb", "abgr", "gray", and "i420" or "nv12" for (height * 3 / 2, width) with
        even sides; also in capitals, "RGB" and "BGR" for short, or as VideoBufferType.

        It is copied; the call returns at once, from any thread. `timestamp_us` is when it was taken, on any clock of
        the caller's, 0 is now. `rotation` turns it clockwise. `metadata` is not sent. Raises `FrameError`, which says
        what was expected. Nothing happens once the source is closed.
        """
        if not isinstance(timestamp_us, Real) or not abs(timestamp_us) < _LAST_US:
            raise FrameError(f"expected timestamp_us as a number of microseconds, got {timestamp_us!r}")
        if rotation not in VideoRotation.values():
            raise FrameError(f"expected a VideoRotation, got {rotation!r}")
        picture = as_picture(frame, format_name(format), i420=self._is_encoded)
        degrees = VideoRotation(rotation).degrees
        self._take(picture, degrees, lambda: self._clock.place(int(timestamp_us), now_us()))

    async def aclose(self) -> None:
        """Take no more pictures; tracks of the source stand still until they are unpublished."""
        with self._changed:
            self._closed = True
            self._new = self._last = None
            self._thread = None
            self._changed.notify_all()

    async def open(self, client: CoreClient, encoding: Encoding) -> OpenSource:
        """See `MediaSource`."""
        layers = plan_layers(
            self.width,
            self.height,
            simulcast=encoding.simulcast,
            screencast=self.is_screencast,
            max_bitrate_bps=encoding.max_bitrate_bps,
            max_fps=encoding.max_fps,
        )
        encoder = LayerEncoder(encoding.codec, layers, screencast=self.is_screencast)
        handle = client.next_handle()
        output = VideoOutput(client, handle, encoder)
        client.listen(("source", handle), lambda header, buffers: self._hear(output, header))
        request = {
            "op": "source_open",
            "source": handle,
            "kind": "video",
            "type": "frames",
            "codec": encoding.codec,
            "width": self.width,
            "height": self.height,
            "layers": [asdict(layer) for layer in layers],
        }
        try:
            await client.request(request)
        except BaseException:
            client.unlisten(("source", handle))
            raise
        with self._changed:
            self._outputs[handle] = output
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="lknb-video-source", daemon=True)
                self._thread.start()
        return OpenSource(handle, "video", encoding.codec, self.width, self.height, layers)

    async def release(self, handle: int) -> None:
        """See `MediaSource`."""
        with self._changed:
            output = self._outputs.pop(handle, None)
            if not self._outputs:
                self._thread = None
                self._repeat_at_us = None
                self._changed.notify_all()
        if output is not None:
            output.client.unlisten(("source", handle))
            with contextlib.suppress(CoreError):
                await output.client.request({"op": "source_close", "source": handle})

    def __repr__(self) -> str:
        return f"rtc.VideoSource(width={self.width}, height={self.height})"

    def _capture_at(self, picture: av.VideoFrame, timestamp_us: int) -> None:
        """Send a picture that was taken at this time of the monotonic clock."""
        self._take(picture, 0, lambda: self._clock.keep(timestamp_us))

    def _take(self, picture: av.VideoFrame, degrees: int, time_us: Callable[[], int]) -> None:
        with self._changed:
            if self._closed:
                return
            self._new = _Capture(picture, time_us(), degrees)
            self._changed.notify_all()

    def _hear(self, output: VideoOutput, header: Mapping[str, Any]) -> None:
        """An event of the core about one of our handles, on the thread of the link."""
        event = header.get("event")
        if event == "source_control":
            output.control(header)
        elif event == "keyframe_request":
            output.request_keyframe(str(header.get("rid", "")))
            self._repeat_soon()

    def _repeat_soon(self) -> None:
        with self._changed:
            if self._repeat_at_us is None:
                self._repeat_at_us = now_us() + _REPEAT_AFTER_US
                self._changed.notify_all()

    @property
    def _is_encoded(self) -> bool:
        return any(output.active for output in list(self._outputs.values()))

    def _run(self) -> None:
        while (capture := self._next_capture()) is not None:
            self._last = capture
            if not self._is_encoded:
                continue
            try:
                picture = pixel.rotate(capture.picture, capture.degrees)
                self._last = _Capture(picture, capture.timestamp_us, 0)
                sent = [output.send(picture, capture.timestamp_us) for output in list(self._outputs.values())]
                if not all(sent):
                    self._repeat_soon()
            except (FrameError, MediaError) as error:
                logger.warning("a picture was not sent: %s", error)

    def _next_capture(self) -> _Capture | None:
        """The next picture to send, or the last one again for whoever needs a key frame; None to end the thread."""
        with self._changed:
            while self._thread is threading.current_thread():
                if self._new is not None:
                    capture, self._new, self._repeat_at_us = self._new, None, None
                    return capture
                now = now_us()
                if self._repeat_at_us is not None and now >= self._repeat_at_us:
                    self._repeat_at_us = None
                    if self._last is not None:
                        return replace(self._last, timestamp_us=self._clock.place(0, now))
                left_us = None if self._repeat_at_us is None else self._repeat_at_us - now
                self._changed.wait(None if left_us is None else left_us / _US_PER_S)
            return None


def as_picture(frame: Any, format: str | None = None, *, i420: bool = False) -> av.VideoFrame:
    """A copy of what was captured, with `i420` as encoders want it. Raises `FrameError`."""
    if format is not None and not isinstance(frame, np.ndarray):
        raise FrameError(f"expected an array with format={format!r}, got {type(frame).__name__}, which has its own")
    if isinstance(frame, VideoFrame):
        picture = frame._copy_picture()
    else:
        # what will be encoded is converted here at once, which is cheaper than a copy that is converted later
        picture = (pixel.i420_from_image if i420 else pixel.from_image)(frame, format)
    if min(picture.width, picture.height) < MIN_SIDE_PIXELS:
        size = f"{picture.width}x{picture.height}"
        raise FrameError(f"expected sides of at least {MIN_SIDE_PIXELS} pixels to send, got {size}")
    return picture
