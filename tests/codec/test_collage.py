"""Pictures side by side."""

from __future__ import annotations

import av
import numpy as np
import pytest

from lknb.codec import pixel
from lknb.codec.collage import Collage, columns_of

COLOURS = [(200, 40, 40), (40, 180, 40), (40, 60, 200), (220, 200, 40), (190, 60, 190)]


def plain(colour: tuple[int, int, int], width: int = 320, height: int = 180) -> av.VideoFrame:
    return pixel.from_array(np.full((height, width, 3), colour, np.uint8))


def looks(array: np.ndarray, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(value) for value in array[y, x])


def is_like(found: tuple[int, ...], colour: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 6 for one, other in zip(found, colour, strict=True))


def test_tiles_stand_in_as_many_columns_as_rows_or_one_more() -> None:
    assert [columns_of(count) for count in range(11)] == [1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 4]


@pytest.mark.parametrize(
    ("count", "middles"),
    [
        (1, [(640, 360)]),
        (2, [(320, 360), (960, 360)]),
        (3, [(320, 180), (960, 180), (640, 540)]),
        (4, [(320, 180), (960, 180), (320, 540), (960, 540)]),
        (5, [(213, 180), (640, 180), (1066, 180), (427, 540), (853, 540)]),
    ],
)
def test_each_picture_is_in_the_middle_of_its_tile(count: int, middles: list[tuple[int, int]]) -> None:
    pictures = {str(index): plain(COLOURS[index]) for index in range(count)}
    array = pixel.to_array(Collage(1280, 720).compose(pictures))
    assert array.shape == (720, 1280, 3)
    for index, (x, y) in enumerate(middles):
        assert is_like(looks(array, x, y), COLOURS[index]), index


def test_a_picture_is_whole_with_black_beside_it() -> None:
    half = np.zeros((360, 202, 3), np.uint8)
    half[:180], half[180:] = COLOURS[0], COLOURS[2]
    array = pixel.to_array(Collage(1280, 720).compose({"tall": pixel.from_array(half)}))
    assert is_like(looks(array, 640, 4), COLOURS[0])
    assert is_like(looks(array, 640, 715), COLOURS[2])
    width = np.flatnonzero(array[100].max(axis=1) > 30).size
    assert abs(width - 404) <= 4
    assert is_like(looks(array, 100, 360), (0, 0, 0))
    assert is_like(looks(array, 1180, 360), (0, 0, 0))


def test_nobody_is_black() -> None:
    array = pixel.to_array(Collage(64, 48).compose({}))
    assert array.max() < 3


def test_sides_of_any_size_are_taken() -> None:
    collage = Collage(1280, 720)
    for width, height in ((1, 1), (3, 1081), (1081, 3), (1280, 720), (1920, 1080)):
        collage.compose({"one": plain(COLOURS[1], width, height), "other": plain(COLOURS[2], height, width)})
