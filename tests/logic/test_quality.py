"""Connection quality."""

from __future__ import annotations

import pytest

from lknb.logic.quality import Quality, QualityScore, mean_opinion_score, quality_of


def settled(kind: str, lost_percent: float, **rest: float) -> Quality:
    score = QualityScore(kind)
    for _ in range(30):
        score.update(packets=int(10_000 - 100 * lost_percent), lost=int(100 * lost_percent), **rest)  # type: ignore[arg-type]
    return quality_of(score.value)


@pytest.mark.parametrize(
    ("kind", "lost_percent", "quality"),
    [
        ("video", 0, Quality.EXCELLENT),
        ("video", 1.9, Quality.EXCELLENT),
        ("video", 2.1, Quality.GOOD),
        ("video", 5.9, Quality.GOOD),
        ("video", 6.5, Quality.POOR),
        ("audio", 3.6, Quality.EXCELLENT),
        ("audio", 4, Quality.GOOD),
        ("audio", 12, Quality.POOR),
        ("video", 90, Quality.POOR),
    ],
)
def test_loss_weighs_by_kind(kind: str, lost_percent: float, quality: Quality) -> None:
    assert settled(kind, lost_percent) is quality


def test_a_missing_layer_costs_a_level() -> None:
    assert settled("video", 0, layers_missing=1) is Quality.GOOD
    assert settled("video", 0, layers_missing=2) is Quality.POOR


def test_delay_counts_little_until_it_is_long() -> None:
    assert settled("video", 0, rtt_s=0.3) is Quality.EXCELLENT
    assert settled("video", 0, rtt_s=0.8) is Quality.GOOD


def test_it_falls_at_once_and_recovers_slowly() -> None:
    score = QualityScore("video")
    score.update(packets=900, lost=100)
    assert quality_of(score.value) is Quality.POOR
    steps = 0
    while quality_of(score.value) is not Quality.EXCELLENT:
        score.update(packets=1000, lost=0)
        steps += 1
    assert 2 <= steps <= 4


def test_silence_is_poor_where_packets_are_expected() -> None:
    score = QualityScore("audio")
    score.update(packets=0, lost=0, expected=False)
    assert quality_of(score.value) is Quality.EXCELLENT
    score.update(packets=0, lost=0)
    assert quality_of(score.value) is Quality.POOR
    score.reset()
    assert score.value == 100


def test_duplicates_are_no_negative_loss() -> None:
    score = QualityScore("video")
    score.update(packets=100, lost=-50)
    assert score.value == 100


def test_opinion_scores() -> None:
    assert mean_opinion_score(-1) == 1.0
    assert mean_opinion_score(100) == 4.5
    assert 4.0 < mean_opinion_score(80) < 4.1


@pytest.mark.parametrize(("score", "quality"), [(20, Quality.LOST), (20.1, Quality.POOR), (40.1, Quality.GOOD)])
def test_thresholds(score: float, quality: Quality) -> None:
    assert quality_of(score) is quality
