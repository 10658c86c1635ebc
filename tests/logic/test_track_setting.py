"""What a subscriber asks for: the user's wishes and what adaptive stream sees, merged."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from lknb.logic.track_setting import Dimensions, TrackSetting, is_simulcast, layer_dimensions

LOW, MEDIUM, HIGH = 0, 1, 2


def video(*, layers: int = 3, in_codecs: bool = True) -> models.TrackInfo:
    listed = [models.VideoLayer(quality=q, width=320 << q, height=180 << q) for q in range(layers)]  # type: ignore[arg-type]
    if in_codecs:
        return models.TrackInfo(sid="TR", type=1, codecs=[models.SimulcastCodecInfo(layers=listed)])
    return models.TrackInfo(sid="TR", type=1, layers=listed)


def asked(setting: TrackSetting, track: models.TrackInfo | None = None) -> rtc.UpdateTrackSettings:
    return setting.request(track or video())


def test_without_wishes_the_best_layer_is_asked_for() -> None:
    assert asked(TrackSetting()) == rtc.UpdateTrackSettings(track_sids=["TR"], quality=models.VideoQuality.HIGH)


def test_a_quality_forgets_dimensions_and_dimensions_forget_the_quality() -> None:
    setting = TrackSetting()
    assert setting.set_dimensions(Dimensions(640, 360))
    assert setting.set_quality(LOW)
    assert (asked(setting).quality, asked(setting).width) == (LOW, 0)
    assert setting.set_dimensions(Dimensions(639.5, 359.1))
    assert (asked(setting).width, asked(setting).height) == (640, 360)


def test_repeating_a_wish_says_nothing_new() -> None:
    setting = TrackSetting()
    for _ in range(2):
        results = (
            setting.set_quality(LOW), setting.set_fps(10), setting.set_enabled(False),
            setting.set_shown(Dimensions(1, 1), visible=True),
        )  # fmt: skip
    assert results == (False, False, False, False)
    assert setting.set_dimensions(Dimensions(2, 2))
    assert not setting.set_dimensions(Dimensions(2, 2))


def test_an_explicit_choice_beats_visibility() -> None:
    setting = TrackSetting()
    assert setting.is_enabled
    setting.set_shown(None, visible=False)
    assert asked(setting).disabled
    setting.set_enabled(True)
    assert not asked(setting).disabled
    setting.set_shown(Dimensions(10, 10), visible=True)
    setting.set_enabled(False)
    assert asked(setting).disabled


@pytest.mark.parametrize(
    ("shown", "wish", "width", "quality"),
    [
        (Dimensions(200, 100), None, 200, 0),
        (Dimensions(200, 100), Dimensions(640, 360), 200, 0),
        (Dimensions(2000, 1000), Dimensions(640, 360), 640, 0),
        # the same area: the wish stays
        (Dimensions(360, 640), Dimensions(640, 360), 640, 0),
        (Dimensions(500, 300), MEDIUM, 500, 0),
        (Dimensions(900, 600), MEDIUM, 0, MEDIUM),
    ],
)
def test_the_smaller_area_wins(shown: Dimensions, wish: Dimensions | int | None, width: int, quality: int) -> None:
    setting = TrackSetting()
    setting.set_shown(shown, visible=True)
    if isinstance(wish, Dimensions):
        setting.set_dimensions(wish)
    elif wish is not None:
        setting.set_quality(wish)
    assert (asked(setting).width, asked(setting).quality) == (width, quality)


def test_a_quality_whose_layer_nobody_announced_stays() -> None:
    setting = TrackSetting()
    setting.set_shown(Dimensions(1, 1), visible=True)
    setting.set_quality(HIGH)
    assert asked(setting, video(layers=2)).quality == HIGH


def test_frame_rates_are_asked_for_and_sound_has_neither_size_nor_quality() -> None:
    setting = TrackSetting()
    setting.set_fps(7)
    setting.set_enabled(False)
    assert asked(setting).fps == 7
    sound = models.TrackInfo(sid="TR", type=0)
    assert asked(setting, sound) == rtc.UpdateTrackSettings(track_sids=["TR"], disabled=True, fps=7)


@pytest.mark.parametrize("in_codecs", [True, False])
def test_layers_are_found_where_old_and_new_servers_put_them(in_codecs: bool) -> None:
    assert layer_dimensions(video(in_codecs=in_codecs), MEDIUM) == Dimensions(640, 360)
    assert layer_dimensions(video(layers=1, in_codecs=in_codecs), HIGH) is None
    assert is_simulcast(video(in_codecs=in_codecs))
    assert not is_simulcast(video(layers=1, in_codecs=in_codecs))
    assert is_simulcast(models.TrackInfo(type=1, simulcast=True))
    assert not is_simulcast(models.TrackInfo(type=0, simulcast=True))
