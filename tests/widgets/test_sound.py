"""A room's sound in JupyterLab in Chromium: what is measured is what leaves the page, at its one output."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.jupyterlab import JupyterLab, Notebook
from tests.kit.poll import wait_until_sync

SET_UP = """
import asyncio, time, lknb
from lknb.widgets import AudioView, RoomAudio, SubscriptionTable, VideoView
server = lknb.DevServer()
room = await lknb.connect("stage", identity="me", server=server)
bob = await lknb.connect("stage", identity="bob", name="Bob", server=server)
tone = await bob.local_participant.publish_track(lknb.Tone(440, volume=0.2))
picture = await bob.local_participant.publish_track(lknb.TestPattern(320, 180, 15))
sound = await room.wait_for_track("bob", kind=1)
video = await room.wait_for_track("bob", kind=2)
shown = []
"""
CLEAN_UP = """
while shown: shown.pop().close()
RoomAudio(room).close()
"""
LEVEL = 0.2 / 2**0.5
"""Of the tone: root mean square of full scale."""
SILENCE = 0.0005

PROBE = """
globalThis.lknbEar = {
  taps: new WeakMap(),
  // an analyser behind the page's output; null while there is none
  tap() {
    const page = globalThis[Symbol.for('lknb.page')];
    if (!page || !page.context) return null;
    let tap = lknbEar.taps.get(page.context);
    if (!tap) {
      tap = new AnalyserNode(page.context, { fftSize: 16384, smoothingTimeConstant: 0 });
      page.output.connect(tap);
      lknbEar.taps.set(page.context, tap);
    }
    return tap;
  },
  // root mean square of the last third of a second
  level() {
    const tap = lknbEar.tap();
    if (!tap) return 0;
    const samples = new Float32Array(tap.fftSize);
    tap.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  },
  // strength at a frequency, in dB
  at(hz) {
    const tap = lknbEar.tap();
    if (!tap) return -200;
    const bins = new Float32Array(tap.frequencyBinCount);
    tap.getFloatFrequencyData(bins);
    return Math.max(-200, bins[Math.round(hz * tap.fftSize / tap.context.sampleRate)]);
  },
  strongest() {
    const tap = lknbEar.tap();
    if (!tap) return 0;
    const bins = new Float32Array(tap.frequencyBinCount);
    tap.getFloatFrequencyData(bins);
    return bins.indexOf(Math.max(...bins)) * tap.context.sampleRate / tap.fftSize;
  },
};
"""


class Hall:
    """One notebook in a room where bob plays a tone, and what is heard of it."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.page.evaluate(PROBE)

    def run(self, source: str, cell: int = 1) -> list[Any]:
        return self.notebook.run(cell, source)

    def show(self, expression: str, cell: int = 1) -> None:
        """Display something, and forget it after the test."""
        self.run(f"shown.append({expression}); shown[-1]", cell)

    def value(self, expression: str) -> Any:
        return self.notebook.value(3, expression)

    def ear(self, call: str) -> Any:
        return self.page.evaluate(f"lknbEar.{call}")

    def wait_for_pitch(self, hz: float) -> None:
        """Until a third of a second is heard without a hole: behind one that was concealed the tone goes on in another
        phase, and the strongest frequency is then found in a bin beside (436.5 for 440 Hz, of bins 2.9 Hz apart)."""
        wait_until_sync(
            lambda: self.ear("strongest()") == pytest.approx(hz, abs=3), what=lambda: f"{self.ear('strongest()')} Hz"
        )

    def steady(self, hz: int) -> float:
        """Strength at a frequency, in dB, once it is the same in two thirds of a second without a sample in common: a hole
        that was concealed, and the other phase behind it, take from it."""
        heard: list[float] = []

        def is_steady() -> bool:
            self.page.wait_for_timeout(400)
            heard.append(self.ear(f"at({hz})"))
            return len(heard) > 1 and abs(heard[-1] - heard[-2]) < 1

        wait_until_sync(is_steady, what=lambda: f"{hz} Hz is heard at {heard} dB")
        return heard[-1]

    def wait_for_level(self, level: float) -> None:
        try:
            wait_until_sync(lambda: abs(self.ear("level()") - level) < max(SILENCE, 0.06 * level))
        except AssertionError:
            pytest.fail(f"the level is {self.ear('level()'):.4f}, not {level:.4f}; players {self.players()}")

    def wait_for_silence(self) -> None:
        self.wait_for_level(0.0)

    def stays_single(self, seconds: float) -> None:
        """The tone is heard all the time, and once. Where tests share a machine it may falter, but never be louder."""
        until, heard = time.monotonic() + seconds, []
        while time.monotonic() < until:
            heard.append(self.ear("level()"))
            assert heard[-1] < LEVEL * 1.06
        assert statistics.median(heard) > LEVEL * 0.9
        self.wait_for_level(LEVEL)

    def players(self) -> Any:
        """What the page says of its rooms."""
        return self.page.evaluate(
            "[...(globalThis[Symbol.for('lknb.page')]?.rooms ?? [])]"
            ".map(([_, { views, player }]) => [views.size, player && player.state, player && player.status])"
        )

    def bars(self) -> list[str]:
        return [text.strip() for text in self.page.locator(".lknb-audio").all_inner_texts()]


@pytest.fixture(scope="module")
def stage(lab: JupyterLab) -> Iterator[Hall]:
    notebook = lab.open(["pass"] * 6)
    notebook.run(0, SET_UP)
    yield Hall(notebook)
    notebook.close()


@pytest.fixture
def hall(stage: Hall) -> Iterator[Hall]:
    yield stage
    stage.run(CLEAN_UP, 5)
    wait_until_sync(
        lambda: stage.page.evaluate("!globalThis[Symbol.for('lknb.page')]?.context"), what="nothing is left"
    )
    for cell in range(1, 5):
        stage.notebook.activate(cell)
        stage.notebook.command("notebook:clear-cell-output")
    errors = list(stage.notebook.errors)
    stage.notebook.console.clear()
    assert errors == []


@pytest.mark.parametrize("view", ["VideoView(video)", "RoomAudio(room)", "AudioView(sound)", "SubscriptionTable(room)"])
def test_any_view_of_a_room_makes_its_page_play_the_room(hall: Hall, view: str) -> None:
    hall.show(view)
    hall.wait_for_level(LEVEL)
    hall.wait_for_pitch(440)
    told = "[RoomAudio(room).playing, RoomAudio(room).blocked, RoomAudio(room).lane, room.can_playback_audio]"
    wait_until_sync(lambda: hall.value(told) == [True, False, "direct", True], what=lambda: hall.value(told))
    hall.run("shown.pop().close()", 2)
    hall.wait_for_silence()
    wait_until_sync(lambda: not hall.value("RoomAudio(room).playing or RoomAudio(room).lane"), what="the lane is free")


def test_several_views_are_heard_once(hall: Hall) -> None:
    hall.show("VideoView(video)")
    hall.wait_for_level(LEVEL)
    hall.run("shown.append(VideoView(video)); shown[-1]", 2)
    hall.run("shown.append(RoomAudio(room)); shown[-1]", 4)
    wait_until_sync(lambda: hall.players() == [[3, "open", "Playing 1 track"]])
    hall.stays_single(1.5)
    hall.run("shown.pop(0).close()", 2)
    # longer than a page waits for a view to come back
    hall.stays_single(3)


def test_what_the_publisher_mutes_is_silent_and_what_is_not_enabled_too(hall: Hall) -> None:
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL)
    hall.run("tone.track.mute()", 2)
    hall.wait_for_silence()
    wait_until_sync(lambda: hall.bars() == ["Everybody is muted"])
    hall.run("tone.track.unmute()", 2)
    hall.wait_for_level(LEVEL)
    publication = "next(p for p in room.remote_participants['bob'].track_publications.values() if p.kind == 1)"
    hall.run(f"{publication}.set_enabled(False)", 2)
    hall.wait_for_silence()
    hall.run(f"{publication}.set_enabled(True)", 2)
    hall.wait_for_level(LEVEL)
    hall.run(f"{publication}.set_subscribed(False)", 2)
    hall.wait_for_silence()
    wait_until_sync(lambda: hall.bars() == ["Nobody sends sound"])
    hall.run(f"{publication}.set_subscribed(True); sound = await room.wait_for_track('bob', kind=1)", 2)
    hall.wait_for_level(LEVEL)


def test_volume_and_mute_are_heard_from_python_and_from_the_page(hall: Hall) -> None:
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL)
    hall.run("RoomAudio(room).volume = 0.5", 2)
    hall.wait_for_level(LEVEL / 2)
    hall.run("RoomAudio(room).volume = 0", 2)
    hall.wait_for_silence()
    hall.run("RoomAudio(room, volume=1, muted=True);", 2)
    hall.wait_for_silence()
    wait_until_sync(lambda: hall.bars() == ["Muted here"])
    hall.page.get_by_role("button", name="Unmute the room").click()
    hall.wait_for_level(LEVEL)
    wait_until_sync(lambda: hall.value("RoomAudio(room).muted") is False)
    slider = hall.page.get_by_role("slider", name="Volume of the room")
    slider.fill("25")
    hall.wait_for_level(LEVEL / 4)
    wait_until_sync(lambda: hall.value("RoomAudio(room).volume") == 0.25)
    slider.focus()
    hall.page.keyboard.press("End")
    hall.wait_for_level(LEVEL)
    hall.page.get_by_role("button", name="Mute the room").click()
    hall.wait_for_silence()
    wait_until_sync(lambda: hall.value("RoomAudio(room).muted") is True)


def test_each_participant_has_a_volume(hall: Hall) -> None:
    hall.run(
        "carol = await lknb.connect('stage', identity='carol', server=server)\n"
        "await carol.local_participant.publish_track(lknb.Tone(1000, volume=0.2))\n"
        "high = await room.wait_for_track('carol', kind=1)",
        2,
    )
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL * 2**0.5)
    low, high = hall.steady(440), hall.steady(1000)
    assert abs(low - high) < 6
    hall.run("RoomAudio(room).set_volume('carol', 0.1)", 2)
    wait_until_sync(lambda: 14 < high - hall.ear("at(1000)") < 26, what="20 dB less of carol")
    assert abs(low - hall.steady(440)) < 3
    hall.run("view = AudioView(high); shown.append(view); view", 2)
    assert hall.value("view.volume") == 0.1
    hall.page.get_by_role("slider", name="Volume of carol").fill("0")
    wait_until_sync(lambda: hall.ear("at(1000)") < low - 50, what="nothing of carol")
    assert hall.value("RoomAudio(room).volume_of('carol')") == 0
    hall.run("await carol.disconnect(); RoomAudio(room).set_volume('carol', 1)", 4)
    wait_until_sync(lambda: "Not sent" in " ".join(hall.bars()))


NO_WEBSOCKET = """
from lknb.widgets.lane_widget import LaneWidget
class Elsewhere:
    "Pages are told a port at which nobody answers."
    def __enter__(self):
        self.send = LaneWidget.send
        def send(widget, content, buffers=None):
            self.send(widget, {**content, "port": 9} if content.get("type") == "ticket" else content, buffers)
        LaneWidget.send = send
    def __exit__(self, *_):
        LaneWidget.send = self.send
elsewhere = Elsewhere()
"""
COUNT_DOWN = """
counted = []
def count(widget, content, buffers=None, send=LaneWidget.send):
    if content.get("type") == "down": counted.append(len(buffers))
    send(widget, content, buffers)
RoomAudio(room).send = lambda content, buffers=None: count(RoomAudio(room), content, buffers)
"""


def test_over_the_comm_alone_it_is_heard_too_with_few_messages(hall: Hall) -> None:
    hall.run(NO_WEBSOCKET, 2)
    hall.run("elsewhere.__enter__()", 2)
    try:
        hall.show("RoomAudio(room)")
        hall.wait_for_level(LEVEL)
        wait_until_sync(lambda: hall.value("RoomAudio(room).lane") == "comm")
        hall.wait_for_pitch(440)
        hall.run(COUNT_DOWN, 2)
        hall.run(
            "counted.clear(); began = time.monotonic(); await asyncio.sleep(3)\n"
            "rate = len(counted) / (time.monotonic() - began)",
            2,
        )
        assert 10 < hall.value("rate") < 20, "a bundle each 60 ms"
        hall.wait_for_level(LEVEL)
        hall.run("tone.track.mute()", 2)
        hall.wait_for_silence()
    finally:
        hall.run("tone.track.unmute(); elsewhere.__exit__()", 2)


def test_a_console_on_the_same_kernel_does_not_play_it_a_second_time(hall: Hall) -> None:
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL)
    hall.page.evaluate(
        "(async () => { const { session } = jupyterapp.shell.currentWidget.sessionContext;"
        " const panel = await jupyterapp.commands.execute('console:create', { path: session.path, kernelPreference:"
        " { id: session.kernel.id }, insertMode: 'split-bottom', activate: false });"
        " globalThis.lknbConsole = panel; await panel.sessionContext.ready;"
        " await panel.console.inject('RoomAudio(room)'); })()"
    )
    try:
        wait_until_sync(lambda: hall.bars() == ["Playing 1 track"] * 2)
        wait_until_sync(lambda: hall.players() == [[2, "open", "Playing 1 track"]])
        hall.stays_single(1)
    finally:
        hall.page.evaluate("globalThis.lknbConsole.dispose()")
    hall.wait_for_level(LEVEL)


def test_each_page_has_one_lane_and_one_that_is_closed_frees_it(hall: Hall) -> None:
    hall.run("import psutil; core = psutil.Process(room._core.client.pid)", 4)

    def connections() -> int:
        """Of pages, at the port the core serves them."""
        return int(
            hall.value(
                "(lambda all: sum(it.status == 'ESTABLISHED' and it.laddr.port in {it.laddr.port for it in all if"
                " it.status == 'LISTEN'} for it in all))(core.net_connections('tcp'))"
            )
        )

    wait_until_sync(lambda: connections() == 0, what="those of before are closed")
    hall.show("RoomAudio(room)")
    hall.run("shown.append(AudioView(sound)); shown[-1]", 2)
    hall.wait_for_level(LEVEL)
    assert connections() == 1
    hall.notebook.save()
    other = hall.notebook.context.new_page()
    other.goto(hall.notebook.lab.url_of(hall.notebook.name))
    other.wait_for_function("document.querySelector('.lknb-audio-status')?.textContent === 'Playing 1 track'")
    assert connections() == 2
    other.close()
    wait_until_sync(lambda: connections() == 1)
    hall.wait_for_level(LEVEL)
    hall.run("while shown: shown.pop().close()", 4)
    wait_until_sync(lambda: connections() == 0)


def test_a_busy_cell_does_not_stop_the_sound(hall: Hall) -> None:
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL)
    hall.notebook.run(2, "end = time.monotonic() + 3\nwhile time.monotonic() < end: pass", wait=False)
    wait_until_sync(
        lambda: hall.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
    )
    hall.stays_single(2)


def test_a_room_that_is_left_falls_silent_and_one_joined_again_is_heard(hall: Hall) -> None:
    hall.run(
        "second = await lknb.connect('stage', identity='second', server=server)\n"
        "heard = await second.wait_for_track('bob', kind=1)",
        2,
    )
    hall.show("RoomAudio(second)")
    hall.wait_for_level(LEVEL)
    hall.run("await second.disconnect()", 2)
    hall.wait_for_silence()
    wait_until_sync(lambda: hall.bars() == ["The room was left"])
    hall.run(
        "from lknb.access import make_token\n"
        "await second.connect(server.url, make_token(server.api_key, server.api_secret, 'second', 'stage'))",
        2,
    )
    hall.wait_for_level(LEVEL)
    hall.run("await second.disconnect()", 2)


def test_sounds_that_were_made_for_views_go_with_their_room(hall: Hall) -> None:
    hall.run(
        "third = await lknb.connect('stage', identity='third', server=server)\n"
        "shown.append(VideoView(await third.wait_for_track('bob', kind=2))); shown[-1]",
        2,
    )
    hall.wait_for_level(LEVEL)
    hall.run("from lknb.rtc.playback import playback_of; made = playback_of(third); await third.disconnect()", 4)
    hall.wait_for_silence()
    wait_until_sync(lambda: hall.value("made.comm is None"))


def test_fifty_leave_nothing_behind(hall: Hall) -> None:
    hall.run("import ipywidgets; count = lambda: len(ipywidgets.widgets.widget._instances)", 4)
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL)
    hall.run("shown.pop().close()", 2)
    hall.wait_for_silence()
    before = hall.value("count()")
    handlers = "sum(map(len, room._events.values()))"
    standing = hall.value(handlers)
    workers = len(hall.notebook.workers())
    for _ in range(5):
        hall.run(
            "for _ in range(10):\n"
            "    audio, view = RoomAudio(room), AudioView(sound)\n"
            "    display(audio, view)\n"
            "    async with asyncio.timeout(20):\n"
            "        while not audio.playing: await asyncio.sleep(0.02)\n"
            "    audio.close(); view.close()",
            2,
        )
    wait_until_sync(lambda: len(hall.notebook.workers()) <= workers)
    assert hall.value("count()") == before
    assert hall.value(handlers) == standing
    wait_until_sync(lambda: hall.players() == [], what="the page knows of no room")
    # and it still plays
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL)


def test_a_browser_that_cannot_decode_sound_says_so_and_what_to_do(hall: Hall) -> None:
    hall.page.evaluate("void ((globalThis.lknbDecoder = globalThis.AudioDecoder), delete globalThis.AudioDecoder)")
    try:
        hall.show("RoomAudio(room)")
        wait_until_sync(lambda: "Safari 26" in " ".join(hall.bars()))
        wait_until_sync(lambda: "cannot decode sound" in hall.value("RoomAudio(room).error"))
        assert hall.value("[RoomAudio(room).playing, RoomAudio(room).lane]") == [False, ""]
        box = hall.page.locator(".lknb-audio-status")
        assert box.evaluate("(status) => status.scrollWidth <= status.clientWidth + 1"), "all of it can be read"
    finally:
        hall.page.evaluate("void (globalThis.AudioDecoder = globalThis.lknbDecoder)")


def test_a_kernel_that_is_restarted_leaves_silence_and_a_word(lab: JupyterLab) -> None:
    notebook = lab.open(["pass"] * 6)
    try:
        hall = Hall(notebook)
        hall.run(SET_UP, 0)
        hall.run("RoomAudio(room)", 1)
        hall.wait_for_level(LEVEL)
        notebook.restart_kernel()
        hall.wait_for_silence()
        wait_until_sync(lambda: hall.bars() == ["Its kernel is gone. Run the cell again to hear the room."])
        assert hall.page.evaluate("globalThis[Symbol.for('lknb.page')].context") is None
        hall.run(SET_UP, 0)
        hall.run("RoomAudio(room)", 1)
        hall.wait_for_level(LEVEL)
    finally:
        notebook.close()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_looks_right_in_both_themes(hall: Hall, theme: str, tmp_path: Path) -> None:
    hall.notebook.set_theme(f"JupyterLab {theme}")
    hall.show("RoomAudio(room)")
    hall.run(
        "import ipywidgets\n"
        "narrow = AudioView(sound, name='A name that is longer than its place', layout={'width': '230px'})\n"
        "shown.extend([AudioView(sound), narrow]); shown.append(ipywidgets.VBox(shown[-2:])); shown[-1]",
        2,
    )
    hall.wait_for_level(LEVEL)
    folder = Path(os.environ.get("LKNB_TEST_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"sound_{theme.lower()}.png").write_bytes(hall.page.screenshot())
    hall.notebook.set_theme("JupyterLab Light")


def test_it_is_named_for_those_who_do_not_see_it(hall: Hall) -> None:
    hall.show("RoomAudio(room)")
    hall.wait_for_level(LEVEL)
    assert hall.page.get_by_role("group", name="Sound of the room").count() == 1
    assert hall.page.get_by_role("button", name="Mute the room").count() == 1
    assert hall.page.locator(".lknb-audio [role=status]").inner_text() == "Playing 1 track"
    assert hall.page.get_by_role("button", name="Click to hear").count() == 0
