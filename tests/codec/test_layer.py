"""Simulcast layers by the size of the source, as LiveKit's JS client plans them."""

from __future__ import annotations

import itertools

import pytest

from lknb.codec.layer import Layer, plan_layers


def rids(layers: tuple[Layer, ...]) -> list[str]:
    return [layer.rid for layer in layers]


def test_720p_goes_out_in_three_layers_with_the_bitrates_of_the_presets() -> None:
    assert plan_layers(1280, 720) == (
        Layer("q", 320, 180, 160_000, 20),
        Layer("h", 640, 360, 450_000, 20),
        Layer("f", 1280, 720, 1_700_000, 30),
    )


def test_1080p_has_the_same_lower_layers() -> None:
    low, middle, top = plan_layers(1920, 1080)
    assert (low.width, low.height, middle.width, middle.height) == (320, 180, 640, 360)
    assert (top.rid, top.max_bitrate_bps) == ("f", 3_000_000)


def test_a_picture_of_4_to_3_has_presets_of_its_own() -> None:
    low, top = plan_layers(640, 480)
    assert (low.rid, low.width, low.height, low.max_bitrate_bps) == ("q", 240, 180, 125_000)
    assert (top.rid, top.width, top.height, top.max_bitrate_bps) == ("h", 640, 480, 500_000)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((479, 270), [""]), ((480, 270), ["q", "h"]), ((959, 540), ["q", "h"]), ((960, 540), ["q", "h", "f"])],
)
def test_the_long_side_decides_how_many_layers_there_are(size: tuple[int, int], expected: list[str]) -> None:
    assert rids(plan_layers(*size)) == expected
    assert rids(plan_layers(*reversed(size))) == expected


def test_portrait_pictures_keep_their_shape() -> None:
    assert [(layer.width, layer.height) for layer in plan_layers(720, 1280)] == [(180, 320), (360, 640), (720, 1280)]


def test_without_simulcast_there_is_one_layer_without_a_rid() -> None:
    assert plan_layers(1280, 720, simulcast=False) == (Layer("", 1280, 720, 1_700_000, 30),)


def test_options_replace_the_preset_of_the_largest_layer_only() -> None:
    low, middle, top = plan_layers(1280, 720, max_bitrate_bps=900_000, max_fps=15)
    assert (top.max_bitrate_bps, top.max_fps) == (900_000, 15)
    assert (low.max_bitrate_bps, middle.max_bitrate_bps) == (160_000, 450_000)
    assert low.max_fps == middle.max_fps == 15


def test_a_small_picture_keeps_30_frames_a_second() -> None:
    (only,) = plan_layers(320, 180)
    assert (only.max_bitrate_bps, only.max_fps) == (160_000, 30)


def test_a_screen_share_has_its_half_as_second_layer() -> None:
    half, top = plan_layers(1920, 1080, screencast=True)
    assert (half.rid, half.width, half.height, half.max_bitrate_bps) == ("q", 960, 540, 625_000)
    assert (top.rid, top.max_bitrate_bps, top.max_fps) == ("h", 2_500_000, 15)


def test_lower_layers_are_never_as_large_as_the_picture_and_have_even_sides() -> None:
    for width in range(20, 2000, 37):
        for height in range(20, 1200, 41):
            layers = plan_layers(width, height)
            assert (layers[-1].width, layers[-1].height) == (width, height)
            for smaller, larger in itertools.pairwise(layers):
                assert smaller.width <= larger.width
                assert smaller.height <= larger.height
                assert smaller.width % 2 == smaller.height % 2 == 0


def test_a_picture_larger_than_all_presets_gets_the_largest() -> None:
    assert plan_layers(4096, 2304)[-1].max_bitrate_bps == 8_000_000
