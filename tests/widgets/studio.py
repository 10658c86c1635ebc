"""A notebook with the buttons of a room, and official clients in the same room, outside."""

from __future__ import annotations

from typing import Any

from tests.kit.jupyterlab import Notebook
from tests.kit.outside import Outside
from tests.kit.peer import Peer
from tests.kit.poll import wait_until_sync
from tests.kit.server import Server
from tests.kit.token import room_name
from tests.kit.wheel import WheelPeer

SET_UP = """
import asyncio, time, numpy as np, lknb
from lknb import rtc
room = await lknb.connect(url={url!r}, token={token!r})
me = room.local_participant
bar = lknb.ControlBar(room)
bar
"""
BAR = """() => {
  const bar = document.querySelector('.lknb-bar');
  // its cell has ended, and the page still makes it
  if (!bar) return { states: {}, live: false, status: 'There are no buttons yet', fault: '' };
  const text = (query) => bar.querySelector(query)?.textContent ?? '';
  const shown = (query) => { const found = bar.querySelector(query); return !!found && !found.hidden };
  return {
    states: Object.fromEntries([...bar.querySelectorAll('.lknb-bar-device')].map((it) => [it.dataset.device, it.dataset.state])),
    live: shown('.lknb-bar-mark'), status: text('.lknb-bar-status'), fault: text('.lknb-bar-fault'),
  };
}"""
# what getUserMedia gave out, and how often it was asked, to see from outside which devices are open
SPY = """
globalThis.lknbTracks = [];
globalThis.lknbAsked = 0;
for (const name of ['getUserMedia', 'getDisplayMedia']) {
  const real = navigator.mediaDevices[name].bind(navigator.mediaDevices);
  navigator.mediaDevices[name] = async (asked) => {
    lknbAsked += 1;
    const stream = await real(asked);
    lknbTracks.push(...stream.getTracks());
    return stream;
  };
}
0;  // playwright calls what is a function
"""
LIVE = "lknbTracks.filter((track) => track.readyState === 'live').map((track) => track.kind).sort()"


class Studio:
    """One notebook with the buttons of a room, and an official client in the same room, outside, as long as `with` lasts."""

    def __init__(self, notebook: Notebook, outside: Outside, server: Server, *, url: str = "") -> None:
        """`url` is where the notebook joins, when that is not the server itself."""
        self.notebook = notebook
        self.outside = outside
        self.server = server
        self.url = url or server.url
        self.room = room_name()
        self.guest: Peer

    def __enter__(self) -> Studio:
        token = self.server.token("me", self.room)
        self.notebook.run(0, SET_UP.format(url=self.url, token=token))
        self.guest = self.outside.join(lambda: WheelPeer("guest"), self.server, self.room)
        self.notebook.page.evaluate(SPY)
        wait_until_sync(lambda: self.bar()["status"] == "", 20, what="the page has a lane")
        return self

    def __exit__(self, *_: object) -> None:
        self.outside.leave(self.guest)

    def bar(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.notebook.page.evaluate(BAR)
        return shown

    def wait_for_bar(self, **wanted: Any) -> None:
        """Until the bar shows this: it learns what the core did by way of the kernel, later than those outside may."""
        wait_until_sync(
            lambda: wanted.items() <= self.bar().items(), what=lambda: f"the bar shows {wanted}, not {self.bar()}"
        )

    def live(self) -> list[str]:
        """Kinds of the devices that are open in the page."""
        found: list[str] = self.notebook.page.evaluate(LIVE)
        return found

    def value(self, expression: str) -> Any:
        return self.notebook.value(1, expression)

    def run(self, source: str) -> str:
        return "".join(output.text for output in self.notebook.run(2, source))

    def press(self, device: str) -> None:
        self.notebook.page.locator(f".lknb-bar-device[data-device={device}] .lknb-bar-button").click()

    def publish(self, call: str) -> str:
        """The sid of what a call publishes."""
        sid: str = self.value(f"(await asyncio.wait_for({call}, 20)).sid")
        return sid

    def published(self, source: str) -> str:
        """The sid of what the page publishes, which shows itself "on" before the kernel has heard of it."""
        found = f"getattr(me.get_track_publication(rtc.TrackSource.SOURCE_{source}), 'sid', '')"
        sid: str = wait_until_sync(lambda: self.value(found), 20, what=f"the kernel knows the {source} of its page")
        return sid

    def sees(self, sid: str, width: int) -> Any:
        return self.outside.call(self.guest.wait_video(sid, lambda report: report.width == width, deadline_s=20))

    def frames(self, sid: str) -> int:
        report = self.outside.call(self.guest.video(sid))
        return report.frames if report is not None else 0

    def sounds(self, sid: str) -> int:
        report = self.outside.call(self.guest.audio(sid))
        return report.frames if report is not None else 0

    def packets(self, sid: str) -> int:
        """Packets of sound: the wheel makes up what does not come, so its sounds go on without any."""
        counted = self.outside.call(self.guest.call("inbound_audio", track_sid=sid))
        return int(counted["packets"])
