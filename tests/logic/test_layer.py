"""Layer liveness and choice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import pytest

from lknb.logic.layer import BACK_S, LENIENT_S, LONG_PAUSE_S, LayerActivity, choose_layer

TICK_S = 0.05


class Track:
    """Layers of one track, in simulated time: pictures as they come, and the clock of the server."""

    def __init__(self, layers: int = 3) -> None:
        self.layers = [LayerActivity(layer) for layer in range(layers)]
        self.now = 10.0
        self.changes: list[tuple[float, int, bool]] = []
        """(seconds, layer, live)."""
        self._timestamps = [0] * layers
        self._next_tick = self.now

    def picture(self, *layers: int) -> None:
        """A new picture of each of these layers."""
        for layer in layers:
            self._timestamps[layer] += 3000
            if self.layers[layer].packet(self._timestamps[layer]):
                self.changes.append((self.now, layer, True))

    def wait(self, seconds: float) -> None:
        """Nothing comes."""
        until = self.now + seconds
        while self._next_tick <= until:
            self.now = self._next_tick
            self._next_tick += TICK_S
            for activity in self.layers:
                if activity.tick(self.now, self.layers):
                    self.changes.append((self.now, activity.layer, activity.live))
        self.now = until

    def flow(self, seconds: float, fps: float, layers: Iterable[int] = (0, 1, 2)) -> None:
        """Pictures of all of these layers, in step."""
        layers = tuple(layers)
        until = self.now + seconds
        while self.now < until:
            self.picture(*layers)
            self.wait(1 / fps)

    def since(self, began: float) -> list[tuple[float, int, bool]]:
        """The changes from a moment on, in seconds after it."""
        return [(round(at - began, 3), layer, live) for at, layer, live in self.changes if at > began]

    @property
    def live(self) -> list[int]:
        return [activity.layer for activity in self.layers if activity.live]


def died(changes: Sequence[tuple[float, int, bool]], layer: int) -> float:
    """When a layer died, which it did once."""
    (at,) = [at for at, which, live in changes if which == layer and not live]
    return at


def test_a_layer_is_live_on_its_first_packet() -> None:
    activity = LayerActivity(2)
    assert not activity.live
    assert activity.packet(0)
    assert activity.live
    assert not activity.packet(0)
    assert not activity.packet(3000)
    assert activity.pictures == 2


@pytest.mark.parametrize("began_s", [0.0, 0.2, 5.0])
@pytest.mark.parametrize(("fps", "most_s"), [(30, 0.42), (20, 0.42), (15, 0.48), (10, 0.65)])
def test_layers_that_are_cut_are_dead_a_moment_later(began_s: float, fps: float, most_s: float) -> None:
    track = Track()
    track.picture(0, 1, 2)
    track.flow(began_s, fps)
    last = track.now
    track.flow(2, fps, [0])
    changes = track.since(last)
    assert [(layer, live) for _, layer, live in changes] == [(1, False), (2, False)]
    assert 0.2 < died(changes, 1) < most_s
    assert died(changes, 2) < most_s


def test_one_layer_is_cut_then_the_next() -> None:
    track = Track()
    track.flow(3, 30)
    track.flow(1, 30, [0, 1])
    assert track.live == [0, 1]
    track.flow(1, 30, [0])
    assert track.live == [0]


def test_a_layer_that_comes_back_must_go_on_for_a_while() -> None:
    track = Track()
    track.flow(2, 30)
    track.flow(3, 30, [0])
    assert track.live == [0]
    began = track.now
    track.flow(1.5, 30)
    track.flow(1.5, 30, [0])
    assert track.since(began) == []
    began = track.now
    track.flow(3, 30)
    changes = track.since(began)
    assert [(layer, live) for _, layer, live in changes] == [(1, True), (2, True)]
    assert changes[0][0] == pytest.approx(BACK_S, abs=0.15)


def test_a_layer_that_was_given_up_wrongly_is_back_at_once_and_not_given_up_so_soon_again() -> None:
    track = Track()
    track.flow(2, 30)
    for number in range(5):
        began = track.now
        track.flow(0.6, 30, [0, 1])  # its encoder drops pictures
        track.flow(1.4, 30)
        changes = track.since(began)
        if number == 0:
            assert [(layer, live) for _, layer, live in changes] == [(2, False), (2, True)]
            assert changes[1][0] < 0.75
        else:
            assert changes == []
    began = track.now
    track.flow(3, 30, [0, 1])
    assert LONG_PAUSE_S - 0.05 < died(track.since(began), 2) < LONG_PAUSE_S + 0.15
    track.flow(LENIENT_S, 30)
    began = track.now
    track.flow(3, 30, [0, 1])
    assert died(track.since(began), 2) < 0.45


def no_flapping(track: Track, seconds: float, step: Callable[[Track, random.Random], None]) -> None:
    rng = random.Random(1)
    began = track.now
    while track.now < began + seconds:
        step(track, rng)
    assert track.changes == [(10.0, 0, True), (10.0, 1, True), (10.0, 2, True)]


def low_light(track: Track, rng: random.Random) -> None:
    """A camera that exposes for 70 to 250 ms."""
    track.picture(0, 1, 2)
    track.wait(rng.uniform(0.07, 0.25))


def screen(track: Track, rng: random.Random) -> None:
    """Something happens on the screen, or nothing for up to eight seconds."""
    for _ in range(rng.randrange(1, 6)):
        track.picture(0, 1, 2)
        track.wait(0.2)
    track.wait(rng.choice([0, 0.3, 1, 8]))


def thinned_screen(track: Track, rng: random.Random) -> None:
    """A screen whose small layer has 3 pictures a second, the others 15."""
    track.picture(0)
    for _ in range(5):
        track.picture(1, 2)
        track.wait(rng.uniform(0.06, 0.075))


def thinned_top(track: Track, rng: random.Random) -> None:
    """A top layer with 5 pictures a second beside 30."""
    track.picture(0, 1, 2)
    for _ in range(6):
        track.wait(1 / 30)
        track.picture(0, 1)


def dropping_encoder(track: Track, rng: random.Random) -> None:
    """The encoder of the top layer makes two pictures of three, in runs."""
    for _ in range(rng.randrange(1, 8)):
        track.picture(0, 1, 2)
        track.wait(1 / 30)
    for _ in range(rng.randrange(4)):
        track.picture(0, 1)
        track.wait(1 / 30)


def stalling_path(track: Track, rng: random.Random) -> None:
    """Radio holds everything back for up to three seconds, then all of it comes at once, layer by layer."""
    track.flow(1, 30)
    pause_s = rng.uniform(0.1, 3)
    track.wait(pause_s)
    for layer in range(3):
        for _ in range(int(30 * pause_s)):
            track.picture(layer)
    track.wait(0.01)


def paced_keyframe(track: Track, rng: random.Random) -> None:
    """A picture of the top layer that takes most of a second to arrive, others in between."""
    track.flow(0.5, 30)
    for _ in range(25):
        track.picture(0, 1)
        track.layers[2].packet(-1)
        track.wait(1 / 30)


@pytest.mark.parametrize(
    "step", [low_light, screen, thinned_screen, thinned_top, dropping_encoder, stalling_path, paced_keyframe]
)
def test_no_layer_is_given_up_while_all_go_on(step: Callable[[Track, random.Random], None]) -> None:
    no_flapping(Track(), 60, step)


def test_nothing_dies_when_everything_stops_nor_a_single_layer() -> None:
    track = Track()
    track.flow(1, 30)
    track.wait(30)
    assert track.live == [0, 1, 2]
    single = Track(1)
    single.flow(1, 30, [0])
    single.wait(30)
    single.flow(1, 2, [0])
    assert single.live == [0]


def test_after_a_stall_a_layer_that_does_not_come_back_is_dead_soon() -> None:
    track = Track()
    track.flow(1, 30)
    track.wait(5)
    began = track.now
    track.flow(1, 30, [0])
    assert track.live == [0]
    assert died(track.since(began), 2) < 0.25


def test_a_low_layer_that_is_not_sent_any_more_dies_later() -> None:
    track = Track()
    track.flow(2, 30)
    began = track.now
    track.flow(2, 30, [1, 2])
    assert track.live == [1, 2]
    assert LONG_PAUSE_S - 0.05 < died(track.since(began), 0) < LONG_PAUSE_S + 0.15


def test_a_layer_under_another_ssrc_counts_from_there() -> None:
    track = Track()
    track.flow(2, 30)
    track.layers[0] = LayerActivity(0)
    track.flow(1, 30)
    assert track.live == [0, 1, 2]
    track.flow(1, 30, [0])
    assert track.live == [0]


def test_a_layer_that_says_goodbye_is_dead_at_once() -> None:
    track = Track()
    track.flow(2, 30)
    assert track.layers[2].end()
    assert not track.layers[2].end()
    assert track.live == [0, 1]
    track.picture(2)  # overtaken by the goodbye
    track.flow(1, 30, [0, 1])
    assert track.live == [0, 1]
    track.flow(BACK_S + 0.2, 30)
    assert track.live == [0, 1, 2]


def test_where_no_layer_is_live_the_first_that_comes_back_is() -> None:
    track = Track()
    track.flow(2, 30)
    for activity in track.layers:
        activity.end()
    assert track.live == []
    track.flow(0.5, 30)
    assert track.live == [0]
    track.flow(BACK_S, 30)
    assert track.live == [0, 1, 2]


def test_after_a_reset_the_next_packet_makes_it_live() -> None:
    activity = LayerActivity(1)
    activity.packet(0)
    activity.reset()
    assert not activity.live
    assert not activity.tick(99.0, [activity])
    assert activity.packet(0)


@pytest.mark.parametrize(
    ("live", "wanted", "chosen"),
    [([0, 1, 2], 2, 2), ([0, 1, 2], 1, 1), ([0, 2], 1, 0), ([1, 2], 0, 1), ([2], 0, 2), ([], 2, None), ([0], -1, 0)],
)
def test_the_best_live_layer_up_to_the_wanted_one_else_the_lowest(
    live: list[int], wanted: int, chosen: int | None
) -> None:
    assert choose_layer(live, wanted) == chosen
