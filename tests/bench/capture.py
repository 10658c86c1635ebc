"""What a page costs that publishes its camera and its microphone: browser, core, kernel and servers, beside livekit-client.

    .venv/bin/python -m tests.bench.capture [--rounds 2] [--seconds 8] [--codecs h264 vp8]

Chromium's fake camera, 1280x720 at 30 pictures a second in three layers, and its fake microphone, from a page of JupyterLab
on the direct lane; and from a page with livekit-client, in the same build of Chromium, with the same constraints and
layers. Both publish into a lknb server, alternately. In per cent of one core; `idle` is the same page, joined, with nothing
published: JupyterLab alone costs something.

Three receivers that decode nothing ask for one layer each, so that all of them are wanted, and tell what came: pictures a
second and kbit/s of each layer, and packets of sound a second.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import psutil
from livekit.protocol import rtc

from tests.kit.chromium import Chromium, ChromiumPeer
from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.outside import Outside
from tests.kit.poll import wait_until
from tests.kit.raw import RawClient
from tests.kit.server import Server, ServerProcess
from tests.kit.token import room_name

LAYERS = ("low", "medium", "high")
SETTLES_S = 8.0
"""Until the estimate of the network lets all layers pass, and encoders have found their pace."""
SET_UP = """
import asyncio, os, lknb
from lknb import rtc
room = await lknb.connect(url={url!r}, token={token!r})
me = room.local_participant
bar = lknb.ControlBar(room)
bar
"""
PUBLISH = """
camera, microphone = await asyncio.wait_for(asyncio.gather(
    me.set_camera_enabled(True, None, rtc.TrackPublishOptions(
        source=rtc.TrackSource.SOURCE_CAMERA, simulcast=True, video_codec=rtc.VideoCodec.{codec})),
    me.set_microphone_enabled(True)), 30)
"""
PUBLISH_MICROPHONE = """
peer.room.localParticipant.setMicrophoneEnabled(true).then((publication) => publication.trackSid)
"""
UNPUBLISH_ALL = """
Promise.all([...peer.room.localParticipant.trackPublications.values()].map(
  ({ track }) => peer.room.localParticipant.unpublishTrack(track))).then(() => 0)
"""
UNPUBLISH = "for publication in (camera, microphone): await me.unpublish_track(publication.sid)"


class Receivers:
    """One for each layer; they keep packets and decode nothing."""

    def __init__(self, outside: Outside, server: Server, room: str) -> None:
        self._outside = outside
        self._clients = [outside.call(self._join(server.url, server.token(layer, room))) for layer in LAYERS]

    async def _join(self, url: str, token: str) -> RawClient:
        return await RawClient(url, token, receive=1).connect()

    def choose(self, camera: str) -> None:
        """Each asks for its layer of the camera."""
        for quality, client in enumerate(self._clients):
            self._outside.call(self._choose(client, camera, quality))

    async def _choose(self, client: RawClient, camera: str, quality: int) -> None:
        await client.receiving(camera)
        await client.request(track_setting=rtc.UpdateTrackSettings(track_sids=[camera], quality=quality))  # type: ignore[arg-type]
        await wait_until(lambda: client.packets, 20, what="packets arrive")

    def forget(self) -> None:
        for client in self._clients:
            client.packets.clear()

    def received(self, camera: str, microphone: str, elapsed_s: float) -> str:
        """What came since `forget`."""
        told = []
        for layer, client in zip(LAYERS, self._clients, strict=True):
            pictures = client.media(client.ssrc_of(camera) or 0)
            fps = len({packet.timestamp for packet in pictures}) / elapsed_s
            kbps = sum(len(packet.payload) for packet in pictures) * 8 / 1000 / elapsed_s
            told.append(f"{layer} {fps:.1f}/s {kbps:.0f} kbit/s")
        sounds = len(self._clients[0].media(self._clients[0].ssrc_of(microphone) or 0)) / elapsed_s
        return f"{', '.join(told)}, sound {sounds:.1f}/s"

    def close(self) -> None:
        for client in self._clients:
            self._outside.call(client.close())


def tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def browsers() -> list[psutil.Process]:
    """The first process of each Chromium that this process has started."""
    ours = psutil.Process(os.getpid()).children(recursive=True)
    chromes = {process.pid: process for process in ours if "chrom" in process.name()}
    return [process for process in chromes.values() if process.ppid() not in chromes]


def spent(groups: dict[str, list[psutil.Process]]) -> dict[str, dict[int, float]]:
    """CPU seconds so far of each process. Browsers begin and end some as they like: those that are gone are left out."""
    found: dict[str, dict[int, float]] = {name: {} for name in groups}
    for name, processes in groups.items():
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found[name][process.pid] = times.user + times.system
    return found


Row = tuple[dict[str, float], str]


class PublishingPage(ABC):
    """A page in a room of its own, and who receives from it."""

    def __init__(self, outside: Outside, server: Server) -> None:
        self._outside, self._server = outside, server
        self._room = room_name()
        self._receivers = Receivers(outside, server, self._room)

    @abstractmethod
    def groups(self) -> dict[str, list[psutil.Process]]:
        """Whose CPU counts."""

    @abstractmethod
    def publish(self, codec: str) -> tuple[str, str]:
        """Publish both; sids of camera and microphone."""

    @abstractmethod
    def unpublish(self) -> None: ...

    def idle(self, seconds: float) -> Row:
        return self._watch(seconds, lambda _: "")

    def measure(self, codec: str, seconds: float) -> Row:
        camera, microphone = self.publish(codec)
        self._receivers.choose(camera)
        time.sleep(SETTLES_S)
        self._receivers.forget()
        row = self._watch(seconds, lambda elapsed_s: self._receivers.received(camera, microphone, elapsed_s))
        self.unpublish()
        return row

    def _watch(self, seconds: float, told: Callable[[float], str]) -> Row:
        """CPU in per cent of a core by group for so long, and what was received meanwhile."""
        before, began = spent(self.groups()), time.monotonic()
        time.sleep(seconds)
        elapsed_s = time.monotonic() - began
        cpu = {
            name: sum(cpu_s - before[name].get(pid, 0.0) for pid, cpu_s in now.items())
            for name, now in spent(self.groups()).items()
        }
        return {name: 100 * cpu_s / elapsed_s for name, cpu_s in cpu.items()}, told(elapsed_s)

    def close(self) -> None:
        self._receivers.close()


class LabPage(PublishingPage):
    """A notebook in JupyterLab."""

    def __init__(self, outside: Outside, server: Server, notebook: Notebook, browser: psutil.Process) -> None:
        super().__init__(outside, server)
        self._notebook, self._browser = notebook, browser
        notebook.run(0, SET_UP.format(url=server.url, token=server.token("me", self._room)))
        self._kernel, self._core = notebook.value(1, "[os.getpid(), room._core.client.pid]")

    def groups(self) -> dict[str, list[psutil.Process]]:
        pids = {
            "core": self._core,
            "kernel": self._kernel,
            "jupyter": self._notebook.lab.server_pid,
            "server": self._server.pid,
        }
        return {"browser": tree(self._browser), **{name: [psutil.Process(pid)] for name, pid in pids.items()}}

    def publish(self, codec: str) -> tuple[str, str]:
        self._notebook.run(1, PUBLISH.format(codec=codec.upper()))
        camera, microphone, lane = self._notebook.value(1, "[camera.sid, microphone.sid, bar.lane]")
        assert lane == "direct", lane
        return camera, microphone

    def unpublish(self) -> None:
        self._notebook.run(1, UNPUBLISH)


class ClientPage(PublishingPage):
    """A page with livekit-client."""

    def __init__(self, outside: Outside, server: Server, chromium: Chromium, browser: psutil.Process) -> None:
        super().__init__(outside, server)
        self._browser = browser
        self._peer = ChromiumPeer("me", chromium)
        outside.join(lambda: self._peer, server, self._room)

    def groups(self) -> dict[str, list[psutil.Process]]:
        return {"browser": tree(self._browser), "server": [psutil.Process(self._server.pid)]}

    def publish(self, codec: str) -> tuple[str, str]:
        camera = self._outside.call(self._peer.publish_camera(codec=codec))
        return camera, self._outside.call(self._peer.page.evaluate(PUBLISH_MICROPHONE))

    def unpublish(self) -> None:
        self._outside.call(self._peer.page.evaluate(UNPUBLISH_ALL))

    def close(self) -> None:
        super().close()
        self._outside.leave(self._peer)


def shown(name: str, row: Row) -> str:
    cpu, told = row
    columns = "".join(
        f"{cpu[group]:9.1f}" if group in cpu else f"{'':9}"
        for group in ("browser", "core", "kernel", "jupyter", "server")
    )
    return f"{name:22}{columns}   {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--codecs", nargs="+", default=["h264", "vp8"], choices=["h264", "vp8"])
    options = parser.parse_args()
    print(f"{'':22}  browser     core   kernel  jupyter   server", flush=True)
    rows: dict[str, list[float]] = {}
    with (
        ServerProcess() as process,
        Outside() as outside,
        tempfile.TemporaryDirectory() as folder,
        JupyterLab(Path(folder) / "lab") as lab,
    ):
        # there when it is asked for
        notebook = lab.open(["pass"] * 2)
        (lab_browser,) = browsers()
        chromium = Chromium()
        outside.call(chromium.__aenter__())
        try:
            (client_browser,) = (found for found in browsers() if found.pid != lab_browser.pid)
            pages: dict[str, PublishingPage] = {
                "lknb": LabPage(outside, process.server, notebook, lab_browser),
                "livekit-client": ClientPage(outside, process.server, chromium, client_browser),
            }
            for name, page in pages.items():
                print(shown(f"{name} idle", page.idle(options.seconds)), flush=True)
            for _ in range(options.rounds):
                for codec in options.codecs:
                    for name, page in pages.items():
                        row = page.measure(codec, options.seconds)
                        rows.setdefault(f"{name} {codec}", []).append(row[0]["browser"])
                        print(shown(f"{name} {codec}", row), flush=True)
            for page in pages.values():
                page.close()
            notebook.close()
        finally:
            outside.call(chromium.__aexit__())
    for name, found in rows.items():
        print(f"median {name:15} {statistics.median(found):9.1f} of the browser")


if __name__ == "__main__":
    main()
