"""How far apart sound and picture are at an official receiver that were pushed into an AVSynchronizer together.

    python -m tests.bench.av_sync [--seconds 60] [--publisher lknb.rtc | livekit.rtc] [--rows 29.97/44100,25/48000]

The publisher pushes pictures and sound as fast as they are taken: a flash and a beep begin together once a second. The
receiver is the official wheel in a process of its own; it notes when the first white picture and the first loud sample
come out of its VideoStream and AudioStream, and from its stats how long its jitter buffers kept them. A row is printed for
each pair of rates: the median and the range of beep minus flash as they came out; the same without the receiver's buffers,
which hold sound longer than pictures, and on a busy machine much longer; and how far the halves of the run are apart
(drift). Positive: the beep is late.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from tests.kit.server import ROOT, Server, ServerProcess
from tests.kit.token import room_name

WIDTH, HEIGHT = 320, 180
FLASH_S = 0.2
BEEP_HZ = 1000.0
MIN_QUIET_S = 0.4
PAIR_WITHIN_S = 0.4


@dataclass(frozen=True)
class Content:
    """A flash and a beep at the first picture of every second."""

    fps: float
    rate_hz: int

    def first_picture(self, second: int) -> int:
        return ceil(second * self.fps - 1e-9)

    def is_white(self, number: int) -> bool:
        return 0 <= number - self.first_picture(int(number / self.fps + 1e-9)) < FLASH_S * self.fps

    def sound(self, begin: int, count: int) -> np.ndarray[Any, Any]:
        """int16 samples from sample `begin` on."""
        at = np.arange(begin, begin + count)
        seconds = (at / self.rate_hz).astype(int)
        onsets = np.array([round(self.first_picture(int(s)) / self.fps * self.rate_hz) for s in np.unique(seconds)])
        since = at - onsets[seconds - seconds[0]]
        wave = np.cos(2 * np.pi * BEEP_HZ * since / self.rate_hz) * 12_000
        return np.where((since >= 0) & (since < FLASH_S * self.rate_hz), wave, 0).astype(np.int16)


async def publish(rtc: Any, server: Server, name: str, content: Content, seconds: float) -> dict[str, float]:
    """Push for so long; what the synchronizer says of itself."""
    room = rtc.Room()
    await room.connect(server.url, server.token("publisher", name))
    pictures, sound = rtc.VideoSource(WIDTH, HEIGHT), rtc.AudioSource(content.rate_hz, 1)
    for track, source in (
        (rtc.LocalVideoTrack.create_video_track("flash", pictures), rtc.TrackSource.SOURCE_CAMERA),
        (rtc.LocalAudioTrack.create_audio_track("beep", sound), rtc.TrackSource.SOURCE_MICROPHONE),
    ):
        publication = await room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=source, dtx=False)
        )
        await publication.wait_for_subscription()
    synchronizer = rtc.AVSynchronizer(audio_source=sound, video_source=pictures, video_fps=content.fps)
    white, black = (bytes([value] * (WIDTH * HEIGHT * 3)) for value in (235, 20))
    began = time.monotonic()
    pushed = 0
    for number in range(int(seconds * content.fps)):
        data = white if content.is_white(number) else black
        await synchronizer.push(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGB24, data))
        count = round((number + 1) / content.fps * content.rate_hz) - pushed
        samples = content.sound(pushed, count)
        await synchronizer.push(rtc.AudioFrame(samples.tobytes(), content.rate_hz, 1, count))
        pushed += count
    fps = synchronizer.actual_fps
    await synchronizer.wait_for_playout()
    lasted_s = time.monotonic() - began
    await synchronizer.aclose()
    await room.disconnect()
    return {"fps": fps, "lasted_s": lasted_s}


async def receive(rtc: Any, url: str, token: str) -> None:
    """Note when flashes and beeps came out until the publisher leaves, and print that then, a line of JSON each: a pipe
    that is full, because nobody reads it yet, would stop the receiver."""
    notes: list[dict[str, Any]] = []
    room = rtc.Room()
    gone = asyncio.Event()
    readers: list[asyncio.Task[None]] = []

    async def watch(track: Any) -> None:
        was_white = True
        async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420):
            white = event.frame.data[event.frame.width * event.frame.height // 2] > 128
            if white and not was_white:
                notes.append({"flash": time.monotonic()})
            was_white = white

    async def listen(track: Any) -> None:
        quiet_s = 0.0
        async for event in rtc.AudioStream(track, sample_rate=48_000, num_channels=1):
            now = time.monotonic()
            loud = np.flatnonzero(np.abs(np.frombuffer(event.frame.data, np.int16)) > 3_000)
            samples = event.frame.samples_per_channel
            if len(loud) and quiet_s + loud[0] / 48_000 > MIN_QUIET_S:
                notes.append({"beep": now + (loud[0] - samples) / 48_000})
            quiet_s = (samples - loud[-1]) / 48_000 if len(loud) else quiet_s + samples / 48_000

    async def follow(track: Any, name: str) -> None:
        while True:
            before = time.monotonic()
            stats = [stat for stat in await track.get_stats() if stat.WhichOneof("stats") == "inbound_rtp"]
            now = (before + time.monotonic()) / 2
            if stats:
                inbound = stats[0].inbound_rtp.inbound
                held = [inbound.jitter_buffer_delay, inbound.jitter_buffer_emitted_count]
                notes.append({name: now, "held": held})
            await asyncio.sleep(0.1)

    def subscribed(track: Any, *_: Any) -> None:
        is_video = track.kind == rtc.TrackKind.KIND_VIDEO
        readers.append(asyncio.ensure_future(follow(track, "video" if is_video else "audio")))
        readers.append(asyncio.ensure_future(watch(track) if is_video else listen(track)))

    room.on("track_subscribed", subscribed)
    room.on("participant_disconnected", lambda *_: gone.set())
    await room.connect(url, token)
    print(json.dumps({"ready": True}), flush=True)
    await gone.wait()
    for reader in readers:
        reader.cancel()
    print(*map(json.dumps, notes), sep="\n", flush=True)
    await room.disconnect()


@dataclass(frozen=True)
class Pair:
    """One flash and its beep: beep minus flash in seconds, as they came out and without the receiver's buffers."""

    heard_s: float
    sent_s: float


class Held:
    """How long one jitter buffer kept what came out at some time, from its running totals."""

    def __init__(self, events: list[dict[str, Any]], name: str) -> None:
        self._totals = [(event[name], *event["held"]) for event in events if name in event]

    def at(self, time_s: float) -> float:
        """Seconds, on average over about half a second."""
        near = min(range(len(self._totals)), key=lambda index: abs(self._totals[index][0] - time_s))
        _, before_s, before = self._totals[max(0, near - 3)]
        _, after_s, after = self._totals[min(len(self._totals) - 1, near + 3)]
        return float((after_s - before_s) / max(1, after - before))


def pairs_of(lines: list[str]) -> list[Pair]:
    """What a receiver has printed, flashes with the beep next to them."""
    events = [json.loads(line) for line in lines if line.startswith("{")]
    beeps = [event["beep"] for event in events if "beep" in event]
    flashes = [event["flash"] for event in events if "flash" in event]
    sound, pictures = Held(events, "audio"), Held(events, "video")
    pairs = []
    for flash in flashes:
        beep = min(beeps, key=lambda beep: abs(beep - flash), default=float("inf"))
        if abs(beep - flash) < PAIR_WITHIN_S:
            pairs.append(Pair(beep - flash, beep - sound.at(beep) - flash + pictures.at(flash)))
    return pairs


async def measure(
    publisher: str, server: Server, content: Content, seconds: float, name: str
) -> tuple[list[Pair], dict[str, float]]:
    """The pairs that were seen and heard in a room, and what the synchronizer says of itself."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.av_sync", "--receive", server.url, server.token("receiver", name),
        stdout=PIPE, cwd=ROOT,
    )  # fmt: skip
    assert child.stdout is not None
    await child.stdout.readline()
    told = await publish(importlib.import_module(publisher), server, name, content, seconds)
    lines = (await child.stdout.read()).decode().splitlines()
    await child.wait()
    return pairs_of(lines), told


def shown(offsets_s: list[float]) -> str:
    """The median and the range in milliseconds."""
    ms = [1000 * offset for offset in offsets_s]
    return f"{statistics.median(ms):+.1f} ms ({min(ms):+.1f} .. {max(ms):+.1f})"


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--publisher", default="lknb.rtc")
    parser.add_argument("--rows", default="29.97/44100,25/48000")
    parser.add_argument("--receive", nargs=2)
    options = parser.parse_args()
    if options.receive:
        await receive(importlib.import_module("livekit.rtc"), *options.receive)
        sys.stdout.flush()
        # the wheel's native threads make an ordinary exit hang or abort now and then
        os._exit(0)
    with ServerProcess() as process:
        for row in options.rows.split(","):
            fps, rate = row.split("/")
            content = Content(float(fps), int(rate))
            pairs, told = await measure(options.publisher, process.server, content, options.seconds, room_name())
            sent = [pair.sent_s for pair in pairs]
            drift_s = statistics.median(sent[len(sent) // 2 :]) - statistics.median(sent[: len(sent) // 2])
            print(
                f"{options.publisher} {fps} fps {rate} Hz, {options.seconds:g} s, {len(pairs)} pairs: "
                f"beep - flash {shown([pair.heard_s for pair in pairs])}, without the receiver's buffers {shown(sent)}, "
                f"drift {1000 * drift_s:+.1f} ms, actual_fps {told['fps']:.2f}, lasted {told['lasted_s']:.2f} s"
            )


if __name__ == "__main__":
    asyncio.run(main())
