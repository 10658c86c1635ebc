from __future__ import annotations

from lknb.core.clock import ParticipantClock, ntp_time
from lknb.core.rtp_receiver import RtpReceiver
from lknb.wire import extension, rtcp
from lknb.wire.frame import EncodedFrame
from lknb.wire.rtp import build_rtp, pack_extensions, parse_rtp
from lknb.wire.vp8 import packetize_vp8
from tests.logic.media import vp8_frame


class Line:
    """A receiver fed with packets of one SSRC, in simulated time."""

    def __init__(self, codecs: dict[int, str] | None = None) -> None:
        self.frames: list[EncodedFrame] = []
        self.sent: list[rtcp.RtcpPacket] = []
        self.watched = True
        self.now = 100.0
        self.sequence = 65_530
        self.timestamp = 1000
        self.ssrc = 5
        self.pictures = 0
        self.participant = ParticipantClock()
        self.receiver = RtpReceiver(
            codecs or {96: "vp8", 111: "opus"},
            {extension.AUDIO_LEVEL: 4},
            self.participant,
            local_ssrc=1,
            deliver=self.frames.append,
            send=self.sent.extend,
            wanted=lambda: self.watched,
            rtt_s=lambda: 0.0,
        )

    def packets(self, payloads: list[bytes], payload_type: int = 96, level: int | None = None) -> list[bytes]:
        out = []
        extensions = b"" if level is None else pack_extensions([(4, extension.pack_audio_level(level, True))])
        for index, payload in enumerate(payloads):
            out.append(
                build_rtp(
                    payload_type=payload_type,
                    marker=index == len(payloads) - 1,
                    sequence_number=self.sequence & 0xFFFF,
                    timestamp=self.timestamp & 0xFFFFFFFF,
                    ssrc=self.ssrc,
                    payload=payload,
                    extensions=extensions,
                )
            )
            self.sequence += 1
        return out

    def picture(self, *, key: bool = False, size: int = 3000, width: int = 640, height: int = 360) -> list[bytes]:
        """The packets of the next picture."""
        self.pictures += 1
        frame = vp8_frame(self.pictures, keyframe=key, size=size, width=width, height=height)
        self.timestamp += 3000
        return self.packets(packetize_vp8(frame, self.pictures))

    def sound(self, level: int = 30) -> list[bytes]:
        self.timestamp += 960
        return self.packets([b"opus"], 111, level)

    def feed(self, packets: list[bytes], after_s: float = 0.0) -> None:
        for packet in packets:
            self.now += after_s
            self.receiver.receive(parse_rtp(packet), int(self.now * 1e6), self.now)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.02
            self.receiver.tick(self.now)

    def plis(self) -> list[rtcp.Pli]:
        return [packet for packet in self.sent if isinstance(packet, rtcp.Pli)]

    def nacks(self) -> list[int]:
        return [number for packet in self.sent if isinstance(packet, rtcp.Nack) for number in packet.lost]


def test_pictures_come_out_whole_in_order_and_dated_by_arrival():
    line = Line()
    line.feed(line.picture(key=True))
    line.now = 101.0
    line.feed(line.picture())
    assert [frame.keyframe for frame in line.frames] == [True, False]
    assert [(frame.width, frame.height) for frame in line.frames] == [(640, 360), (640, 360)]
    assert [frame.timestamp_us for frame in line.frames] == [100_000_000, 101_000_000]
    assert line.sent == []
    assert line.receiver.codec == "vp8"


def test_a_missing_packet_is_asked_for_until_it_comes():
    line = Line()
    line.feed(line.picture(key=True))
    late = line.picture()
    line.feed([late[0], *late[2:]])
    line.feed(line.picture())
    line.pass_time(0.1)
    asked = line.nacks()
    assert set(asked) == {parse_rtp(late[1]).sequence_number}
    assert len(asked) > 1
    assert len(line.frames) == 1
    line.feed([late[1]])
    assert len(line.frames) == 3
    before = len(line.nacks())
    line.pass_time(0.3)
    assert len(line.nacks()) == before
    assert line.plis() == []


def test_a_packet_that_never_comes_costs_a_key_frame_request_that_is_repeated():
    line = Line()
    line.feed(line.picture(key=True))
    line.feed(line.picture()[1:])
    for _ in range(60):
        line.feed(line.picture())
        line.pass_time(0.033)
    assert len(line.frames) == 1
    assert 2 <= len(line.plis()) <= 8
    assert {(pli.sender_ssrc, pli.media_ssrc) for pli in line.plis()} == {(1, 5)}
    line.feed(line.picture(key=True))
    line.feed(line.picture())
    assert len(line.frames) == 3
    count = len(line.plis())
    line.pass_time(2.0)
    assert len(line.plis()) == count


def test_nobody_watching_asks_for_no_key_frame_but_for_lost_packets():
    line = Line()
    line.watched = False
    line.feed(line.picture(key=True))
    line.feed(line.picture()[1:])
    line.feed(line.picture())
    line.pass_time(1.0)
    assert line.plis() == []
    assert line.nacks()


def test_a_wish_for_a_key_frame_is_repeated_until_it_is_met():
    line = Line()
    line.feed(line.picture(key=True))
    line.receiver.request_keyframe(line.now)
    for _ in range(30):
        line.feed(line.picture())
        line.pass_time(0.033)
    assert 2 <= len(line.plis()) <= 5
    line.feed(line.picture(key=True))
    count = len(line.plis())
    for _ in range(30):
        line.feed(line.picture())
        line.pass_time(0.033)
    assert len(line.plis()) == count


def test_a_wish_before_the_first_packet_waits_for_it():
    line = Line()
    line.receiver.request_keyframe(line.now)
    line.pass_time(0.5)
    assert line.sent == []
    line.feed(line.picture())
    assert len(line.plis()) == 1


def test_a_stream_that_pauses_is_not_asked_for_ever():
    line = Line()
    line.feed(line.picture())
    line.pass_time(10.0)
    assert 1 <= len(line.plis()) <= 4


def test_closing_frames_are_no_pictures():
    line = Line()
    line.feed(line.picture(key=True))
    for _ in range(3):
        line.feed(line.picture(key=True, size=30, width=8, height=8))
    line.feed(line.picture())  # what would follow the closing frame
    assert len(line.frames) == 1
    line.feed(line.picture(key=True, width=16, height=16))
    assert len(line.frames) == 1
    line.feed(line.picture(key=True, width=17, height=16))
    line.feed(line.picture())
    assert [frame.width for frame in line.frames] == [640, 17, 17]


def test_another_ssrc_on_the_line_begins_anew():
    line = Line()
    line.feed(line.picture(key=True))
    line.feed(line.picture()[:1])
    line.ssrc, line.sequence, line.timestamp = 6, 10, 5
    line.feed(line.picture(key=True))
    line.feed(line.picture())
    assert [frame.keyframe for frame in line.frames] == [True, True, False]
    (block,) = line.receiver.reports(line.now)
    assert block.ssrc == 6
    assert block.packets_lost == 0


def test_foreign_payload_types_and_padding_are_no_media():
    line = Line()
    line.feed(line.picture(key=True))
    line.feed(line.packets([b"\0\0rtx"], payload_type=97))
    line.sequence -= 1
    line.feed(line.packets([b""]))
    line.feed(line.picture())
    assert len(line.frames) == 2
    assert line.receiver.foreign == 1
    assert line.nacks() == []


def test_sound_comes_in_order_with_its_level_and_losses_marked():
    line = Line()
    packets = [packet for level in range(10) for packet in line.sound(level)]
    line.feed(packets[:4], 0.02)
    line.feed(packets[5:], 0.02)
    line.pass_time(0.3)
    assert [frame.concealed for frame in line.frames] == [False] * 4 + [True] + [False] * 5
    assert [frame.audio_level for frame in line.frames if not frame.concealed] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    steps = {b.timestamp - a.timestamp for a, b in zip(line.frames, line.frames[1:], strict=False)}
    assert steps == {960}
    assert set(line.nacks()) == {parse_rtp(packets[4]).sequence_number}


def test_sender_reports_date_the_frames():
    line = Line()
    line.feed(line.picture(key=True))
    at = line.timestamp
    report = rtcp.SenderReport(5, ntp_time(1_700_000_000_000_000), at, 1, 1)
    line.receiver.sender_report(report, int(line.now * 1e6) + 2_000, line.now)
    line.now += 0.2
    line.feed(line.picture())
    expected = 100_002_000 + 3000 * 1_000_000 // 90_000
    assert abs(line.frames[-1].timestamp_us - expected) <= 1
    (block,) = line.receiver.reports(line.now)
    assert block.last_sr == (report.ntp_time >> 16) & 0xFFFFFFFF
    line.receiver.sender_report(rtcp.SenderReport(77, 1 << 32, 0, 0, 0), 0, line.now)
    assert next(iter(line.receiver.reports(line.now))).last_sr == block.last_sr


def test_stats():
    line = Line()
    assert list(line.receiver.reports(line.now)) == []
    assert line.receiver.stats(line.now)["codec"] == ""
    line.feed(line.picture(key=True))
    line.feed(line.picture()[1:])
    line.receiver.reports(line.now)
    stats = line.receiver.stats(line.now)
    assert stats["frames_received"] == stats["keyframes_received"] == 1
    assert stats["packets_lost"] == 1
    assert (stats["width"], stats["height"], stats["ssrc"]) == (640, 360, 5)
