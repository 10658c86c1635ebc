import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.logic.label import LABEL_CHARACTERS, visible_label

MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("name", ["", "Alice", "Zoë Ångström", "عليّ", "日本語", "👩\u200d🚀", "a b", "</script><b>"])
def test_names_people_have_are_left_alone(name):
    assert visible_label(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", "a b"),
        ("a\u2028b", "a b"),
        ("a\x00b", f"a{MARK}b"),
        ("\u202egnp.exe", f"{MARK}gnp.exe"),
        ("a\u2066b\u2069", f"a{MARK}b{MARK}"),
        ("a\u200bb\ufeff", f"a{MARK}b{MARK}"),
        ("\ud800", MARK),
    ],
)
def test_what_would_not_be_seen_is_marked(name, shown):
    assert visible_label(name) == shown


def test_a_long_name_is_cut():
    assert visible_label("x" * LABEL_CHARACTERS) == "x" * LABEL_CHARACTERS
    assert visible_label("x" * (LABEL_CHARACTERS + 1)) == "x" * (LABEL_CHARACTERS - 1) + "…"


@given(st.text(st.characters()))
def test_any_text_gives_one_bounded_line_that_can_be_sent(name):
    shown = visible_label(name)
    assert len(shown) <= LABEL_CHARACTERS
    assert len(shown.splitlines()) <= 1
    shown.encode()
