"""`StatsPlot`: what flows of a track, or of every track of a room, over time."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.participant import Participant
from lknb.rtc.room import Room
from lknb.rtc.track_publication import TrackPublication
from lknb.widgets.caption import person_label, source_label, track_label
from lknb.widgets.control_view import ControlView, Watched
from lknb.widgets.esm import control_esm
from lknb.widgets.meter import INTERVAL_S, Flow, Flows, Meter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SERIES = ("time_s", "bitrate_bps", "height", "frames_per_s", "lost", "level")
KEPT_S = 600.0
_PANELS = (
    ("bitrate_bps", "bitrate\nkbit/s", 1e-3, ""),
    ("height", "picture\nheight", 1.0, "video"),
    ("lost", "loss\n%", 100.0, ""),
    ("level", "audio\nlevel", 1.0, "audio"),
)

Point = tuple[float, ...]
"""The values of SERIES."""


class StatsPlot(ControlView):
    """Bitrate, height of the picture (which tells the layer), loss and audio level, twice a second, until it is closed.

        plot = StatsPlot(room)           # or StatsPlot(track)
        plot.data                        # arrays
        plot.figure()                    # a matplotlib figure, to keep or to print

    It measures from the moment it is made, whether a page shows it or not, and keeps the last ten minutes. A computing
    cell makes no gap.
    """

    _module = "plot"
    _esm = control_esm("plot")

    def __init__(self, source: Any, *, window_s: float = 60.0, **traits: Any) -> None:
        """`window_s`: the seconds the canvas shows, from 10 to 600."""
        publication = getattr(source, "publication", source)
        if not isinstance(source, Room) and not isinstance(publication, TrackPublication):
            raise TrackError(f"StatsPlot shows a room or a track, not {source!r}")
        self._room: Room | None = source if isinstance(source, Room) else None
        self._track = source if self._room is None else None
        self._publication: TrackPublication | None = publication if self._room is None else None
        self._window_s = min(max(float(window_s), 10.0), KEPT_S)
        self._began_at = time.monotonic()
        self._points: dict[str, deque[Point]] = {}
        self._labels: dict[str, str] = {}
        self._lock = threading.Lock()
        self._recorder: Meter | None = None
        super().__init__(**traits)
        if self._room is not None:
            self._room.on("connection_state_changed", self._record)
        self._record()

    @property
    def data(self) -> dict[str, Any]:
        """What was measured: arrays by series (`time_s` from the making of the plot, `bitrate_bps`, `height` of the
        picture in pixels, `frames_per_s`, `lost` and `level` from 0 to 1).

        Of a room, such a dictionary for each track, by its label in the legend.
        """
        with self._lock:
            arrays = {self._labels[sid]: _arrays(points) for sid, points in self._points.items()}
        return arrays if self._room is not None else next(iter(arrays.values()), _arrays(()))

    def figure(self) -> Figure:
        """What was measured, as a matplotlib figure. Raises TrackError without matplotlib."""
        try:
            from matplotlib import pyplot
        except ImportError:
            raise TrackError("figure() needs matplotlib: pip install matplotlib") from None
        panels = [each for each in _PANELS if not self._kind() or each[3] in ("", self._kind())]
        size = (8, 1.5 * len(panels))
        figure, axes = pyplot.subplots(len(panels), 1, sharex=True, figsize=size, layout="constrained")
        tracks = self.data if self._room is not None else {self._label(): self.data}
        for axis, (series, label, scale, _) in zip(axes, panels, strict=True):
            for name, arrays in tracks.items():
                # a name with an underscore in front would be left out of the legend, and $ would be mathematics
                axis.plot(arrays["time_s"], arrays[series] * scale, label="\u200c" + name.replace("$", r"\$"))
            axis.set_ylabel(label)
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
        axes[-1].set_xlabel("seconds")
        if tracks:
            axes[0].legend(loc="upper left", fontsize="small", frameon=False)
        # the cell that displays it shows it; pyplot would a second time
        pyplot.close(figure)
        return figure

    def close(self) -> None:
        """Measure no more, and take the plot out of all pages; `data` stays. Harmless twice."""
        if self.comm is None:
            return
        if self._room is not None:
            self._room.off("connection_state_changed", self._record)
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.remove(self._take)
        super().close()

    def __repr__(self) -> str:
        return f"StatsPlot({self._label()!r})"

    def _label(self) -> str:
        if self._room is not None:
            return visible_label(self._room.name)
        return track_label(self._publication)

    def _core(self) -> CoreRoom | None:
        if self._room is not None:
            return self._room._core
        core: CoreRoom | None = getattr(self._track, "_core", None) or getattr(self._publication, "_core", None)
        if core is None and self._publication is not None and self._publication.track is not None:
            core = self._publication.track._core
        return core if core is not None and not core.closed else None

    def _record(self) -> None:
        """Measure the room as it is now: one that was connected again has another meter."""
        core = self._core()
        meter = Meter.of(core) if core is not None else None
        before, self._recorder = self._recorder, meter
        if before is not meter:
            if before is not None:
                before.remove(self._take)
            if meter is not None:
                meter.add(self._take)

    def _follow(self) -> Watched:
        return ((self._room, ("connection_state_changed",)), (self._publication, ("ended",)))

    def _describe(self) -> dict[str, Any]:
        empty = "" if self._core() is not None or self._points else "Not in the room: nothing flows."
        timing = {"window_s": self._window_s, "interval_s": INTERVAL_S}
        return {**timing, "kind": self._kind(), "labels": dict(self._labels), "empty": empty}

    def _kind(self) -> str:
        """`video` or `audio` of a track; empty of a room, which has both."""
        if self._publication is None:
            return ""
        return "video" if self._publication.kind == TrackKind.KIND_VIDEO else "audio"

    def _take(self, flows: Flows) -> None:
        """A measurement, on the link's thread."""
        at = round(time.monotonic() - self._began_at, 3)
        known = self._tracks()
        points = {sid: _point(at, flow, *known[sid]) for sid, flow in flows.items() if sid in known}
        with self._lock:
            fresh = {sid: _name(*known[sid], alone=self._room is None) for sid in points if sid not in self._labels}
            self._labels.update(fresh)
            for sid, point in points.items():
                self._points.setdefault(sid, deque(maxlen=int(KEPT_S / INTERVAL_S))).append(point)
            self._forget(at)
        if not self._viewers:
            return
        if fresh:
            self._show()
        if points:
            self.send({"type": "points", "points": points})

    def _forget(self, now: float) -> None:
        for sid in [sid for sid, points in self._points.items() if now - points[-1][0] > KEPT_S]:
            del self._points[sid], self._labels[sid]

    def _tracks(self) -> dict[str, tuple[Participant | None, TrackPublication]]:
        if self._publication is not None:
            return {self._publication.sid: (self._publication.participant, self._publication)}
        room = self._room
        if room is None or room._local_participant is None:
            return {}
        people: list[Participant] = [room._local_participant, *list(room.remote_participants.values())]
        return {
            publication.sid: (person, publication)
            for person in people
            for publication in list(person.track_publications.values())
        }

    def _greet(self) -> None:
        with self._lock:
            last = max((points[-1][0] for points in self._points.values()), default=0.0)
            past = {
                sid: [point for point in points if last - point[0] <= self._window_s]
                for sid, points in self._points.items()
            }
        self.send({"type": "past", "past": past})


def _point(at: float, flow: Flow, person: Participant | None, publication: TrackPublication) -> Point:
    # of what was received last, which is nothing while nothing flows
    height = (flow.height or (publication.height if flow.layers else 0)) if flow.bitrate_bps else 0
    # the server tells of voices, not of tracks: a voice belongs to the sound
    level = person.audio_level if person is not None and not publication.height else 0.0
    return (at, round(flow.bitrate_bps), height, round(flow.frames_per_s, 1), round(flow.lost, 4), round(level, 3))


def _name(person: Participant | None, publication: TrackPublication, *, alone: bool) -> str:
    if alone or person is None:
        return track_label(publication)
    return f"{person_label(person)}: {source_label(publication)}"


def _arrays(points: Any) -> dict[str, NDArray[np.float64]]:
    table = np.array(list(points), dtype=np.float64).reshape(-1, len(SERIES))
    return {name: table[:, index] for index, name in enumerate(SERIES)}
