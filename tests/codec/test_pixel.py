"""Arrays, PIL images and packed buffers, in and out."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lknb.codec import pixel
from lknb.errors import FrameError

PACKED = ("rgb24", "bgr24", "rgba", "bgra", "argb", "abgr")
ALL = (*PACKED, "gray", "i420", "i420a", "i422", "i444", "i010", "nv12")
ORDER = {"rgb24": "rgb", "bgr24": "bgr", "rgba": "rgba", "bgra": "bgra", "argb": "argb", "abgr": "abgr"}
COLOR = {"r": 200, "g": 10, "b": 30, "a": 255}


def picture_of(width: int = 6, height: int = 4, format: str = "rgb24") -> np.ndarray[Any, np.dtype[np.uint8]]:
    channels = [COLOR[letter] for letter in ORDER[format]]
    array = np.empty((height, width, len(channels)), np.uint8)
    array[:] = channels
    return array


@pytest.mark.parametrize("format", PACKED)
def test_the_letters_of_a_format_are_the_order_in_memory(format: str) -> None:
    picture = pixel.from_array(picture_of(format=format), format)
    assert (pixel.to_array(picture, "rgb24") == (200, 10, 30)).all()
    assert (pixel.to_array(pixel.from_array(picture_of()), format) == picture_of(format=format)).all()


def test_rgb_becomes_yuv_of_bt601_with_limited_range() -> None:
    # livekit.rtc 1.2.1 gives 76, 108, 209 for this colour
    packed = pixel.to_buffer(pixel.from_array(picture_of()), "i420")
    luma, u, v = packed[0], packed[24], packed[30]
    assert abs(luma - 76) <= 1
    assert abs(u - 108) <= 1
    assert abs(v - 209) <= 1


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize(("width", "height"), [(6, 4), (33, 17), (1, 1)])
def test_a_packed_buffer_survives_the_way_there_and_back(format: str, width: int, height: int) -> None:
    random = np.random.default_rng(1)
    data = random.integers(0, 4, pixel.buffer_bytes(format, width, height), np.uint8).tobytes()
    picture = pixel.from_buffer(format, width, height, data)
    assert (picture.width, picture.height) == (width, height)
    assert pixel.to_buffer(picture, format) == data


def test_known_sizes_of_buffers() -> None:
    assert pixel.buffer_bytes("i420", 33, 17) == 33 * 17 + 2 * 17 * 9
    assert pixel.buffer_bytes("nv12", 32, 16) == 32 * 16 * 3 // 2
    assert pixel.plane_sizes("i010", 4, 2) == [(8, 2), (4, 1), (4, 1)]


def test_a_buffer_that_is_too_short_is_refused_and_a_longer_one_is_cut() -> None:
    with pytest.raises(FrameError, match="at least 18 bytes for rgb24 of 3x2, got 17"):
        pixel.from_buffer("rgb24", 3, 2, bytes(17))
    assert pixel.to_buffer(pixel.from_buffer("rgb24", 3, 2, bytes(range(40))), "rgb24") == bytes(range(18))


def test_strided_read_only_and_transposed_arrays_are_read_as_they_are() -> None:
    original = np.random.default_rng(2).integers(0, 255, (40, 60, 3), np.uint8)
    original.flags.writeable = False
    for view in (original, original[::2, ::3], original[::-1, ::-1], original.transpose(1, 0, 2), original[:, :, ::-1]):
        assert (pixel.to_array(pixel.from_array(view)) == view).all()


def test_an_array_is_copied() -> None:
    array = picture_of()
    picture = pixel.from_array(array)
    array[:] = 0
    assert (pixel.to_array(picture) == (200, 10, 30)).all()


@pytest.mark.parametrize("format", pixel.ARRAY_FORMATS)
@pytest.mark.parametrize(("width", "height"), [(64, 48), (50, 38)])
def test_an_array_in_i420_is_its_copy_converted(format: str, width: int, height: int) -> None:
    random = np.random.default_rng(3).integers(0, 255, (height, width, 3), np.uint8)
    array = pixel.to_array(pixel.from_array(random), format)
    picture = pixel.i420_from_image(array, format)
    assert pixel.to_buffer(picture, "i420") == pixel.to_buffer(pixel.from_array(array, format), "i420")
    packed = bytes(pixel.to_buffer(picture, "i420"))
    array[:] = 0
    assert pixel.to_buffer(picture, "i420") == packed


def test_strided_arrays_become_i420_too() -> None:
    original = np.random.default_rng(2).integers(0, 255, (40, 60, 3), np.uint8)
    for view in (original[::2, ::3], original[::-1, ::-1], original[:, 10:50], original[:, :, ::-1]):
        expected = pixel.to_buffer(pixel.from_array(view), "i420")
        assert pixel.to_buffer(pixel.i420_from_image(view), "i420") == expected


def test_an_array_is_not_read_past_the_end_of_its_memory() -> None:
    script = """
import ctypes, mmap
import numpy as np
from lknb.codec import pixel
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
page = mmap.PAGESIZE
memory = np.frombuffer(mmap.mmap(-1, 9 * page), np.uint8)
assert libc.mprotect(memory.ctypes.data + 8 * page, page, 0) == 0
for width, channels in ((50, 3), (64, 3), (51, 3), (33, 4)):
    size = width * 38 * channels
    for gap in (0, 1, 16, 63, 64, 200):
        end = 8 * page - gap
        pixel.i420_from_image(memory[end - size : end].reshape(38, width, channels))
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_the_chroma_of_rgb_is_the_average_of_all_pixels() -> None:
    array = np.empty((32, 32, 3), np.uint8)
    array[::2], array[1::2] = (255, 0, 0), (0, 0, 255)
    mixed = pixel.convert(pixel.from_array(array), "i420")
    _, blue, red = pixel.plane_views(mixed, "i420")
    # pure red is 90, 240, pure blue 240, 110
    assert np.abs(blue.astype(int) - 165).max() <= 2
    assert np.abs(red.astype(int) - 175).max() <= 2


def test_the_shape_decides_the_format_unless_it_is_named() -> None:
    assert pixel.from_array(picture_of()).format.name == "rgb24"
    assert pixel.from_array(picture_of(format="rgba")).format.name == "rgba"
    assert pixel.from_array(np.zeros((4, 6), np.uint8)).format.name == "gray"
    assert pixel.from_array(np.zeros((4, 6, 1), np.uint8)).format.name == "gray"
    assert pixel.from_array(np.zeros((6, 4), np.uint8), "i420").format.name == "yuv420p"
    assert pixel.from_array(picture_of(format="bgr24"), "bgr24").format.name == "bgr24"


@pytest.mark.parametrize(
    ("array", "format", "expected"),
    [
        (np.zeros((4, 6, 3), np.float32), None, "uint8 with values from 0 to 255, got float32"),
        (np.zeros((4, 6, 3), np.int64), None, "got int64"),
        (np.zeros((4, 6, 2), np.uint8), None, r"\(height, width, 3\) for rgb24.*got \(4, 6, 2\)"),
        (np.zeros((3, 4, 6), np.uint8), None, r"got \(3, 4, 6\)"),
        (np.zeros(24, np.uint8), None, r"got \(24,\)"),
        (np.zeros((4, 6, 3), np.uint8), "rgba", r"\(height, width, 4\) for rgba, got \(4, 6, 3\)"),
        (np.zeros((4, 6, 3), np.uint8), "gray", r"\(height, width\) for gray"),
        (np.zeros((5, 6), np.uint8), "i420", r"\(height \* 3 / 2, width\) with even sides for i420"),
        (np.zeros((6, 5), np.uint8), "nv12", "even sides for nv12"),
        (np.zeros((4, 6, 3), np.uint8), "yuyv", "expected a format out of rgb24"),
        (np.zeros((0, 6, 3), np.uint8), None, "expected sides of 1 to 4096 pixels, got 6x0"),
        (np.zeros((1, 4097, 3), np.uint8), None, "got 4097x1"),
        ([[1, 2, 3]], None, "expected a numpy array, got list"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(array: Any, format: str | None, expected: str) -> None:
    with pytest.raises(FrameError, match=expected):
        pixel.from_array(array, format)


# FFmpeg pads the rows of the first
@pytest.mark.parametrize("width", [6, 64])
@pytest.mark.parametrize("of", ["rgb24", "i420"])
def test_arrays_come_back_writable_in_every_format(width: int, of: str) -> None:
    picture = pixel.convert(pixel.from_array(picture_of(width)), of)
    shapes = {"gray": (4, width), "i420": (6, width), "nv12": (6, width)}
    for format in pixel.ARRAY_FORMATS:
        array, other = pixel.to_array(picture, format), pixel.to_array(picture, format)
        assert array.shape == shapes.get(format, (4, width, len(ORDER.get(format, ""))))
        kept = other.copy()
        array[:] = 0
        assert (other == kept).all(), format
    assert np.abs(pixel.to_array(picture).astype(int) - (200, 10, 30)).max() <= (0 if of == "rgb24" else 3)


@pytest.mark.parametrize("width", [6, 64])
def test_a_converted_buffer_holds_the_picture_and_nothing_else(width: int) -> None:
    picture = pixel.convert(pixel.from_array(picture_of(width)), "i420")
    for format in PACKED:
        buffer = pixel.to_buffer(picture, format)
        assert buffer.nbytes == pixel.buffer_bytes(format, width, 4)
        expected = picture_of(width, format=format).reshape(-1)
        assert np.abs(np.frombuffer(buffer, np.uint8).astype(int) - expected).max() <= 3


def test_formats_without_an_array_are_refused() -> None:
    picture = pixel.from_array(picture_of(7, 5))
    with pytest.raises(FrameError, match="even sides"):
        pixel.to_array(picture, "i420")
    with pytest.raises(FrameError, match="expected a format"):
        pixel.to_array(picture, "i422")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1"])
def test_pil_images_of_any_mode_are_taken(mode: str) -> None:
    image = Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode)
    assert (pixel.to_array(pixel.from_image(image)) > 250).all()


def test_a_decoded_frame_is_taken_as_a_copy() -> None:
    original = pixel.convert(pixel.from_array(picture_of()), "i420")
    assert pixel.from_image(original) is not original
    assert pixel.to_buffer(pixel.from_image(original), "i420") == pixel.to_buffer(original, "i420")


def test_anything_else_is_no_picture() -> None:
    with pytest.raises(FrameError, match=r"a PIL image or an av\.VideoFrame, got str"):
        pixel.from_image("picture.png")


def test_pictures_are_turned_clockwise() -> None:
    corner = np.zeros((20, 40, 3), np.uint8)
    corner[:10, :20] = 255
    # where the bright corner goes: top left, top right, bottom right, bottom left
    for degrees, place in ((0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))):
        turned = pixel.to_array(pixel.rotate(pixel.from_array(corner), degrees), "gray")
        assert turned.shape == ((20, 40) if degrees in (0, 180) else (40, 20))
        assert turned[place] > 250
        assert turned.astype(int).sum() == pytest.approx(255 * 200, rel=0.05)


def test_pictures_are_turned_upside_down() -> None:
    rows = np.repeat(np.arange(0, 120, 10, dtype=np.uint8), 8).reshape(12, 8)
    assert (pixel.to_array(pixel.flip(pixel.from_array(rows), "gray"), "gray") == rows[::-1]).all()
