"""One published track: the frames of a feed to the sender, and to views of our own picture."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from lknb.core.feed import Feed
from lknb.core.offerer import OfferedSection
from lknb.core.rtp_sender import RtpSender
from lknb.core.track import Fanout, Sink
from lknb.logic.bandwidth_share import Demand
from lknb.wire.frame import EncodedFrame


class Publication:
    """A track of ours, from its first frame to `stop`. Views see its largest layer, without the way over the server."""

    def __init__(self, sid: str, feed: Feed, sender: RtpSender, section: OfferedSection) -> None:
        self.sid = sid
        self.sender = sender
        self.section = section
        self.feed = feed
        self._enabled_rids = frozenset(sender.streams)
        layers = feed.source.layers
        rids = sender.rids or ("",)
        # what has no layers says nothing of its bitrate, and is not limited
        self._maxima_bps = {rid: layer.max_bitrate_bps for rid, layer in zip(rids, layers, strict=False)}
        self._shares_bps: Mapping[str, int] | None = None
        self._shown_rid = feed.source.rids[-1] if feed.source.rids else ""
        self._views = Fanout(feed.kind)

    @property
    def kind(self) -> str:
        return self.feed.kind

    @property
    def codec(self) -> str:
        return self.sender.codec

    @property
    def muted(self) -> bool:
        return self.sender.muted

    def stats(self, now: float) -> list[dict[str, Any]]:
        """Figures of each stream."""
        source = self.feed.source
        targets_bps = self._maxima_bps if self._shares_bps is None else self._shares_bps
        size = {"source_width": source.width, "source_height": source.height}
        return [
            {**size, "target_bitrate_bps": targets_bps.get(figures["rid"], 0), **figures}
            for figures in self.sender.stats(now)
        ]

    def start(self, *, muted: bool) -> None:
        """Begin to take frames."""
        if muted:
            self.sender.set_muted(True, time.monotonic())
        self.feed.attach(self._take, keyframe=False)
        self._tell_feed()
        self.feed.request_keyframe()

    def stop(self) -> None:
        """Take no more frames, send nothing any more."""
        self.feed.detach(self._take)
        self.sender.stop()

    def set_muted(self, muted: bool) -> None:
        """Hold the frames back, or let them go again."""
        self.sender.set_muted(muted, time.monotonic())
        self._tell_feed()

    def enable(self, rids: Iterable[str]) -> None:
        """Send these layers only."""
        self._enabled_rids = frozenset(rids)
        self._apply()

    @property
    def demand(self) -> Demand | None:
        """What it would send now if there were no limit; None for what the estimate is not shared with."""
        if self.kind == "audio" or self.muted or not self._maxima_bps:
            return None
        wanted = {rid: bps for rid, bps in self._maxima_bps.items() if rid in self._enabled_rids}
        return Demand(wanted, self.feed.adapts) if wanted else None

    def limit(self, shares_bps: Mapping[str, int]) -> None:
        """Send these of its layers only, each with so many bit/s at most."""
        if shares_bps == self._shares_bps:
            return
        before = self._sent_rids
        self._shares_bps = shares_bps
        self._apply()
        if before - self._sent_rids:
            # whoever watched the layer that does not fit any more goes on with the best that does
            self.sender.ask_keyframe_of_best(time.monotonic())
        self.feed.aim(self._take, shares_bps)

    def attach(self, sink: Sink, *, keyframe: bool = True) -> None:
        self._views.add(sink, keyframe=keyframe)
        self._tell_feed()
        if keyframe:
            self.request_keyframe()

    def detach(self, sink: Sink) -> None:
        self._views.remove(sink)
        self._tell_feed()

    def request_keyframe(self) -> None:
        self.feed.request_keyframe(self._shown_rid)

    def _take(self, frame: EncodedFrame) -> None:
        self.sender.send_frame(frame, time.time_ns() // 1000, time.monotonic())
        if frame.rid == self._shown_rid and not self.sender.muted:
            self._views.deliver(frame)

    @property
    def _sent_rids(self) -> frozenset[str]:
        """What somebody subscribes to and the path takes."""
        if self._shares_bps is None:
            return self._enabled_rids
        return self._enabled_rids & self._shares_bps.keys()

    def _apply(self) -> None:
        self.sender.set_enabled(self._sent_rids, time.monotonic())
        self._tell_feed()

    def _tell_feed(self) -> None:
        shown = {self._shown_rid} if len(self._views) else set()
        self.feed.want(self._take, () if self.sender.muted else self._sent_rids | shown)
