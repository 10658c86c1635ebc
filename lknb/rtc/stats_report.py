"""From what the core counted to the entries of `lknb.rtc.stats`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from lknb.rtc.stats import (
    AudioSourceStats,
    CodecStats,
    InboundRtpStreamStats,
    MediaSourceStats,
    OutboundRtpStreamStats,
    ReceivedRtpStreamStats,
    RemoteInboundRtpStreamStats,
    RemoteOutboundRtpStreamStats,
    RtcStats,
    RtcStatsData,
    RtpStreamStats,
    SentRtpStreamStats,
    VideoSourceStats,
)

Figures = Mapping[str, Any]

_MIME_TYPES = {"vp8": "video/VP8", "h264": "video/H264", "opus": "audio/opus"}


def report_received(sid: str, figures: Figures) -> list[RtcStats]:
    """The entries of one track that is received, from its figures in the core; none before its first packet."""
    if not figures["ssrc"]:
        return []
    now_us = time.time_ns() // 1000
    kind, ssrc = figures["kind"], figures["ssrc"]
    letter = kind[0].upper()
    inbound_id, remote_id = f"IT{letter}{ssrc}", f"RO{letter}{ssrc}"
    codec = _codec("CIT", figures, now_us)
    stream = RtpStreamStats(ssrc=ssrc, kind=kind, codec_id=codec.codec.rtc.id)
    inbound = RtcStats.InboundRtp(
        RtcStatsData(inbound_id, now_us),
        stream,
        ReceivedRtpStreamStats(figures["packets_received"], figures["packets_lost"], figures["jitter_s"]),
        InboundRtpStreamStats(
            track_identifier=sid,
            mid=figures["mid"],
            remote_id=remote_id if figures["sender_reports"] else "",
            frame_width=figures["width"],
            frame_height=figures["height"],
            frames_per_second=figures["frames_per_second"],
            last_packet_received_timestamp=now_us / 1000 - figures["silence_s"] * 1000,
            header_bytes_received=figures["header_bytes_received"],
            bytes_received=figures["bytes_received"] - figures["header_bytes_received"],
            nack_count=figures["nacks_sent"],
            pli_count=figures["plis_sent"],
            # of sound libwebrtc counts samples
            frames_received=figures["frames_received"] if kind == "video" else 0,
        ),
    )
    entries = [codec, RtcStats(inbound_rtp=inbound)]
    if figures["sender_reports"]:
        remote = RtcStats.RemoteOutboundRtp(
            RtcStatsData(remote_id, now_us),
            stream,
            SentRtpStreamStats(figures["sender_packets"], figures["sender_bytes"]),
            RemoteOutboundRtpStreamStats(
                local_id=inbound_id,
                remote_timestamp=figures["sender_time_ms"],
                reports_sent=figures["sender_reports"],
            ),
        )
        entries.append(RtcStats(remote_outbound_rtp=remote))
    return entries


def report_sent(sid: str, streams: Iterable[Figures]) -> list[RtcStats]:
    """The entries of one track of ours, from the figures of its streams in the core."""
    now_us = time.time_ns() // 1000
    entries: list[RtcStats] = []
    streams = list(streams)
    for figures in streams:
        if figures is streams[0]:
            entries.append(_codec("COT", figures, now_us))
        entries += _report_stream(sid, figures, entries[0].codec.rtc.id, now_us)
    if streams:
        entries.append(RtcStats(media_source=_media_source(sid, streams[-1], now_us)))
    return entries


def report_room(figures: Figures) -> tuple[list[RtcStats], list[RtcStats]]:
    """The entries of all tracks, by peer connection: publisher (the only one there may be) and subscriber."""
    sent = [entry for sid, streams in figures["sent"].items() for entry in report_sent(sid, streams)]
    received = [entry for sid, track in figures["received"].items() for entry in report_received(sid, track)]
    return (sent + received, []) if figures["single_peer_connection"] else (sent, received)


def _report_stream(sid: str, figures: Figures, codec_id: str, now_us: int) -> list[RtcStats]:
    kind, ssrc = figures["kind"], figures["ssrc"]
    letter = kind[0].upper()
    outbound_id, remote_id = f"OT{letter}{ssrc}", f"RI{letter}{ssrc}"
    stream = RtpStreamStats(ssrc=ssrc, kind=kind, codec_id=codec_id)
    video = kind == "video"
    outbound = RtcStats.OutboundRtp(
        RtcStatsData(outbound_id, now_us),
        stream,
        SentRtpStreamStats(figures["packets_sent"], figures["bytes_sent"]),
        OutboundRtpStreamStats(
            mid=figures["mid"],
            media_source_id=f"S{letter}{sid}",
            remote_id=remote_id if figures["round_trip_times"] else "",
            rid=figures["rid"],
            header_bytes_sent=figures["header_bytes_sent"],
            retransmitted_packets_sent=figures["packets_retransmitted"],
            retransmitted_bytes_sent=figures["bytes_retransmitted"],
            target_bitrate=float(figures["target_bitrate_bps"]),
            frame_width=figures["width"],
            frame_height=figures["height"],
            frames_per_second=figures["frames_per_second"] if video else 0.0,
            frames_sent=figures["frames_sent"] if video else 0,
            frames_encoded=figures["frames_sent"] if video else 0,
            key_frames_encoded=figures["keyframes_sent"] if video else 0,
            nack_count=figures["nacks_received"],
            pli_count=figures["keyframe_requests"],
            active=figures["enabled"],
        ),
    )
    entries = [RtcStats(outbound_rtp=outbound)]
    if figures["round_trip_times"]:
        remote = RtcStats.RemoteInboundRtp(
            RtcStatsData(remote_id, now_us),
            stream,
            ReceivedRtpStreamStats(packets_lost=figures["packets_lost"], jitter=figures["jitter_s"]),
            RemoteInboundRtpStreamStats(
                local_id=outbound_id,
                round_trip_time=figures["round_trip_time_s"],
                total_round_trip_time=figures["total_round_trip_time_s"],
                fraction_lost=figures["fraction_lost"],
                round_trip_time_measurements=figures["round_trip_times"],
            ),
        )
        entries.append(RtcStats(remote_inbound_rtp=remote))
    return entries


def _codec(prefix: str, figures: Figures, now_us: int) -> RtcStats:
    codec = CodecStats(
        payload_type=figures["payload_type"],
        mime_type=_MIME_TYPES.get(figures["codec"], ""),
        clock_rate=48_000 if figures["codec"] == "opus" else 90_000,
        channels=2 if figures["codec"] == "opus" else 0,
    )
    return RtcStats(codec=RtcStats.Codec(RtcStatsData(f"{prefix}_{figures['payload_type']}", now_us), codec))


def _media_source(sid: str, largest: Figures, now_us: int) -> RtcStats.MediaSource:
    kind = largest["kind"]
    return RtcStats.MediaSource(
        RtcStatsData(f"S{kind[0].upper()}{sid}", now_us),
        MediaSourceStats(track_identifier=sid, kind=kind),
        AudioSourceStats(),
        VideoSourceStats(largest["source_width"], largest["source_height"], 0, 0.0),
    )
