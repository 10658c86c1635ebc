"""Who looks at a track: at once, after a moment, not at all."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.audience import NOBODY_LEFT, REACTION_S, Audience, Sight, Viewer
from lknb.logic.track_setting import Dimensions

SMALL, LARGE = Dimensions(320, 180), Dimensions(1280, 720)
HIDDEN = Sight(False, None)


def test_a_track_nobody_looks_at_is_paused_a_moment_after_it_was_subscribed() -> None:
    audience = Audience(10.0)
    assert not audience.poll(10.0)
    assert audience.settled is None
    assert audience.deadline() == 10.0 + REACTION_S
    assert audience.poll(10.0 + REACTION_S)
    assert audience.settled == HIDDEN
    assert audience.deadline() is None


def test_who_begins_to_look_is_told_at_once_and_the_largest_visible_one_counts() -> None:
    audience = Audience(0.0)
    audience.poll(1.0)
    audience.observe([Viewer(SMALL), Viewer(LARGE, visible=False)], 2.0)
    assert audience.poll(2.0)
    assert audience.settled == Sight(True, SMALL)
    audience.observe([Viewer(SMALL), Viewer(LARGE)], 3.0)
    assert not audience.poll(3.05)
    assert audience.poll(3.0 + REACTION_S)
    assert audience.settled == Sight(True, LARGE)
    audience.observe([Viewer(SMALL), Viewer(None), Viewer(LARGE)], 4.0)
    assert audience.poll(4.0 + REACTION_S)
    assert audience.settled == Sight(True, None)


def test_a_size_is_told_when_it_stays_and_not_when_it_comes_back() -> None:
    audience = Audience(0.0)
    audience.observe([Viewer(SMALL)], 0.0)
    audience.poll(0.0)
    for step in range(10):
        audience.observe([Viewer(Dimensions(400 + step, 300))], 1.0 + step * 0.05)
        assert not audience.poll(1.0 + step * 0.05)
    assert audience.poll(1.45 + REACTION_S)
    assert audience.settled == Sight(True, Dimensions(409, 300))
    audience.observe([Viewer(SMALL)], 2.0)
    audience.observe([Viewer(Dimensions(409, 300))], 2.05)
    assert audience.deadline() is None


def test_a_view_that_is_made_anew_costs_no_pause_and_a_hidden_one_keeps_its_size() -> None:
    audience = Audience(0.0)
    audience.observe([Viewer(SMALL)], 0.0)
    audience.poll(0.0)
    audience.observe([], 1.0)
    audience.observe([Viewer(SMALL)], 1.09)
    assert audience.deadline() is None
    audience.observe([Viewer(SMALL, visible=False)], 2.0)
    assert not audience.poll(2.09)
    assert audience.poll(2.0 + REACTION_S)
    assert audience.settled == Sight(False, SMALL)
    audience.observe([Viewer(SMALL)], 3.0)
    assert audience.poll(3.0)
    audience.observe([], 4.0)
    assert audience.poll(5.0)
    assert audience.settled == NOBODY_LEFT


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.3), st.lists(st.tuples(st.sampled_from([None, SMALL, LARGE]), st.booleans()), max_size=3)
        )
    )
)
def test_whatever_happens_it_settles_on_what_is_there(
    steps: list[tuple[float, list[tuple[Dimensions | None, bool]]]],
) -> None:
    audience, now = Audience(0.0), 0.0
    viewers: list[Viewer] = []
    for pause_s, seen in steps:
        now += pause_s
        audience.poll(now)
        viewers = [Viewer(size, visible) for size, visible in seen]
        audience.observe(viewers, now)
        due = audience.deadline()
        assert due is None or now <= due <= now + REACTION_S
    audience.poll(math.inf)
    assert audience.settled == Sight.of(viewers) or (not viewers and audience.settled == NOBODY_LEFT)
