"""Several sounds, mixed into one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np

from lknb.codec.sample_queue import SampleQueue
from lknb.errors import FrameError
from lknb.rtc.audio_frame import AudioFrame

logger = logging.getLogger(__name__)

_STALLED_ROUNDS = 10
"""After `end_input`, an input that is late so often in a row is given up."""


@dataclass
class _Input:
    samples: SampleQueue
    reading: asyncio.Future[AudioFrame] | None = None
    ended: bool = False
    stalled: int = field(default=0)


class AudioMixer:
    """An asynchronous iterator over the sum of several iterators of `AudioFrame`, in frames of `blocksize` samples.

    `blocksize` 0 is 100 ms. All inputs must have `sample_rate` (Hz) and `num_channels`; one with others is left out, with
    a warning. An input that is late by `stream_timeout_ms` is silent in this frame, one that ends is forgotten. At most
    `capacity` frames wait to be read. To be made where an event loop runs.
    """

    def __init__(
        self,
        sample_rate: int,
        num_channels: int,
        *,
        blocksize: int = 0,
        stream_timeout_ms: int = 100,
        capacity: int = 100,
    ) -> None:
        if sample_rate <= 0 or num_channels <= 0 or blocksize < 0:
            raise FrameError(f"cannot mix {num_channels} channels at {sample_rate} Hz in blocks of {blocksize}")
        self._sample_rate_hz = sample_rate
        self._channels = num_channels
        self._block = blocksize or sample_rate // 10
        self._timeout_s = stream_timeout_ms / 1000
        self._inputs: dict[AsyncIterator[AudioFrame], _Input] = {}
        self._changed = asyncio.Event()
        self._ending = False
        self._mixed: asyncio.Queue[AudioFrame | None] = asyncio.Queue(capacity)
        self._task = asyncio.create_task(self._mix(), name="lknb audio mixer")

    def add_stream(self, stream: AsyncIterator[AudioFrame]) -> None:
        """Mix this one in as well. Raises RuntimeError after `end_input` and `aclose`."""
        if self._ending:
            raise RuntimeError("the mixer takes no more inputs")
        self._inputs.setdefault(stream, _Input(SampleQueue(self._channels)))
        self._changed.set()

    def remove_stream(self, stream: AsyncIterator[AudioFrame]) -> None:
        """Mix it in no more. Nothing happens when it is not."""
        gone = self._inputs.pop(stream, None)
        if gone is not None and gone.reading is not None:
            _drop(gone.reading)

    def end_input(self) -> None:
        """No more inputs come: the iteration ends with the last of them."""
        self._ending = True
        self._changed.set()

    def __aiter__(self) -> AudioMixer:
        return self

    async def __anext__(self) -> AudioFrame:
        frame = await self._mixed.get()
        if frame is None:
            # for whoever asks again
            self._mixed.put_nowait(None)
            raise StopAsyncIteration
        return frame

    async def aclose(self) -> None:
        """Stop at once; what was mixed and not read is lost. Harmless twice."""
        self._ending = True
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        reading = [each.reading for each in self._inputs.values() if each.reading is not None]
        self._inputs.clear()
        for read in reading:
            _drop(read)
        # inputs may have something to tidy up
        await asyncio.gather(*reading, return_exceptions=True)
        while not self._mixed.empty():
            self._mixed.get_nowait()
        self._mixed.put_nowait(None)

    async def _mix(self) -> None:
        while self._inputs or not self._ending:
            if not self._inputs:
                self._changed.clear()
                await self._changed.wait()
                continue
            inputs = list(self._inputs.items())
            filled = await asyncio.gather(*(self._fill(stream, each) for stream, each in inputs))
            total = np.zeros((self._block, self._channels), np.int32)
            for stream, each in inputs:
                total += each.samples.pop_padded(self._block)
                if each.ended and not len(each.samples):
                    self._inputs.pop(stream, None)
            if any(filled):
                mixed = np.clip(total, -32_768, 32_767).astype(np.int16)
                await self._mixed.put(AudioFrame(mixed.tobytes(), self._sample_rate_hz, self._channels, self._block))
        await self._mixed.put(None)

    async def _fill(self, stream: AsyncIterator[AudioFrame], each: _Input) -> bool:
        """Read until a block is there, the input ends, or is late. Whether there is anything."""
        while len(each.samples) < self._block and not each.ended and stream in self._inputs:
            if each.reading is None:
                each.reading = asyncio.ensure_future(anext(stream))
            # a read that is late goes on: cancelling it would end a generator for good
            done, _ = await asyncio.wait({each.reading}, timeout=self._timeout_s)
            if not done:
                each.stalled += 1
                each.ended = self._ending and each.stalled >= _STALLED_ROUNDS
                break
            each.stalled = 0
            read, each.reading = each.reading, None
            if read.cancelled():
                break
            self._take(stream, each, read)
        if each.ended and each.reading is not None:
            _drop(each.reading)
            each.reading = None
        return len(each.samples) > 0

    def _take(self, stream: AsyncIterator[AudioFrame], each: _Input, read: asyncio.Future[AudioFrame]) -> None:
        error = read.exception()
        if error is not None:
            each.ended = True
            if not isinstance(error, StopAsyncIteration):
                logger.warning("an input of a mixer failed: %r", error)
            return
        frame = read.result()
        shape = (getattr(frame, "sample_rate", None), getattr(frame, "num_channels", None))
        if shape != (self._sample_rate_hz, self._channels):
            each.ended = True
            expected = f"{self._sample_rate_hz} Hz and {self._channels} channels"
            logger.warning("an input of a mixer was left out: expected %s, got %r from %r", expected, frame, stream)
            return
        each.samples.push(frame.to_ndarray())


def _drop(read: asyncio.Future[AudioFrame]) -> None:
    """Cancel a read nobody waits for any more."""
    read.cancel()
    read.add_done_callback(lambda done: done.cancelled() or done.exception())
