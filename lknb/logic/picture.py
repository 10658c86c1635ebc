"""Packets of one video stream, in order, -> encoded pictures."""

from __future__ import annotations

from lknb import limits
from lknb.errors import WireError
from lknb.wire.frame import EncodedFrame
from lknb.wire.h264 import depacketize_h264, h264_dimensions, is_h264_keyframe, split_annexb
from lknb.wire.vp8 import depacketize_vp8, vp8_dimensions

_START_CODE = b"\0\0\0\1"
_H264_SPS = 7


class VideoPacket:
    """What one RTP packet adds to a picture.

    `timestamp` is unwrapped. `data` is the piece of the picture, empty for a packet of padding only. `opens`: a picture
    may begin with this packet. `keyframe`: it holds the beginning of a key frame. `broken`: the payload was malformed.
    """

    __slots__ = ("arrival_us", "broken", "data", "keyframe", "marker", "now", "opens", "timestamp")

    def __init__(self, codec: str, timestamp: int, marker: int, payload: bytes, now: float, arrival_us: int) -> None:
        self.timestamp = timestamp
        self.marker = marker
        self.now = now
        self.arrival_us = arrival_us
        self.data = b""
        self.opens = self.keyframe = self.broken = False
        if not payload:
            return
        try:
            if codec == "vp8":
                descriptor, self.data = depacketize_vp8(payload)
                self.opens = descriptor.start_of_frame
                # P, the lowest bit of the frame tag, is 0 in key frames (RFC 6386 section 9.1)
                self.keyframe = self.opens and not self.data[0] & 1
            else:
                self.data = depacketize_h264(payload)
                # all but the later fragments of an FU-A bring a start code
                self.opens = self.data.startswith(_START_CODE)
                self.keyframe = is_h264_keyframe(payload)
        except WireError:
            self.broken = True

    def has_parameter_sets(self) -> bool:
        """Whether an H264 decoder can begin here: the packet holds a sequence parameter set."""
        return any(nal[0] & 0x1F == _H264_SPS for nal in split_annexb(self.data))


class PictureAssembler:
    """Joins the packets of pictures. They come in order and without a hole; `reset` after one."""

    __slots__ = ("_arrival_us", "_bytes", "_codec", "_height", "_keyframe", "_parts", "_rid", "_timestamp", "_width")

    def __init__(self, codec: str, rid: str) -> None:
        self._codec = codec
        self._rid = rid
        self._width = self._height = 0
        self._parts: list[bytes] = []
        self._bytes = 0
        self._keyframe = False
        self._timestamp = 0
        self._arrival_us = 0

    def add(self, packet: VideoPacket, pictures: list[EncodedFrame]) -> bool:
        """The next packet; the pictures that are complete with it are appended. False when a picture is spoilt, and
        with it all that follow up to the next key frame."""
        if packet.broken:
            return False
        if not packet.data:
            return True
        vp8 = self._codec == "vp8"
        # A sender that sets no marker ends a picture with the beginning of the next.
        if self._parts and (packet.timestamp != self._timestamp or (vp8 and packet.opens)) and not self._end(pictures):
            return False
        if not self._parts:
            if not packet.opens:
                return False
            self._timestamp = packet.timestamp
            self._arrival_us = packet.arrival_us
            self._keyframe = False
            self._bytes = 0
        self._parts.append(packet.data)
        self._bytes += len(packet.data)
        self._keyframe = self._keyframe or packet.keyframe
        if self._bytes > limits.FRAME_BYTES:
            return False
        return not packet.marker or self._end(pictures)

    def _end(self, pictures: list[EncodedFrame]) -> bool:
        data = b"".join(self._parts)
        self._parts.clear()
        if self._keyframe and not self._learn_dimensions(data):
            return False
        pictures.append(
            EncodedFrame(
                codec=self._codec,
                data=data,
                timestamp=self._timestamp,
                keyframe=self._keyframe,
                timestamp_us=self._arrival_us,
                width=self._width,
                height=self._height,
                rid=self._rid,
            )
        )
        return True

    def _learn_dimensions(self, data: bytes) -> bool:
        try:
            if self._codec == "vp8":
                self._width, self._height = vp8_dimensions(data)
            else:
                self._width, self._height = h264_dimensions(data)
        except WireError:
            # An H264 key frame may lean on parameter sets sent before; of VP8 the header belongs to every key frame.
            return self._codec != "vp8"
        return True

    def reset(self) -> None:
        """Forget the picture in progress."""
        self._parts.clear()
