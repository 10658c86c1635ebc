"""Encoded frames of one published track -> RTP, and what receivers say about it.

A track is one stream, or one for each simulcast layer, all on the same m-line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lknb.core.clock import CaptureClock
from lknb.core.outbox import Outbox
from lknb.core.stream_sender import StreamSender
from lknb.wire import extension, rtcp
from lknb.wire.frame import EncodedFrame
from lknb.wire.rtp import pack_extensions

_VOICE_LEVEL = 60
"""Louder than this (-dBov) is marked as voice."""
_FAREWELLS = 4


class RtpSender:
    """One published track on its m-line.

    `request_keyframe(rid)` asks the source. Frames may come at any time; they leave between `start` and `stop`, unless
    `muted`, and those of a layer only while it is enabled.
    """

    def __init__(
        self,
        codec: str,
        rids: Sequence[str],
        capture_clock: CaptureClock,
        *,
        outbox: Outbox,
        request_keyframe: Callable[[str], None],
    ) -> None:
        """`rids` are the simulcast layers, lowest first; empty for a single stream."""
        self.codec = codec
        self.rids = tuple(rids)
        self.streams = {
            rid: StreamSender(codec, rid, capture_clock, outbox, request_keyframe) for rid in self.rids or ("",)
        }
        self._by_ssrc = {stream.ssrc: stream for stream in self.streams.values()}
        self._muted = False
        self._payload_type: int | None = None
        self._mid = ""
        self._ids: dict[str, int] = {}
        self._constant: dict[str, list[tuple[int, bytes]]] = {}
        self._ended: dict[int, int] = {}

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return "audio" if self.codec == "opus" else "video"

    @property
    def ssrcs(self) -> tuple[int, ...]:
        """All SSRCs of the track."""
        return tuple(self._by_ssrc)

    @property
    def running(self) -> bool:
        """Between `start` and `stop`."""
        return self._payload_type is not None

    @property
    def muted(self) -> bool:
        """Whether frames are held back. Ending it asks for key frames."""
        return self._muted

    def set_muted(self, muted: bool, now: float) -> None:
        """Stop sending at once, or begin again with a key frame."""
        if muted == self._muted:
            return
        self._muted = muted
        for stream in self.streams.values():
            if muted:
                stream.clear()
            else:
                stream.ask_keyframe(now)

    def set_enabled(self, rids: Iterable[str], now: float) -> None:
        """Send these layers only (dynacast); a layer that comes back begins with a key frame."""
        wanted = set(rids)
        for rid, stream in self.streams.items():
            if stream.enabled and rid not in wanted:
                stream.enabled = False
                stream.clear()
                self._ended[stream.ssrc] = _FAREWELLS
            elif not stream.enabled and rid in wanted:
                stream.enabled = True
                self._ended.pop(stream.ssrc, None)
                stream.ask_keyframe(now)

    def start(self, mid: str, payload_type: int, extensions: dict[str, int]) -> None:
        """Send under what was negotiated. `extensions` maps URI to id."""
        self._payload_type = payload_type
        self._mid = mid
        self._ids = extensions
        for rid in self.streams:
            texts = [(extension.MID, mid), (extension.RID, rid)]
            items = [(extensions[uri], extension.pack_text(text)) for uri, text in texts if text and uri in extensions]
            if extension.TRANSPORT_CC in extensions:
                # first, where the outbox finds it when the packet leaves
                items.insert(0, (extensions[extension.TRANSPORT_CC], extension.pack_transport_sequence(0)))
            self._constant[rid] = items

    def stop(self) -> None:
        """Send nothing any more."""
        self._payload_type = None
        for stream in self.streams.values():
            stream.clear()

    def send_frame(self, frame: EncodedFrame, wall_us: int, now: float) -> None:
        """Send one frame of the layer it names."""
        stream = self.streams.get(frame.rid if self.rids else "")
        if stream is None or self._payload_type is None or self._muted or not stream.enabled:
            return
        stream.send_frame(frame, self._payload_type, self._extensions_of, wall_us, now)

    def padding(self) -> bytes | None:
        """A packet of nothing, of the lowest layer that is sent; None for what does not send pictures now."""
        if self.codec == "opus" or self._payload_type is None or self._muted:
            return None
        # if none is, because none fits, it is by padding that this will be found to have changed
        sent = [item for item in self.streams.items() if item[1].enabled] or list(self.streams.items())
        rid, stream = sent[0]
        return stream.padding(self._payload_type, pack_extensions(self._constant[rid]))

    def on_rtcp(self, packet: rtcp.RtcpPacket, wall_us: int, now: float) -> None:
        """Feedback that may be about our streams; of others it is ignored."""
        if isinstance(packet, rtcp.Nack):
            stream = self._by_ssrc.get(packet.media_ssrc)
            if stream is not None and self.running and not self._muted:
                stream.retransmit(packet.lost, now)
        elif isinstance(packet, rtcp.Pli):
            self._keyframe_wanted(packet.media_ssrc, now)
        elif isinstance(packet, rtcp.Fir):
            for ssrc, _ in packet.entries:
                self._keyframe_wanted(ssrc, now)
        elif isinstance(packet, (rtcp.ReceiverReport, rtcp.SenderReport)):
            for block in packet.reports:
                if block.ssrc in self._by_ssrc:
                    self._by_ssrc[block.ssrc].note_report(block, wall_us)

    def tick(self, now: float) -> None:
        """Timers."""
        for stream in self.streams.values():
            stream.tick(now)

    def reports(self, wall_us: int, now: float) -> list[rtcp.SenderReport]:
        """Sender reports that are due."""
        if not self.running:
            return []
        reports = (stream.sender_report(wall_us, now) for stream in self.streams.values() if stream.enabled)
        return [report for report in reports if report is not None]

    def ask_keyframe_of_best(self, now: float) -> None:
        """Ask the source for a key frame of the highest layer that is sent."""
        best = next((stream for stream in reversed(self.streams.values()) if stream.enabled), None)
        if best is not None and not self._muted:
            best.ask_keyframe(now)

    def farewell(self) -> rtcp.Bye | None:
        """To be said now of layers that have been ended, though not for good perhaps: the server need not wait to find out,
        and takes the next lower one. It is said several times, since the path may be too full for it."""
        ended = self._ended
        self._ended = {ssrc: times - 1 for ssrc, times in ended.items() if times > 1}
        return rtcp.Bye(tuple(ended)) if ended and self.running else None

    def stats(self, now: float) -> list[dict[str, Any]]:
        """Figures of each stream."""
        about = {"codec": self.codec, "kind": self.kind, "mid": self._mid, "payload_type": self._payload_type or 0}
        return [{**about, **stream.stats(now)} for stream in self.streams.values()]

    def _keyframe_wanted(self, ssrc: int, now: float) -> None:
        stream = self._by_ssrc.get(ssrc)
        if stream is not None and stream.enabled and not self._muted:
            stream.keyframe_requests += 1
            stream.ask_keyframe(now)

    def _extensions_of(self, frame: EncodedFrame) -> bytes:
        items = list(self._constant[frame.rid if self.rids else ""])
        level_id = self._ids.get(extension.AUDIO_LEVEL)
        if level_id is not None and self.codec == "opus":
            level = frame.audio_level
            items.append((level_id, extension.pack_audio_level(level, level < _VOICE_LEVEL)))
        return pack_extensions(items)
