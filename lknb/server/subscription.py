"""One track on its way to one subscriber: which layer, under which numbers, or nothing at all.

`forward` runs for every packet and writes a complete datagram of the subscriber's own stream: one SSRC, contiguous sequence
numbers, rising timestamps and picture ids, whatever layers feed it. Permission, mute and settings are enforced here, where
packets are written: a subscription that may not send follows no stream.
"""

from __future__ import annotations

import math
import secrets
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.logic.history import PacketHistory
from lknb.logic.layer import choose_layer
from lknb.logic.munger import RtpMunger, Vp8Munger
from lknb.logic.quality import QualityScore
from lknb.logic.report import round_trip_s
from lknb.logic.sequence import difference
from lknb.logic.temporal import TemporalGate
from lknb.server.blank import BLANK_FRAMES, BLANK_INTERVAL_TICKS, blank_h264, blank_vp8
from lknb.wire.rtcp import ReportBlock, SenderReport

if TYPE_CHECKING:
    from lknb.server.publication import Publication
    from lknb.server.stream import Stream
    from lknb.server.subscriber import Subscriber
    from lknb.wire.rtp import RtpView
    from lknb.wire.vp8 import Vp8Descriptor

_pack_header = struct.Struct("!BBHII").pack

HISTORY_VIDEO, HISTORY_AUDIO = 500, 200
RESENDS_MAX = 6  # LiveKit's 3 loses every tenth picture at 20 % loss each way
TIMESTAMP_JUMP_MAX_S = 2.0
HIGH = models.VideoQuality.HIGH
LOW = models.VideoQuality.LOW
OFF = models.VideoQuality.OFF


def _nowhere(packet: bytes) -> None:
    return None


class Subscription:
    """The forwarding state of one (track, subscriber) pair."""

    def __init__(self, publication: Publication, subscriber: Subscriber) -> None:
        self.publication = publication
        self.subscriber = subscriber
        self.ssrc = secrets.randbelow(0x7FFFFFFF) + 1
        self.payload_type = 0
        self.mid = ""
        self.clock_hz = 48_000 if publication.kind == "audio" else 90_000
        self.ready = False
        self.disabled = False
        self.wanted_quality = LOW if subscriber.participant.join.adaptive_stream else HIGH
        self.wanted_size = (0, 0)
        self.wanted_fps = 0
        self.current: Stream | None = None
        self.target: Stream | None = None
        self.packets = 0
        self.octets = 0
        self.retransmitted = 0
        self.rtt_s = 0.0
        self._score = QualityScore(publication.kind)
        self._lost = 0
        self._measured = (0, 0)
        self._send: Callable[[bytes], None] = _nowhere
        self._munger = RtpMunger(secrets.randbelow(0x4000) + 1)
        self._vp8 = Vp8Munger() if publication.codec == "vp8" else None
        self._gate = TemporalGate()
        self._history = PacketHistory(
            HISTORY_AUDIO if publication.kind == "audio" else HISTORY_VIDEO, resends_max=RESENDS_MAX
        )
        self._last_sent_at = 0.0
        self._marked_type = 0
        self.report_wanted = False
        """Whether its timestamps have a new place on the publisher's clock, which the subscriber has to learn."""

    @property
    def kind(self) -> str:
        """`audio` or `video`."""
        return self.publication.kind

    def start(self, payload_type: int, send: Callable[[bytes], None], now: float) -> None:
        """It is negotiated and the peer is connected: packets may flow."""
        self.payload_type = payload_type
        self._marked_type = payload_type | 0x80
        self._send = send
        self.ready = True
        self.update(now)

    def stop(self, now: float) -> None:
        """Its section is being renegotiated or its peer is gone: nothing flows until the next start."""
        self.ready = False
        self.update(now)

    def close(self, now: float) -> None:
        """The subscription ends."""
        self.stop(now)
        self._send = _nowhere

    def set_settings(self, settings: rtc.UpdateTrackSettings, now: float) -> None:
        """Paused, quality or size, as the subscriber wants it. At once: the key frames it takes are paced by the stream."""
        self.disabled = settings.disabled
        self.wanted_quality = settings.quality
        self.wanted_size = (settings.width, settings.height)
        self.wanted_fps = settings.fps
        self.choose_temporal()
        self.publication.layers_wanted_changed(now)
        self.update(now)

    def choose_temporal(self) -> None:
        """Which temporal layers give the frame rate that is wanted, as measured by now."""
        if self.current is not None and self._vp8 is not None:
            self._gate.target = self.current.temporal.layer_for(self.wanted_fps)

    def wanted_layer(self) -> int:
        """The highest layer this subscriber has use for; -1 when it wants nothing."""
        if self.disabled:
            return -1
        if self.kind == "audio":
            return 0
        if self.wanted_quality == OFF and not self.wanted_size[0]:
            return -1
        return self.publication.layer_for(self.wanted_quality, *self.wanted_size)

    def update(self, now: float) -> None:
        """Choose what to follow, after anything that matters changed."""
        publication = self.publication
        stream: Stream | None = None
        if self.ready and not publication.muted and self.wanted_layer() >= 0:
            streams = publication.streams
            live = [layer for layer, stream in streams.items() if stream.activity.live]
            if not live and self.current is not None and self.current is streams.get(self.current.layer):
                # nothing is alive at the moment: stay, so that the stream simply goes on when it does
                stream = self.current
            else:
                # of a picture that stands still nothing comes until somebody asks, so what was seen before is asked, too
                chosen = choose_layer(live or streams, self.wanted_layer())
                stream = streams[chosen] if chosen is not None else None
        self._aim(stream, now)

    def replaced(self, stream: Stream, now: float) -> None:
        """A layer we follow or aim at goes on under another SSRC."""
        if self.current is stream:
            stream.follow(self, False)
            self.current = None
        if self.target is stream:
            stream.waiting.discard(self)
            self.target = None
        self.update(now)

    def note_report(self, block: ReportBlock, now: float) -> None:
        """What the subscriber reports of us; it echoes our reports, which carry the publisher's clock."""
        self._lost = block.packets_lost
        mapped = self.current.clock.timestamp_at(now) if self.current is not None else None
        rtt_s = round_trip_s(block, mapped[0]) if mapped is not None else None
        if rtt_s is not None:
            self.rtt_s = rtt_s

    def _aim(self, stream: Stream | None, now: float) -> None:
        if stream is self.target:
            return
        if self.target is not None:
            self.target.waiting.discard(self)
        self.target = stream
        if stream is None:
            self._end(now)
        elif stream is not self.current:
            stream.waiting.add(self)
            stream.request_keyframe(now)

    def _end(self, now: float) -> None:
        if self.current is None:
            return
        self.current.follow(self, False)
        self.current = None
        self._send_blanks(now)

    def switch(
        self, stream: Stream, sequence: int, timestamp: int, descriptor: Vp8Descriptor | None, now: float
    ) -> None:
        """The target begins a picture that can be decoded alone: follow it from this packet on."""
        before = self.current
        self._munger.switch(sequence, self._timestamp_offset(before, stream, timestamp, now))
        if self.packets:
            self._munger.catch_up(timestamp)
        if self._vp8 is not None and descriptor is not None:
            self._vp8.switch(descriptor)
        if before is not None:
            before.follow(self, False)
        elif self.kind == "video":
            self._tell_active()
        stream.waiting.discard(self)
        stream.follow(self, True)
        self.current = stream
        self.choose_temporal()
        self._gate.reset()

    def _timestamp_offset(self, before: Stream | None, stream: Stream, timestamp: int, now: float) -> int:
        if self.packets == 0:
            return self._munger.timestamp_offset
        last = self._munger.last_timestamp
        elapsed = max(1, math.ceil((now - self._last_sent_at) * self.clock_hz))
        offset: int | None = self._munger.timestamp_offset
        ahead_min = 1.0
        if before is not None and before is not stream:
            # the layer before may have been quicker with the same pictures
            ahead_min = -TIMESTAMP_JUMP_MAX_S * self.clock_hz
            between = before.clock.offset_to(stream.clock)
            offset = None if between is None else self._munger.timestamp_offset + between
        if offset is not None:
            ahead = difference(timestamp + offset, last, 32)
            if ahead_min <= ahead < elapsed + TIMESTAMP_JUMP_MAX_S * self.clock_hz:
                return offset & 0xFFFFFFFF
        # by the time of arrival, which is some milliseconds off: sound and picture would be as far apart
        self.report_wanted = True
        return (last + elapsed - timestamp) & 0xFFFFFFFF

    def forward(
        self, sequence: int, view: RtpView, payload: bytes, descriptor: Vp8Descriptor | None, now: float
    ) -> None:
        """Send one packet of the stream we follow."""
        munger = self._munger
        if self.wanted_fps and descriptor is not None:
            start = descriptor.start_of_frame
            if not self._gate.passes(descriptor.temporal_id, descriptor.sync, start):
                munger.drop(sequence)
                if start and self._vp8 is not None:
                    self._vp8.skip_picture()
                return
        out = munger.map(sequence, view.timestamp)
        if out is None:
            return
        if descriptor is not None and self._vp8 is not None:
            if out == munger.last_sequence:
                self._vp8.note(descriptor)
            payload = self._vp8.rewrite(payload, descriptor)
        packet = (
            _pack_header(
                0x80,
                self._marked_type if view.marker else self.payload_type,
                out & 0xFFFF,
                munger.last_timestamp if out == munger.last_sequence else munger.timestamp(view.timestamp),
                self.ssrc,
            )
            + payload
        )
        self._history.put(out & 0xFFFF, packet)
        self.packets += 1
        self.octets += len(payload)
        self._last_sent_at = now
        self._send(packet)

    def skip(self, sequence: int) -> None:
        """A packet of the stream we follow that carries nothing (padding): close the gap."""
        self._munger.drop(sequence)

    def retransmit(self, sequence_numbers: tuple[int, ...], now: float) -> None:
        """The subscriber misses packets."""
        if not self.ready:
            return
        for number in sequence_numbers:
            packet = self._history.take(number, now, self.rtt_s)
            if packet is not None:
                self.retransmitted += 1
                self._send(packet)

    def request_keyframe(self, now: float) -> None:
        """The subscriber cannot decode."""
        stream = self.current or self.target
        if stream is not None:
            stream.request_keyframe(now)

    def sender_report(self, now: float) -> SenderReport | None:
        """A report that maps our timestamps to the publisher's clock (RFC 3550 section 6.4.1)."""
        if self.current is None or self.packets == 0:
            return None
        mapped = self.current.clock.timestamp_at(now)
        if mapped is None:
            return None
        self.report_wanted = False
        ntp, timestamp = mapped
        return SenderReport(
            ssrc=self.ssrc,
            ntp_time=ntp,
            rtp_timestamp=(timestamp + self._munger.timestamp_offset) & 0xFFFFFFFF,
            packet_count=self.packets & 0xFFFFFFFF,
            octet_count=self.octets & 0xFFFFFFFF,
            reports=(),
        )

    def measure_quality(self) -> float:
        """The score of the way from the server to the subscriber, since the last call."""
        before, self._measured = self._measured, (self.packets, self._lost)
        if self.current is None:
            self._score.reset()
            return self._score.value
        wanted = min(self.wanted_layer(), max(self.publication.streams, default=0))
        sent, lost = self.packets - before[0], self._lost - before[1]
        missing = max(0, wanted - self.current.layer) if self.kind == "video" else 0
        # what the publisher does not send is not this path's fault
        self._score.update(packets=sent - lost, lost=lost, rtt_s=self.rtt_s, layers_missing=missing, expected=False)
        return self._score.value

    def _tell_active(self) -> None:
        state = rtc.StreamStateInfo(
            participant_sid=self.publication.publisher.sid, track_sid=self.publication.sid, state=rtc.StreamState.ACTIVE
        )
        update = rtc.StreamStateUpdate(stream_states=[state])
        self.subscriber.participant.send(rtc.SignalResponse(stream_state_update=update))

    def _send_blanks(self, now: float) -> None:
        codec = self.publication.codec
        if self.packets == 0 or codec not in ("vp8", "h264"):
            return
        for _ in range(BLANK_FRAMES):
            payload = blank_vp8(*self._vp8.inject()) if self._vp8 is not None else blank_h264()
            number = self._munger.inject() & 0xFFFF
            self._munger.last_timestamp = (self._munger.last_timestamp + BLANK_INTERVAL_TICKS) & 0xFFFFFFFF
            timestamp = self._munger.last_timestamp
            packet = _pack_header(0x80, self._marked_type, number, timestamp, self.ssrc) + payload
            self._history.put(number, packet)
            self.packets += 1
            self.octets += len(payload)
            self._last_sent_at = now
            self._send(packet)
