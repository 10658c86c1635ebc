"""How long sound takes from its publisher to the output of a page in JupyterLab, on the direct lane and over the comm.

    python -m tests.bench.sound [beeps]

A tone that beeps at known moments of the machine's monotonic clock is published by one participant and played by another's
`RoomAudio`; a tap on the page's output notes when each beep begins there, by the clock of the output device.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.kit.jupyterlab import JupyterLab
from tests.kit.poll import wait_until_sync
from tests.widgets.test_sound import NO_WEBSOCKET, Hall

EVERY_S = 0.5
SET_UP = f"""
import asyncio, lknb
from lknb.widgets import RoomAudio
server = lknb.DevServer()
room = await lknb.connect("stage", identity="me", server=server)
bob = await lknb.connect("stage", identity="bob", server=server)
tone = lknb.Tone(1000, volume=0.5, beep_every_s={EVERY_S}, beep_s=0.15)
await bob.local_participant.publish_track(tone)
sound = await room.wait_for_track("bob", kind=1)
"""
TAP = """
async () => {
  const { context, output } = globalThis[Symbol.for('lknb.page')];
  const source = `
    registerProcessor("lknb-onset", class extends AudioWorkletProcessor {
      silent = 0;
      process([[samples]]) {
        for (let n = 0; samples && n < samples.length; n += 1) {
          if (Math.abs(samples[n]) > 0.05) {
            if (this.silent > 4800) this.port.postMessage((currentFrame + n) / sampleRate);
            this.silent = 0;
          } else this.silent += 1;
        }
        return true;
      }
    });`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const tap = new AudioWorkletNode(context, "lknb-onset");
  output.connect(tap);
  globalThis.lknbOnsets = [];
  tap.port.onmessage = ({ data }) => {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    lknbOnsets.push(performance.timeOrigin + performanceTime + (data - contextTime) * 1000);
  };
  return [context.baseLatency * 1000, context.outputLatency * 1000];
}
"""


def measure(hall: Hall, beeps: int) -> list[float]:
    """Milliseconds of each beep, on the lane the page finds."""
    hall.run("RoomAudio(room)", 1)
    wait_until_sync(lambda: hall.players() == [[1, "open", "Playing 1 track"]], 30)
    hall.page.wait_for_function("globalThis[Symbol.for('lknb.page')].context?.state === 'running'")
    base, output = hall.page.evaluate(TAP)
    lane = hall.value("RoomAudio(room).lane")
    wait_until_sync(lambda: hall.page.evaluate("lknbOnsets.length") >= beeps + 4, 60 + beeps * EVERY_S)
    # the first few are those the page learns from
    onsets = hall.page.evaluate("lknbOnsets.slice(4)")
    since_boot_ms = (time.time() - time.monotonic()) * 1000
    late = [(onset - since_boot_ms) % (EVERY_S * 1000) for onset in onsets]
    late.sort()
    print(
        f"{lane:>6}: {len(late)} beeps, p50 {statistics.median(late):.0f} ms, p95 {late[int(len(late) * 0.95)]:.0f} ms,"
        f" of which the page's output takes {base:.0f} + {output:.0f} ms"
    )
    hall.run("RoomAudio(room).close()", 1)
    return late


def main() -> None:
    """Both lanes, one after the other."""
    beeps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as folder, JupyterLab(Path(folder) / "lab") as lab:
        notebook = lab.open(["pass"] * 5)
        try:
            hall = Hall(notebook)
            hall.run(SET_UP, 0)
            measure(hall, beeps)
            hall.run(NO_WEBSOCKET, 2)
            hall.run("elsewhere.__enter__()", 2)
            measure(hall, beeps)
        finally:
            notebook.close()


if __name__ == "__main__":
    main()
