"""A day of packets through every machine of the path: wraps, losses and pauses included, and nothing grows."""

from __future__ import annotations

from collections import deque
from random import Random

from lknb.logic.history import PacketHistory
from lknb.logic.jitter_video import VideoJitterBuffer
from lknb.logic.nack import NackGenerator
from lknb.logic.reorder import AudioReorderBuffer
from lknb.logic.report import ReceptionStatistics, SenderReportClock
from lknb.logic.speaker import AudioLevel, SpeakerBoard
from lknb.logic.throttle import Throttle
from lknb.logic.twcc import TwccRecorder
from lknb.wire.rtcp import ReceiverReport, build_rtcp

DAY_S = 24 * 3600
NTP = 3_900_000_000 << 32
KEYFRAME = b"\x10\x10\x02\x00\x9d\x01\x2a\x80\x02\x68\x01"
DELTA = b"\x10\x11\x02\x00"
REST = b"\x00\xaa"


def weight(value: object) -> int:
    """How many values a machine holds in all its collections."""
    if isinstance(value, dict):
        return len(value) + sum(weight(item) for item in value.values())
    if isinstance(value, (list, tuple, deque, set)):
        return len(value) + sum(weight(item) for item in value)
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return sum(weight(getattr(value, name, None)) for name in slots)


def test_a_day_of_video_one_picture_of_three_packets_a_second_with_loss_and_requests() -> None:
    random = Random(9)
    history, nack, twcc = PacketHistory(500), NackGenerator(rtt_s=0.05), TwccRecorder()
    statistics, buffer, throttle = ReceptionStatistics(1, 90_000), VideoJitterBuffer("vp8"), Throttle(0.5)
    clock = SenderReportClock(90_000)
    number, first_timestamp = 65_000, 0xFFFF_FFFF - 1_000_000
    pictures = keyframes = told = lost = transport = 0
    last = first_timestamp - 90_000
    wanted = True
    weights: list[int] = []

    def receive(sequence_number: int, timestamp: int, marker: int, payload: bytes, now: float) -> None:
        nonlocal pictures, last, transport
        arrival_us = round(now * 1e6)
        transport += 1
        twcc.add(transport & 0xFFFF, arrival_us)
        statistics.add(sequence_number, timestamp, arrival_us)
        nack.add(sequence_number, now)
        for frame in buffer.add(sequence_number, timestamp, marker, payload, now, arrival_us):
            assert frame.timestamp > last
            last = frame.timestamp
            pictures += 1

    for second in range(DAY_S):
        now = 1000.0 + second
        timestamp = (first_timestamp + second * 90_000) & 0xFFFFFFFF
        keyframe, wanted = wanted, False
        keyframes += keyframe
        resend: list[tuple[int, int, int, bytes]] = []
        for place, payload in enumerate((KEYFRAME if keyframe else DELTA, REST, REST)):
            packet = (number, timestamp, int(place == 2), payload)
            history.put(number, payload)
            number = (number + 1) & 0xFFFF
            if random.random() < 0.02:
                lost += 1
                if random.random() < 0.9:
                    resend.append(packet)
            else:
                receive(*packet, now + place * 0.001)
        if buffer.deadline() is not None or nack.deadline() is not None:
            for asked in nack.poll(now + 0.02):
                history.take(asked, now + 0.02, 0.05)
        for packet in resend:
            receive(*packet, now + 0.1)
        if buffer.deadline() is not None or nack.deadline() is not None:
            buffer.poll(now + 0.9)
            nack.poll(now + 0.9)
            nack.take_lost()
        if buffer.keyframe_needed and throttle.allow(now + 0.9):
            wanted = True
            nack.discard_before(buffer.next_sequence_number)
        if second % 5 == 0:
            clock.update(NTP + (second << 32), timestamp, now)
            statistics.sender_report(NTP + (second << 32), now)
            build_rtcp([ReceiverReport(1, (statistics.report(now + 0.5),))])
            told += sum(len(feedback.packets) for feedback in twcc.build(1, 2))
            assert clock.ntp_at(last) is not None
        if second % 3600 == 3599:
            weights.append(weight([history, nack, twcc, statistics, buffer, throttle, clock]))

    assert last == first_timestamp + (DAY_S - 1) * 90_000
    assert pictures >= 0.98 * DAY_S
    assert keyframes >= 10
    assert transport - 50 <= told <= transport
    assert max(weights) <= min(weights) + 100
    block = statistics.report(1e6)
    assert block.highest_sequence == 65_000 + 3 * DAY_S - 1
    assert 0 < block.packets_lost <= lost


def test_a_day_of_audio_with_pauses_and_loss() -> None:
    random = Random(10)
    reorder = AudioReorderBuffer()
    level, board = AudioLevel(), SpeakerBoard()
    number, first_timestamp = 65_000, 0xFFFF_FFFF - 1_000_000
    last = first_timestamp - 1
    passed = marks = changes = 0
    weights: list[int] = []
    for second in range(0, DAY_S, 2):
        talks = second % 600 < 30
        for place in range(25 if talks else 3):
            offset = place if talks else place * 20
            timestamp = (first_timestamp + (second * 50 + offset) * 960) & 0xFFFFFFFF
            now = 1000.0 + second + offset * 0.02
            sequence_number, number = number, (number + 1) & 0xFFFF
            if random.random() < 0.02:
                continue
            late = now + random.random() * 0.015
            payload = bytes(40 if talks else 1)
            level.observe(20 if talks else 90, 20, late)
            for frame in reorder.poll(late) + reorder.add(sequence_number, timestamp, payload, late, 0):
                assert frame.timestamp > last
                last = frame.timestamp
                marks += frame.concealed
                passed += not frame.concealed
        changes += len(board.update({"PA_a": level.level(1000.0 + second + 0.6)}))
        if second % 3600 == 3598:
            weights.append(weight([reorder, level, board]))

    sent = (number - 65_000) % 65_536
    assert (passed + reorder.concealed - sent) % 65_536 <= 3
    assert marks == reorder.concealed > 1000
    assert changes >= 2 * (DAY_S // 600) - 1
    assert max(weights) <= min(weights) + 300
