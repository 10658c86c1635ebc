"""Statistics in the form of `livekit.rtc.stats`: the same names, nested and filled the same way.

One `RtcStats` is one entry; `entry.WhichOneof("stats")` names what it holds, `entry.HasField(name)` asks for one kind:

    codec                  the payload type a stream travels under
    inbound_rtp            a stream we receive; remote_outbound_rtp: what its sender, the server, reports of it
    outbound_rtp           a stream we send, one for each layer; remote_inbound_rtp: what the server reports of it
    media_source           what the streams of a track of ours are made from

Every field of libwebrtc's that exists in these is here. What stays 0 or empty: whatever belongs to decoding, playing and
encoding (`frames_decoded`, `qp_sum`, `freeze_count`, `total_decode_time`, `audio_level`, `concealed_samples`, jitter buffer
delays, ...), as frames are decoded only while somebody reads them, and then in the kernel; retransmission and FEC streams, of
which there are none; identifiers of the transport. The kinds `transport`, `candidate_pair`, `local_candidate`,
`remote_candidate`, `certificate`, `data_channel`, `peer_connection`, `media_playout`, `stream` and `track` never occur.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class RtcStatsData:
    """What every entry begins with. `timestamp` is in microseconds since 1970."""

    id: str = ""
    timestamp: int = 0


@dataclass(slots=True)
class CodecStats:
    """A codec in use."""

    payload_type: int = 0
    transport_id: str = ""
    mime_type: str = ""
    clock_rate: int = 0
    channels: int = 0
    sdp_fmtp_line: str = ""


@dataclass(slots=True)
class RtpStreamStats:
    """Which stream it is about. `kind` is audio or video."""

    ssrc: int = 0
    kind: str = ""
    transport_id: str = ""
    codec_id: str = ""


@dataclass(slots=True)
class ReceivedRtpStreamStats:
    """What a receiver counted, ourselves or (remote_inbound_rtp) the other side. `jitter` is in seconds."""

    packets_received: int = 0
    packets_lost: int = 0
    jitter: float = 0.0


@dataclass(slots=True)
class InboundRtpStreamStats:
    """A stream we receive. Bytes are those of payloads; headers are counted apart."""

    track_identifier: str = ""
    mid: str = ""
    remote_id: str = ""
    frames_decoded: int = 0
    key_frames_decoded: int = 0
    frames_rendered: int = 0
    frames_dropped: int = 0
    frame_width: int = 0
    frame_height: int = 0
    frames_per_second: float = 0.0
    qp_sum: int = 0
    total_decode_time: float = 0.0
    total_inter_frame_delay: float = 0.0
    total_squared_inter_frame_delay: float = 0.0
    pause_count: int = 0
    total_pause_duration: float = 0.0
    freeze_count: int = 0
    total_freeze_duration: float = 0.0
    last_packet_received_timestamp: float = 0.0
    header_bytes_received: int = 0
    packets_discarded: int = 0
    fec_bytes_received: int = 0
    fec_packets_received: int = 0
    fec_packets_discarded: int = 0
    bytes_received: int = 0
    nack_count: int = 0
    fir_count: int = 0
    pli_count: int = 0
    total_processing_delay: float = 0.0
    estimated_playout_timestamp: float = 0.0
    jitter_buffer_delay: float = 0.0
    jitter_buffer_target_delay: float = 0.0
    jitter_buffer_emitted_count: int = 0
    jitter_buffer_minimum_delay: float = 0.0
    total_samples_received: int = 0
    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    concealment_events: int = 0
    inserted_samples_for_deceleration: int = 0
    removed_samples_for_acceleration: int = 0
    audio_level: float = 0.0
    total_audio_energy: float = 0.0
    total_samples_duration: float = 0.0
    frames_received: int = 0
    decoder_implementation: str = ""
    playout_id: str = ""
    power_efficient_decoder: bool = False
    frames_assembled_from_multiple_packets: int = 0
    total_assembly_time: float = 0.0
    retransmitted_packets_received: int = 0
    retransmitted_bytes_received: int = 0
    rtx_ssrc: int = 0
    fec_ssrc: int = 0


@dataclass(slots=True)
class SentRtpStreamStats:
    """What a sender counted, ourselves or (remote_outbound_rtp) the other side."""

    packets_sent: int = 0
    bytes_sent: int = 0


@dataclass(slots=True)
class OutboundRtpStreamStats:
    """A stream we send: one for each simulcast layer."""

    mid: str = ""
    media_source_id: str = ""
    remote_id: str = ""
    rid: str = ""
    header_bytes_sent: int = 0
    retransmitted_packets_sent: int = 0
    retransmitted_bytes_sent: int = 0
    rtx_ssrc: int = 0
    target_bitrate: float = 0.0
    total_encoded_bytes_target: int = 0
    frame_width: int = 0
    frame_height: int = 0
    frames_per_second: float = 0.0
    frames_sent: int = 0
    huge_frames_sent: int = 0
    frames_encoded: int = 0
    key_frames_encoded: int = 0
    qp_sum: int = 0
    total_encode_time: float = 0.0
    total_packet_send_delay: float = 0.0
    quality_limitation_reason: int = 0
    quality_limitation_durations: dict[str, float] = field(default_factory=dict)
    quality_limitation_resolution_changes: int = 0
    nack_count: int = 0
    fir_count: int = 0
    pli_count: int = 0
    encoder_implementation: str = ""
    power_efficient_encoder: bool = False
    active: bool = False
    scalability_mode: str = ""


@dataclass(slots=True)
class RemoteInboundRtpStreamStats:
    """What the server reports of a stream we send. Times are in seconds."""

    local_id: str = ""
    round_trip_time: float = 0.0
    total_round_trip_time: float = 0.0
    fraction_lost: float = 0.0
    round_trip_time_measurements: int = 0


@dataclass(slots=True)
class RemoteOutboundRtpStreamStats:
    """What the server reports of a stream it sends us. `remote_timestamp` is in milliseconds since 1970."""

    local_id: str = ""
    remote_timestamp: float = 0.0
    reports_sent: int = 0
    round_trip_time: float = 0.0
    total_round_trip_time: float = 0.0
    round_trip_time_measurements: int = 0


@dataclass(slots=True)
class MediaSourceStats:
    """What a stream is made from."""

    track_identifier: str = ""
    kind: str = ""


@dataclass(slots=True)
class AudioSourceStats:
    """A source of sound."""

    audio_level: float = 0.0
    total_audio_energy: float = 0.0
    total_samples_duration: float = 0.0
    echo_return_loss: float = 0.0
    echo_return_loss_enhancement: float = 0.0
    dropped_samples_duration: float = 0.0
    dropped_samples_events: int = 0
    total_capture_delay: float = 0.0
    total_samples_captured: int = 0


@dataclass(slots=True)
class VideoSourceStats:
    """A source of pictures."""

    width: int = 0
    height: int = 0
    frames: int = 0
    frames_per_second: float = 0.0


class RtcStats:
    """One entry: at most one of `codec`, `inbound_rtp`, ... ; the others read as empty ones, as with protobuf messages."""

    @dataclass(slots=True)
    class Codec:
        """A codec in use."""

        rtc: RtcStatsData = field(default_factory=RtcStatsData)
        codec: CodecStats = field(default_factory=CodecStats)

    @dataclass(slots=True)
    class InboundRtp:
        """A stream we receive."""

        rtc: RtcStatsData = field(default_factory=RtcStatsData)
        stream: RtpStreamStats = field(default_factory=RtpStreamStats)
        received: ReceivedRtpStreamStats = field(default_factory=ReceivedRtpStreamStats)
        inbound: InboundRtpStreamStats = field(default_factory=InboundRtpStreamStats)

    @dataclass(slots=True)
    class OutboundRtp:
        """A stream we send."""

        rtc: RtcStatsData = field(default_factory=RtcStatsData)
        stream: RtpStreamStats = field(default_factory=RtpStreamStats)
        sent: SentRtpStreamStats = field(default_factory=SentRtpStreamStats)
        outbound: OutboundRtpStreamStats = field(default_factory=OutboundRtpStreamStats)

    @dataclass(slots=True)
    class RemoteInboundRtp:
        """A stream we send, as its receiver sees it."""

        rtc: RtcStatsData = field(default_factory=RtcStatsData)
        stream: RtpStreamStats = field(default_factory=RtpStreamStats)
        received: ReceivedRtpStreamStats = field(default_factory=ReceivedRtpStreamStats)
        remote_inbound: RemoteInboundRtpStreamStats = field(default_factory=RemoteInboundRtpStreamStats)

    @dataclass(slots=True)
    class RemoteOutboundRtp:
        """A stream we receive, as its sender sees it."""

        rtc: RtcStatsData = field(default_factory=RtcStatsData)
        stream: RtpStreamStats = field(default_factory=RtpStreamStats)
        sent: SentRtpStreamStats = field(default_factory=SentRtpStreamStats)
        remote_outbound: RemoteOutboundRtpStreamStats = field(default_factory=RemoteOutboundRtpStreamStats)

    @dataclass(slots=True)
    class MediaSource:
        """What a track of ours is made from."""

        rtc: RtcStatsData = field(default_factory=RtcStatsData)
        source: MediaSourceStats = field(default_factory=MediaSourceStats)
        audio: AudioSourceStats = field(default_factory=AudioSourceStats)
        video: VideoSourceStats = field(default_factory=VideoSourceStats)

    __slots__ = (
        "_which",
        "codec",
        "inbound_rtp",
        "media_source",
        "outbound_rtp",
        "remote_inbound_rtp",
        "remote_outbound_rtp",
    )

    def __init__(
        self,
        *,
        codec: Codec | None = None,
        inbound_rtp: InboundRtp | None = None,
        outbound_rtp: OutboundRtp | None = None,
        remote_inbound_rtp: RemoteInboundRtp | None = None,
        remote_outbound_rtp: RemoteOutboundRtp | None = None,
        media_source: MediaSource | None = None,
    ) -> None:
        given = {
            "codec": codec,
            "inbound_rtp": inbound_rtp,
            "outbound_rtp": outbound_rtp,
            "remote_inbound_rtp": remote_inbound_rtp,
            "remote_outbound_rtp": remote_outbound_rtp,
            "media_source": media_source,
        }
        self._which = next((name for name, value in given.items() if value is not None), None)
        self.codec = codec or self.Codec()
        self.inbound_rtp = inbound_rtp or self.InboundRtp()
        self.outbound_rtp = outbound_rtp or self.OutboundRtp()
        self.remote_inbound_rtp = remote_inbound_rtp or self.RemoteInboundRtp()
        self.remote_outbound_rtp = remote_outbound_rtp or self.RemoteOutboundRtp()
        self.media_source = media_source or self.MediaSource()

    def WhichOneof(self, oneof_group: str) -> str | None:
        """The kind of this entry; `oneof_group` is `"stats"`. Raises ValueError for another one."""
        if oneof_group != "stats":
            raise ValueError(f"RtcStats has no oneof {oneof_group!r}, only 'stats'")
        return self._which

    def HasField(self, field_name: str) -> bool:
        """Whether it is an entry of this kind."""
        return field_name == self._which

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RtcStats) and (self._which, self._entry()) == (other._which, other._entry())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RtcStats({self._which}={self._entry()})" if self._which else "RtcStats()"

    def _entry(self) -> Any:
        return getattr(self, self._which) if self._which else None
