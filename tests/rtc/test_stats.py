"""Statistics in the form of the official SDK."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
from livekit.rtc import stats as official

from lknb.rtc import stats
from lknb.rtc.stats import RtcStats
from lknb.rtc.stats_report import report_received, report_sent

RECEIVED = {
    "ssrc": 7, "kind": "video", "mid": "3", "codec": "vp8", "payload_type": 96, "width": 1280, "height": 720,
    "frames_received": 5, "keyframes_received": 1, "frames_per_second": 20.0, "packets_received": 9, "packets_lost": -1,
    "jitter_s": 0.004, "bytes_received": 1000, "header_bytes_received": 180, "silence_s": 0.5, "nacks_sent": 2, "plis_sent": 1,
    "sender_reports": 3, "sender_packets": 10, "sender_bytes": 900, "sender_time_ms": 1.5e12,
}  # fmt: skip
SENT = {
    "ssrc": 8, "kind": "video", "mid": "6", "rid": "q", "codec": "h264", "payload_type": 102, "enabled": True, "width": 320,
    "height": 180, "frames_sent": 50, "keyframes_sent": 2, "frames_per_second": 15.0, "packets_sent": 60, "bytes_sent": 5000,
    "header_bytes_sent": 1200, "packets_retransmitted": 1, "bytes_retransmitted": 99, "nacks_received": 1,
    "keyframe_requests": 2, "packets_lost": 3, "fraction_lost": 0.25, "jitter_s": 0.001, "round_trip_time_s": 0.02,
    "total_round_trip_time_s": 0.06, "round_trip_times": 3, "target_bitrate_bps": 160_000, "source_width": 1280,
    "source_height": 720,
}  # fmt: skip


def messages() -> list[tuple[str, Any, Any]]:
    """Every class of ours and the official message of the same name."""
    found = []
    for name, ours in vars(stats).items():
        if dataclasses.is_dataclass(ours):
            found.append((name, ours, getattr(official, name)))
    for name, ours in vars(RtcStats).items():
        if dataclasses.is_dataclass(ours):
            found.append((f"RtcStats.{name}", ours, getattr(official.RtcStats, name)))
    assert len(found) == 18
    return found


@pytest.mark.parametrize(("name", "ours", "theirs"), messages())
def test_the_fields_are_those_of_the_official_messages(name: str, ours: Any, theirs: Any) -> None:
    message = theirs()
    assert [field.name for field in dataclasses.fields(ours)] == [field.name for field in theirs.DESCRIPTOR.fields], (
        name
    )
    empty = ours()
    for field in theirs.DESCRIPTOR.fields:
        expected, value = getattr(message, field.name), getattr(empty, field.name)
        if field.message_type is None:
            assert (type(value), value) == (type(expected), expected), f"{name}.{field.name}"
        elif not field.is_repeated:
            assert type(value).__name__ == field.message_type.name


def test_one_entry_is_of_one_kind_and_reads_empty_otherwise() -> None:
    known = {field.name for field in official.RtcStats.DESCRIPTOR.fields}
    assert set(RtcStats.__slots__) - {"_which"} <= known
    entry = RtcStats(inbound_rtp=RtcStats.InboundRtp())
    assert entry.WhichOneof("stats") == "inbound_rtp"
    assert [name for name in known if entry.HasField(name)] == ["inbound_rtp"]
    assert entry.outbound_rtp.stream.ssrc == 0
    assert RtcStats().WhichOneof("stats") is None
    with pytest.raises(ValueError, match="no oneof 'kind'"):
        entry.WhichOneof("kind")
    assert entry == RtcStats(inbound_rtp=RtcStats.InboundRtp()) != RtcStats(codec=RtcStats.Codec())
    assert repr(entry).startswith("RtcStats(inbound_rtp=")
    assert repr(RtcStats()) == "RtcStats()"


def test_a_received_track() -> None:
    codec, inbound, remote = report_received("TR_v", RECEIVED)
    assert (codec.codec.codec.mime_type, codec.codec.codec.payload_type, codec.codec.codec.clock_rate) == (
        "video/VP8",
        96,
        90_000,
    )
    it = inbound.inbound_rtp
    assert (it.stream.ssrc, it.stream.kind, it.stream.codec_id) == (7, "video", codec.codec.rtc.id)
    assert (it.received.packets_received, it.received.packets_lost, it.received.jitter) == (9, -1, 0.004)
    assert (it.inbound.frame_width, it.inbound.frame_height, it.inbound.frames_received) == (1280, 720, 5)
    assert (it.inbound.bytes_received, it.inbound.header_bytes_received) == (820, 180)
    assert abs(it.rtc.timestamp / 1e6 - time.time()) < 5
    assert it.rtc.timestamp / 1000 - it.inbound.last_packet_received_timestamp == pytest.approx(500, abs=1)
    assert it.inbound.remote_id == remote.remote_outbound_rtp.rtc.id
    assert remote.remote_outbound_rtp.remote_outbound.local_id == it.rtc.id
    assert remote.remote_outbound_rtp.sent.packets_sent == 10
    assert report_received("TR_v", {**RECEIVED, "ssrc": 0}) == []
    assert len(report_received("TR_v", {**RECEIVED, "sender_reports": 0})) == 2


def test_a_track_of_ours() -> None:
    entries = report_sent("TR_v", [SENT, {**SENT, "ssrc": 9, "rid": "h", "width": 1280, "round_trip_times": 0}])
    assert [entry.WhichOneof("stats") for entry in entries] == [
        "codec", "outbound_rtp", "remote_inbound_rtp", "outbound_rtp", "media_source",
    ]  # fmt: skip
    low, high = entries[1].outbound_rtp, entries[3].outbound_rtp
    assert (low.outbound.rid, low.outbound.frame_width, low.outbound.target_bitrate) == ("q", 320, 160_000.0)
    assert (high.outbound.rid, high.outbound.frame_width, high.outbound.remote_id) == ("h", 1280, "")
    assert entries[2].remote_inbound_rtp.remote_inbound.local_id == low.rtc.id
    assert entries[2].remote_inbound_rtp.remote_inbound.fraction_lost == 0.25
    source = entries[4].media_source
    assert (source.video.width, source.source.kind, low.outbound.media_source_id) == (1280, "video", source.rtc.id)
    assert report_sent("TR_v", []) == []
