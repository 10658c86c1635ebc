"""One SSRC that we send: frames -> packets, what is sent again, and sender reports.

Nothing here touches a socket: packets leave through the outbox of the transport, which paces them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lknb import limits
from lknb.core.clock import CLOCK_HZ, CaptureClock, SourceClock, ntp_time
from lknb.core.outbox import Outbox
from lknb.errors import WireError
from lknb.logic.frame_rate import FrameRate
from lknb.logic.history import PacketHistory
from lknb.logic.report import round_trip_s
from lknb.logic.throttle import Throttle
from lknb.wire import rtcp
from lknb.wire.frame import EncodedFrame
from lknb.wire.h264 import packetize_h264
from lknb.wire.rtp import build_rtp
from lknb.wire.vp8 import PICTURE_ID_MODULO, packetize_vp8

_QUEUE_PACKETS = 2_000
_HISTORY_PACKETS = {"video": 500, "audio": 200}
_RESENDS_MAX = 6
_KEYFRAME_INTERVAL_S = 0.3
_REPORT_INTERVAL_S = 2.0
_FIRST_REPORT_S = 0.2

_PADDING_BIT = 0x20
_PADDING = bytes(254) + b"\xff"
"""As much as a packet can carry: its length is one byte."""


class StreamSender:
    """One SSRC."""

    def __init__(
        self,
        codec: str,
        rid: str,
        capture_clock: CaptureClock,
        outbox: Outbox,
        request_keyframe: Callable[[str], None],
    ) -> None:
        self.codec = codec
        self.rid = rid
        self.ssrc = secrets.randbelow(0xFFFFFFFE) + 1
        self.enabled = True
        self.frames = self.keyframes = self.packets = self.octets = self.header_octets = 0
        self.retransmitted = self.retransmitted_octets = self.nacks = self.keyframe_requests = 0
        self.rtt_s = self.total_rtt_s = 0.0
        self.rtt_measurements = 0
        self.fraction_lost = self.jitter_s = 0.0
        self.packets_lost = 0
        self._width = self._height = 0
        self._rate = FrameRate()
        self._clock_hz = CLOCK_HZ[codec]
        self._clock = SourceClock(capture_clock)
        self._outbox = outbox
        self._request_keyframe = request_keyframe
        self._throttle = Throttle(_KEYFRAME_INTERVAL_S)
        self._history = PacketHistory(
            _HISTORY_PACKETS["audio" if codec == "opus" else "video"], resends_max=_RESENDS_MAX
        )
        self._sequence = secrets.randbelow(0x8000)
        self._picture_id = secrets.randbelow(PICTURE_ID_MODULO)
        self._timestamp_offset = secrets.randbits(32)
        self._last: tuple[int, int] | None = None
        self._broken = codec != "opus"
        self._report_due = 0.0

    def send_frame(
        self,
        frame: EncodedFrame,
        payload_type: int,
        extensions: Callable[[EncodedFrame], bytes],
        wall_us: int,
        now: float,
    ) -> None:
        """Packetise and send one frame; what is not a frame of this codec is dropped.

        A stream begins with a key frame, and again after frames were dropped: until it comes nothing would decode.
        """
        if self._broken and not frame.keyframe:
            self.ask_keyframe(now)
            return
        payloads = self._packetize(frame)
        self._broken = not payloads or self._outbox.waiting(self.ssrc) + len(payloads) > _QUEUE_PACKETS
        if self._broken:
            self.ask_keyframe(now)
            return
        if self._last is None:
            self._report_due = now + _FIRST_REPORT_S
        timestamp = (frame.timestamp + self._timestamp_offset) & 0xFFFFFFFF
        self._last = (timestamp, self._clock.wall_us(frame.timestamp_us, wall_us))
        self.frames += 1
        if frame.keyframe:
            self.keyframes += 1
            # whoever has asked until now gets this one
            self._throttle.cancel()
        self._rate.add(now)
        if frame.width:
            self._width, self._height = frame.width, frame.height
        last = len(payloads) - 1
        packets = [
            build_rtp(
                payload_type=payload_type,
                marker=index == last and self.codec != "opus",
                sequence_number=(self._sequence + index) & 0xFFFF,
                timestamp=timestamp,
                ssrc=self.ssrc,
                payload=payload,
                extensions=extensions(frame),
            )
            for index, payload in enumerate(payloads)
        ]
        for packet in packets:
            self._history.put(self._sequence, packet)
            self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += len(packets)
        payload_bytes = sum(map(len, payloads))
        self.octets += payload_bytes
        self.header_octets += sum(map(len, packets)) - payload_bytes
        if self.codec == "opus":
            self._outbox.send_now(packets[0])
        else:
            self._outbox.put(self.ssrc, packets)

    def padding(self, payload_type: int, extensions: bytes) -> bytes:
        """A packet without payload (RFC 3550 section 5.1), as libwebrtc probes with: it takes a number of its own, and
        the timestamp of the last frame."""
        packet = build_rtp(
            payload_type=payload_type,
            marker=False,
            sequence_number=self._sequence,
            timestamp=self._last[0] if self._last is not None else self._timestamp_offset,
            ssrc=self.ssrc,
            payload=_PADDING,
            extensions=extensions,
        )
        packet = bytes((packet[0] | _PADDING_BIT,)) + packet[1:]
        self._history.put(self._sequence, packet)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return packet

    def clear(self) -> None:
        """Drop what waits to be sent; the next frame sent will be a key frame."""
        dropped = self._outbox.drop(self.ssrc)
        self.packets -= dropped
        # their numbers were never seen: a gap would be asked for
        self._sequence = (self._sequence - dropped) & 0xFFFF
        self._history.clear()
        self._throttle.cancel()
        self._broken = self.codec != "opus"

    def ask_keyframe(self, now: float) -> None:
        """Ask the source for a key frame of this layer, a few times a second at most. What comes too early is kept: it may be
        asked for by somebody who has not seen the last one, a server that was told too late that this layer is the best now.
        """
        if self.codec != "opus" and self._throttle.request(now):
            self._request_keyframe(self.rid)

    def tick(self, now: float) -> None:
        """Timers."""
        if self._throttle.poll(now):
            self._request_keyframe(self.rid)

    def retransmit(self, lost: Iterable[int], now: float) -> None:
        """Answer a NACK from the history (RFC 4585 section 6.2.1)."""
        self.nacks += 1
        for sequence_number in lost:
            packet = self._history.take(sequence_number, now, self.rtt_s)
            if packet is not None:
                self.retransmitted += 1
                self.retransmitted_octets += len(packet)
                self._outbox.put_again(self.ssrc, packet)

    def note_report(self, block: rtcp.ReportBlock, wall_us: int) -> None:
        """What a receiver reports of this stream."""
        self.fraction_lost = block.fraction_lost / 256
        self.packets_lost = block.packets_lost
        rtt_s = round_trip_s(block, ntp_time(wall_us))
        self.jitter_s = block.jitter / self._clock_hz
        if rtt_s is not None:
            self.rtt_s = rtt_s
            self.total_rtt_s += rtt_s
            self.rtt_measurements += 1

    def stats(self, now: float) -> dict[str, Any]:
        """Figures of the stream."""
        return {
            "ssrc": self.ssrc,
            "rid": self.rid,
            "enabled": self.enabled,
            "width": self._width,
            "height": self._height,
            "frames_sent": self.frames,
            "keyframes_sent": self.keyframes,
            "frames_per_second": self._rate.fps(now),
            "packets_sent": self.packets,
            "bytes_sent": self.octets,
            "header_bytes_sent": self.header_octets,
            "packets_retransmitted": self.retransmitted,
            "bytes_retransmitted": self.retransmitted_octets,
            "nacks_received": self.nacks,
            "keyframe_requests": self.keyframe_requests,
            "packets_lost": self.packets_lost,
            "fraction_lost": self.fraction_lost,
            "jitter_s": self.jitter_s,
            "round_trip_time_s": self.rtt_s,
            "total_round_trip_time_s": self.total_rtt_s,
            "round_trip_times": self.rtt_measurements,
        }

    def sender_report(self, wall_us: int, now: float) -> rtcp.SenderReport | None:
        """The report that is due (RFC 3550 section 6.4.1); its clock is that of capture, not of sending."""
        if self._last is None or now < self._report_due:
            return None
        self._report_due = now + _REPORT_INTERVAL_S
        timestamp, captured_us = self._last
        elapsed = (wall_us - captured_us) * self._clock_hz // 1_000_000
        return rtcp.SenderReport(
            self.ssrc,
            ntp_time(wall_us),
            (timestamp + elapsed) & 0xFFFFFFFF,
            self.packets & 0xFFFFFFFF,
            self.octets & 0xFFFFFFFF,
        )

    def _packetize(self, frame: EncodedFrame) -> Sequence[bytes]:
        limit = limits.OPUS_PACKET_BYTES if self.codec == "opus" else limits.FRAME_BYTES
        if not frame.data or len(frame.data) > limit or frame.codec != self.codec:
            return ()
        try:
            if self.codec == "vp8":
                self._picture_id = (self._picture_id + 1) % PICTURE_ID_MODULO
                return packetize_vp8(frame.data, self._picture_id)
            return packetize_h264(frame.data) if self.codec == "h264" else (frame.data,)
        except WireError:
            return ()
