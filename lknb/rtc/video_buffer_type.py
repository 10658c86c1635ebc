"""How the pixels of a `VideoFrame` lie in memory, and how a picture is turned. The numbers are those of
`livekit.rtc`."""

from __future__ import annotations

from lknb.rtc.enumeration import ProtoEnum


class VideoBufferType(ProtoEnum):
    """Formats of pixels. The letters are the order of the bytes in memory: RGBA is R, G, B, A.

    The I formats are planes of 8 bit, one after the other, in 4:2:0 (I420, I420A with alpha), 4:2:2 or 4:4:4; I010
    has 10 bit in two bytes; NV12 has luma and then U and V in turns. YUV is BT.601 with limited range.
    """

    RGBA = 0
    ABGR = 1
    ARGB = 2
    BGRA = 3
    RGB24 = 4
    I420 = 5
    I420A = 6
    I422 = 7
    I444 = 8
    I010 = 9
    NV12 = 10

    @property
    def pixel_format(self) -> str:
        """The name of the format in `lknb.codec.pixel`."""
        return self.name.lower()


class VideoRotation(ProtoEnum):
    """By how many degrees a picture is to be turned clockwise to be upright."""

    VIDEO_ROTATION_0 = 0
    VIDEO_ROTATION_90 = 1
    VIDEO_ROTATION_180 = 2
    VIDEO_ROTATION_270 = 3

    @property
    def degrees(self) -> int:
        """0, 90, 180 or 270."""
        return int(self) * 90


_SHORT = {"rgb": "rgb24", "bgr": "bgr24", "grey": "gray"}


def format_name(format: str | VideoBufferType | None) -> str | None:
    """The name of a format in `lknb.codec.pixel`: of a type, or of a name in any case, "BGR" and "RGB" included."""
    if isinstance(format, VideoBufferType):
        return format.pixel_format
    if not isinstance(format, str):
        return format
    return _SHORT.get(format.lower(), format.lower())
