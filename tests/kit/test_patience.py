from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

pauses_s = [0.3]


@given(st.integers())
def test_a_machine_that_stands_still_for_a_moment_fails_no_test_of_values(number: int) -> None:
    time.sleep(pauses_s.pop() if pauses_s else 0)
