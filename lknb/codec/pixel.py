"""Pictures of every common form <-> `av.VideoFrame`.

Formats have the names of LiveKit's `VideoBufferType` in lower case, in the order the bytes lie in memory: "rgba" is
R, G, B, A. "bgr24" (OpenCV) and "gray" are taken as well. YUV is BT.601 with limited range, as in WebRTC.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from lknb import limits
from lknb.errors import FrameError

Pixels: TypeAlias = NDArray[np.uint8]
Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class _Plane:
    """Bytes per sample, and by how many bits width and height are shifted (4:2:0 chroma: 1, 1)."""

    sample_bytes: int
    shift_x: int = 0
    shift_y: int = 0


@dataclass(frozen=True, slots=True)
class _Format:
    ffmpeg: str
    planes: tuple[_Plane, ...]


_Y, _UV = _Plane(1), _Plane(1, 1, 1)

_FORMATS: Mapping[str, _Format] = {
    "rgb24": _Format("rgb24", (_Plane(3),)),
    "bgr24": _Format("bgr24", (_Plane(3),)),
    "rgba": _Format("rgba", (_Plane(4),)),
    "bgra": _Format("bgra", (_Plane(4),)),
    "argb": _Format("argb", (_Plane(4),)),
    "abgr": _Format("abgr", (_Plane(4),)),
    "gray": _Format("gray", (_Y,)),
    "i420": _Format("yuv420p", (_Y, _UV, _UV)),
    "i420a": _Format("yuva420p", (_Y, _UV, _UV, _Y)),
    "i422": _Format("yuv422p", (_Y, _Plane(1, 1, 0), _Plane(1, 1, 0))),
    "i444": _Format("yuv444p", (_Y, _Y, _Y)),
    "i010": _Format("yuv420p10le", (_Plane(2), _Plane(2, 1, 1), _Plane(2, 1, 1))),
    "nv12": _Format("nv12", (_Y, _Plane(2, 1, 1))),
}

_CHANNELS: Mapping[str, int] = {"rgb24": 3, "bgr24": 3, "rgba": 4, "bgra": 4, "argb": 4, "abgr": 4}
_PLANAR_ARRAYS = ("i420", "nv12")
ARRAY_FORMATS = (*_CHANNELS, "gray", *_PLANAR_ARRAYS)
"""What a numpy array may hold: (height, width, 3 or 4), (height, width) for gray, (height * 3 / 2, width) for i420
and nv12."""

_PIL_FORMATS: Mapping[str, str] = {"RGB": "rgb24", "RGBA": "rgba", "L": "gray"}

# Slices in several threads wait for each other, and for a free processor; a caller has a thread of its own as it is.
# (PyAV 15 knows the word not yet, and has but one.)
ONE_THREAD: Mapping[str, Any] = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}
"""For `VideoReformatter.reformat`."""

# To halve the chroma of RGB, swscale by itself takes every second row, in code without SIMD. Made of every pixel and
# averaged it costs two thirds of that. (SWS_FULL_CHR_H_INP, which PyAV 15 has no name for.)
_HALVED_FROM_RGB = Interpolation.AREA | 0x4000

# The SIMD of swscale reads a few bytes past the end of what it converts: they have to be there. Within a page they are.
_PAGE_BYTES = 4096
_READ_PAST_BYTES = 64

# Building a scaler costs more than using it, and one must not be used by two threads at a time.
_scaler = threading.local()


def ffmpeg_name(format: str) -> str:
    """What FFmpeg calls a format. Raises `FrameError`."""
    return _format(format).ffmpeg


def plane_sizes(format: str, width: int, height: int) -> list[tuple[int, int]]:
    """(bytes of a row, rows) of each plane of a tightly packed picture. Raises `FrameError`."""
    return [
        (-(-width >> plane.shift_x) * plane.sample_bytes, -(-height >> plane.shift_y))
        for plane in _format(format).planes
    ]


def buffer_bytes(format: str, width: int, height: int) -> int:
    """How many bytes a tightly packed picture has. Raises `FrameError`."""
    return sum(row * rows for row, rows in plane_sizes(format, width, height))


def from_buffer(format: str, width: int, height: int, data: Buffer) -> av.VideoFrame:
    """A copy of a tightly packed picture. Bytes beyond its size are ignored. Raises `FrameError`."""
    frame = _allocate(format, width, height)
    needed = buffer_bytes(format, width, height)
    flat = np.frombuffer(data, np.uint8)
    if flat.size < needed:
        raise FrameError(f"expected at least {needed} bytes for {format} of {width}x{height}, got {flat.size}")
    offset = 0
    for target, (row, rows) in zip(plane_views(frame, format), plane_sizes(format, width, height), strict=True):
        target[...] = flat[offset : offset + row * rows].reshape(rows, row)
        offset += row * rows
    return frame


def to_buffer(frame: av.VideoFrame, format: str) -> memoryview:
    """The picture in `format`, tightly packed, plane after plane, in writable memory of its own. Raises `FrameError`."""
    converted = convert(frame, format)
    planes = list(plane_views(converted, format))
    if converted is not frame and len(planes) == 1 and planes[0].flags.c_contiguous:
        # made here, and packed as it is: to touch as many new pages again would double the cost of the conversion
        return planes[0].reshape(-1).data
    packed: Pixels = np.empty(buffer_bytes(format, frame.width, frame.height), np.uint8)
    offset = 0
    for plane in planes:
        packed[offset : offset + plane.size].reshape(plane.shape)[...] = plane
        offset += plane.size
    return packed.data


def from_array(array: NDArray[Any], format: str | None = None) -> av.VideoFrame:
    """A copy of an array of uint8, also of a strided or read-only one.

    Without `format`, (height, width, 3) is rgb24, (height, width, 4) rgba, and (height, width) or (height, width, 1)
    gray. See `ARRAY_FORMATS`. Raises `FrameError`, which names what was expected.
    """
    array, format, width, height = _examine(array, format)
    frame = _allocate(format, width, height)
    if format in _PLANAR_ARRAYS:
        return from_buffer(format, width, height, np.ascontiguousarray(array).data)
    plane = frame.planes[0]
    channels = _CHANNELS.get(format, 1)
    target: Pixels = np.ndarray(
        array.shape, np.uint8, memoryview(plane), strides=(plane.line_size, channels, 1)[: array.ndim]
    )
    target[...] = array
    return frame


def to_array(frame: av.VideoFrame, format: str = "rgb24") -> Pixels:
    """The picture as a new, writable array of uint8 in one of `ARRAY_FORMATS`. Raises `FrameError`."""
    if format not in ARRAY_FORMATS:
        raise FrameError(f"expected a format out of {', '.join(ARRAY_FORMATS)}, got {format!r}")
    width, height = frame.width, frame.height
    if format in _PLANAR_ARRAYS and (width % 2 or height % 2):
        raise FrameError(f"a picture of {width}x{height} has no {format} array: it needs even sides")
    flat: Pixels = np.frombuffer(to_buffer(frame, format), np.uint8)
    if format in _PLANAR_ARRAYS:
        return flat.reshape(height * 3 // 2, width)
    if format == "gray":
        return flat.reshape(height, width)
    return flat.reshape(height, width, _CHANNELS[format])


def from_image(image: object, format: str | None = None) -> av.VideoFrame:
    """A copy of a numpy array, a PIL image or an `av.VideoFrame`; `format` is for arrays. Raises `FrameError`."""
    if isinstance(image, np.ndarray):
        return from_array(image, format)
    if isinstance(image, Image.Image):
        if image.mode not in _PIL_FORMATS:
            image = image.convert("RGB")
        return from_array(np.asarray(image), _PIL_FORMATS[image.mode])
    if isinstance(image, av.VideoFrame):
        return from_buffer("i420", image.width, image.height, to_buffer(image, "i420"))
    raise FrameError(
        f"expected a VideoFrame, a numpy array, a PIL image or an av.VideoFrame, got {type(image).__name__}"
    )


def i420_from_image(image: object, format: str | None = None) -> av.VideoFrame:
    """Like `from_image`, but in i420. Most arrays are converted from where they lie, which saves the copy."""
    if isinstance(image, np.ndarray):
        array, format, width, height = _examine(image, format)
        check_size(width, height)
        if format in _CHANNELS and _can_be_read_past(array):
            return convert(av.VideoFrame.from_numpy_buffer(array, format), "i420")
    return convert(from_image(image, format), "i420")


def convert(frame: av.VideoFrame, format: str) -> av.VideoFrame:
    """The picture in another format; the frame itself when it has that format already. Raises `FrameError`."""
    name = _format(format).ffmpeg
    if frame.format.name == name:
        return frame
    if not hasattr(_scaler, "reformatter"):
        _scaler.reformatter = VideoReformatter()
    reformatter: VideoReformatter = _scaler.reformatter
    interpolation = _HALVED_FROM_RGB if frame.format.is_rgb else Interpolation.BILINEAR
    return reformatter.reformat(frame, format=name, interpolation=interpolation, **ONE_THREAD)


def rotate(frame: av.VideoFrame, degrees: int) -> av.VideoFrame:
    """The picture as i420, turned clockwise by 0, 90, 180 or 270 degrees."""
    frame = convert(frame, "i420")
    if not degrees:
        return frame
    width, height = (frame.width, frame.height) if degrees == 180 else (frame.height, frame.width)
    turned = av.VideoFrame(width, height, "yuv420p")
    for target, plane in zip(plane_views(turned, "i420"), plane_views(frame, "i420"), strict=True):
        target[...] = np.rot90(plane, -degrees // 90)
    return turned


def flip(frame: av.VideoFrame, format: str) -> av.VideoFrame:
    """The picture, which has this format, upside down."""
    flipped = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for target, plane in zip(plane_views(flipped, format), plane_views(frame, format), strict=True):
        target[...] = plane[::-1]
    return flipped


def overlay(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A picture in i420 of even sides in the middle of a black one of even sides that is not smaller."""
    made = black(width, height)
    paste(made, frame, (width - frame.width) // 2, (height - frame.height) // 2)
    return made


def black(width: int, height: int) -> av.VideoFrame:
    """A black picture in i420."""
    made = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(plane_views(made, "i420"), (16, 128, 128), strict=True):
        plane[...] = value
    return made


def paste(onto: av.VideoFrame, frame: av.VideoFrame, left: int, top: int) -> None:
    """Write a picture in i420 of even sides into another, which it fits into from there, at even pixels: `left` and `top`
    are rounded down."""
    planes = zip(plane_views(onto, "i420"), plane_views(frame, "i420"), (2, 1, 1), strict=True)
    for plane, inner, scale in planes:
        plane[top // 2 * scale :, left // 2 * scale :][: inner.shape[0], : inner.shape[1]] = inner


def fit(frame: av.VideoFrame, width: int, height: int, scaler: VideoReformatter) -> av.VideoFrame:
    """The whole picture in i420, as large as it fits into so many pixels, with even sides."""
    if (frame.width, frame.height) == (width, height):
        return convert(frame, "i420")
    scale = min(width / frame.width, height / frame.height)
    fitted_width, fitted_height = (
        max(2, min(side & ~1, round(own * scale / 2) * 2))
        for own, side in ((frame.width, width), (frame.height, height))
    )
    return scaler.reformat(
        frame, fitted_width, fitted_height, "yuv420p", interpolation=Interpolation.AREA, **ONE_THREAD
    )


def check_size(width: int, height: int) -> None:
    """Raise `FrameError` unless both sides are whole numbers of 1 to 4,096 pixels."""
    most = limits.FRAME_SIDE_PIXELS
    if not (isinstance(width, Integral) and isinstance(height, Integral)):
        raise FrameError(f"expected sides in whole numbers of pixels, got {width!r} and {height!r}")
    if not (1 <= width <= most and 1 <= height <= most):
        raise FrameError(f"expected sides of 1 to {most} pixels, got {width}x{height}")


def _format(name: str) -> _Format:
    try:
        return _FORMATS[name]
    except KeyError:
        raise FrameError(f"expected a format out of {', '.join(_FORMATS)}, got {name!r}") from None


def _allocate(format: str, width: int, height: int) -> av.VideoFrame:
    check_size(width, height)
    return av.VideoFrame(width, height, _format(format).ffmpeg)


def plane_views(frame: av.VideoFrame, format: str) -> Iterator[Pixels]:
    """Views of the planes of a frame which has this format: rows x bytes of a row, without padding."""
    for plane, (row, rows) in zip(frame.planes, plane_sizes(format, frame.width, frame.height), strict=True):
        yield np.ndarray((rows, row), np.uint8, memoryview(plane), strides=(plane.line_size, 1))


def _examine(array: NDArray[Any], format: str | None) -> tuple[NDArray[Any], str, int, int]:
    """The array without a superfluous dimension, its format, and width and height of its picture."""
    if not isinstance(array, np.ndarray):
        raise FrameError(f"expected a numpy array, got {type(array).__name__}")
    if array.dtype != np.uint8:
        raise FrameError(f"expected an array of uint8 with values from 0 to 255, got {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 1 and format in (None, "gray"):
        array = array[:, :, 0]
    if format is None:
        format = _guess_format(array)
    return array, format, *_array_size(array, format)


def _can_be_read_past(array: NDArray[Any]) -> bool:
    end: int = array.ctypes.data + array.nbytes
    return array.flags.c_contiguous and -end % _PAGE_BYTES >= _READ_PAST_BYTES


def _guess_format(array: NDArray[Any]) -> str:
    if array.ndim == 2:
        return "gray"
    if array.ndim == 3 and array.shape[2] in (3, 4):
        return "rgb24" if array.shape[2] == 3 else "rgba"
    raise FrameError(
        "expected an array of shape (height, width, 3) for rgb24, (height, width, 4) for rgba or (height, width) for "
        f"gray, got {array.shape}"
    )


def _array_size(array: NDArray[Any], format: str) -> tuple[int, int]:
    """(width, height) of the picture in an array."""
    if format not in ARRAY_FORMATS:
        raise FrameError(f"expected a format out of {', '.join(ARRAY_FORMATS)}, got {format!r}")
    shape = array.shape
    if format in _PLANAR_ARRAYS:
        if len(shape) != 2 or shape[0] % 3 or shape[1] % 2:
            raise FrameError(f"expected shape (height * 3 / 2, width) with even sides for {format}, got {shape}")
        return shape[1], shape[0] // 3 * 2
    expected = (*shape[:2], _CHANNELS[format]) if format in _CHANNELS else shape[:2]
    if len(shape) < 2 or shape != expected:
        dimensions = f"(height, width, {_CHANNELS[format]})" if format in _CHANNELS else "(height, width)"
        raise FrameError(f"expected an array of shape {dimensions} for {format}, got {shape}")
    return shape[1], shape[0]
