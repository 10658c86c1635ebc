"""Opus packets in order at once, what is lost marked."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.logic.reorder import CONCEALED_MAX, PENDING_MAX, AudioReorderBuffer
from lknb.wire.frame import EncodedFrame
from tests.logic.media import AudioSource, Packet, Path


def add(buffer: AudioReorderBuffer, packet: Packet, now: float | None = None, level: int = 127) -> list[EncodedFrame]:
    at = packet.sent_at if now is None else now
    return buffer.add(packet.sequence_number, packet.timestamp, packet.payload, at, round(at * 1e6), level)


def feed(buffer: AudioReorderBuffer, packets: list[Packet], now: float | None = None) -> list[EncodedFrame]:
    return [frame for packet in packets for frame in add(buffer, packet, now)]


def shape(frames: list[EncodedFrame]) -> list[tuple[int, bool]]:
    """(place in units of 20 ms, lost?)"""
    return [(frame.timestamp // 960, frame.concealed) for frame in frames]


def test_packets_in_order_pass_at_once() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    for packet in source.packets(100):
        assert add(buffer, packet, level=40) == [
            EncodedFrame(
                "opus",
                packet.payload,
                packet.timestamp,
                timestamp_us=round(packet.sent_at * 1e6),
                audio_level=40,
            )
        ]
        assert buffer.deadline() is None
    assert (buffer.frames, buffer.concealed, buffer.discarded) == (100, 0, 0)


def test_numbers_and_timestamps_wrap() -> None:
    source, buffer = AudioSource(65_530, 0xFFFF_FFFF - 4000), AudioReorderBuffer()
    frames = feed(buffer, source.packets(20))
    assert [frame.timestamp for frame in frames] == [0xFFFF_FFFF - 4000 + 960 * i for i in range(20)]


def test_a_late_packet_is_waited_for() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    a, b, c, d = source.packets(4)
    feed(buffer, [a])
    assert feed(buffer, [c, d], 0.06) == []
    assert buffer.deadline() == pytest.approx(0.14)
    assert buffer.poll(0.139) == []
    assert shape(add(buffer, b, 0.139)) == [(1, False), (2, False), (3, False)]
    assert buffer.deadline() is None


def test_a_lost_packet_is_marked_and_costs_no_delay_after_that() -> None:
    """One lost packet costs aiortc 320 ms, and 200 ms of delay for ever."""
    source, buffer = AudioSource(), AudioReorderBuffer()
    packets = source.packets(10)
    feed(buffer, packets[:3])
    assert feed(buffer, packets[4:7], 0.1) == []
    assert shape(buffer.poll(0.18)) == [(3, True), (4, False), (5, False), (6, False)]
    assert shape(add(buffer, packets[7], 0.181)) == [(7, False)]
    assert buffer.concealed == 1
    assert add(buffer, packets[3], 0.19) == []
    assert buffer.discarded == 1


def test_next_sequence_number_tells_below_what_nothing_is_of_use() -> None:
    source, buffer = AudioSource(65_535), AudioReorderBuffer()
    a, _, c = source.packets(3)
    feed(buffer, [a, c], 1.0)
    assert buffer.next_sequence_number == 0
    buffer.poll(2.0)
    assert buffer.next_sequence_number == 2


def test_a_mark_carries_the_time_of_what_was_lost() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    a, _, c = source.packets(3)
    add(buffer, a, 1.0)
    add(buffer, c, 1.04)
    mark, _ = buffer.poll(2.0)
    assert (mark.data, mark.timestamp_us, mark.timestamp) == (b"", 1_020_000, 960)


def test_two_holes_are_given_up_one_after_the_other() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    packets = source.packets(6)
    feed(buffer, [packets[0], packets[2]], 0.0)
    feed(buffer, [packets[4]], 0.05)
    assert shape(buffer.poll(0.08)) == [(1, True), (2, False)]
    assert shape(buffer.poll(0.13)) == [(3, True), (4, False)]


def test_of_a_long_hole_only_the_first_100_ms_are_marked() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    packets = source.packets(60)
    feed(buffer, packets[:1] + packets[50:51], 1.0)
    frames = buffer.poll(2.0)
    assert shape(frames) == [(i, True) for i in range(1, 1 + CONCEALED_MAX)] + [(50, False)]


def test_silence_of_the_sender_is_no_loss() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    out = feed(buffer, source.packets(3))
    source.pause(19)
    out += feed(buffer, source.packets(2))
    assert shape(out) == [(0, False), (1, False), (2, False), (22, False), (23, False)]
    assert buffer.concealed == 0


def test_of_a_hole_with_silence_in_it_only_the_lost_packets_are_marked() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    feed(buffer, source.packets(3))
    source.packets(2)
    source.pause(30)
    add(buffer, source.packet(), 1.0)
    assert shape(buffer.poll(2.0)) == [(3, True), (4, True), (35, False)]


def test_a_hole_without_time_in_it_is_not_marked() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    feed(buffer, source.packets(3))
    source.sequence_number += 2
    packet = source.packet()
    add(buffer, packet, 1.0)
    assert shape(buffer.poll(2.0)) == [(3, False)]


def test_packets_of_another_duration_are_marked_with_theirs() -> None:
    source, buffer = AudioSource(step=480), AudioReorderBuffer()
    feed(buffer, source.packets(5))
    source.packets(2)
    add(buffer, source.packet(), 1.0)
    assert [frame.timestamp for frame in buffer.poll(2.0)] == [2400, 2880, 3360]


def test_padding_takes_a_number_but_no_time() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    out = feed(buffer, source.packets(2))
    out += buffer.add(2, 960, b"", 0.04, 0)
    source.sequence_number = 3
    out += feed(buffer, source.packets(2))
    assert shape(out) == [(0, False), (1, False), (2, False), (3, False)]


def test_padding_behind_a_hole_tells_only_the_number_of_the_lost() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    feed(buffer, source.packets(2))
    buffer.add(4, 0, b"", 1.0, 0)
    assert shape(buffer.poll(2.0)) == [(2, True), (3, True)]


def test_a_hole_at_the_very_beginning_is_not_marked() -> None:
    buffer = AudioReorderBuffer()
    buffer.add(0, 0, b"", 0.0, 0)
    buffer.add(2, 1920, b"x", 0.0, 0)
    assert shape(buffer.poll(1.0)) == [(2, False)]


def test_what_is_held_is_bounded() -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    feed(buffer, source.packets(1), 0.0)
    source.packets(1)
    assert feed(buffer, source.packets(PENDING_MAX), 0.0) == []
    assert len(feed(buffer, source.packets(1), 0.0)) == PENDING_MAX + 2


@pytest.mark.parametrize("jump", [4000, 30_000, 50_000])
def test_a_source_whose_numbers_jump_is_followed_without_marks(jump: int) -> None:
    source, buffer = AudioSource(), AudioReorderBuffer()
    feed(buffer, source.packets(5))
    source.sequence_number = jump
    source.timestamp = 1_000_000 * 960
    frames = feed(buffer, source.packets(5))
    assert shape(frames) == [(1_000_000 + i, False) for i in range(5)]
    assert buffer.deadline() is None


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 0xFFFF), seed=st.integers(0, 2**16), reorder=st.sampled_from([0.0, 0.05, 0.5]))
def test_reordering_and_duplicates_within_the_wait_leave_no_trace(first: int, seed: int, reorder: float) -> None:
    """F8."""
    source = AudioSource(first, first * 60_000)
    packets = source.packets(100)
    path = Path(seed, jitter_s=0.03, reorder=reorder, reorder_s=0.04, duplicate=0.02)
    carried = path.carry(packets)
    if carried[0][1] != packets[0]:
        carried = [(0.0, packets[0]), *carried]
    buffer = AudioReorderBuffer()
    out: list[EncodedFrame] = []
    for at, packet in carried:
        assert buffer.poll(at) == []
        out += add(buffer, packet, at)
    assert [frame.data for frame in out] == [packet.payload for packet in packets]
    assert buffer.concealed == 0


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 0xFFFF), seed=st.integers(0, 2**16), loss=st.sampled_from([0.02, 0.2, 0.6]))
def test_time_is_continuous_and_the_delay_bounded_whatever_is_lost(first: int, seed: int, loss: float) -> None:
    source = AudioSource(first, first * 60_000)
    buffer = AudioReorderBuffer()
    out: list[tuple[float, EncodedFrame]] = []
    for at, packet in Path(seed, loss=loss, jitter_s=0.01).carry(source.packets(200)):
        while (deadline := buffer.deadline()) is not None and deadline <= at:
            out += [(deadline, frame) for frame in buffer.poll(deadline)]
        out += [(at, frame) for frame in add(buffer, packet, at)]
    for (_, a), (_, b) in pairwise(out):
        assert b.timestamp > a.timestamp
        assert b.timestamp == a.timestamp + 960 or a.concealed
    for at, frame in out:
        if not frame.concealed:
            assert at - frame.timestamp_us / 1e6 <= 0.081


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 30), st.integers(0, 0xFFFF)),
            st.one_of(st.integers(0, 30_000), st.integers(0, 2**32 - 1)),
            st.binary(max_size=3),
            st.floats(0, 0.1),
        ),
        max_size=60,
    )
)
def test_any_packets_are_survived(packets: list[tuple[int, int, bytes, float]]) -> None:
    buffer, now, handed = AudioReorderBuffer(), 0.0, 0
    for number, timestamp, payload, passed in packets:
        now += passed
        handed += len(buffer.add(number, timestamp, payload, now, 0))
        deadline = buffer.deadline()
        assert deadline is None or deadline > now
    handed += len(buffer.poll(now + 1.0))
    assert buffer.deadline() is None
    assert handed <= len(packets) * (1 + CONCEALED_MAX)
