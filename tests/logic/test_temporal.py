"""Temporal layers: rates and gate."""

from __future__ import annotations

from lknb.logic.temporal import LAYERS, TemporalGate, TemporalRates


def rates_of_l1t3(fps: int = 32) -> TemporalRates:
    """Layers 0 2 1 2: a quarter, a half and all of the frames."""
    rates = TemporalRates()
    for frame in range(3 * fps):
        rates.add((0, 2, 1, 2)[frame % 4], frame / fps)
    return rates


def test_the_lowest_layer_with_nine_tenths_of_the_rate() -> None:
    rates = rates_of_l1t3()
    assert [rates.layer_for(fps) for fps in (5, 8, 8.9, 15, 17, 18, 30, 40)] == [0, 0, 1, 1, 1, 2, 2, LAYERS - 1]


def test_everything_passes_without_a_wish_or_before_anything_is_known() -> None:
    assert rates_of_l1t3().layer_for(0) == LAYERS - 1
    assert TemporalRates().layer_for(5) == LAYERS - 1


def test_a_stream_without_temporal_layers_has_one_rate() -> None:
    rates = TemporalRates()
    for frame in range(90):
        rates.add(0, frame / 30)
    assert rates.layer_for(5) == 0
    assert rates.layer_for(30) == 0


def test_down_at_any_frame_up_only_where_it_can_be_decoded() -> None:
    gate = TemporalGate()
    assert gate.passes(2, False, True)
    gate.target = 0
    assert gate.passes(2, False, False), "the rest of a frame that began passes"
    assert not gate.passes(2, False, True)
    assert gate.passes(0, False, True)
    gate.target = 2
    assert not gate.passes(2, False, True)
    assert gate.passes(1, True, True)
    assert not gate.passes(2, False, True)
    assert gate.passes(2, True, True)
    gate.target = 1
    gate.reset()
    assert not gate.passes(2, True, True)
    assert gate.passes(1, False, True)
