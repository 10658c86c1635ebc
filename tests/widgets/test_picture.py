import pytest

from lknb.widgets import picture
from lknb.widgets.picture import REPLACE_INTERVAL_S, SavedPicture


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def replaced(monkeypatch):
    replaced = []
    monkeypatch.setattr(picture, "update_display", lambda display_id, data: replaced.append((display_id, dict(data))))
    return replaced


@pytest.fixture
def saved(clock, replaced):
    saved = SavedPicture("id-1", lambda: {"text/plain": "view"}, clock)
    saved.displayed()
    return saved


def pictures(replaced):
    return [data.get("image/png") for _, data in replaced]


def test_the_first_picture_goes_into_the_output_at_once(saved, replaced):
    saved.take(b"1", unseen=False)
    assert replaced == [("id-1", {"text/plain": "view", "image/png": "MQ=="})]
    assert saved.png == b"1"


def test_while_somebody_looks_the_output_is_left_alone(saved, replaced, clock):
    for number in range(100):
        clock.now += 10
        saved.take(b"%d" % number, unseen=False)
    assert len(replaced) == 1
    assert saved.png == b"99"


def test_when_nobody_looks_it_is_replaced_but_seldom(saved, replaced, clock):
    saved.take(b"1", unseen=False)
    clock.now += REPLACE_INTERVAL_S - 0.1
    saved.take(b"2", unseen=True)
    assert pictures(replaced) == ["MQ=="]
    clock.now += 0.1
    saved.take(b"3", unseen=True)
    saved.take(b"4", unseen=True)
    assert pictures(replaced) == ["MQ==", "Mw=="]


def test_at_the_end_the_last_picture_goes_in_unless_it_is_there(saved, replaced, clock):
    saved.take(b"1", unseen=False)
    saved.take(b"2", unseen=True)
    saved.replace()
    saved.replace()
    assert pictures(replaced) == ["MQ==", "Mg=="]


def test_what_was_never_displayed_is_never_replaced(clock, replaced):
    saved = SavedPicture("id-1", dict, clock)
    saved.take(b"1", unseen=True)
    saved.replace()
    saved.leave("view")
    assert replaced == []


def test_a_view_displayed_again_has_its_picture_already(saved, replaced):
    saved.take(b"1", unseen=False)
    assert saved.bundle()["image/png"] == "MQ=="
    saved.displayed()
    saved.replace()
    assert len(replaced) == 1


def test_a_closed_view_leaves_its_picture_and_no_widget(saved, replaced):
    saved.take(b"1", unseen=False)
    saved.leave("VideoView('Alice')")
    assert replaced[-1] == ("id-1", {"text/plain": "VideoView('Alice')", "image/png": "MQ=="})
    saved.take(b"2", unseen=True)
    saved.replace()
    assert len(replaced) == 2


def test_a_closed_view_without_a_picture_leaves_nothing(saved, replaced):
    saved.leave("view")
    assert replaced == []
