"""One publication of a video source, on its way to the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lknb.codec.clock import now_us
from lknb.codec.simulcast import LayerEncoder
from lknb.core.source.frames import frame_header

if TYPE_CHECKING:
    import av

    from lknb.core.client import CoreClient

# A full link drops a frame; what follows it in its layer is useless, so the layer pauses.
_LINK_FULL_PAUSE_US = 250_000


class VideoOutput:
    """An encoder, and a handle in the core.

    The core asks for a key frame when it begins to take frames; before, nothing is encoded.
    """

    def __init__(self, client: CoreClient, handle: int, encoder: LayerEncoder) -> None:
        self.client = client
        self._handle = handle
        self._encoder = encoder
        self._active = False
        self._paused_until_us: dict[str, int] = {}

    @property
    def active(self) -> bool:
        """Whether pictures are encoded: the core takes them, and the track is not muted."""
        return self._active

    def request_keyframe(self, rid: str) -> None:
        self._active = True
        self._encoder.request_keyframe(rid)

    def control(self, header: Mapping[str, Any]) -> None:
        """The core passes on what is wanted of the encoder."""
        if header.get("action") == "mute":
            self._active = not header.get("muted")
            if self._active:
                self._encoder.request_keyframe()
        elif header.get("action") == "layers":
            self._encoder.set_active(header.get("rids", self._encoder.rids))
        elif header.get("action") == "bitrate":
            self._encoder.set_bitrates(header["bitrates_bps"])

    def send(self, picture: av.VideoFrame, timestamp_us: int) -> bool:
        """Encode a picture and send what comes of it. False when not all of it was sent: it should come again."""
        if not self._active:
            return True
        for frame in self._encoder.encode(picture, timestamp_us):
            until_us = self._paused_until_us.get(frame.rid)
            if until_us is not None:
                if now_us() < until_us:
                    continue
                if not frame.keyframe:
                    self._encoder.request_keyframe(frame.rid)
                    continue
                del self._paused_until_us[frame.rid]
            header = {"op": "frame", "source": self._handle, **frame_header(frame)}
            if not self.client.post(header, [frame.data]):
                self._paused_until_us[frame.rid] = now_us() + _LINK_FULL_PAUSE_US
        return not (self._encoder.left_out or self._paused_until_us)
