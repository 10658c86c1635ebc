import pytest

from lknb.core.clock import CaptureClock, ntp_time
from lknb.core.outbox import BURST_PACKETS, Outbox
from lknb.core.rtp_sender import RtpSender
from lknb.wire import extension, rtcp
from lknb.wire.frame import EncodedFrame
from lknb.wire.h264 import depacketize_h264
from lknb.wire.rtp import RtpView, parse_rtp
from lknb.wire.vp8 import depacketize_vp8

WALL_US = 1_700_000_000_000_000
IDS = {extension.MID: 1, extension.RID: 2, extension.AUDIO_LEVEL: 4, extension.TRANSPORT_CC: 5}


class Wire:
    """What a sender sends and asks for; deferred work runs when the test says so."""

    def __init__(self, codec: str = "vp8", rids: tuple[str, ...] = (), *, start: bool = True) -> None:
        self.packets: list[RtpView] = []
        self.keyframes: list[str] = []
        self.deferred: list = []
        outbox = Outbox(
            lambda packet: self.packets.append(parse_rtp(packet)),
            lambda delay_s, callback: self.deferred.append(callback),
            start_bps=1e12,
            clock=lambda: 0.0,
        )
        outbox.number_by(IDS[extension.TRANSPORT_CC])
        self.sender = RtpSender(
            codec,
            rids,
            CaptureClock(),
            outbox=outbox,
            request_keyframe=self.keyframes.append,
        )
        if start:
            self.start()

    def start(self) -> None:
        self.sender.start("7", 96, IDS)

    def send(self, frame: EncodedFrame, now: float = 0.0) -> list[RtpView]:
        self.packets.clear()
        self.sender.send_frame(frame, WALL_US + int(now * 1e6), now)
        return self.packets

    def run(self) -> int:
        """Run what was deferred, and what that defers; how many turns it took."""
        turns = 0
        while self.deferred:
            turns += 1
            work, self.deferred[:] = list(self.deferred), []
            for callback in work:
                callback()
        return turns


def vp8(size: int = 50, *, key: bool = False, timestamp: int = 0, rid: str = "", us: int = 0) -> EncodedFrame:
    data = bytes([0 if key else 1]) + bytes(size - 1)
    return EncodedFrame("vp8", data, timestamp, keyframe=key, timestamp_us=us, rid=rid)


def opus(timestamp: int = 0, level: int = 30) -> EncodedFrame:
    return EncodedFrame("opus", b"opus packet", timestamp, keyframe=True, audio_level=level)


def unnumbered(packet: RtpView) -> bytes:
    """The packet without its transport-wide number."""
    number = packet.extension(IDS[extension.TRANSPORT_CC])
    assert number is not None
    return packet.data.replace(bytes((IDS[extension.TRANSPORT_CC] << 4 | 1,)) + number, b"", 1)


def test_nothing_is_sent_before_start_and_after_stop():
    wire = Wire(start=False)
    assert wire.send(vp8(key=True)) == []
    wire.start()
    assert len(wire.send(vp8(key=True))) == 1
    wire.sender.stop()
    assert wire.send(vp8(key=True)) == []


def test_a_stream_begins_with_a_key_frame_and_asks_for_one():
    wire = Wire()
    assert wire.send(vp8()) == []
    assert wire.keyframes == [""]
    assert len(wire.send(vp8(key=True), 0.1)) == 1
    assert len(wire.send(vp8(), 0.2)) == 1
    assert wire.keyframes == [""]


def test_a_vp8_frame_becomes_packets_that_give_it_back():
    wire = Wire()
    frame = vp8(5000, key=True, timestamp=3000)
    packets = list(wire.send(frame))
    pieces = [depacketize_vp8(bytes(packet.payload)) for packet in packets]
    assert b"".join(piece for _, piece in pieces) == frame.data
    assert [bool(packet.marker) for packet in packets] == [False] * (len(packets) - 1) + [True]
    assert len({packet.timestamp for packet in packets}) == 1
    assert all(len(packet.data) <= 1300 for packet in packets)
    second = wire.send(vp8(timestamp=6000))[0]
    assert (second.timestamp - packets[0].timestamp) & 0xFFFFFFFF == 3000
    assert second.sequence_number == (packets[-1].sequence_number + 1) & 0xFFFF
    assert depacketize_vp8(bytes(second.payload))[0].picture_id == (pieces[0][0].picture_id + 1) % (1 << 15)


def test_an_h264_frame_becomes_packets_that_give_it_back():
    wire = Wire("h264")
    data = b"\0\0\0\1\x67\x42\xe0\x1f" + b"\0\0\0\1\x65" + bytes(range(1, 250)) * 12
    packets = wire.send(EncodedFrame("h264", data, 0, keyframe=True))
    assert b"".join(depacketize_h264(bytes(packet.payload)) for packet in packets) == data


def test_extensions_are_those_that_were_negotiated():
    wire = Wire(rids=("q", "h"))
    packet = wire.send(vp8(key=True, rid="h"))[0]
    assert packet.extensions() == {1: b"7", 2: b"h", 5: b"\0\1"}
    audio = Wire("opus")
    loud, soft = audio.send(opus(level=20))[0], audio.send(opus(960, level=100))[0]
    assert (loud.extensions()[4], soft.extensions()[4]) == (bytes([0x80 | 20]), bytes([100]))
    assert not loud.marker
    assert 2 not in loud.extensions()


def test_layers_have_streams_of_their_own_and_unknown_ones_are_dropped():
    wire = Wire(rids=("q", "h", "f"))
    ssrcs = {rid: wire.send(vp8(key=True, rid=rid))[0].ssrc for rid in ("q", "h", "f")}
    assert len(set(ssrcs.values())) == 3
    assert set(ssrcs.values()) == set(wire.sender.ssrcs)
    assert wire.send(vp8(key=True, rid="x")) == []
    single = Wire()
    assert len(single.send(vp8(key=True, rid="f"))) == 1


def test_a_large_frame_leaves_in_bursts_and_keeps_its_order():
    wire = Wire()
    wire.send(vp8(150_000, key=True))
    assert len(wire.packets) == BURST_PACKETS
    wire.sender.send_frame(vp8(), WALL_US, 0.1)
    assert len(wire.packets) == BURST_PACKETS
    assert wire.run() >= 3
    numbers = [packet.sequence_number for packet in wire.packets]
    assert numbers == [(numbers[0] + index) & 0xFFFF for index in range(len(numbers))]
    assert len(numbers) == -(-150_000 // 1195) + 1


def test_what_cannot_be_sent_breaks_the_stream_until_a_key_frame():
    wire = Wire()
    wire.send(vp8(key=True))
    for bad in (b"", bytes(9 * 1024 * 1024)):
        assert wire.send(EncodedFrame("vp8", bad, 0, keyframe=True), 1.0) == []
        assert wire.send(vp8(), 1.1) == []
        assert len(wire.send(vp8(key=True), 1.2)) == 1
    assert wire.send(EncodedFrame("h264", b"\0\0\1\x65", 0, keyframe=True), 2.0) == []
    assert wire.keyframes


def test_a_queue_that_does_not_drain_is_bounded():
    wire = Wire()
    wire.send(vp8(1_000_000, key=True))
    for _ in range(5):
        wire.sender.send_frame(vp8(1_000_000, key=True), WALL_US, 1.0)
    assert wire.run() <= 2_000 / BURST_PACKETS + 1


def test_mute_stops_at_once_and_unmute_begins_with_a_key_frame():
    wire = Wire()
    wire.send(vp8(150_000, key=True))
    wire.sender.set_muted(True, 1.0)
    wire.packets.clear()
    wire.run()
    assert wire.packets == []
    assert wire.send(vp8(key=True), 1.1) == []
    wire.sender.set_muted(False, 2.0)
    assert wire.keyframes == [""]
    assert wire.send(vp8(), 2.1) == []
    assert len(wire.send(vp8(key=True), 2.2)) == 1


def test_packets_that_were_dropped_leave_no_gap_in_the_numbers():
    wire = Wire()
    last = wire.send(vp8(150_000, key=True))[-1]
    wire.sender.set_muted(True, 1.0)
    wire.run()
    wire.sender.set_muted(False, 2.0)
    (first,) = wire.send(vp8(key=True), 2.1)
    assert first.sequence_number == (last.sequence_number + 1) & 0xFFFF
    (report,) = wire.sender.reports(WALL_US, 5.0)
    assert report.packet_count == BURST_PACKETS + 1


def test_a_layer_that_is_switched_off_rests_and_comes_back_with_a_key_frame():
    wire = Wire(rids=("q", "h"))
    for rid in ("q", "h"):
        wire.send(vp8(key=True, rid=rid))
    wire.sender.set_enabled({"q"}, 1.0)
    assert wire.send(vp8(rid="h"), 1.0) == []
    assert len(wire.send(vp8(rid="q"), 1.0)) == 1
    wire.sender.set_enabled({"q", "h"}, 2.0)
    assert wire.keyframes == ["h"]
    assert wire.send(vp8(rid="h"), 2.0) == []
    assert len(wire.send(vp8(key=True, rid="h"), 2.1)) == 1


def test_layers_that_are_switched_off_say_goodbye_a_few_times():
    wire = Wire(rids=("q", "h", "f"))
    ssrcs = {rid: stream.ssrc for rid, stream in wire.sender.streams.items()}
    assert wire.sender.farewell() is None
    wire.sender.set_enabled({"q"}, 1.0)
    byes = [wire.sender.farewell() for _ in range(5)]
    assert byes == [rtcp.Bye((ssrcs["h"], ssrcs["f"]))] * 4 + [None]
    wire.sender.set_enabled({"q", "h", "f"}, 2.0)
    wire.sender.set_enabled({"h", "f"}, 2.0)
    wire.sender.set_enabled({"q", "f"}, 2.0)
    assert wire.sender.farewell() == rtcp.Bye((ssrcs["h"],)), "q is back before anybody was told"
    wire.sender.set_enabled((), 3.0)
    wire.sender.stop()
    assert wire.sender.farewell() is None


def test_a_key_frame_of_the_best_layer_that_is_sent():
    wire = Wire(rids=("q", "h", "f"))
    wire.sender.set_enabled({"q", "h"}, 1.0)
    wire.sender.ask_keyframe_of_best(1.0)
    assert wire.keyframes == ["h"]
    wire.sender.set_enabled((), 2.0)
    wire.sender.ask_keyframe_of_best(2.0)
    wire.sender.set_enabled({"q"}, 3.0)
    assert wire.keyframes == ["h", "q"]


def test_nacks_are_answered_from_the_history_and_only_while_sending():
    wire = Wire()
    sent = list(wire.send(vp8(5000, key=True)))
    lost = tuple(packet.sequence_number for packet in sent[1:3])
    wire.packets.clear()
    wire.sender.on_rtcp(rtcp.Nack(1, sent[0].ssrc, (*lost, 12)), WALL_US, 1.0)
    assert [unnumbered(packet) for packet in wire.packets] == [unnumbered(packet) for packet in sent[1:3]]
    # on the transport they are new packets
    assert [packet.extension(5) for packet in [*sent, *wire.packets]] == [
        bytes([0, n + 1]) for n in range(len(sent) + 2)
    ]
    wire.packets.clear()
    wire.sender.on_rtcp(rtcp.Nack(1, sent[0].ssrc ^ 1, lost), WALL_US, 2.0)
    wire.sender.set_muted(True, 2.0)
    wire.sender.on_rtcp(rtcp.Nack(1, sent[0].ssrc, lost), WALL_US, 2.0)
    assert wire.packets == []


def test_key_frame_requests_reach_the_layer_they_name_and_are_throttled():
    wire = Wire(rids=("q", "h"))
    q, h = (wire.sender.streams[rid].ssrc for rid in ("q", "h"))
    for index in range(10):
        wire.sender.on_rtcp(rtcp.Pli(1, h), WALL_US, 1.0 + index / 100)
    assert wire.keyframes == ["h"]
    wire.sender.on_rtcp(rtcp.Fir(1, ((q, 1), (99, 1))), WALL_US, 2.0)
    assert wire.keyframes == ["h", "q"]
    wire.sender.set_muted(True, 3.0)
    wire.sender.on_rtcp(rtcp.Pli(1, h), WALL_US, 4.0)
    assert wire.keyframes == ["h", "q"]


def test_a_key_frame_that_is_asked_for_too_soon_comes_later():
    wire = Wire(rids=("q", "h"))
    wire.sender.set_enabled({"q"}, 1.0)
    wire.sender.ask_keyframe_of_best(1.0)
    wire.send(vp8(key=True, rid="q"), 1.02)
    # the server has seen it pass, and hears only then that there is no better layer any more
    wire.sender.on_rtcp(rtcp.Pli(1, wire.sender.streams["q"].ssrc), WALL_US, 1.25)
    wire.sender.tick(1.28)
    assert wire.keyframes == ["q"]
    wire.sender.tick(1.3)
    wire.sender.tick(1.32)
    assert wire.keyframes == ["q", "q"]
    # one that is under way is for all who asked before
    wire.sender.on_rtcp(rtcp.Pli(1, wire.sender.streams["q"].ssrc), WALL_US, 1.4)
    wire.send(vp8(key=True, rid="q"), 1.42)
    wire.sender.tick(2.0)
    assert wire.keyframes == ["q", "q"]
    # and nobody needs one of a layer that is not sent any more
    wire.sender.ask_keyframe_of_best(2.1)
    wire.sender.ask_keyframe_of_best(2.2)
    wire.sender.set_enabled((), 2.3)
    wire.sender.tick(3.0)
    assert wire.keyframes == ["q", "q", "q"]


def test_sender_reports_map_capture_time_not_sending_time():
    wire = Wire()
    # the source counts from boot; the first frame places it on the wall clock
    packet = wire.send(vp8(key=True, timestamp=90_000, us=1_000_000), 0.0)[0]
    assert wire.sender.reports(WALL_US, 0.0) == []
    (report,) = wire.sender.reports(WALL_US + 500_000, 0.5)
    assert report.ntp_time == ntp_time(WALL_US + 500_000)
    assert (report.rtp_timestamp - packet.timestamp) & 0xFFFFFFFF == 45_000
    assert (report.packet_count, report.ssrc) == (1, packet.ssrc)
    assert wire.sender.reports(WALL_US + 600_000, 0.6) == []
    assert len(wire.sender.reports(WALL_US + 3_000_000, 3.0)) == 1
    # captured 1.0 s after the first, but handed over 0.3 s late: the report does not move
    wire.send(vp8(timestamp=180_000, us=2_000_000), 1.3)
    (late,) = wire.sender.reports(WALL_US + 6_000_000, 6.0)
    assert (late.rtp_timestamp - packet.timestamp) & 0xFFFFFFFF == 6 * 90_000


def test_no_report_of_a_layer_that_is_off_or_a_track_that_is_stopped():
    wire = Wire(rids=("q", "h"))
    for rid in ("q", "h"):
        wire.send(vp8(key=True, rid=rid))
    wire.sender.set_enabled({"q"}, 0.0)
    assert [report.ssrc for report in wire.sender.reports(WALL_US, 5.0)] == [wire.sender.streams["q"].ssrc]
    wire.sender.stop()
    assert wire.sender.reports(WALL_US, 10.0) == []


def test_report_blocks_give_loss_and_round_trip():
    wire = Wire("opus")
    ssrc = wire.send(opus())[0].ssrc
    sent = ntp_time(WALL_US)
    block = rtcp.ReportBlock(ssrc, 64, 10, last_sr=(sent >> 16) & 0xFFFFFFFF, delay_since_last_sr=65536 // 10)
    wire.sender.on_rtcp(rtcp.ReceiverReport(1, (rtcp.ReportBlock(ssrc ^ 1), block)), WALL_US + 150_000, 1.0)
    (stats,) = wire.sender.stats(1.0)
    assert stats["packets_lost"] == 10
    assert stats["fraction_lost"] == 0.25
    assert stats["round_trip_time_s"] == pytest.approx(0.05, abs=0.001)


def test_padding_is_of_the_lowest_layer_that_is_sent():
    wire = Wire(rids=("q", "h"))
    first = wire.send(vp8(key=True, rid="h", timestamp=900))[0]
    wire.sender.set_enabled({"h"}, 0.0)
    data = wire.sender.padding()
    assert data is not None
    padding = parse_rtp(data)
    assert (padding.ssrc, padding.timestamp, padding.marker) == (first.ssrc, first.timestamp, False)
    assert padding.sequence_number == (first.sequence_number + 1) & 0xFFFF
    assert padding.payload == b""
    assert len(data) - padding.payload_end == 255
    assert wire.send(vp8(rid="h"))[0].sequence_number == (first.sequence_number + 2) & 0xFFFF
    wire.sender.set_enabled((), 0.0)
    assert parse_rtp(wire.sender.padding() or b"").ssrc == wire.sender.streams["q"].ssrc
    wire.sender.set_muted(True, 0.0)
    assert wire.sender.padding() is None
    assert Wire("opus").sender.padding() is None
