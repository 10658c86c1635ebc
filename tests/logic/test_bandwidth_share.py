from __future__ import annotations

from lknb.logic.bandwidth_share import LAYER_MIN_BPS, BandwidthShare, Demand

CAMERA = Demand({"q": 160_000, "h": 450_000, "f": 1_700_000})
FILE = Demand({"": 800_000}, adapts=False)


def divide(budget_bps: float, **demands: Demand) -> dict[str, dict[str, int]]:
    return BandwidthShare().update(demands, budget_bps, 0.0)


def test_what_there_is_for_everybody_goes_to_everybody() -> None:
    assert divide(3_200_000, camera=CAMERA, file=FILE) == {"camera": dict(CAMERA.layers_bps), "file": {"": 800_000}}
    assert divide(float("inf"), camera=CAMERA) == {"camera": dict(CAMERA.layers_bps)}
    assert divide(1e9) == {}


def test_the_lowest_layers_come_first_and_the_highest_go_first() -> None:
    assert divide(2_000_000, camera=CAMERA) == {"camera": {"q": 160_000, "h": 450_000, "f": 1_390_000}}
    assert divide(1_500_000, camera=CAMERA) == {"camera": {"q": 160_000, "h": 450_000}}
    assert divide(500_000, camera=CAMERA) == {"camera": {"q": 160_000, "h": 340_000}}
    assert divide(300_000, camera=CAMERA) == {"camera": {"q": 160_000}}
    assert divide(700_000, one=CAMERA, two=CAMERA) == {"one": {"q": 160_000, "h": 380_000}, "two": {"q": 160_000}}


def test_the_lowest_layer_of_an_encoder_is_always_sent() -> None:
    assert divide(1, camera=CAMERA) == {"camera": {"q": LAYER_MIN_BPS}}
    assert divide(100_000, camera=CAMERA) == {"camera": {"q": 100_000}}


def test_what_is_sent_as_it_is_goes_whole_or_not_at_all() -> None:
    assert divide(850_000, file=FILE) == {"file": {}}
    assert divide(900_000, file=FILE) == {"file": {"": 800_000}}
    share = BandwidthShare()
    share.update({"file": FILE}, 900_000, 0.0)
    assert share.update({"file": FILE}, 810_000, 1.0) == {"file": {"": 800_000}}
    assert share.update({"file": FILE}, 790_000, 1.1) == {"file": {}}
    assert share.update({"file": FILE}, 810_000, 3.0) == {"file": {}}


def test_down_at_once_and_up_once_a_second() -> None:
    share = BandwidthShare()
    wants = {"camera": CAMERA}
    share.update(wants, 1_000_000, 0.0)
    assert share.update(wants, 300_000, 0.1) == {"camera": {"q": 160_000}}
    assert share.update(wants, 900_000, 0.2) == {"camera": {"q": 160_000, "h": 450_000}}
    assert share.update(wants, 4_000_000, 0.9) == {"camera": {"q": 160_000, "h": 450_000}}
    assert share.update(wants, 4_000_000, 1.3) == {"camera": dict(CAMERA.layers_bps)}
    assert share.update(wants, 300_000, 1.4) == {"camera": {"q": 160_000}}


def test_a_layer_stays_with_less_than_it_needs_to_come() -> None:
    share = BandwidthShare()
    wants = {"camera": CAMERA}
    share.update(wants, 500_000, 0.0)
    assert share.update(wants, 345_000, 2.0) == {"camera": {"q": 160_000, "h": 185_000}}
    assert share.update(wants, 335_000, 3.0) == {"camera": {"q": 160_000}}
    assert share.update(wants, 400_000, 5.0) == {"camera": {"q": 160_000}}
    assert share.update(wants, 435_000, 7.0) == {"camera": {"q": 160_000, "h": 275_000}}


def test_encoders_are_not_troubled_for_little() -> None:
    share = BandwidthShare()
    wants = {"camera": Demand({"": 2_000_000})}
    first = share.update(wants, 1_000_000, 0.0)
    for index in range(50):
        assert share.update(wants, 1_000_000 + 40_000 * (-1) ** index, 2.0 * index) is first
    assert share.update(wants, 940_000, 100.0) == {"camera": {"": 940_000}}


def test_other_wishes_are_met_at_once() -> None:
    share = BandwidthShare()
    share.update({"camera": Demand({"q": 160_000})}, 3_000_000, 0.0)
    assert share.update({"camera": CAMERA}, 3_000_000, 0.1) == {"camera": dict(CAMERA.layers_bps)}
    assert share.update({"camera": CAMERA, "file": FILE}, 3_200_000, 0.2)["file"] == {"": 800_000}
