"""How far apart sound and picture of a page are at an official receiver, by flashes and beeps.

    python -m tests.bench.capture_sync [--seconds 20] [--size 320x180 1280x720]

Chromium's fake camera shows nothing that can be told to a millisecond. So the page's `getUserMedia` is replaced by a stub
that gives a canvas, whose left middle turns white once a second, and an oscillator, which sounds at the same moments of the
same clock. Around it goes a pattern as hard to encode as what a camera sees. All behind it is the product: encoders,
lane, core, server. The receiver is that of `tests.bench.av_sync`. Every pair is printed, in the order they came, as
heard/sent: as they came out, and without the receiver's buffers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.av_sync import Pair, pairs_of, shown
from tests.kit.jupyterlab import JupyterLab
from tests.kit.outside import Outside
from tests.kit.server import ROOT, ServerProcess
from tests.widgets.studio import Studio

STUB = """([width, height]) => {
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
  const pattern = new OffscreenCanvas(width + 64, height);
  const ink = pattern.getContext('2d');
  for (let x = 0; x < pattern.width; x += 16) {
    for (let y = 0; y < height; y += 16) {
      ink.fillStyle = `hsl(${(x * 7 + y * 13) % 360} 60% ${30 + ((x * 31 + y * 17) % 40)}%)`;
      ink.fillRect(x, y, 16, 16);
    }
  }
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const paper = canvas.getContext('2d');
  let drawn = 0;
  let wasWhite = false;
  setInterval(() => {
    const now = performance.now();
    const white = context.currentTime % 1 < 0.2;
    // 30 pictures a second, and one at once when the colour changes
    if (now - drawn < 33 && white === wasWhite) return;
    drawn = now;
    wasWhite = white;
    paper.drawImage(pattern, -Math.floor(now / 100) % 64, 0);
    paper.fillStyle = white ? 'white' : 'black';
    // the receiver looks at the left end of the middle row
    paper.fillRect(0, height / 4, width / 2, height / 2);
  }, 5);
  const picture = canvas.captureStream();
  navigator.mediaDevices.getUserMedia = async ({ video, audio }) =>
    new MediaStream([...(video ? picture.getTracks() : []), ...(audio ? out.stream.getTracks() : [])]);
}"""


def measure(seconds: float, width: int, height: int) -> list[Pair]:
    """The pairs that were seen and heard of a camera of this size, which has more layers the larger it is."""
    with (
        ServerProcess() as process,
        Outside() as outside,
        tempfile.TemporaryDirectory() as folder,
        JupyterLab(Path(folder) / "lab") as lab,
    ):
        notebook = lab.open(["pass"] * 4)
        studio = Studio(notebook, outside, process.server)
        token = studio.server.token("receiver", studio.room)
        command = [sys.executable, "-m", "tests.bench.av_sync", "--receive", studio.server.url, token]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as receiver:
            assert receiver.stdout is not None
            with studio:
                notebook.page.evaluate(STUB, [width, height])
                receiver.stdout.readline()
                studio.run(
                    f"await asyncio.gather(me.set_camera_enabled(True, rtc.VideoCaptureOptions(width={width}, height={height})),"
                    " me.set_microphone_enabled(True))"
                )
                time.sleep(seconds)
            # it ends when somebody leaves
            lines = receiver.stdout.read().splitlines()
        notebook.close()
    return pairs_of(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", nargs="+", default=["320x180", "1280x720"])
    options = parser.parse_args()
    for size in options.size:
        width, height = map(int, size.split("x"))
        pairs = measure(options.seconds, width, height)
        print(
            f"{size}, {len(pairs)} pairs: beep - flash {shown([pair.heard_s for pair in pairs])}, "
            f"without the receiver's buffers {shown([pair.sent_s for pair in pairs])}"
        )
        print("   ", *(f"{1000 * pair.heard_s:.0f}/{1000 * pair.sent_s:.0f}" for pair in pairs), flush=True)


if __name__ == "__main__":
    main()
