"""How far apart sound and picture of a page are at an official receiver, by flashes and beeps.

    python -m tests.bench.capture_sync [--seconds 20]

Chromium's fake camera shows nothing that can be told to a millisecond. So the page's `getUserMedia` is replaced by a stub
that gives a canvas, which turns white once a second, and an oscillator, which sounds at the same moments of the same clock.
All behind it is the product: encoders, lane, core, server. The receiver is that of `tests.bench.av_sync`. The stub itself
draws up to a picture (33 ms) late.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.av_sync import PAIR_WITHIN_S, Held, Pair, shown
from tests.kit.jupyterlab import JupyterLab
from tests.kit.outside import Outside
from tests.kit.server import ROOT, ServerProcess
from tests.widgets.studio import Studio

STUB = """() => {
  const context = new AudioContext({ sampleRate: 48000 });
  const out = context.createMediaStreamDestination();
  const gain = new GainNode(context, { gain: 0 });
  const tone = new OscillatorNode(context, { frequency: 1000 });
  tone.connect(gain).connect(out);
  tone.start();
  const from = Math.ceil(context.currentTime) + 1;
  for (let second = from; second < from + 300; second += 1) {
    gain.gain.setValueAtTime(0.6, second);
    gain.gain.setValueAtTime(0, second + 0.2);
  }
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
  const paper = canvas.getContext('2d');
  setInterval(() => {
    paper.fillStyle = context.currentTime % 1 < 0.2 ? 'white' : 'black';
    paper.fillRect(0, 0, 320, 180);
  }, 5);
  const picture = canvas.captureStream(30);
  navigator.mediaDevices.getUserMedia = async ({ video, audio }) =>
    new MediaStream([...(video ? picture.getTracks() : []), ...(audio ? out.stream.getTracks() : [])]);
}"""


def measure(seconds: float) -> list[Pair]:
    """The pairs that were seen and heard."""
    with (
        ServerProcess() as process,
        Outside() as outside,
        tempfile.TemporaryDirectory() as folder,
        JupyterLab(Path(folder) / "lab") as lab,
    ):
        notebook = lab.open(["pass"] * 4)
        studio = Studio(notebook, outside, process.server)
        studio.set_up()
        notebook.page.evaluate(STUB)
        token = studio.server.token("receiver", studio.room)
        command = [sys.executable, "-m", "tests.bench.av_sync", "--receive", studio.server.url, token]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as receiver:
            assert receiver.stdout is not None
            receiver.stdout.readline()
            studio.run(
                "await asyncio.gather(me.set_camera_enabled(True, rtc.VideoCaptureOptions(width=320, height=180)),"
                " me.set_microphone_enabled(True))"
            )
            time.sleep(seconds)
            outside.leave(studio.guest)
            lines = receiver.stdout.read().splitlines()
        notebook.close()
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    pairs = measure(parser.parse_args().seconds)
    print(
        f"{len(pairs)} pairs: beep - flash {shown([pair.heard_s for pair in pairs])}, "
        f"without the receiver's buffers {shown([pair.sent_s for pair in pairs])}"
    )


if __name__ == "__main__":
    main()
