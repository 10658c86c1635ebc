"""Samples in as they come, out in pieces of one size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lknb.codec.sample_queue import SampleQueue


def ramp(start: int, count: int, channels: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    return np.repeat(np.arange(start, start + count, dtype=np.int16)[:, np.newaxis], channels, axis=1)


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 40))
def test_every_sample_comes_out_once_and_in_order(sizes: list[int], count: int) -> None:
    queue = SampleQueue(1)
    pushed = 0
    popped: list[int] = []
    for size in sizes:
        queue.push(ramp(pushed, size))
        pushed += size
        while (piece := queue.pop(count)) is not None:
            assert piece.shape == (count, 1)
            popped.extend(piece[:, 0])
    assert len(queue) == pushed - len(popped) < count
    rest = queue.pop_padded(count)
    assert rest.shape == (count, 1)
    assert [*popped, *rest[: pushed - len(popped), 0]] == list(range(pushed))
    assert not rest[pushed - len(popped) :].any()
    assert len(queue) == 0


def test_two_channels_stay_together() -> None:
    queue = SampleQueue(2)
    queue.push(ramp(0, 5, 2))
    queue.push(ramp(5, 5, 2))
    piece = queue.pop(7)
    assert piece is not None
    assert (piece == ramp(0, 7, 2)).all()


def test_clear_forgets_everything() -> None:
    queue = SampleQueue(1)
    queue.push(ramp(0, 10))
    queue.clear()
    assert len(queue) == 0
    assert queue.pop(1) is None
    queue.push(ramp(20, 3))
    assert queue.pop_padded(4)[:, 0].tolist() == [20, 21, 22, 0]
