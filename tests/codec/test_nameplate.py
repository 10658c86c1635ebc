"""Names that are written into pictures, compared by their pixels."""

from __future__ import annotations

import av
import numpy as np
import pytest

from lknb.codec import nameplate, pixel
from lknb.codec.collage import Collage
from lknb.codec.nameplate import Nameplate

ORANGE = (220, 130, 30)


def plain(width: int = 320, height: int = 180) -> av.VideoFrame:
    return pixel.from_array(np.full((height, width, 3), ORANGE, np.uint8))


def written(name: str, width: int = 320) -> np.ndarray:
    """What a name changes of a picture of one colour, (rows, columns) of 0 to 255."""
    picture = pixel.convert(plain(width), "i420")
    before = pixel.to_array(picture, "rgb24").astype(int)
    plate = Nameplate(name, width - 16)
    plate.blend(picture, 8, 180 - plate.height - 8)
    return np.abs(pixel.to_array(picture, "rgb24") - before).max(axis=2)


def test_letters_are_white_on_a_dark_plate_and_the_rest_is_as_it_was() -> None:
    picture = pixel.convert(plain(), "i420")
    plate = Nameplate("Alice", 304)
    plate.blend(picture, 8, 140)
    array = pixel.to_array(picture, "rgb24")
    inside = array[140 : 140 + plate.height, 8 : 8 + plate.width].reshape(-1, 3).astype(int)
    # letters, and what is behind the plate
    assert (inside.min(axis=1) > 200).mean() > 0.05
    assert (inside.max(axis=1) < 130).mean() > 0.4
    # WCAG AA of white on it, and that in front of white
    assert np.median(inside.max(axis=1)) < 130
    changed = written("Alice")
    rows, columns = np.flatnonzero(changed.max(axis=1) > 8), np.flatnonzero(changed.max(axis=0) > 8)
    assert (columns[0], rows[-1]) == (8, 171)
    assert columns[-1] < 8 + plate.width
    assert rows[0] >= 172 - plate.height


@pytest.mark.parametrize("width", [128, 202, 320, 1280])
def test_a_name_stays_in_its_picture(width: int) -> None:
    plate = Nameplate("W" * 80, width - 16)
    assert 0 < plate.width <= width - 16
    assert plate.width % 2 == plate.height % 2 == 0


def test_names_differ_and_one_that_is_cut_says_so() -> None:
    assert (written("Alice") != written("Bob")).any()
    assert (written("A" * 80, 160) != written("A" * 79 + "B", 160)).sum() == 0
    assert Nameplate("A" * 80, 144).width > Nameplate("Alice", 144).width


@pytest.mark.parametrize("name", ["ג'ון", "عمر", "日本語", "👩‍🚀🎉", "\ufffd\ufffd", "…", "a\u200db"])
def test_any_letters_can_be_written(name: str) -> None:
    assert written(name).max() > 40


def test_where_not_a_letter_fits_nothing_is_written() -> None:
    for name in ("Alice", ""):
        plate = Nameplate(name, 20 if name else 200)
        assert plate.width == 0
        plate.blend(plain(), 0, 0)


def test_without_fonts_of_the_system_pillow_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nameplate._font.cache_clear()
    monkeypatch.setattr(nameplate, "_FONT", "none.ttf")
    try:
        assert nameplate._font().getname()[0] == "Aileron"
        assert written("Alice").max() > 40
    finally:
        nameplate._font.cache_clear()


def test_in_a_collage_each_name_is_at_the_bottom_left_of_its_picture_and_drawn_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    class Counted(Nameplate):
        def __init__(self, name: str, most: int) -> None:
            made.append(name)
            super().__init__(name, most)

    monkeypatch.setattr("lknb.codec.collage.Nameplate", Counted)
    collage = Collage(1280, 720)
    pictures = {"1": plain(), "2": plain(), "3": plain()}
    labels = {"1": "Alice", "2": "Alice", "3": "Bob"}
    array = pixel.to_array(collage.compose(pictures, labels))
    without = pixel.to_array(Collage(1280, 720).compose(pictures))
    changed = np.abs(array.astype(int) - without).max(axis=2) > 40
    # three tiles of 640x360: two above, one in the middle below
    for left, top in ((0, 0), (640, 0), (320, 360)):
        assert changed[top + 320 : top + 352, left + 8 : left + 60].mean() > 0.5
    assert changed[:300].sum() == changed[352 + 8 : 660].sum() == 0
    collage.compose(pictures, labels)
    assert made == ["Alice", "Bob"]
    collage.compose(pictures, {"1": "Carol"})
    assert made == ["Alice", "Bob", "Carol"]
