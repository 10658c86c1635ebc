"""What live views cost: CPU of the kernel, the notebook's server, the core and the browser; frames and latency, on each lane.

    .venv/bin/python -m tests.bench.view [--streams 1 4] [--ways direct proxy comm jpeg] [--seconds 8]

One or four remote 1280x720 streams at 30 frames a second, 2.5 Mbit/s each, in a real JupyterLab in headless Chromium, all
visible. CPU is in per cent of one core. Latency is from the moment the core has a frame to the moment the Worker has painted
it on its canvas, by one clock. The core's frames were encoded before, so its column is what lanes cost and nothing else.

`jpeg` is the peer: the same pictures the way of jupyter_rfb, JPEG of quality 80 through the widget comm, at most two in
flight, each acknowledged by a message; its latency is from the array to the drawn canvas. It has no core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import psutil

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync

PAGES: dict[str, dict[str, Any]] = {
    "direct": {"proxy": False},
    "proxy": {"host": "lab.test"},
    "comm": {"host": "lab.test", "proxy": False},
    "jpeg": {"proxy": False},
}

LANES = """
import ipywidgets, traitlets
from tests.bench.view import timed_code
from tests.kit.fake_core import FakeCore
from lknb.widgets import VideoView
class TimedView(VideoView):
    _code = traitlets.Unicode(timed_code(), read_only=True).tag(sync=True)
core = FakeCore()
tracks = [core.track(f"TR_{n}", width=1280, height=720, loop=True) for n in range(STREAMS)]
views = [TimedView(track, layout={"width": "460px"}) for track in tracks]
import os
pids = [os.getpid(), core.process.pid]
"""
JPEG = """
import os
from tests.bench.view_jpeg import JpegView
views = [JpegView() for _ in range(STREAMS)]
pids = [os.getpid()]
"""
SHOW = "ipywidgets.VBox([ipywidgets.HBox(views[:2]), ipywidgets.HBox(views[2:])])"

LISTEN = """
window.lknbTimes = [];
new BroadcastChannel("lknb-bench").onmessage = ({ data }) => window.lknbTimes.push(data);
0;
"""


def timed_code() -> str:
    """The page's code, with a Worker that tells when it has painted which frame."""
    from lknb.widgets.esm import video_code

    code = video_code()
    for old, new in (
        ("receive({ sequence, keyframe }, data) {", "receive({ sequence, keyframe, timestamp_us }, data) {\\n"
         "times.set(sequence, timestamp_us);"),
        ("this.painter.paint(frame);", "this.painter.paint(frame);\\ntell(frame.timestamp);"),
        ("const scope =", "const times = new Map();\\nconst out = new BroadcastChannel('lknb-bench');\\n"
         "const tell = (sequence) => { out.postMessage(performance.timeOrigin + performance.now() - "
         "times.get(sequence) / 1000); times.delete(sequence); };\\nconst scope ="),
    ):  # fmt: skip
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    return code


class Meter:
    """CPU seconds of groups of processes."""

    def __init__(self, groups: dict[str, list[psutil.Process]]) -> None:
        self._groups = groups
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        return {name: sum(map(_cpu_s, processes)) for name, processes in self._groups.items()}

    def per_cent(self, elapsed_s: float) -> dict[str, float]:
        after = self._read()
        return {name: 100 * (after[name] - self._before[name]) / elapsed_s for name in after}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def browser_processes() -> list[psutil.Process]:
    ours = psutil.Process(os.getpid()).children(recursive=True)
    return [process for process in ours if "chrom" in process.name()]


def measure(notebook: Notebook, way: str, streams: int, seconds: float) -> str:
    notebook.run(0, f"STREAMS = {streams}\n" + (JPEG if way == "jpeg" else LANES))
    notebook.page.evaluate(LISTEN)
    notebook.run(1, "import ipywidgets; " + SHOW)
    painted = "window.lknbTimes.length"
    wait_until_sync(lambda: notebook.page.evaluate(painted) > 60 * streams, 60.0, what="the streams flow")
    if way != "jpeg":
        assert set(notebook.value(2, "[view.lane for view in views]")) == {way}
    pids = notebook.value(2, "pids")
    groups = {
        "kernel": [psutil.Process(pids[0])],
        "server": [psutil.Process(notebook.lab.server_pid)],
        "core": [psutil.Process(pid) for pid in pids[1:]],
        "browser": browser_processes(),
    }
    notebook.page.wait_for_timeout(3000)
    meter = Meter(groups)
    began = notebook.page.evaluate("(lknbTimes.length = 0, performance.now())")
    notebook.page.wait_for_timeout(seconds * 1000)
    times, now = notebook.page.evaluate("[lknbTimes.slice(), performance.now()]")
    elapsed_s = (now - began) / 1000
    cpu = meter.per_cent(elapsed_s)
    times.sort()
    fps = len(times) / elapsed_s / streams
    row = f"{way:7} {streams}  {fps:5.1f}  {times[len(times) // 2]:6.1f} {times[len(times) * 95 // 100]:6.1f}"
    return row + "".join(f"  {cpu[name]:7.1f}" for name in groups) + f"   {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--ways", nargs="+", default=list(PAGES), choices=list(PAGES))
    parser.add_argument("--seconds", type=float, default=8.0)
    chosen = parser.parse_args()
    print("way     n    fps  p50 ms p95 ms   kernel   server     core  browser   load")
    for way in chosen.ways:
        with tempfile.TemporaryDirectory() as folder, JupyterLab(Path(folder) / "lab", **PAGES[way]) as lab:
            for streams in chosen.streams:
                notebook = lab.open(["pass"] * 4)
                print(measure(notebook, way, streams, chosen.seconds), flush=True)
                notebook.close()


if __name__ == "__main__":
    main()
