"""Mutes of what a page captures, from every side: what becomes of the device, who is told, what the server still gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit import api

from tests.kit.chromium import Chromium, ChromiumPeer
from tests.kit.jupyterlab import JupyterLab
from tests.kit.meter import IDLE_BYTES_S, Meter
from tests.kit.outside import Outside
from tests.kit.peer import Peer
from tests.kit.poll import wait_until_sync
from tests.kit.relay import UdpRelay
from tests.kit.server import Server
from tests.kit.ws_proxy import SignalProxy
from tests.widgets.outside import CountedServer
from tests.widgets.studio import Studio

MARKS = "[...document.querySelectorAll('.lknb-video-live')].map((mark) => mark.checkVisibility())"


@pytest.fixture(scope="module")
def counted() -> Iterator[CountedServer]:
    with pytest.MonkeyPatch.context() as patch:
        server = CountedServer(patch)
        yield server
        server.close()


@pytest.fixture(scope="module")
def browser(outside: Outside) -> Iterator[Chromium]:
    chromium = Chromium()
    outside.call(chromium.__aenter__())
    yield chromium
    outside.call(chromium.__aexit__())


@dataclass
class Call:
    """A notebook that captures, behind a meter, and two official clients that watch."""

    studio: Studio
    counted: CountedServer
    meter: Meter
    peers: list[Peer]
    sids: dict[str, str]
    flowing: dict[str, int] = field(default_factory=dict)
    """Bytes of media of each track in the second that `carries_both` looked at."""

    def carries_both(self) -> bool:
        """Whether more than a few bytes of each track come to the server in a second from now."""
        self.flowing, _, _ = self.second()
        return min(self.flowing.values()) > 500

    def told(self, event: str, count: int) -> None:
        """Every client was told so of both tracks, and not more often."""
        for peer in self.peers:
            for sid in self.sids.values():
                self.studio.outside.call(peer.wait_event(event, count=count, track_sid=sid, participant="me"))
                assert len(self.studio.outside.call(peer.events(event, track_sid=sid))) == count

    def second(self) -> tuple[dict[str, int], int, int]:
        """In a second from now: bytes of media of each track where the server has decrypted them; bytes and RTP packets
        on the wire."""
        before = dict(self.counted.received)
        wire, packets = self.studio.outside.call(self.meter.second())
        media = {device: self.counted.received[sid] - before.get(sid, 0) for device, sid in self.sids.items()}
        return media, wire, packets

    def flows(self) -> None:
        """Both tracks reach both clients."""
        before = {peer.identity: self.studio.outside.call(peer.video(self.sids["camera"])) for peer in self.peers}
        for peer in self.peers:
            seen = before[peer.identity]
            count = seen.frames if seen is not None else 0
            wait = peer.wait_video(self.sids["camera"], lambda report, count=count: report.frames > count + 3, 20)
            self.studio.outside.call(wait)
            self.studio.outside.call(
                peer.wait_audio(self.sids["microphone"], lambda report: report.level > 0.01, deadline_s=20)
            )


@pytest.fixture(scope="module")
def call(lab: JupyterLab, outside: Outside, counted: CountedServer, browser: Chromium) -> Iterator[Call]:
    relay = UdpRelay(counted.rtc_port)
    outside.call(relay.__aenter__())
    meter = Meter(relay)
    proxy = SignalProxy(counted.url, server_rtc_port=counted.rtc_port, media_port=relay.port)
    outside.call(proxy.__aenter__())
    server = Server(counted.url, rtc_port=counted.rtc_port)
    notebook = lab.open(["pass"] * 4)
    with Studio(notebook, outside, server, url=proxy.url) as studio:
        page = outside.join(lambda: ChromiumPeer("page", browser), server, studio.room)
        studio.run("camera, microphone = await asyncio.wait_for(me.enable_camera_and_microphone(), 20)")
        camera, microphone = studio.value("[camera.sid, microphone.sid]")
        made = Call(studio, counted, meter, [studio.guest, page], {"camera": camera, "microphone": microphone})
        made.flows()
        yield made
        outside.leave(page)
    errors = notebook.errors
    notebook.close()
    outside.call(proxy.__aexit__(None, None, None))
    outside.call(relay.__aexit__(None, None, None))
    assert errors == []


def test_muted_from_any_side_nothing_reaches_the_server(call: Call, record_property: Any) -> None:
    studio, evidence = call.studio, []

    def press() -> None:
        studio.press("camera")
        studio.press("microphone")

    def by_program(muted: bool) -> None:
        studio.run(
            "await camera.mute(); await me.set_microphone_enabled(False)"
            if muted
            else "await camera.unmute(); await microphone.unmute()"
        )

    def by_publication(do: str) -> None:
        studio.run(f"for each in (camera, microphone): await asyncio.wait_for(each.{do}(), 10)")

    async def by_admin() -> None:
        async with studio.server.api() as admin:
            for sid in call.sids.values():
                asked = api.MuteRoomTrackRequest(room=studio.room, identity="me", track_sid=sid, muted=True)
                await admin.room.mute_published_track(asked)

    # a publisher may take back what an admin did, an admin may not
    sides: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        ("page", press, press),
        ("publisher", lambda: by_program(True), lambda: by_program(False)),
        ("publication", lambda: by_publication("mute"), lambda: by_publication("unmute")),
        ("RoomService", lambda: studio.outside.call(by_admin()), press),
    ]
    for count, (side, mute, unmute) in enumerate(sides, 1):
        asked = studio.notebook.page.evaluate("lknbAsked")
        # a second has one beep of the fake microphone, if nothing is late
        wait_until_sync(call.carries_both, what=lambda: f"both flow: {call.flowing}")
        flowing = call.flowing
        mute()
        call.told("track_muted", count)
        # the light is off, and the microphone kept
        wait_until_sync(lambda: studio.live() == ["audio"], what="the camera is let go of")
        studio.wait_for_bar(states={"microphone": "muted", "camera": "muted", "screen": "off"}, live=False)
        media, wire, packets = call.second()
        assert (media, packets) == ({"camera": 0, "microphone": 0}, 0)
        assert wire < IDLE_BYTES_S
        unmute()
        call.told("track_unmuted", count)
        call.flows()
        assert studio.live() == ["audio", "video"]
        assert studio.notebook.page.evaluate("lknbAsked") == asked + 1
        studio.wait_for_bar(live=True)
        evidence.append(f"{side}: {flowing} bytes of media a second, muted {media}, {wire} on the wire")
    record_property("evidence", "; ".join(evidence))


def test_a_button_mutes_while_the_kernel_computes(call: Call) -> None:
    studio = call.studio
    studio.notebook.run(3, "time.sleep(6)", wait=False)
    count = len(studio.outside.call(studio.guest.events("track_muted", track_sid=call.sids["camera"]))) + 1
    studio.press("camera")
    muted = studio.guest.wait_event("track_muted", count=count, track_sid=call.sids["camera"], deadline_s=4)
    studio.outside.call(muted)
    wait_until_sync(lambda: studio.live() == ["audio"], what="the camera is let go of")


def test_what_is_live_has_a_mark(call: Call) -> None:
    studio = call.studio
    studio.run("for sid in list(me.track_publications): await me.unpublish_track(sid)")
    studio.run("bar.close()")
    wait_until_sync(lambda: studio.notebook.page.locator(".lknb-bar").count() == 0, what="the bar is gone")
    studio.notebook.run(3, "panel = lknb.CallPanel(room)\npanel")
    page = studio.notebook.page

    def marked(bar: bool, *tiles: bool) -> None:
        """Our own tiles come first."""
        wanted = [bar, *tiles]
        wait_until_sync(
            lambda: [studio.bar()["live"], *page.evaluate(MARKS)[: len(tiles)]] == wanted,
            20,
            what=lambda: f"bar and tiles are {wanted}, not {[studio.bar()['live'], *page.evaluate(MARKS)]}",
        )
        wait_until_sync(lambda: not any(page.evaluate(MARKS)[len(tiles) :]), what="nobody else is marked")

    wait_until_sync(lambda: studio.bar()["status"] == "", 20, what="the page has a lane")
    marked(False, False)
    for device in ("camera", "microphone"):
        studio.press(device)
        marked(True, True)
        studio.press(device)
        marked(False, False)
    studio.press("screen")
    wait_until_sync(lambda: studio.bar()["states"]["screen"] == "on", 20, what="the screen is shared")
    wait_until_sync(lambda: page.evaluate(MARKS).count(True) == 1, 20, what="the screen's tile has it")
    studio.wait_for_bar(live=True)
    studio.press("screen")
    wait_until_sync(lambda: not any(page.evaluate(MARKS)), what="no tile")
    studio.wait_for_bar(live=False)
