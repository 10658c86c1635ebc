"""RTP of one subscribed track -> encoded frames, and the feedback its sender needs.

One m-line carries one stream at a time. When another SSRC takes over (the server used the m-line again) the old one's state
is dropped and the new one begins, so nothing of one track leaks into another. RTCP BYE ends nothing: the server sends it
when it pauses a stream, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from lknb.core.clock import CLOCK_HZ, ParticipantClock, TrackClock, wall_us
from lknb.logic.frame_rate import FrameRate
from lknb.logic.jitter_video import VideoJitterBuffer
from lknb.logic.nack import NackGenerator
from lknb.logic.reorder import AudioReorderBuffer
from lknb.logic.report import ReceptionStatistics
from lknb.logic.throttle import Throttle
from lknb.wire import extension, rtcp
from lknb.wire.frame import AUDIO_LEVEL_SILENT, EncodedFrame
from lknb.wire.rtp import RtpView

CLOSING_FRAME_PIXELS = 16
"""A key frame no larger than this in both directions ends a stream that was muted or paused; it is no picture."""

_KEYFRAME_INTERVAL_S = 0.3
_SILENCE_S = 1.0
"""A stream that sent nothing for so long is paused: asking it again for a key frame is of no use."""


class _Buffer(Protocol):
    """What both jitter buffers have in common."""

    def poll(self, now: float) -> list[EncodedFrame]: ...


class _Stream:
    """One SSRC of one codec."""

    def __init__(self, ssrc: int, codec: str, participant: ParticipantClock) -> None:
        self.ssrc = ssrc
        self.codec = codec
        self.statistics = ReceptionStatistics(ssrc, CLOCK_HZ[codec])
        self.clock = TrackClock(participant, CLOCK_HZ[codec])
        self.nack = NackGenerator()
        self.video = None if codec == "opus" else VideoJitterBuffer(codec)
        self.audio = AudioReorderBuffer() if codec == "opus" else None
        self.last_report = rtcp.ReportBlock(ssrc)
        self.sender_report: rtcp.SenderReport | None = None
        self.sender_reports = 0
        self.payload_type = 0
        self.closed = False
        """Its last key frame was a closing one: what follows without a new one is no picture either."""


class RtpReceiver:
    """The receiving end of one m-line.

    `deliver(frame)` gets the frames; `send(packets)` sends feedback; `wanted()` says whether anybody looks at the
    frames, without which lost packets are asked for but no key frames.
    """

    def __init__(
        self,
        codecs: Mapping[int, str],
        extensions: Mapping[str, int],
        participant: ParticipantClock,
        *,
        local_ssrc: int,
        deliver: Callable[[EncodedFrame], None],
        send: Callable[[Sequence[rtcp.RtcpPacket]], None],
        wanted: Callable[[], bool],
        rtt_s: Callable[[], float],
    ) -> None:
        """`codecs` maps payload type to codec in lower case, `extensions` URI to id."""
        self.codecs = dict(codecs)
        self.frames = self.keyframes = self.packets = self.octets = self.header_octets = 0
        self.nacks = self.plis = self.foreign = 0
        self._level_id = extensions.get(extension.AUDIO_LEVEL, 0)
        self._participant = participant
        self._local_ssrc = local_ssrc
        self._deliver = deliver
        self._send = send
        self._wanted = wanted
        self._rtt_s = rtt_s
        self._stream: _Stream | None = None
        self._throttle = Throttle(_KEYFRAME_INTERVAL_S)
        self._width = self._height = 0
        self._keyframe_wanted = False
        self._packet_at = 0.0
        self._rate = FrameRate()

    @property
    def codec(self) -> str:
        """Of the stream that arrives; empty before its first packet."""
        return self._stream.codec if self._stream is not None else ""

    def receive(self, view: RtpView, arrival_us: int, now: float) -> None:
        """One packet of this m-line."""
        codec = self.codecs.get(view.payload_type)
        if codec is None:
            self.foreign += 1  # retransmission formats, redundancy, comfort noise
            return
        stream = self._stream
        if stream is None or stream.ssrc != view.ssrc or stream.codec != codec:
            stream = self._stream = _Stream(view.ssrc, codec, self._participant)
        stream.payload_type = view.payload_type
        self._packet_at = now
        self.packets += 1
        self.octets += len(view.data)
        self.header_octets += view.payload_start
        stream.statistics.add(view.sequence_number, view.timestamp, arrival_us)
        if stream.nack.add(view.sequence_number, now):
            stream.nack.rtt_s = self._rtt_s()
        payload = view.data[view.payload_start : view.payload_end]
        if stream.video is not None:
            stream.video.rtt_s = stream.nack.rtt_s
            pictures = stream.video.add(view.sequence_number, view.timestamp, view.marker, payload, now, arrival_us)
            self._hand_out(stream, pictures)
            self._ask_if_needed(stream.video, now)
        elif stream.audio is not None:
            level = self._level(view)
            self._hand_out(
                stream, stream.audio.add(view.sequence_number, view.timestamp, payload, now, arrival_us, level)
            )

    def sender_report(self, report: rtcp.SenderReport, arrival_us: int, now: float) -> None:
        """A sender report: the clock of the stream."""
        stream = self._stream
        if stream is not None and stream.ssrc == report.ssrc:
            stream.clock.report(report, arrival_us)
            stream.statistics.sender_report(report.ntp_time, now)
            stream.sender_report = report
            stream.sender_reports += 1

    def tick(self, now: float) -> None:
        """Ask again for what is missing, and give up what is too old."""
        stream = self._stream
        if stream is None:
            return
        if stream.video is not None:
            stream.nack.discard_before(stream.video.next_sequence_number)
        if (due := stream.nack.deadline()) is not None and now >= due:
            while lost := stream.nack.poll(now):
                self.nacks += 1
                self._send([rtcp.Nack(self._local_ssrc, stream.ssrc, lost)])
        buffer: _Buffer | None = stream.video or stream.audio
        if buffer is not None:
            self._hand_out(stream, buffer.poll(now))
        if stream.video is not None:
            self._ask_if_needed(stream.video, now)

    def reports(self, now: float) -> Iterable[rtcp.ReportBlock]:
        """The report block of the stream."""
        if self._stream is None:
            return ()
        self._stream.last_report = self._stream.statistics.report(now)
        return (self._stream.last_report,)

    def request_keyframe(self, now: float) -> None:
        """Ask for a key frame, again and again until one comes; when nothing has arrived yet, with the first packet."""
        self._keyframe_wanted = True
        if self._stream is not None and self._stream.video is not None:
            self._ask_if_needed(self._stream.video, now)

    def stats(self, now: float) -> dict[str, Any]:
        """Figures of the stream."""
        stream = self._stream
        report = stream.sender_report if stream is not None else None
        figures = {
            "ssrc": stream.ssrc if stream else 0,
            "codec": self.codec,
            "width": self._width,
            "height": self._height,
            "frames_received": self.frames,
            "keyframes_received": self.keyframes,
            "packets_received": self.packets,
            "bytes_received": self.octets,
            "header_bytes_received": self.header_octets,
            "payload_type": stream.payload_type if stream else 0,
            "frames_per_second": self._rate.fps(now),
            "silence_s": now - self._packet_at,
            "sender_reports": stream.sender_reports if stream else 0,
            "sender_packets": report.packet_count if report else 0,
            "sender_bytes": report.octet_count if report else 0,
            "sender_time_ms": wall_us(report.ntp_time) / 1000 if report else 0.0,
            "nacks_sent": self.nacks,
            "plis_sent": self.plis,
            "packets_lost": 0,
            "jitter_s": 0.0,
        }
        if stream is not None:
            figures["packets_lost"] = stream.last_report.packets_lost
            figures["jitter_s"] = stream.statistics.jitter_s
        return figures

    def _ask_if_needed(self, buffer: VideoJitterBuffer, now: float) -> None:
        needed = self._keyframe_wanted or (buffer.keyframe_needed and self._wanted())
        if not needed or self._stream is None or now - self._packet_at > _SILENCE_S:
            return
        if self._throttle.allow(now):
            self.plis += 1
            self._send([rtcp.Pli(self._local_ssrc, self._stream.ssrc)])

    def _hand_out(self, stream: _Stream, frames: Iterable[EncodedFrame]) -> None:
        for frame in frames:
            if stream.video is not None and self._is_closing(stream, frame):
                continue
            frame.timestamp_us = stream.clock.timestamp_us(frame.timestamp, frame.timestamp_us)
            self.frames += 1
            self._rate.add(self._packet_at)
            self.keyframes += frame.keyframe
            self._deliver(frame)

    def _is_closing(self, stream: _Stream, frame: EncodedFrame) -> bool:
        if not frame.keyframe:
            return stream.closed
        stream.closed = 0 < frame.width <= CLOSING_FRAME_PIXELS and 0 < frame.height <= CLOSING_FRAME_PIXELS
        if not stream.closed:
            self._width, self._height = frame.width, frame.height
            self._keyframe_wanted = False
        return stream.closed

    def _level(self, view: RtpView) -> int:
        value = view.extension(self._level_id) if self._level_id else None
        return extension.parse_audio_level(value)[0] if value else AUDIO_LEVEL_SILENT
