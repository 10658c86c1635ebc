"""Several sounds as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from lknb.rtc.audio_frame import AudioFrame
from lknb.rtc.audio_mixer import AudioMixer

RATE_HZ = 16_000


async def steady(value: int, frames: int, samples: int = 320) -> AsyncIterator[AudioFrame]:
    for _ in range(frames):
        yield AudioFrame.from_ndarray(np.full(samples, value, np.int16), RATE_HZ)


async def everything(mixer: AudioMixer) -> np.ndarray:
    async with asyncio.timeout(5):
        return np.concatenate([frame.to_ndarray()[:, 0] async for frame in mixer])


async def test_sounds_are_added_and_clipped_and_the_shorter_ends() -> None:
    mixer = AudioMixer(RATE_HZ, 1, blocksize=320)
    for value, frames in ((20_000, 5), (15_000, 3), (-3_000, 1)):
        mixer.add_stream(steady(value, frames))
    mixer.end_input()
    mixed = await everything(mixer)
    assert mixed[::320].tolist() == [32_000, 32_767, 32_767, 20_000, 20_000]
    with pytest.raises(RuntimeError):
        mixer.add_stream(steady(1, 1))
    with pytest.raises(StopAsyncIteration):
        await anext(mixer)


async def test_blocks_need_not_be_frames() -> None:
    mixer = AudioMixer(RATE_HZ, 1)
    mixer.add_stream(steady(7, 8))
    mixer.end_input()
    mixed = await everything(mixer)
    # 100 ms blocks of 20 ms frames: the rest is filled up
    assert len(mixed) == 2 * RATE_HZ // 10
    assert mixed[: 8 * 320].tolist() == [7] * 8 * 320
    assert not mixed[8 * 320 :].any()


async def test_an_input_that_is_late_is_silent_and_heard_later() -> None:
    release = asyncio.Event()

    async def late() -> AsyncIterator[AudioFrame]:
        await release.wait()
        async for frame in steady(100, 1):
            yield frame

    mixer = AudioMixer(RATE_HZ, 1, blocksize=320, stream_timeout_ms=20)
    mixer.add_stream(late())
    mixer.add_stream(steady(1, 3))
    first = await anext(mixer)
    assert first.to_ndarray()[0, 0] == 1
    release.set()
    mixer.end_input()
    assert 100 in (await everything(mixer) // 100 * 100)


async def test_inputs_that_fail_or_do_not_fit_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> AsyncIterator[AudioFrame]:
        raise ValueError("no such luck")
        yield

    async def other_rate() -> AsyncIterator[AudioFrame]:
        yield AudioFrame.create(8_000, 1, 160)

    async def no_frames() -> AsyncIterator[Any]:
        yield b"not a frame"

    mixer = AudioMixer(RATE_HZ, 1, blocksize=320)
    for stream in (broken(), other_rate(), no_frames(), steady(5, 2)):
        mixer.add_stream(stream)
    mixer.end_input()
    assert set(await everything(mixer)) == {5}
    assert "no such luck" in caplog.text
    assert caplog.text.count("expected 16000 Hz and 1 channels") == 2


async def test_closing_ends_inputs_that_wait() -> None:
    tidy: list[str] = []

    async def endless() -> AsyncIterator[AudioFrame]:
        try:
            await asyncio.Event().wait()
            yield AudioFrame.create(RATE_HZ, 1, 320)
        finally:
            tidy.append("done")

    mixer = AudioMixer(RATE_HZ, 1, stream_timeout_ms=10)
    mixer.add_stream(endless())
    gone = endless()
    mixer.add_stream(gone)
    await asyncio.sleep(0.05)
    mixer.remove_stream(gone)
    await mixer.aclose()
    await mixer.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(mixer)
    assert tidy == ["done", "done"]
