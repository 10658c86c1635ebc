"""Samples in as they come, out in pieces of one size."""

from __future__ import annotations

from collections import deque

import numpy as np

from lknb.codec.audio_encoder import Samples


class SampleQueue:
    """A queue of int16 samples of shape (n, channels), counted in samples of each channel. Not locked."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._pieces: deque[Samples] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, samples: Samples) -> None:
        """Append samples; they are not copied."""
        if len(samples):
            self._pieces.append(samples)
            self._length += len(samples)

    def pop(self, count: int) -> Samples | None:
        """The first `count` samples, or None while there are fewer."""
        if self._length < count:
            return None
        return self._take(count)

    def pop_padded(self, count: int) -> Samples:
        """The first `count` samples, with silence after the last."""
        taken = self._take(min(count, self._length))
        if len(taken) == count:
            return taken
        return np.concatenate((taken, np.zeros((count - len(taken), self._channels), np.int16)))

    def clear(self) -> None:
        """Forget all samples."""
        self._pieces.clear()
        self._length = 0

    def _take(self, count: int) -> Samples:
        self._length -= count
        taken: list[Samples] = []
        while count:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
        return taken[0] if len(taken) == 1 else np.concatenate([np.zeros((0, self._channels), np.int16), *taken])
