"""What arrives of one track, as the room core counts it, and what a canvas shows of it, against one clock.

The figures are written to a file by a thread of the kernel, so that no cell has to run to read them: a cell that runs is
scrolled to, and none runs while another one does.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.kit.poll import wait_until_sync

RECORD = """
import threading, time
def record(room, sid, path, every_s=0.02):
    "Write what the core received of a track, until the room is closed: time, bytes, height."
    core = room._require_core()
    def run():
        with open(path, "w", buffering=1) as file:
            while not core.closed:
                asked = {"op": "stats", "room": core.handle, "track_sid": sid}
                (stream, *_) = core.client.request_threadsafe(asked).result(30)[0]["streams"] or [None]
                if stream is not None:
                    print(time.time(), stream["bytes_received"], stream["height"], file=file)
                time.sleep(every_s)
    threading.Thread(target=run, daemon=True).start()
"""

EYE = """
window.lknbEye ??= {
  changes: [],
  // note the moment of each change of the upper part of the canvas of the tile this selector finds
  watch: (selector) => {
    const copy = new OffscreenCanvas(80, 9).getContext('2d', { willReadFrequently: true });
    let before = '';
    const turn = lknbEye.turn = {};
    const look = () => {
      if (lknbEye.turn !== turn) return;
      const canvas = document.querySelector(selector + ' canvas');
      if (canvas && canvas.width > 1) {
        copy.drawImage(canvas, 0, 0, canvas.width, canvas.height / 5, 0, 0, 80, 9);
        const now = copy.getImageData(0, 0, 80, 9).data.join();
        if (now !== before) lknbEye.changes.push(Date.now());
        before = now;
      }
      requestAnimationFrame(look);
    };
    look();
  },
};
0
"""


READING_S = 0.1
"""Between two readings at most, unless the kernel was kept from it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading."""

    at_s: float
    octets: int
    height: int


class Flow:
    """What arrives, from the file that `record` writes in the folder of the notebook."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._samples: list[Sample] = []

    def samples(self) -> list[Sample]:
        if self._path.exists():
            with self._path.open() as file:
                file.seek(self._read)
                # the last line may not be whole
                whole, newline, _ = file.read().rpartition("\n")
            self._read += len(whole) + len(newline)
            for line in whole.split("\n") if whole else ():
                at, octets, height = line.split()
                self._samples.append(Sample(float(at), int(octets), int(height)))
        return self._samples

    def growths(self) -> list[Sample]:
        """The readings at which more had arrived."""
        found = self.samples()
        return [now for before, now in itertools.pairwise(found) if now.octets > before.octets]

    def wait_height(self, height: int, deadline_s: float = 15.0) -> float:
        """Pictures of this height arrive; how long it took."""
        began = time.time()

        def arrives() -> bool:
            late = [sample for sample in self.growths() if sample.at_s > began]
            return bool(late) and late[-1].height == height

        try:
            wait_until_sync(arrives, deadline_s, interval_s=0.05)
        except AssertionError:
            raise AssertionError(f"no picture of {height} lines, but {self.growths()[-3:]}") from None
        return next(it.at_s for it in self.growths() if it.at_s > began and it.height == height) - began

    def stopped_after(self, at_s: float, *, quiet_s: float = 0.8, deadline_s: float = 15.0) -> float:
        """Wait until nothing has arrived for so long; how long after `at_s` the last of it was."""

        def last_s() -> float:
            return max((it.at_s for it in self.growths()), default=at_s)

        def rests() -> bool:
            known = self.samples()
            return bool(known) and known[-1].at_s - max(last_s(), at_s) > quiet_s

        wait_until_sync(rests, deadline_s, what="no byte of the track arrives any more", interval_s=0.05)
        return max(0.0, last_s() - at_s)

    def flows_for(self, duration_s: float) -> None:
        """AssertionError when nothing arrives for half of this time. A kernel that does not read cannot tell."""
        began = time.time()
        wait_until_sync(lambda: self.samples()[-1].at_s > began + duration_s, duration_s + 10)
        quiet_s = longest_s = 0.0
        for before, now in itertools.pairwise(it for it in self.samples() if it.at_s > began):
            quiet_s = 0.0 if now.octets > before.octets else quiet_s + min(now.at_s - before.at_s, READING_S)
            longest_s = max(longest_s, quiet_s)
        assert longest_s < duration_s / 2, f"nothing arrived for {longest_s:.2f} s"

    def flows(self, within_s: float = 10.0) -> None:
        """Wait until something arrives."""
        began = time.time()
        wait_until_sync(lambda: self.growths()[-1:] and self.growths()[-1].at_s > began, within_s)


class Eye:
    """Watches the pixels of one tile."""

    def __init__(self, page: Page, selector: str = ".lknb-video") -> None:
        self.page = page
        self._selector = selector
        page.evaluate(EYE)

    def watch(self) -> None:
        self.page.evaluate("(selector) => { lknbEye.changes = []; lknbEye.watch(selector) }", self._selector)

    def size(self) -> list[int]:
        """Of the picture that was decoded last."""
        found: list[int] = self.page.evaluate(
            "(selector) => { const it = document.querySelector(selector + ' canvas');"
            " return it ? [it.width, it.height] : [0, 0] }",
            self._selector,
        )
        return found

    def seen_after(self, at_s: float, deadline_s: float = 15.0) -> float:
        """How long after `at_s` a picture was seen that is a new one: the first change may be the one of before."""

        def changes() -> list[float]:
            raw: list[Any] = self.page.evaluate("lknbEye.changes")
            return [at / 1000 for at in raw if at / 1000 > at_s]

        wait_until_sync(lambda: len(changes()) > 1, deadline_s, what="another picture")
        return changes()[1] - at_s
