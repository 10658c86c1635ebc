"""How regularly sound leaves a process whose main thread is busy: lknb and the wheel, what an outside receiver gets.

    python -m tests.bench.busy_sound [--seconds 8] [--sources ...] [--work ...]

One process publishes a tone of 440 Hz, and its main thread then works without a pause: `sorts` a list of 1.5 million
numbers again and again (each a call of about a second that never lets go of the GIL), or counts in a `loop` of Python, or
is `idle`. The room, and who feeds an AudioSource, run on an event loop in another thread, the best that a program can do
about it. `Tone` and `MediaFile` are played by lknb's core.

At a receiver that speaks RTP by hand, by the kernel's time of arrival: packets a second and the longest time without one,
the same of packets that hold the tone (the wheel's AudioSource sends silence when its queue is empty, and DTX makes one packet
each 400 ms of it, also when it is asked for none), and the jitter of RFC 3550 (its mean and its highest value). At the official
wheel, by its statistics: sound it made up for want of packets. Both receive from lknb's server, in processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import random
import sys
import tempfile
import threading
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lknb.codec.audio_decoder import AudioDecoder
from lknb.wire.frame import EncodedFrame
from lknb.wire.rtp import parse_rtp
from tests.kit.poll import wait_until
from tests.kit.raw import RawClient
from tests.kit.server import ROOT, Server, ServerProcess
from tests.kit.token import room_name
from tests.kit.wheel import WheelPeer

RATE_HZ = 48_000
TONE_HZ = 440
# a sine of 8,000 has 5,657
QUIET_RMS = 1_000
# module, and what publishes
SOURCES = {
    "lknb Tone": ("lknb.rtc", "tone"),
    "lknb MediaFile": ("lknb.rtc", "file"),
    "lknb AudioSource": ("lknb.rtc", "samples"),
    "wheel AudioSource": ("livekit.rtc", "samples"),
}
WORK = ("idle", "loop", "sorts")
NUMBERS = 1_500_000


# ------------------------------------------------------------------------------------------------ the busy process


def tone(begin: int, count: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    at = np.arange(begin, begin + count) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * TONE_HZ * at)).astype(np.int16)


def make_film(path: Path) -> None:
    """Two seconds of the tone, as AAC: it has to be decoded and encoded again."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for number in range(94):
            samples = tone(1024 * number, 1024)[None].astype(np.float32) / 32768
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.sample_rate, frame.pts = RATE_HZ, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


async def publish(module: str, kind: str, url: str, token: str, live: threading.Event, ended: threading.Event) -> None:
    rtc = importlib.import_module(module)
    room = rtc.Room()
    await room.connect(url, token)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "tone":
            source: Any = rtc.Tone(TONE_HZ)
        elif kind == "file":
            make_film(Path(folder) / "tone.mp4")
            source = rtc.MediaFile(Path(folder) / "tone.mp4", loop=True).audio
        else:
            source = rtc.AudioSource(RATE_HZ, 1)
        track = rtc.LocalAudioTrack.create_audio_track("tone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        publication = await room.local_participant.publish_track(track, options)
        print(f"published {publication.sid}", flush=True)
        live.set()
        begin = 0
        while not ended.is_set():
            if kind == "samples":
                await source.capture_frame(rtc.AudioFrame(tone(begin, 480).tobytes(), RATE_HZ, 1, 480))
                begin += 480
            else:
                await asyncio.sleep(0.1)
        await room.disconnect()


def work(kind: str, ended: threading.Event) -> None:
    """In the main thread, until the end."""
    numbers = [random.random() for _ in range(NUMBERS)] if kind == "sorts" else []
    count = 0
    while not ended.is_set():
        if kind == "sorts":
            sorted(numbers)
        elif kind == "loop":
            count += 1
        else:
            ended.wait()


def run_busy(module: str, kind: str, url: str, token: str, what: str) -> None:
    live, ended = threading.Event(), threading.Event()

    def listen() -> None:
        sys.stdin.read()
        ended.set()

    publishing = threading.Thread(target=lambda: asyncio.run(publish(module, kind, url, token, live, ended)))
    publishing.start()
    threading.Thread(target=listen, daemon=True).start()
    # nobody joins a room in a cell that computes
    live.wait()
    work(what, ended)
    publishing.join(5)
    # the wheel's native threads make an ordinary exit hang or abort now and then
    os._exit(0)


# ------------------------------------------------------------------------------------------------ who receives


@dataclass(frozen=True, slots=True)
class Row:
    """What arrived of one source."""

    packets_s: float
    worst_gap_ms: float
    tones_s: float
    worst_toneless_ms: float
    jitter_ms: float
    worst_jitter_ms: float
    concealed_s: float


class Arrivals:
    """Packets of one source as they arrived: seconds, the RTP timestamp in seconds, and the payload."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, bytes]] = []

    def note(self, packet: bytes, arrival_us: int) -> None:
        view = parse_rtp(packet)
        self.rows.append((arrival_us / 1e6, view.timestamp / RATE_HZ, view.payload))

    def row(self, elapsed_s: float, concealed_s: float) -> Row:
        """Of all that came since the list was emptied."""
        jitter, all_jitter = 0.0, [0.0]
        for before, after in pairwise(self.rows):
            moved_s = abs((after[0] - before[0]) - (after[1] - before[1]))
            jitter += (moved_s - jitter) / 16
            all_jitter.append(jitter)
        tones_s = self._tones_s()
        return Row(
            len(self.rows) / elapsed_s,
            1000 * longest([row[0] for row in self.rows], elapsed_s),
            len(tones_s) / elapsed_s,
            1000 * longest(tones_s, elapsed_s),
            1000 * sum(all_jitter) / len(all_jitter),
            1000 * max(all_jitter),
            concealed_s,
        )

    def _tones_s(self) -> list[float]:
        """When packets came that do not hold silence."""
        decoder = AudioDecoder()
        tones_s = []
        for arrival_s, _, payload in self.rows:
            samples = decoder.decode(EncodedFrame("opus", payload, 0)).astype(np.float32)
            if np.sqrt(np.mean(samples**2)) > QUIET_RMS:
                tones_s.append(arrival_s)
        return tones_s


def longest(times_s: list[float], elapsed_s: float) -> float:
    """The longest time between two of these, in seconds."""
    return max((after - before for before, after in pairwise(times_s)), default=elapsed_s)


async def measure(server: Server, source: str, what: str, seconds: float) -> Row:
    name = room_name()
    raw = await RawClient(server.url, server.token("raw", name)).connect()
    arrivals = Arrivals()
    raw.transport.on_rtp = arrivals.note
    async with WheelPeer("wheel") as wheel:
        await wheel.connect(server.url, server.token("wheel", name), single_peer_connection=True)
        busy = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.busy_sound", "--busy", *SOURCES[source], server.url,
            server.token("busy", name), what, stdin=PIPE, stdout=PIPE, cwd=ROOT,
        )  # fmt: skip
        try:
            sid = await published(busy)
            await wheel.wait_event("track_subscribed", track_sid=sid, deadline_s=20)
            await wait_until(lambda: len(arrivals.rows) > 20, 20, what="packets arrive")
            # the first second of a source is not what this is about: its queue fills, jitter buffers find their size
            await asyncio.sleep(3)
            before = (await wheel.call("inbound_audio", track_sid=sid))["concealed_s"]
            arrivals.rows.clear()
            began = time.monotonic()
            await asyncio.sleep(seconds)
            elapsed_s = time.monotonic() - began
            concealed_s = (await wheel.call("inbound_audio", track_sid=sid))["concealed_s"] - before
            return arrivals.row(elapsed_s, concealed_s)
        finally:
            busy.kill()
            await busy.wait()
            await raw.close()


async def published(busy: Process) -> str:
    assert busy.stdout is not None
    while line := (await asyncio.wait_for(busy.stdout.readline(), 60)).decode():
        if line.startswith("published "):
            return line.split()[1]
    raise AssertionError("the busy process ended")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=list(WORK))
    parser.add_argument("--busy", nargs=5)
    options = parser.parse_args()
    if options.busy:
        run_busy(*options.busy)
    print(
        "source             main thread  packets/s (longest gap ms)  with the tone/s (longest gap ms)"
        "  jitter ms (highest)  made up by the wheel s",
        flush=True,
    )
    with ServerProcess() as process:
        for what in options.work:
            for source in options.sources:
                row = await measure(process.server, source, what, options.seconds)
                print(
                    f"{source:18} {what:11}  {row.packets_s:9.1f} ({row.worst_gap_ms:14.1f})"
                    f"  {row.tones_s:15.1f} ({row.worst_toneless_ms:14.1f})"
                    f"  {row.jitter_ms:9.2f} ({row.worst_jitter_ms:5.1f})  {row.concealed_s:8.2f} of {options.seconds:g}",
                    flush=True,
                )


if __name__ == "__main__":
    asyncio.run(main())
