"""From the picture of a camera to the picture on a screen: a page of lknb beside two pages of livekit-client.

    .venv/bin/python -m tests.bench.capture_latency [--rounds 3] [--seconds 6] [--codecs h264 vp8]

The camera is a stub in all rows: a canvas of 1280x720 with a moving pattern, 30 times a second, that carries its own time
as a bar code, behind `getUserMedia`. One server, three ways, in alternation:

    lknb > livekit-client    a JupyterLab page publishes (direct lane), a page of livekit-client plays it in a <video>
    lknb > VideoView         the same, played by a VideoView of another notebook
    livekit-client           a page of livekit-client publishes, another one plays it: the peer

All publish three layers in the codec of the row, all are shown the highest. A <video> is looked at in each
`requestVideoFrameCallback`, a canvas in each animation frame. The clock is that of the machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kit.chromium import Chromium, ChromiumPeer
from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.outside import Outside
from tests.kit.poll import wait_until_sync
from tests.kit.server import Server, ServerProcess
from tests.kit.token import room_name

WIDTH, HEIGHT = 1280, 720

# The time in ms, modulo 2^20, in 20 blocks of 64 pixels, white for 1; below them the same, black for 1.
CAMERA = """() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
  const paper = canvas.getContext('2d', { alpha: false });
  const pattern = new OffscreenCanvas(1344, 720);
  const ink = pattern.getContext('2d');
  for (let x = 0; x < 1344; x += 16) {
    for (let y = 0; y < 720; y += 16) {
      ink.fillStyle = `hsl(${(x * 7 + y * 13) % 360} 60% ${30 + ((x * 31 + y * 17) % 40)}%)`;
      ink.fillRect(x, y, 16, 16);
    }
  }
  setInterval(() => {
    const now = performance.timeOrigin + performance.now();
    paper.drawImage(pattern, -Math.floor(now / 100) % 64, 0);
    const code = Math.round(now) % 2 ** 20;
    for (let bit = 0; bit < 20; bit += 1) {
      for (const row of [0, 1]) {
        paper.fillStyle = (code >> bit & 1) !== row ? 'white' : 'black';
        paper.fillRect(bit * 64, row * 64, 64, 64);
      }
    }
  }, 1000 / 30);
  navigator.mediaDevices.getUserMedia = async () => canvas.captureStream();
}"""

SCREEN = """() => {
  const copy = new OffscreenCanvas(20, 2).getContext('2d', { willReadFrequently: true });
  const seen = (window.lknbSeen = []);
  let last = -1;
  const look = (picture, width, height) => {
    const now = performance.timeOrigin + performance.now();
    if (!width) return;
    copy.drawImage(picture, 0, 0, width, height * 128 / 720, 0, 0, 20, 2);
    const { data } = copy.getImageData(0, 0, 20, 2);
    let code = 0;
    for (let bit = 0; bit < 20; bit += 1) {
      const white = data[bit * 4 + 1] > 128;
      if (white === data[(20 + bit) * 4 + 1] > 128) return;
      if (white) code += 2 ** bit;
    }
    if (code === last) return;
    last = code;
    const latency = (now - code) % 2 ** 20;
    seen.push([latency, height]);
  };
  const video = document.querySelector('video');
  if (video) {
    const next = () => video.requestVideoFrameCallback(() => {
      look(video, video.videoWidth, video.videoHeight);
      next();
    });
    next();
  } else {
    const next = () => requestAnimationFrame(() => {
      const canvas = document.querySelector('.lknb-video canvas');
      if (canvas) look(canvas, canvas.width, canvas.height);
      next();
    });
    next();
  }
}"""
TAKE = "() => window.lknbSeen.splice(0)"

JOIN = """
import asyncio, lknb
from lknb import rtc
room = await lknb.connect(url={url!r}, token={token!r}, adaptive_stream=False)
me = room.local_participant
"""
PUBLISH = """
options = rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.{codec})
camera = await asyncio.wait_for(me.set_camera_enabled(True, None, options), 30)
"""
SHOW = """
def shown():
    tracks = [p.track for r in room.remote_participants.values() for p in r.track_publications.values() if p.track]
    return tracks[0] if tracks else None
while shown() is None:
    await asyncio.sleep(0.05)
lknb.VideoView(shown(), layout={"width": "640px"})
"""

Seen = list[tuple[float, int]]
"""Of each picture how old it was, in ms, and its height."""


def watch(take: Callable[[], list[list[float]]], sleep: Callable[[float], None], seconds: float) -> Seen:
    """What is seen in so many seconds, once the highest layer flows, and has for two seconds."""
    flowing = 0

    def flows() -> bool:
        nonlocal flowing
        for _, height in take():
            flowing = flowing + 1 if height == HEIGHT else 0
        return flowing > 60

    wait_until_sync(flows, 60, what=lambda: f"the highest layer flows: {flowing} pictures")
    take()
    sleep(seconds)
    return [(latency_ms, int(height)) for latency_ms, height in take()]


class Bench:
    """The pages of one run."""

    def __init__(self, lab: JupyterLab, outside: Outside, chromium: Chromium, server: Server, seconds: float) -> None:
        self._lab = lab
        self._outside = outside
        self._chromium = chromium
        self._server = server
        self._seconds = seconds

    def _notebook(self, identity: str, room: str) -> Notebook:
        notebook = self._lab.open(["pass"] * 3)
        notebook.run(0, JOIN.format(url=self._server.url, token=self._server.token(identity, room)))
        return notebook

    def _publisher(self, room: str, codec: str) -> Notebook:
        notebook = self._notebook("publisher", room)
        notebook.page.evaluate(CAMERA)
        notebook.run(1, "bar = lknb.ControlBar(room)\nbar")
        notebook.run(2, PUBLISH.format(codec=codec.upper()))
        assert notebook.value(2, "bar.lane") == "direct"
        return notebook

    def _peer(self, identity: str, room: str) -> Any:
        return self._outside.join(lambda: ChromiumPeer(identity, self._chromium), self._server, room)

    def _evaluate(self, peer: Any, script: str) -> Any:
        return self._outside.call(peer.page.evaluate(script))

    def _play(self, peer: Any, sleep: Callable[[float], None]) -> Seen:
        sid = self._outside.call(peer.wait_event("track_subscribed")).track_sid
        self._outside.call(peer.call("show", track_sid=sid, width=640, height=360))
        self._evaluate(peer, SCREEN)
        return watch(lambda: list(self._evaluate(peer, TAKE)), sleep, self._seconds)

    def to_livekit(self, codec: str) -> Seen:
        room = room_name()
        peer = self._peer("viewer", room)
        notebook = self._publisher(room, codec)
        seen = self._play(peer, lambda seconds: notebook.page.wait_for_timeout(1000 * seconds))
        notebook.close()
        self._outside.leave(peer)
        return seen

    def to_view(self, codec: str) -> Seen:
        room = room_name()
        publisher = self._publisher(room, codec)
        viewer = self._notebook("viewer", room)
        viewer.run(1, SHOW)
        viewer.page.evaluate(SCREEN)
        page = viewer.page
        seen = watch(lambda: list(page.evaluate(TAKE)), lambda s: page.wait_for_timeout(1000 * s), self._seconds)
        viewer.close()
        publisher.close()
        return seen

    def peers(self, codec: str) -> Seen:
        room = room_name()
        viewer = self._peer("viewer", room)
        publisher = self._peer("publisher", room)
        self._evaluate(publisher, CAMERA)
        self._outside.call(publisher.publish_camera(width=WIDTH, height=HEIGHT, codec=codec))
        # nothing else happens here: the wait is that of the viewer's page
        seen = self._play(viewer, lambda s: self._outside.call(viewer.page.wait_for_timeout(1000 * s)))
        self._outside.leave(publisher)
        self._outside.leave(viewer)
        return seen


def row(name: str, seen: Seen, seconds: float) -> str:
    """One line of figures."""
    latencies_ms = sorted(latency_ms for latency_ms, _ in seen)
    p50, p95 = (latencies_ms[len(latencies_ms) * part // 100] for part in (50, 95))
    return f"{name:24} {p50:6.1f} {p95:6.1f} {len(seen) / seconds:6.1f}   {min(height for _, height in seen)}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--codecs", nargs="+", default=["h264", "vp8"], choices=["h264", "vp8"])
    chosen = parser.parse_args()
    with (
        ServerProcess() as process,
        Outside() as outside,
        tempfile.TemporaryDirectory() as folder,
        JupyterLab(Path(folder) / "lab", proxy=False) as lab,
    ):
        chromium = Chromium()
        outside.call(chromium.__aenter__())
        bench = Bench(lab, outside, chromium, process.server, chosen.seconds)
        ways = {
            "livekit-client": bench.peers,
            "lknb > livekit-client": bench.to_livekit,
            "lknb > VideoView": bench.to_view,
        }
        try:
            for codec in chosen.codecs:
                print(f"{codec:24} p50 ms p95 ms    fps   height", flush=True)
                medians: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(chosen.rounds):
                    for name, measure in ways.items():
                        seen = measure(codec)
                        print(row(name, seen, chosen.seconds), flush=True)
                        medians[name].append(statistics.median(latency_ms for latency_ms, _ in seen))
                peer_ms = statistics.median(medians.pop("livekit-client"))
                for name, values_ms in medians.items():
                    print(f"{codec} {name}: {statistics.median(values_ms) / peer_ms:.2f} x livekit-client", flush=True)
        finally:
            outside.call(chromium.__aexit__())


if __name__ == "__main__":
    main()
