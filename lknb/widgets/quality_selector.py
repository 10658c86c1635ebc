"""`QualitySelector`: which layer of a video to receive, and which one really comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lknb.errors import TrackError
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.track_publication import RemoteTrackPublication
from lknb.widgets.caption import layer_of, layer_sizes, track_label
from lknb.widgets.control_view import ControlView, Watched
from lknb.widgets.esm import control_esm
from lknb.widgets.meter import Flow, Flows
from lknb.widgets.quality_choice import choose_quality, chosen_quality
from lknb.widgets.subscription_table import status_of

EVENTS = (
    "subscribed", "unsubscribed", "muted", "unmuted", "ended", "subscription_status_changed",
    "subscription_permission_changed", "stream_state_changed",
)  # fmt: skip


class QualitySelector(ControlView):
    """Low, medium, high or auto: what to ask for, and below it the layer that is really received.

        QualitySelector(track)           # a remote video track, or its publication

    Auto leaves the choice to adaptive stream and the server. The layer shown comes from the pictures that arrive, so it
    changes with the next key frame, and stays when the server has no bandwidth for more.
    """

    _module = "quality"
    _esm = control_esm("quality")

    metered = True

    def __init__(self, track: Any, **traits: Any) -> None:
        publication = getattr(track, "publication", None) or track
        if not isinstance(publication, RemoteTrackPublication) or publication.kind != TrackKind.KIND_VIDEO:
            raise TrackError(f"QualitySelector is for a video of somebody else, not {track!r}")
        self._publication = publication
        self._received = Flow()
        self._told: list[Any] = []
        super().__init__(**traits)

    @property
    def publication(self) -> RemoteTrackPublication:
        """The publication that is asked for."""
        return self._publication

    @property
    def asked(self) -> str:
        """`low`, `medium`, `high` or `auto`."""
        return chosen_quality(self._publication)

    @property
    def received(self) -> str:
        """The layer of the last pictures: `low`, `medium` or `high`; empty before the first, and without a page."""
        return layer_of(self._publication._entry.info, self._received.width, self._received.height)

    def __repr__(self) -> str:
        return f"QualitySelector({track_label(self._publication)!r})"

    def _core(self) -> CoreRoom | None:
        core = self._publication._core
        return None if core.closed else core

    def _follow(self) -> Watched:
        # of a room that is left only the tracks end
        return ((self._publication, EVENTS), (self._publication.track, ("ended",)))

    def _describe(self) -> dict[str, Any]:
        publication = self._publication
        sizes = layer_sizes(publication._entry.info)
        gone = publication._core.closed
        return {
            "name": track_label(publication),
            "layers": {name: list(size) for name, size in sizes.items()},
            "asked": chosen_quality(publication),
            "status": "the room was left" if gone else status_of(publication),
            "able": publication.subscribed and not gone,
        }

    def _act(self, content: Mapping[str, Any]) -> None:
        choose_quality(self._publication, content.get("value"))

    def _greet(self) -> None:
        self._told = []

    def _take_flows(self, flows: Flows) -> None:
        flow = self._received = flows.get(self._publication.sid, Flow())
        figures = [round(flow.bitrate_bps / 1000) * 1000, flow.width, flow.height, self.received]
        if figures != self._told:
            self._told = figures
            self.send({"type": "flow", "figures": figures})
        core = self._core()
        if core is not None:
            # adaptive stream pauses and goes on without an event
            core.call(self._changed)
