"""Opus packets, each at its time: the delay is small, grows with jitter, shrinks again, and never grows for ever."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.logic.jitter_audio import PENDING_MAX, STRETCH_MAX, AudioJitterBuffer
from lknb.wire.frame import EncodedFrame
from tests.logic.media import AudioSource, Packet, Path

Played = list[tuple[float, EncodedFrame]]


def add(buffer: AudioJitterBuffer, packet: Packet, now: float | None = None, level: int = 20) -> None:
    at = packet.sent_at if now is None else now
    buffer.add(packet.sequence_number, packet.timestamp, packet.payload, at, round(at * 1e6), level)


def play(buffer: AudioJitterBuffer, until: float) -> Played:
    """Everything up to a time, polling only at deadlines."""
    out: Played = []
    while (deadline := buffer.deadline()) is not None and deadline <= until:
        out += [(deadline, frame) for frame in buffer.poll(deadline)]
    return out


def run(buffer: AudioJitterBuffer, carried: Iterable[tuple[float, Packet]], level: int = 20) -> Played:
    out: Played = []
    at = 0.0
    for at, packet in carried:
        out += play(buffer, at)
        add(buffer, packet, at, level)
    return out + play(buffer, at + 2.0)


def shape(played: Played) -> list[tuple[int, bool]]:
    """(place in units of 20 ms, mark?)"""
    return [(frame.timestamp // 960, frame.concealed) for _, frame in played]


def delays(played: Played) -> list[float]:
    """How long after its sending each packet was played."""
    return [round(at - frame.timestamp / 48_000, 4) for at, frame in played if not frame.concealed]


def test_on_a_quiet_path_each_packet_is_played_20_ms_after_its_arrival() -> None:
    buffer = AudioJitterBuffer()
    played = run(buffer, [(p.sent_at, p) for p in AudioSource().packets(200)])
    assert shape(played[:200]) == [(i, False) for i in range(200)]
    assert set(delays(played)) == {0.02}
    assert all(b - a == pytest.approx(0.02) for (a, _), (b, _) in pairwise(played))
    assert buffer.frames == 200
    assert buffer.target_delay_s == pytest.approx(0.02)


def test_numbers_and_timestamps_wrap() -> None:
    source = AudioSource(65_500, 0xFFFF_FFFF - 40_000)
    played = run(AudioJitterBuffer(), [(p.sent_at, p) for p in source.packets(100)])
    assert [frame.timestamp for _, frame in played[:100]] == [0xFFFF_FFFF - 40_000 + 960 * i for i in range(100)]


def test_at_the_end_the_sound_is_stretched_a_little_then_it_is_silent() -> None:
    buffer = AudioJitterBuffer()
    played = run(buffer, [(p.sent_at, p) for p in AudioSource().packets(10)])
    assert shape(played[10:]) == [(10 + i, True) for i in range(STRETCH_MAX)]
    assert buffer.deadline() is None


def test_a_lost_packet_is_marked_at_its_time_and_costs_no_delay() -> None:
    buffer = AudioJitterBuffer()
    packets = AudioSource().packets(100)
    del packets[40]
    played = run(buffer, [(p.sent_at, p) for p in packets])[:100]
    assert shape(played) == [(i, i == 40) for i in range(100)]
    assert set(delays(played)) == {0.02}
    assert buffer.concealed == STRETCH_MAX + 1


def test_two_lost_packets_in_a_row_are_marked_and_cost_no_delay() -> None:
    packets = AudioSource().packets(100)
    del packets[40:42]
    played = run(AudioJitterBuffer(), [(p.sent_at, p) for p in packets])[:100]
    assert shape(played) == [(i, i in (40, 41)) for i in range(100)]


def test_a_packet_that_is_late_stretches_the_sound_and_a_pause_takes_that_back() -> None:
    buffer, source = AudioJitterBuffer(), AudioSource()
    packets = [(p.sent_at, p) for p in source.packets(100)]
    packets[50] = (packets[50][0] + 0.055, packets[50][1])
    packets[51] = (packets[51][0] + 0.035, packets[51][1])
    packets[52] = (packets[52][0] + 0.015, packets[52][1])
    source.pause(50)
    packets += [(p.sent_at, p) for p in source.packets(50)]
    played = run(buffer, packets)
    at = delays(played)
    assert at[:50] == [0.02] * 50
    assert at[50] == 0.06
    assert max(at[51:100]) == 0.06
    assert max(at[-50:]) < 0.04
    assert len(at) == 150


def test_without_pauses_a_delay_is_taken_back_by_leaving_out_packets_one_a_second() -> None:
    buffer = AudioJitterBuffer()
    packets = [(p.sent_at, p) for p in AudioSource().packets(1500)]
    for index in range(100, 104):
        packets[index] = (2.08, packets[index][1])
    played = run(buffer, packets)
    at = delays(played)
    assert max(at) == pytest.approx(0.08)
    assert at[-1] < 0.041
    assert 2 <= buffer.left_out <= 3
    gaps = [b[0] for a, b in pairwise(played) if b[1].timestamp - a[1].timestamp == 1920 and not a[1].concealed]
    assert all(b - a >= 1.0 for a, b in pairwise(gaps))


def test_in_quiet_passages_it_is_taken_back_at_once() -> None:
    buffer = AudioJitterBuffer()
    packets = [(p.sent_at, p) for p in AudioSource().packets(200)]
    for index in range(100, 104):
        packets[index] = (2.08, packets[index][1])
    at = delays(run(buffer, packets, level=70))
    assert at[120] == 0.02


def test_the_delay_grows_with_jitter_and_shrinks_again() -> None:
    buffer, source, random = AudioJitterBuffer(), AudioSource(), Random(4)
    quiet = [(p.sent_at, p) for p in source.packets(250)]
    jittery = sorted((p.sent_at + random.random() * 0.08, p) for p in source.packets(1000))
    later = [(p.sent_at, p) for p in source.packets(1500)]
    played = run(buffer, sorted([*quiet, *jittery, *later], key=lambda pair: pair[0]))
    at = delays(played)
    assert at[200] == 0.02
    middle = at[700:1100]
    assert 0.06 <= sum(middle) / len(middle) <= 0.12
    assert at[-1] <= 0.04
    marks = [frame for moment, frame in played if frame.concealed and 8.0 < moment < 24.0]
    assert len(marks) <= 0.05 * 800


def test_a_burst_after_an_outage_is_not_played_late() -> None:
    """Two seconds stuck in the network, then all at once: the delay is what it was before."""
    buffer, source = AudioJitterBuffer(), AudioSource()
    packets = [(p.sent_at, p) for p in source.packets(50)]
    packets += [(3.0, p) for p in source.packets(100)]
    packets += [(p.sent_at, p) for p in source.packets(1500)]
    played = run(buffer, packets)
    assert all(d <= 0.25 for d in delays([x for x in played if x[0] > 3.1]))
    assert delays(played)[-1] < 0.041
    assert buffer.left_out > 80


def test_the_longest_delay_is_bounded_at_once_and_without_pauses() -> None:
    buffer = AudioJitterBuffer(delay_max_s=0.1)
    packets = [(p.sent_at, p) for p in AudioSource().packets(400)]
    stuck = [(2.5 if 2.0 <= at < 2.5 else at, p) for at, p in packets]
    played = run(buffer, stuck)
    assert all(d <= 0.14 for d in delays([x for x in played if x[0] > 2.55]))


def test_a_route_that_is_half_a_second_longer_does_not_silence() -> None:
    buffer = AudioJitterBuffer()
    packets = [(p.sent_at + (0.5 if p.sent_at >= 2.0 else 0.0), p) for p in AudioSource().packets(1000)]
    played = run(buffer, packets)
    heard = [at for at, frame in played if not frame.concealed]
    assert max(b - a for a, b in pairwise(heard)) <= 0.6
    assert len(heard) >= 950
    assert delays(played)[-1] == pytest.approx(0.52)


def test_silence_of_the_sender_is_silence_and_no_loss() -> None:
    """DTX: comfort noise of one byte, then nothing for 400 ms."""
    buffer, source = AudioJitterBuffer(), AudioSource()
    packets = source.packets(20)
    for _ in range(5):
        packets.append(source.packet(size=1))
        source.pause(19)
    packets += source.packets(20)
    played = run(buffer, [(p.sent_at, p) for p in packets])[:45]
    assert [frame.timestamp for _, frame in played] == [p.timestamp for p in packets]
    assert set(delays(played)) == {0.02}
    assert buffer.concealed == STRETCH_MAX


def test_a_pause_that_is_known_already_is_kept() -> None:
    buffer, source = AudioJitterBuffer(delay_min_s=0.15), AudioSource()
    packets = source.packets(20)
    source.pause(4)
    packets += source.packets(20)
    played = run(buffer, [(p.sent_at, p) for p in packets])[:40]
    assert [frame.concealed for _, frame in played] == [False] * 40
    assert set(delays(played)) == {0.15}


def test_a_loss_within_a_pause_that_is_known_already() -> None:
    buffer, source = AudioJitterBuffer(delay_min_s=0.15), AudioSource()
    packets = source.packets(20)
    source.packet()
    source.pause(4)
    packets += source.packets(20)
    played = run(buffer, [(p.sent_at, p) for p in packets])[:41]
    assert shape(played) == [(i, i == 20) for i in range(21)] + [(25 + i, False) for i in range(20)]
    assert set(delays(played)) == {0.15}


@pytest.mark.parametrize("step", [480, 1920, 2880])
def test_packets_of_another_duration_are_played_at_theirs(step: int) -> None:
    packets = AudioSource(step=step).packets(100)
    lost = packets.pop(60)
    played = run(AudioJitterBuffer(delay_min_s=0.1), [(p.sent_at, p) for p in packets])[:100]
    assert [(frame.timestamp, frame.concealed) for _, frame in played] == [
        (index * step, index * step == lost.timestamp) for index in range(100)
    ]
    assert all(b - a == pytest.approx(step / 48_000) for (a, _), (b, _) in pairwise(played[3:]))


@pytest.mark.parametrize(("size", "marks"), [(1, 0), (2, 0), (4, STRETCH_MAX)])
def test_after_a_packet_of_comfort_noise_nothing_is_stretched(size: int, marks: int) -> None:
    buffer, source = AudioJitterBuffer(), AudioSource()
    run(buffer, [(p.sent_at, p) for p in [*source.packets(5), source.packet(size)]])
    assert buffer.concealed == marks


def test_next_sequence_number_tells_below_what_nothing_is_of_use() -> None:
    buffer = AudioJitterBuffer()
    packets = AudioSource(65_535).packets(2)
    add(buffer, packets[0])
    assert buffer.next_sequence_number == 65_535
    buffer.poll(0.02)
    assert buffer.next_sequence_number == 0


def test_numbers_missing_without_time_missing_are_passed_over() -> None:
    buffer, source = AudioJitterBuffer(delay_min_s=0.1), AudioSource()
    packets = source.packets(10)
    source.sequence_number += 3
    packets += source.packets(10)
    played = run(buffer, [(p.sent_at, p) for p in packets])[:20]
    assert shape(played) == [(i, False) for i in range(20)]


def test_a_long_hole_that_is_known_already_is_silence() -> None:
    buffer, source = AudioJitterBuffer(delay_min_s=0.19), AudioSource()
    packets = [(p.sent_at, p) for p in source.packets(10)]
    source.sequence_number += 50
    packets += [(p.sent_at, p) for p in source.packets(10)]
    played = run(buffer, packets)[:20]
    assert shape(played) == [(i, False) for i in range(20)]


def test_padding_takes_a_number_but_no_time() -> None:
    buffer, source = AudioJitterBuffer(), AudioSource()
    packets = source.packets(10)
    packets.append(Packet(10, 9 * 960, 0, b"", packets[-1].sent_at))
    source.sequence_number = 11
    packets += source.packets(10)
    played = run(buffer, [(p.sent_at, p) for p in packets])[:20]
    assert shape(played) == [(i, False) for i in range(20)]


def test_padding_alone_is_nothing_to_play() -> None:
    buffer = AudioJitterBuffer()
    buffer.add(5, 0, b"", 0.0, 0)
    assert buffer.deadline() is None
    assert buffer.poll(1.0) == []


def test_padding_behind_a_hole() -> None:
    buffer = AudioJitterBuffer(delay_min_s=0.1)
    packets = AudioSource().packets(5)
    for packet in packets:
        add(buffer, packet)
    buffer.add(6, 4 * 960, b"", 0.09, 0)
    assert shape(play(buffer, 0.21)) == [(i, False) for i in range(5)] + [(5, True)]


def test_packets_that_come_twice_or_too_late_are_discarded() -> None:
    buffer = AudioJitterBuffer()
    packets = AudioSource().packets(10)
    carried = [(p.sent_at, p) for p in packets if p is not packets[4]]
    carried += [(packets[7].sent_at + 0.001, packets[7]), (0.17, packets[4])]
    played = run(buffer, sorted(carried, key=lambda pair: pair[0]))[:10]
    assert shape(played) == [(i, i == 4) for i in range(10)]
    assert buffer.discarded == 2


def test_after_a_stall_of_the_consumer_what_is_over_is_left_out() -> None:
    buffer, source = AudioJitterBuffer(), AudioSource()
    run_to = source.packets(50)
    for packet in run_to:
        add(buffer, packet)
        buffer.poll(packet.sent_at)
    for packet in source.packets(100):
        add(buffer, packet)
    frames = buffer.poll(source.now)
    assert len(frames) <= 2
    assert frames[-1].timestamp >= source.timestamp - 3 * 960
    assert buffer.left_out >= 95


def test_what_waits_is_bounded() -> None:
    buffer = AudioJitterBuffer()
    for packet in AudioSource().packets(1000):
        add(buffer, packet)
        assert len(buffer._pending) <= PENDING_MAX


@pytest.mark.parametrize("jump", [4000, 30_000, 50_000])
def test_a_source_that_begins_anew_is_followed(jump: int) -> None:
    buffer, source = AudioJitterBuffer(), AudioSource()
    packets = source.packets(20)
    source.sequence_number = jump
    source.timestamp = (0xFFFF_FFFF - jump * 10_000) & 0xFFFFFFFF
    fresh = source.packets(20)
    played = run(buffer, [(p.sent_at, p) for p in packets + fresh])
    heard = [frame.data for _, frame in played if not frame.concealed]
    assert heard[-20:] == [packet.payload for packet in fresh]
    assert max(b[0] - a[0] for a, b in pairwise(played)) <= 0.1


@pytest.mark.parametrize("steps", [-100, 500, 1_000_000])
def test_timestamps_that_leap_while_the_numbers_go_on_are_followed(steps: int) -> None:
    buffer, source = AudioJitterBuffer(), AudioSource(timestamp=2000 * 960)
    packets = source.packets(20)
    source.timestamp = (source.timestamp + steps * 960) & 0xFFFFFFFF
    packets += source.packets(20)
    played = run(buffer, [(p.sent_at, p) for p in packets])
    heard = [(at, frame.data) for at, frame in played if not frame.concealed]
    assert [data for _, data in heard] == [packet.payload for packet in packets]
    assert max(b[0] - a[0] for a, b in pairwise(heard)) <= 0.1


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 0xFFFF),
    seed=st.integers(0, 2**16),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    jitter_ms=st.sampled_from([0, 20, 60, 150]),
)
def test_playout_is_regular_in_order_and_bounded_in_delay(first: int, seed: int, loss: float, jitter_ms: int) -> None:
    source = AudioSource(first, first * 60_000)
    start = source.timestamp
    path = Path(seed, delay_s=0.0, loss=loss, jitter_s=jitter_ms / 1000, reorder=0.02, duplicate=0.02)
    buffer = AudioJitterBuffer()
    played = run(buffer, path.carry(source.packets(300)))
    for (a, before), (b, after) in pairwise(played):
        assert b - a >= 0.02 - 1e-6
        assert after.timestamp > before.timestamp or before.concealed
    heard = [(at, frame) for at, frame in played if not frame.concealed]
    assert len({frame.timestamp for _, frame in heard}) == len(heard)
    for at, frame in heard:
        assert at - (frame.timestamp - start) / 48_000 <= 0.2 + 0.2 + 0.021


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 30), st.integers(0, 0xFFFF)),
            st.one_of(st.integers(0, 30_000), st.integers(0, 2**32 - 1)),
            st.binary(max_size=3),
            st.floats(0, 0.1),
            st.integers(0, 127),
        ),
        max_size=60,
    )
)
def test_any_packets_are_survived(packets: list[tuple[int, int, bytes, float, int]]) -> None:
    buffer, now, handed = AudioJitterBuffer(), 0.0, 0
    for number, timestamp, payload, passed, level in packets:
        now += passed
        buffer.add(number, timestamp, payload, now, 0, level)
        handed += len(buffer.poll(now))
        deadline = buffer.deadline()
        assert deadline is None or deadline > now
    played = play(buffer, now + 20.0)
    assert buffer.deadline() is None
    assert handed + len(played) <= (now + 20.0) / 0.0025
