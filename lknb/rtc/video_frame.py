"""One picture, as `livekit.rtc` has it, and as a numpy array."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lknb.codec import pixel
from lknb.errors import FrameError
from lknb.rtc.video_buffer_type import VideoBufferType, format_name

if TYPE_CHECKING:
    import av


class VideoFrame:
    """A picture of `width` x `height` pixels, tightly packed: rows without padding, planes one after the other.

    `data` is not copied; it may hold more bytes than the picture has. Raises `FrameError` (a ValueError) when it
    holds fewer, when it is not contiguous, for a type that does not exist, and for sides outside 1 to 4,096 pixels;
    TypeError when it is no buffer.
    """

    def __init__(
        self, width: int, height: int, type: VideoBufferType | int, data: bytes | bytearray | memoryview
    ) -> None:
        pixel.check_size(width, height)
        self._width = width
        self._height = height
        self._type = _known_type(type)
        self._picture: av.VideoFrame | None = None
        self._data: bytes | bytearray | memoryview | None = _flat(data)
        needed = pixel.buffer_bytes(self._type.pixel_format, width, height)
        if len(self._data) < needed:
            name = self._type.name
            raise FrameError(f"expected at least {needed} bytes for {name} of {width}x{height}, got {len(self._data)}")

    @classmethod
    def from_ndarray(cls, array: NDArray[np.uint8], format: str | VideoBufferType | None = None) -> VideoFrame:
        """A frame with a copy of an array of uint8.

        `format` is one of "rgb24", "bgr24" (OpenCV), "rgba", "bgra", "argb", "abgr" with an array of shape (height,
        width, 3 or 4), "gray" with (height, width), "i420" or "nv12" with (height * 3 / 2, width), in small letters or
        capitals, "RGB" and "BGR" for short; or the VideoBufferType. Without it the shape decides: rgb24, rgba or gray.
        There is no type for bgr24 and gray: such frames become RGB24 and I420.
        Raises `FrameError`, which says what was expected.
        """
        return cls._from_picture(pixel.from_array(array, format_name(format)))

    @property
    def width(self) -> int:
        """Pixels."""
        return self._width

    @property
    def height(self) -> int:
        """Pixels."""
        return self._height

    @property
    def type(self) -> VideoBufferType:
        """How the pixels lie in `data`."""
        return self._type

    @property
    def data(self) -> memoryview:
        """The bytes of the picture."""
        if self._data is None:
            assert self._picture is not None
            self._data = pixel.to_buffer(self._picture, self._type.pixel_format)
        return memoryview(self._data)

    def get_plane(self, plane_nth: int) -> memoryview | None:
        """The bytes of one plane, without a copy: I420 has Y, U and V, NV12 has Y and UV. None for a plane the type
        does not have.

        As in `livekit.rtc`, packed types have no planes at all.
        """
        sizes = pixel.plane_sizes(self._type.pixel_format, self._width, self._height)
        if len(sizes) == 1 or not 0 <= plane_nth < len(sizes):
            return None
        lengths = [row * rows for row, rows in sizes]
        start = sum(lengths[:plane_nth])
        return self.data[start : start + lengths[plane_nth]]

    def convert(self, type: VideoBufferType | int, *, flip_y: bool = False) -> VideoFrame:
        """A copy in another type, upside down with `flip_y`. Any type can become any other."""
        wanted = _known_type(type)
        picture = pixel.convert(self._as_picture(), wanted.pixel_format)
        if flip_y:
            picture = pixel.flip(picture, wanted.pixel_format)
        return VideoFrame(self._width, self._height, wanted, pixel.to_buffer(picture, wanted.pixel_format))

    def to_ndarray(self, format: str | VideoBufferType = "rgb24") -> NDArray[np.uint8]:
        """The picture as a new array of uint8: (height, width, 3) RGB, or another `format` that `from_ndarray` knows.

        Raises `FrameError`.
        """
        return pixel.to_array(self._as_picture(), format_name(format) or "")

    def _repr_png_(self) -> bytes:
        """The picture, for a notebook."""
        buffer = io.BytesIO()
        Image.fromarray(self.to_ndarray("rgb24")).save(buffer, "png")
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"rtc.VideoFrame(width={self._width}, height={self._height}, type={self._type.name})"

    @classmethod
    def _from_picture(cls, picture: av.VideoFrame, type: VideoBufferType | None = None) -> VideoFrame:
        """A frame around a picture that nobody changes any more; its bytes are made when somebody asks for them."""
        if type is None:
            type = _TYPE_OF_PICTURE.get(picture.format.name, VideoBufferType.I420)
        frame = cls.__new__(cls)
        frame._width = picture.width
        frame._height = picture.height
        frame._type = type
        frame._picture = picture
        frame._data = None
        return frame

    def _as_picture(self) -> av.VideoFrame:
        if self._picture is not None and self._data is None:
            return self._picture
        # whoever has seen `data` may have changed it
        return pixel.from_buffer(self._type.pixel_format, self._width, self._height, self.data)

    def _copy_picture(self) -> av.VideoFrame:
        """A picture that nobody else has."""
        return pixel.from_buffer(self._type.pixel_format, self._width, self._height, self.data)


_TYPE_OF_PICTURE = {pixel.ffmpeg_name(value.pixel_format): value for value in VideoBufferType} | {
    "bgr24": VideoBufferType.RGB24
}


def _known_type(type: Any) -> VideoBufferType:
    try:
        return VideoBufferType(type)
    except ValueError:
        raise FrameError(f"expected a VideoBufferType, got {type!r}") from None


def _flat(data: Any) -> bytes | bytearray | memoryview:
    if isinstance(data, (bytes, bytearray)):
        return data
    view = memoryview(data)
    if not view.c_contiguous:
        raise FrameError("expected contiguous data, got a strided memoryview")
    return view.cast("B")
