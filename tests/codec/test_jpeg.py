import io

import av
import numpy as np
import pytest
from PIL import Image

from lknb.codec.jpeg import SIDE_PIXELS, encode_jpeg


def picture(width=320, height=180, colour=(200, 40, 40)):
    pixels = np.full((height, width, 3), colour, np.uint8)
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")


def test_a_picture_keeps_its_colours():
    data, width, height = encode_jpeg(picture(), 320, 180)
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    assert image.size == (width, height) == (320, 180)
    assert np.abs(np.asarray(image, int)[90, 160] - (200, 40, 40)).max() < 10


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((160, 90), (160, 90)),
        ((160, 20), (160, 90)),
        ((20, 90), (160, 90)),
        ((1000, 1000), (320, 180)),
        ((0, 0), (320, 180)),
        ((0.1, 0.1), (1, 1)),
    ],
)
def test_it_is_as_large_as_the_box_needs_and_never_enlarged(box, size):
    assert encode_jpeg(picture(), *box)[1:] == size


def test_the_largest_is_bounded():
    _, width, height = encode_jpeg(picture(4096, 16), 16_384, 16_384)
    assert (width, height) == (SIDE_PIXELS, 8)
