from __future__ import annotations

from collections.abc import Callable

from lknb.core.outbox import Outbox
from lknb.logic.twcc import TwccRecorder
from lknb.wire import extension, rtcp
from lknb.wire.rtp import RtpView, build_rtp, pack_extensions, parse_rtp

ID = 5


def packet(number: int, *, size: int = 1_000, ssrc: int = 1, numbered: bool = True) -> bytes:
    items = [(ID, extension.pack_transport_sequence(0)), (1, b"0")] if numbered else [(1, b"0")]
    return build_rtp(
        payload_type=96,
        marker=False,
        sequence_number=number,
        timestamp=0,
        ssrc=ssrc,
        payload=bytes(size),
        extensions=pack_extensions(items),
    )


class Wire:
    def __init__(self, start_bps: float = 1_000_000) -> None:
        self.now = 10.0
        self.sent: list[RtpView] = []
        self.times: list[float] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.outbox = Outbox(self._send, self._call_later, start_bps=start_bps, clock=lambda: self.now)
        self.outbox.number_by(ID)

    def _send(self, data: bytes) -> None:
        self.sent.append(parse_rtp(data))
        self.times.append(self.now)

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.timers.append((self.now + delay_s, callback))

    def run(self, until: float) -> None:
        while self.timers and min(self.timers)[0] <= until:
            timer = min(self.timers, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = until

    def numbers(self) -> list[int | None]:
        values = [view.extension(ID) for view in self.sent]
        return [None if value is None else extension.parse_transport_sequence(value) for value in values]


def test_packets_are_numbered_in_the_order_they_leave_in() -> None:
    wire = Wire()
    wire.outbox.put(1, [packet(number) for number in range(20)])
    wire.outbox.send_now(packet(0, size=80, ssrc=2))
    wire.outbox.put_again(1, packet(3))
    wire.run(12.0)
    assert wire.numbers() == list(range(1, 23))
    order = [(view.ssrc, view.sequence_number) for view in wire.sent]
    assert order.index((2, 0)) < 5
    assert order.index((1, 3)) < 6
    assert [number for ssrc, number in order if ssrc == 1 and order.count((1, number)) == 1] == [
        number for number in range(20) if number != 3
    ]


def test_what_carries_no_number_is_left_as_it_is() -> None:
    wire = Wire()
    plain = packet(1, numbered=False)
    wire.outbox.put(1, [plain])
    wire.outbox.send_now(b"\x80\x60" + bytes(10))
    assert wire.sent[0].data == plain
    wire.outbox.number_by(0)
    wire.outbox.send_now(packet(2))
    assert wire.numbers()[2] == 0


def test_a_key_frame_leaves_at_the_pace_of_the_path() -> None:
    wire = Wire(start_bps=800_000)
    wire.outbox.send_now(packet(0, size=80, ssrc=2))
    wire.outbox.put(1, [packet(number) for number in range(50)])
    assert len(wire.sent) < 6
    wire.run(10.1)
    # 1.5 times 800 kbit/s for 0.1 s, and the burst of the beginning
    assert 13 < len(wire.sent) < 20
    assert wire.outbox.waiting(1) == 51 - len(wire.sent)
    left = wire.outbox.waiting(1)
    assert wire.outbox.drop(1) == left
    assert wire.outbox.waiting(1) == 0
    wire.run(11.0)
    assert not wire.timers


def test_a_probe_is_filled_up_with_padding_and_measured() -> None:
    wire = Wire()
    wire.outbox.padding = lambda: packet(9, size=255)
    wire.outbox.estimator.wanted_bps = 2_400_000
    receiver = TwccRecorder()
    wire.outbox.tick(wire.now)
    assert not wire.sent  # nothing was sent, nothing is known
    seen = 0
    for index in range(12):
        wire.outbox.put(1, [packet(index, size=400)])
        wire.run(wire.now + 0.05)
        for view, sent_s in list(zip(wire.sent, wire.times, strict=True))[seen:]:
            receiver.add(extension.parse_transport_sequence(view.extension(ID) or b""), int((sent_s + 0.01) * 1e6))
        seen = len(wire.sent)
        for feedback in receiver.build(1, 1):
            wire.outbox.on_rtcp(feedback, wire.now)
        wire.outbox.tick(wire.now)
    padding = [view for view in wire.sent if view.sequence_number == 9]
    assert 15 < len(padding) < 40
    assert 2_400_000 < wire.outbox.estimate_bps <= 3_100_000
    assert wire.outbox.estimator.probe_bps == 0


def test_a_probe_without_padding_is_given_up() -> None:
    wire = Wire()
    wire.outbox.estimator.wanted_bps = 5_000_000
    wire.outbox.send_now(packet(0))
    (feedback,) = [rtcp.TransportFeedback(1, 1, 1, 0, 0, (0,))]
    wire.outbox.on_rtcp(feedback, wire.now)
    wire.outbox.tick(wire.now)
    wire.run(20.0)
    assert wire.outbox.estimator.probe_bps == 0
    assert len(wire.sent) == 1
    assert not wire.timers


def test_sound_is_counted_with_its_headers() -> None:
    wire = Wire()
    for _ in range(50):
        wire.run(wire.now + 0.02)
        wire.outbox.send_now(packet(0, size=80, ssrc=2))
    assert abs(wire.outbox.sound_bps(wire.now) - 50 * 8 * len(packet(0, size=80)) - 50 * 8 * 38) < 2_000
    assert wire.outbox.sound_bps(wire.now + 2) == 0


def test_a_probe_that_a_late_timer_has_torn_is_sent_once_more() -> None:
    wire = Wire()
    wire.outbox.padding = lambda: packet(9, size=255)
    wire.outbox.estimator.wanted_bps = 2_400_000
    wire.outbox.send_now(packet(0))
    wire.outbox.on_rtcp(rtcp.TransportFeedback(1, 1, 1, 0, 0, (0,)), wire.now)
    wire.outbox.tick(wire.now)
    wire.run(wire.now + 0.005)
    assert wire.outbox.estimator.probe_bps == 3_000_000
    before, wire.now = len(wire.sent), wire.now + 0.2
    wire.run(wire.now + 1.0)
    assert wire.outbox.estimator.probe_bps == 0
    receiver = TwccRecorder()
    for number, sent_s in zip(wire.numbers()[1:], wire.times[1:], strict=True):
        receiver.add(number or 0, int((sent_s + 0.01) * 1e6))
    for feedback in receiver.build(1, 1):
        wire.outbox.on_rtcp(feedback, wire.now)
    assert len(wire.sent) > before + 10
    assert 2_400_000 < wire.outbox.estimate_bps <= 3_000_000
