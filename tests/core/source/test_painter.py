"""The test picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lknb.codec import pixel
from lknb.core.source.painter import Painter, parse_color
from lknb.errors import FrameError, MediaError
from tests.codec.content import mean_color


def test_pictures_have_the_bars_in_order() -> None:
    picture = pixel.to_array(Painter(700, 400).paint(0, 3.99))
    middles = [tuple(int(value) > 100 for value in picture[100, 50 + 100 * bar]) for bar in range(7)]
    assert middles == [
        (True, True, True),
        (True, True, False),
        (False, True, True),
        (False, True, False),
        (True, False, True),
        (True, False, False),
        (False, False, True),
    ]


def test_the_bar_moves_and_comes_back() -> None:
    painter = Painter(320, 180)

    def bar_at(seconds: float) -> int:
        row = pixel.to_array(painter.paint(0, seconds))[10]
        return int(np.argmax((row > 240).all(axis=1)))

    assert bar_at(0) < bar_at(1) < bar_at(2) < bar_at(3.9)
    assert bar_at(4) == bar_at(0)


def test_number_and_time_change_the_lower_part_only() -> None:
    painter = Painter(320, 180)
    first, second = (pixel.to_array(painter.paint(index, 0.0)) for index in (1, 2))
    changed = np.nonzero((first != second).any(axis=(1, 2)))[0]
    assert changed.min() > 180 * 0.8
    assert len(changed)


@pytest.mark.parametrize("size", [(160, 90), (161, 91), (18, 18), (64, 48), (90, 160)])
def test_any_size_can_be_painted(size: tuple[int, int]) -> None:
    picture = Painter(*size).paint(123456, 7200.5)
    assert (picture.width, picture.height) == size


def test_a_plain_picture_has_its_colour_everywhere() -> None:
    red, green, blue = mean_color(Painter(64, 48, "#ff8000").paint(5, 1.0))
    assert (red, green, blue) == pytest.approx((255, 128, 0), abs=3)
    array = pixel.to_array(Painter(64, 48, (10, 20, 200)).paint(5, 1.0))
    # the conversion back to RGB dithers
    assert array.std(axis=(0, 1)).max() < 1


@pytest.mark.parametrize(
    ("color", "expected"), [("#010203", (1, 2, 3)), ("ffffff", (255, 255, 255)), ([9, 8, 7], (9, 8, 7))]
)
def test_colours_that_are_understood(color: Any, expected: tuple[int, int, int]) -> None:
    assert parse_color(color) == expected


@pytest.mark.parametrize("color", ["red", "#fff", "#gggggg", (1, 2), (1, 2, 300), (1.5, 2, 3), 3, "", None])
def test_colours_that_are_not(color: Any) -> None:
    with pytest.raises(MediaError, match="#rrggbb"):
        parse_color(color)


def test_sizes_have_bounds() -> None:
    with pytest.raises(FrameError):
        Painter(5000, 10)
