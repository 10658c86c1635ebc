"""How much of the room, played by a page, comes back to the room through the page's microphone: echo return loss in dB.

    python -m tests.bench.echo [--settle 8] [--seconds 5]

A real path of sound: PulseAudio (`apt-get install pulseaudio`; a private one is started, nothing else is needed) with a
loudspeaker whose sound reaches the microphone 40 ms later and 10 dB weaker, by a JupyterLab page in Chromium with a
`CallPanel`, without a fake device. The official wheel is the far end: it publishes what sounds to a canceller like speech
(noise of a voice's spectrum, in syllables) and hears what the page's microphone sends.

Each row is one way to open the microphone, and the levels that the far end hears: of its own echo, once `--settle` seconds
have passed; of a voice beside the microphone (1 kHz in syllables, measured in a narrow band) while the far end speaks, and
while it does not. The echo return loss is the echo without anything done against it, less the echo of the row. `straight` is
the page without its loopback: sound goes from its AudioContext to the device.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser

from tests.kit.chromium import FLAGS, find_chromium
from tests.kit.jupyterlab import JupyterLab
from tests.kit.poll import wait_until_sync
from tests.kit.server import ROOT, ServerProcess
from tests.kit.token import room_name

RATE_HZ = 48_000
NEAR_HZ = 1000
ECHO_DELAY_MS = 40
ECHO_GAIN_DB = -10
SPEECH_LEVEL_DB = -20
"""Root mean square of full scale, of both voices; the loudest syllables are 10 dB above."""
QUIETEST_DB = -96.0

ROWS = {
    # name: echo_cancellation, noise_suppression and auto_gain_control, through the loopback
    "nothing": (False, False, True),
    "cancelled": (True, False, True),
    "cancelled, straight": (True, False, False),
    "nothing, suppressed + gained": (False, True, True),
    "as lknb asks": (True, True, True),
    "as lknb asks, straight": (True, True, False),
}
SET_UP = """
import asyncio, lknb
from lknb import rtc
room = await lknb.connect(url={url!r}, token={token!r})
me = room.local_participant
lknb.CallPanel(room)
"""
# Chromium and its kin are known by their client hints: a page that does not find them plays as all others do
STRAIGHT = """void (() => {
  globalThis.lknbHints ??= Object.getOwnPropertyDescriptor(Navigator.prototype, 'userAgentData');
  delete Navigator.prototype.userAgentData;
})()"""
ROUND = "void (globalThis.lknbHints && Object.defineProperty(Navigator.prototype, 'userAgentData', lknbHints))"
SPY = """
void (() => {
  globalThis.lknbTracks = [];
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (asked) => {
    const stream = await real(asked);
    lknbTracks.push(...stream.getTracks());
    return stream;
  };
  globalThis.lknbPeers = [];
  const Real = RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Real {
    constructor(...given) { super(...given); lknbPeers.push(this); }
  };
})()
"""
GOES_ROUND = "lknbPeers.some((peer) => peer.connectionState === 'connected')"


def speech(seconds: int = 12) -> NDArray[np.int16]:
    """Noise of a voice's spectrum in syllables of 120 ms, some of them silent."""
    random = np.random.default_rng(3)
    noise = np.fft.rfft(random.standard_normal(RATE_HZ * seconds))
    hz = np.arange(len(noise)) / seconds
    noise *= (hz > 150) * (hz < 3500) / np.sqrt(1 + (hz / 500) ** 2)
    loudness = np.arange(0, seconds, 0.12)
    envelope = np.interp(
        np.arange(RATE_HZ * seconds) / RATE_HZ, loudness, np.maximum(random.random(len(loudness)) ** 1.5, 0.02)
    )
    return scaled(np.fft.irfft(noise) * envelope)


def voice(seconds: int = 60) -> NDArray[np.int16]:
    """A tone, 200 ms of it and 200 ms of nothing, with soft edges."""
    at = np.arange(RATE_HZ * seconds) / RATE_HZ
    return scaled(np.sin(2 * np.pi * NEAR_HZ * at) * np.clip(20 * np.sin(2 * np.pi * at / 0.4), 0, 1))


def scaled(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    level = 10 ** (SPEECH_LEVEL_DB / 20) / np.sqrt(np.mean(samples**2))
    clipped: NDArray[np.float64] = np.clip(samples * level * 32767, -32768, 32767)
    return clipped.astype(np.int16)


def level_db(samples: NDArray[np.float64]) -> float:
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    return max(QUIETEST_DB, 10 * math.log10(power + 1e-12))


def band_db(samples: NDArray[np.float64]) -> float:
    """Level of what is within 10 Hz of the near voice's tone; a tenth of a second at a time, as it comes in syllables."""
    blocks = samples[: len(samples) // 4800 * 4800].reshape(-1, 4800)
    if not len(blocks):
        return QUIETEST_DB
    turns = np.exp(-2j * np.pi * NEAR_HZ * np.arange(4800) / RATE_HZ) * np.hanning(4800)
    strengths = np.abs(blocks @ turns) * 2 / np.hanning(4800).sum()
    return max(QUIETEST_DB, 10 * math.log10(float(np.mean(strengths**2)) / 2 + 1e-12))


# ------------------------------------------------------------------------------------------------ the far end


class FarEnd:
    """The wheel: speaks while it is told to, and keeps what it hears of the page."""

    def __init__(self) -> None:
        self._rtc: Any = importlib.import_module("livekit.rtc")
        self._room = self._rtc.Room()
        self._heard = np.zeros(0)
        self._speaks = False
        self._readers: list[asyncio.Task[None]] = []

    async def run(self, url: str, token: str) -> None:
        """Commands are lines on stdin: `speak`, `hush`, or `listen SECONDS`, answered with a line of JSON."""
        self._room.on("track_subscribed", self._subscribed)
        await self._room.connect(url, token)
        source = self._rtc.AudioSource(RATE_HZ, 1, queue_size_ms=200)
        track = self._rtc.LocalAudioTrack.create_audio_track("speech", source)
        options = self._rtc.TrackPublishOptions(source=self._rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        await self._room.local_participant.publish_track(track, options)
        speaking = asyncio.ensure_future(self._speak(source))
        loop = asyncio.get_running_loop()
        print(json.dumps({"ready": True}), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order, *given = line.split()
            if order == "listen":
                self._heard = np.zeros(0)
                await asyncio.sleep(float(given[0]))
                heard = self._heard
                print(json.dumps({"seconds": len(heard) / RATE_HZ, "all": level_db(heard), "near": band_db(heard)}))
                sys.stdout.flush()
            else:
                self._speaks = order == "speak"
        speaking.cancel()
        await self._room.disconnect()

    async def _speak(self, source: Any) -> None:
        words = speech().reshape(-1, 480)
        number = 0
        while True:
            block = words[number % len(words)] if self._speaks else np.zeros(480, np.int16)
            number += self._speaks
            await source.capture_frame(self._rtc.AudioFrame(block.tobytes(), RATE_HZ, 1, 480))

    def _subscribed(self, track: Any, *_: Any) -> None:
        self._readers.append(asyncio.ensure_future(self._listen(track)))

    async def _listen(self, track: Any) -> None:
        async for event in self._rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1):
            self._heard = np.concatenate((self._heard, np.frombuffer(event.frame.data, np.int16) / 32768))


async def far_end(url: str, token: str) -> None:
    # the wheel's room takes the loop it is made in
    await FarEnd().run(url, token)


class FarEndProcess:
    """The wheel in a process of its own."""

    def __init__(self, url: str, token: str) -> None:
        command = [sys.executable, "-m", "tests.bench.echo", "--far-end", url, token]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        # the wheel's native side may write there too
        return next(json.loads(line) for line in self._process.stdout if line.startswith("{"))

    def tell(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def listen(self, seconds: float) -> dict[str, float]:
        """Levels in dB of full scale of the next seconds: `all`, and `near` the near voice's tone."""
        self.tell(f"listen {seconds}")
        heard = self._answer()
        assert heard["seconds"] > 0.8 * seconds, f"the far end heard {heard['seconds']:.1f} s in {seconds} s"
        return heard

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


# ------------------------------------------------------------------------------------------------ the room the page is in


@contextlib.contextmanager
def loudspeaker_and_microphone(folder: Path) -> Iterator[None]:
    """A PulseAudio whose loudspeaker is heard by its microphone; the environment names it while it runs."""
    socket = folder / "sound.socket"
    command = [
        "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
        "-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1",
        "-L", f"module-null-sink sink_name=loudspeaker rate={RATE_HZ}",
        "-L", f"module-null-sink sink_name=air rate={RATE_HZ}",
        "-L", f"module-loopback source=loudspeaker.monitor sink=air latency_msec={ECHO_DELAY_MS} adjust_time=0"
        # streams of the default devices move along when other ones become the default
        " source_dont_move=true sink_dont_move=true",
        # browsers do not offer the monitor of a sink as a microphone
        "-L", "module-remap-source master=air.monitor source_name=microphone",
    ]  # fmt: skip
    own = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    os.environ["PULSE_SERVER"] = f"unix:{socket}"
    with subprocess.Popen(command, env={**os.environ, **own}, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_sync(lambda: _control("info") is not None, 10, what="PulseAudio answers")
            for order in ("set-default-sink loudspeaker", "set-default-source microphone"):
                assert _control(*order.split()) is not None, order
            assert _control("set-sink-input-volume", "0", f"{ECHO_GAIN_DB}dB") is not None
            yield
        finally:
            process.terminate()
            del os.environ["PULSE_SERVER"]


def _control(*order: str) -> str | None:
    done = subprocess.run(["pactl", *order], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


@contextlib.contextmanager
def browser_with_sound(lab: JupyterLab, flags: list[str]) -> Iterator[Browser]:
    """A Chromium that plays to the loudspeaker and hears the microphone, as no other of the tests does."""
    browser = lab.playwright.chromium.launch(
        executable_path=find_chromium(),
        headless=True,
        args=[*(flag for flag in FLAGS if not flag.startswith("--use-fake-device")), *flags],
        ignore_default_args=["--mute-audio"],
    )
    try:
        yield browser
    finally:
        browser.close()


@contextlib.contextmanager
def speaking_beside_the_microphone(folder: Path) -> Iterator[None]:
    path = folder / "voice.wav"
    if not path.exists():
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(voice().tobytes())
    with subprocess.Popen(["paplay", "--device=air", str(path)]) as player:
        time.sleep(1.0)
        try:
            yield
        finally:
            player.terminate()


# ------------------------------------------------------------------------------------------------ rows


def measure(
    settle_s: float, seconds: float, names: list[str], flags: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each row what the page's microphone was opened with, and the levels at the far end."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        loudspeaker_and_microphone(Path(scratch)),
        ServerProcess() as process,
        JupyterLab(Path(scratch) / "lab") as lab,
        browser_with_sound(lab, flags) as browser,
    ):
        server, name = process.server, room_name()
        notebook = lab.open(["pass"] * 3, context=browser.new_context())
        far = FarEndProcess(server.url, server.token("far", name))
        notebook.run(0, SET_UP.format(url=server.url, token=server.token("me", name)))
        notebook.page.evaluate(SPY)
        notebook.page.wait_for_function("globalThis[Symbol.for('lknb.page')]?.context?.state === 'running'")
        for row in names:
            echo, others, is_round = ROWS[row]
            notebook.page.evaluate(ROUND if is_round else STRAIGHT)
            notebook.run(
                1,
                "publication = await asyncio.wait_for(me.set_microphone_enabled(True, rtc.AudioCaptureOptions("
                f"echo_cancellation={echo}, noise_suppression={others}, auto_gain_control={others})), 20)",
            )
            opened = notebook.page.evaluate("lknbTracks.at(-1).getSettings()")
            far.tell("speak")
            time.sleep(settle_s)
            assert notebook.page.evaluate(GOES_ROUND) is is_round
            heard = {"echo": far.listen(seconds)["all"]}
            with speaking_beside_the_microphone(Path(scratch)):
                heard["near_in_double_talk"] = far.listen(seconds)["near"]
                far.tell("hush")
                time.sleep(1.0)
                heard["near_alone"] = far.listen(seconds)["near"]
            notebook.run(1, "await me.unpublish_track(publication.sid)")
            settings = {key: opened.get(key) for key in ("echoCancellation", "noiseSuppression", "autoGainControl")}
            yield row, {**heard, "opened": settings}
        far.close()
        notebook.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settle", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--flag", action="append", default=[], help="of Chromium: --flag=--disable-features=X")
    parser.add_argument("--far-end", nargs=2)
    options = parser.parse_args()
    if options.far_end:
        asyncio.run(far_end(*options.far_end))
        sys.stdout.flush()
        # the wheel's native threads make an ordinary exit hang or abort now and then
        os._exit(0)
    if not all(map(shutil.which, ("pulseaudio", "pactl", "paplay"))):
        sys.exit("this bench needs a sound server of its own: apt-get install pulseaudio pulseaudio-utils")
    untouched: float | None = None
    print(f"{'microphone':30} echo dB   loss dB   near alone dB   near in double talk dB", flush=True)
    for row, found in measure(options.settle, options.seconds, options.rows, options.flag):
        untouched = found["echo"] if untouched is None else untouched
        print(
            f"{row:30} {found['echo']:7.1f} {untouched - found['echo']:9.1f} {found['near_alone']:15.1f}"
            f" {found['near_in_double_talk']:24.1f}   {found['opened']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
