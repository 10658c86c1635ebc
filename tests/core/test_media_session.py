from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from lknb.core.clock import CaptureClock
from lknb.core.media_session import MediaSession
from lknb.core.outbox import Outbox
from lknb.core.rtp_sender import RtpSender
from lknb.wire import extension, rtcp
from lknb.wire.frame import EncodedFrame
from lknb.wire.rtp import RtpView, build_rtp, pack_extensions

WALL_US = 1_700_000_000_000_000
MID, TWCC = 1, 5


class FakeReceiver:
    def __init__(self) -> None:
        self.packets: list[RtpView] = []
        self.reported: list[rtcp.SenderReport] = []
        self.ticks = 0

    def receive(self, view: RtpView, arrival_us: int, now: float) -> None:
        self.packets.append(view)

    def sender_report(self, report: rtcp.SenderReport, arrival_us: int, now: float) -> None:
        self.reported.append(report)

    def tick(self, now: float) -> None:
        self.ticks += 1

    def reports(self, now: float) -> tuple[rtcp.ReportBlock, ...]:
        return (rtcp.ReportBlock(42),) if self.packets else ()


class Wire:
    def __init__(self) -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list[rtcp.RtcpPacket] = []
        self.outbox = Outbox(self.rtp.append, lambda delay_s, callback: None, start_bps=1e12)
        self.media = MediaSession("cname", self.outbox, lambda data: self.rtcp.extend(rtcp.parse_rtcp(data)))
        self.media.learn_extensions({extension.MID: MID, extension.TRANSPORT_CC: TWCC})

    def of(self, kind: type) -> list:
        return [packet for packet in self.rtcp if isinstance(packet, kind)]


def packet(ssrc: int, number: int = 1, *, mid: str = "", twcc: int | None = None, payload: bytes = b"x") -> bytes:
    items = [(MID, mid.encode())] if mid else []
    if twcc is not None:
        items.append((TWCC, twcc.to_bytes(2, "big")))
    return build_rtp(
        payload_type=96,
        marker=False,
        sequence_number=number,
        timestamp=0,
        ssrc=ssrc,
        payload=payload,
        extensions=pack_extensions(items),
    )


def test_packets_go_to_the_line_of_their_ssrc_or_mid():
    wire, one, two = Wire(), FakeReceiver(), FakeReceiver()
    wire.media.bind("1", [11], one, 0.0)
    wire.media.bind("2", [], two, 0.0)
    wire.media.receive_rtp(packet(11), 0, 0.0)
    wire.media.receive_rtp(packet(22, mid="2"), 0, 0.0)
    wire.media.receive_rtp(packet(22), 0, 0.0)  # bound by the packet before
    assert [view.ssrc for view in one.packets] == [11]
    assert [view.ssrc for view in two.packets] == [22, 22]


def test_packets_that_come_before_their_description_wait_for_it():
    wire, receiver = Wire(), FakeReceiver()
    for number in range(3):
        wire.media.receive_rtp(packet(11, number), 0, 0.0)
    wire.media.receive_rtp(packet(99), 0, 0.0)
    wire.media.receive_rtp(packet(11, payload=b""), 0, 0.0)  # padding is not worth it
    wire.media.bind("1", [11], receiver, 0.1)
    assert [view.sequence_number for view in receiver.packets] == [0, 1, 2]
    wire.media.tick(WALL_US, 0.5)
    assert wire.media.dropped == 1
    wire.media.tick(WALL_US, 1.5)
    assert wire.media.dropped == 2


def test_a_report_that_comes_before_the_description_waits_with_its_packets():
    wire, receiver = Wire(), FakeReceiver()
    report = rtcp.SenderReport(11, 1 << 32, 90_000, 1, 100)
    wire.media.receive_rtcp(rtcp.build_rtcp([report]), 0, WALL_US, 0.0)
    wire.media.receive_rtp(packet(11), 0, 0.0)
    wire.media.receive_rtp(packet(22, mid="2"), 0, 0.0)
    reports = [replace(report, ssrc=ssrc) for ssrc in (11, 22, 99)]
    wire.media.receive_rtcp(rtcp.build_rtcp(reports), 7, WALL_US, 0.05)
    wire.media.bind("2", [], receiver, 0.1)
    assert receiver.reported == [reports[1]]
    wire.media.bind("1", [11], receiver, 0.1)
    assert receiver.reported == [reports[1], reports[0]]
    wire.media.bind("1", [11, 99], receiver, 0.2)
    assert len(receiver.reported) == 2, "nobody waits for strangers"


def test_what_waits_is_bounded():
    wire, receiver = Wire(), FakeReceiver()
    for number in range(1000):
        wire.media.receive_rtp(packet(11, number), 0, 0.0)
    wire.media.bind("1", [11], receiver, 0.0)
    assert len(receiver.packets) == 200
    assert wire.media.dropped == 800


def test_a_line_that_is_released_gets_nothing():
    wire, receiver = Wire(), FakeReceiver()
    wire.media.bind("1", [11], receiver, 0.0)
    wire.media.receive_rtp(packet(12, mid="1"), 0, 0.0)
    wire.media.release("1")
    wire.media.release("1")
    for ssrc in (11, 12):
        wire.media.receive_rtp(packet(ssrc, mid="1"), 0, 0.0)
    assert len(receiver.packets) == 1
    assert wire.media.idle


def test_binding_again_keeps_what_was_learnt_and_another_receiver_replaces_it():
    wire, receiver, other = Wire(), FakeReceiver(), FakeReceiver()
    wire.media.bind("1", [], receiver, 0.0)
    wire.media.receive_rtp(packet(12, mid="1"), 0, 0.0)
    wire.media.bind("1", [], receiver, 0.0)
    wire.media.receive_rtp(packet(12), 0, 0.0)
    assert len(receiver.packets) == 2
    wire.media.bind("1", [12], other, 0.0)
    wire.media.receive_rtp(packet(12), 0, 0.0)
    assert (len(receiver.packets), len(other.packets)) == (2, 1)


def test_rubbish_is_counted_and_harms_nobody():
    wire = Wire()
    for data in (b"", b"\x80", bytes(12), b"\xff" * 40):
        wire.media.receive_rtp(data, 0, 0.0)
        wire.media.receive_rtcp(data, 0, WALL_US, 0.0)
    assert wire.media.dropped >= 4


def test_arrivals_are_fed_back_if_that_was_negotiated():
    wire, receiver = Wire(), FakeReceiver()
    wire.media.bind("1", [11], receiver, 0.0)
    for number in range(3):
        wire.media.receive_rtp(packet(11, number, twcc=100 + number), 1_000_000 + number * 1000, 0.0)
    wire.media.tick(WALL_US, 0.1)
    (feedback,) = wire.of(rtcp.TransportFeedback)
    assert (feedback.base_sequence_number, len(feedback.packets), feedback.media_ssrc) == (100, 3, 11)
    plain = Wire()
    plain.media.learn_extensions({})
    plain.media._transport_cc_id = 0
    plain.media.receive_rtp(packet(11, 1, twcc=5), 0, 0.0)
    plain.media.tick(WALL_US, 0.1)
    assert plain.of(rtcp.TransportFeedback) == []


def test_receiver_reports_come_soon_and_then_every_second():
    wire, receiver = Wire(), FakeReceiver()
    wire.media.tick(WALL_US, 10.0)
    wire.media.bind("1", [11], receiver, 10.1)
    wire.media.receive_rtp(packet(11), 0, 10.1)
    now, times = 10.1, []
    while now < 13.2:
        before = len(wire.of(rtcp.ReceiverReport))
        wire.media.tick(WALL_US, now)
        if len(wire.of(rtcp.ReceiverReport)) > before:
            times.append(round(now, 1))
        now += 0.02
    assert len(times) == 3
    assert times[0] == 10.3
    assert all(1.0 <= after - before <= 1.1 for before, after in pairwise(times))
    assert receiver.ticks > 100


def test_sender_reports_reach_the_receiver_of_their_ssrc_and_a_bye_ends_nothing():
    wire, receiver = Wire(), FakeReceiver()
    wire.media.bind("1", [11], receiver, 0.0)
    reports = [rtcp.SenderReport(11, 1 << 32, 5, 1, 1), rtcp.SenderReport(12, 1 << 32, 5, 1, 1), rtcp.Bye((11,))]
    wire.media.receive_rtcp(rtcp.build_rtcp(reports), 0, WALL_US, 0.0)
    assert [report.ssrc for report in receiver.reported] == [11]
    wire.media.receive_rtp(packet(11), 0, 0.0)
    assert len(receiver.packets) == 1


def test_a_layer_that_does_not_fit_any_more_says_goodbye_before_anything_else_is_sent():
    wire = Wire()
    sender = RtpSender("vp8", ("q", "h"), CaptureClock(), outbox=wire.outbox, request_keyframe=lambda rid: None)
    sender.start("3", 96, {extension.TRANSPORT_CC: TWCC})
    wire.media.add_sender(sender)
    wire.media.on_feedback = lambda now: sender.set_enabled({"q"}, now)
    wire.media.receive_rtcp(rtcp.build_rtcp([rtcp.Remb(1, 100_000, (7,))]), 0, WALL_US, 1.0)
    assert wire.of(rtcp.Bye) == [rtcp.Bye((sender.streams["h"].ssrc,))]
    for tick in range(5):
        wire.media.tick(WALL_US, 1.02 + tick / 50)
    assert len(wire.of(rtcp.Bye)) == 4


def test_a_sender_gets_its_feedback_sends_its_reports_and_says_goodbye():
    wire = Wire()
    asked: list[str] = []
    sender = RtpSender("vp8", (), CaptureClock(), outbox=wire.outbox, request_keyframe=asked.append)
    sender.start("3", 96, {extension.TRANSPORT_CC: TWCC})
    wire.media.add_sender(sender)
    wire.media.add_sender(sender)
    assert not wire.media.idle
    sender.send_frame(EncodedFrame("vp8", b"\0key", 0, keyframe=True), WALL_US, 0.0)
    assert len(wire.rtp) == 1
    wire.media.receive_rtcp(rtcp.build_rtcp([rtcp.Pli(1, sender.ssrcs[0])]), 0, WALL_US, 1.0)
    assert asked == [""]
    wire.media.tick(WALL_US + 1_000_000, 1.0)
    assert [report.ssrc for report in wire.of(rtcp.SenderReport)] == list(sender.ssrcs)
    assert wire.of(rtcp.SourceDescription)[0].chunks == ((sender.ssrcs[0], ((rtcp.SDES_CNAME, "cname"),)),)
    wire.media.remove_sender(sender)
    wire.media.remove_sender(sender)
    assert [bye.sources for bye in wire.of(rtcp.Bye)] == [sender.ssrcs]
    assert wire.media.idle
