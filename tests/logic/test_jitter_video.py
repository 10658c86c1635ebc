"""Video packets -> pictures: loss, reordering, duplicates, wraps, outages, sources that begin anew."""

from __future__ import annotations

from random import Random

import pytest

from lknb.logic.jitter_video import PENDING_MAX, VideoJitterBuffer
from lknb.wire.frame import EncodedFrame
from tests.logic.media import PPS, SPS, Packet, VideoSource

CODECS = ["vp8", "h264"]


def add(buffer: VideoJitterBuffer, packet: Packet, now: float | None = None) -> list[EncodedFrame]:
    at = packet.sent_at if now is None else now
    return buffer.add(*packet.fields, at, round(at * 1e6))


def feed(buffer: VideoJitterBuffer, packets: list[Packet], now: float | None = None) -> list[bytes]:
    return [frame.data for packet in packets for frame in add(buffer, packet, now)]


def test_only_codecs_it_can_assemble() -> None:
    with pytest.raises(ValueError, match="av1"):
        VideoJitterBuffer("av1")


@pytest.mark.parametrize("codec", CODECS)
def test_each_picture_comes_with_its_last_packet(codec: str) -> None:
    source = VideoSource(codec)
    buffer = VideoJitterBuffer(codec, rid="q")
    for index in range(50):
        *first, last = source.picture()
        assert feed(buffer, first) == []
        (frame,) = add(buffer, last)
        assert frame.data == source.frames[-1]
        assert frame.timestamp == index * 3000
        assert frame.timestamp_us == round(first[0].sent_at * 1e6)
        assert (frame.keyframe, frame.rid, frame.codec) == (index == 0, "q", codec)
        assert buffer.deadline() is None
    assert (buffer.pictures, buffer.losses, buffer.discarded) == (50, 0, 0)
    assert not buffer.keyframe_needed


@pytest.mark.parametrize("codec", CODECS)
def test_numbers_and_timestamps_wrap(codec: str) -> None:
    source = VideoSource(codec, sequence_number=65_500, timestamp=0xFFFF_FFFF - 20_000)
    buffer = VideoJitterBuffer(codec)
    frames = [frame for packet in source.pictures(100) for frame in add(buffer, packet)]
    assert [frame.data for frame in frames] == source.frames
    assert [frame.timestamp for frame in frames] == [0xFFFF_FFFF - 20_000 + 3000 * i for i in range(100)]


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_of_600_packets_in_any_order(codec: str) -> None:
    source = VideoSource(codec, size=600 * 1195, sequence_number=65_000)
    buffer = VideoJitterBuffer(codec)
    packets = source.picture()
    assert len(packets) >= 600
    assert feed(buffer, packets) == source.frames
    packets = source.picture()
    Random(2).shuffle(packets)
    assert feed(buffer, packets, 0.05) == source.frames[1:]


@pytest.mark.parametrize("codec", CODECS)
def test_reordered_packets_and_duplicates(codec: str) -> None:
    source = VideoSource(codec)
    buffer = VideoJitterBuffer(codec)
    feed(buffer, source.picture())
    a, b, c = source.picture()
    d, e, f = source.picture()
    assert feed(buffer, [a, a, c, d, c, e, f], 0.1) == []
    assert buffer.deadline() == pytest.approx(0.3)
    assert feed(buffer, [b], 0.12) == source.frames[1:]
    assert feed(buffer, [b, f], 0.13) == []
    assert buffer.discarded == 4
    assert buffer.deadline() is None


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_joined_in_the_middle_waits_for_a_key_frame(codec: str) -> None:
    source = VideoSource(codec)
    source.picture()
    buffer = VideoJitterBuffer(codec)
    assert not buffer.keyframe_needed
    assert feed(buffer, source.pictures(3)[1:]) == []
    assert buffer.keyframe_needed
    packets = source.picture(keyframe=True)
    assert feed(buffer, packets[:1]) == []
    assert not buffer.keyframe_needed
    assert feed(buffer, packets[1:]) == source.frames[-1:]
    assert buffer.losses == 0


def test_padding_asks_for_nothing_and_counts_as_received() -> None:
    source = VideoSource()
    buffer = VideoJitterBuffer("vp8")
    assert feed(buffer, [source.padding() for _ in range(3)]) == []
    assert not buffer.keyframe_needed
    assert feed(buffer, source.picture()) == source.frames
    for _ in range(20):
        assert feed(buffer, [source.padding()] * 2) == []
        assert feed(buffer, source.picture()) == source.frames[-1:]
    assert buffer.losses == 0


@pytest.mark.parametrize("codec", CODECS)
def test_a_lost_packet_is_waited_for_then_all_up_to_the_next_key_frame_is_dropped(codec: str) -> None:
    source = VideoSource(codec)
    buffer = VideoJitterBuffer(codec)
    feed(buffer, source.pictures(2))
    packets = source.pictures(5)
    del packets[1]
    now = packets[1].sent_at
    assert feed(buffer, packets) == []
    asks = buffer.deadline()
    assert asks == pytest.approx(now + 0.2)
    assert buffer.poll(asks - 0.001) == []
    assert not buffer.keyframe_needed
    assert buffer.poll(asks) == []
    assert buffer.keyframe_needed
    gives_up = buffer.deadline()
    assert gives_up == pytest.approx(now + 0.5)
    assert feed(buffer, source.picture(), gives_up - 0.001) == []
    assert buffer.losses == 0
    assert buffer.poll(gives_up) == []
    assert buffer.losses == 1
    assert buffer.deadline() is None
    assert feed(buffer, source.pictures(2), gives_up) == []
    assert buffer.keyframe_needed
    assert feed(buffer, source.picture(keyframe=True) + source.picture(), gives_up) == source.frames[-2:]
    assert not buffer.keyframe_needed
    assert buffer.losses == 1


def test_when_a_key_frame_is_wanted_the_packet_may_still_come_first() -> None:
    source = VideoSource()
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture())
    a, b, c = source.picture()
    feed(buffer, [a, c], 1.0)
    buffer.poll(1.2)
    assert buffer.keyframe_needed
    assert feed(buffer, [b], 1.4) == source.frames[1:]
    assert not buffer.keyframe_needed
    assert buffer.losses == 0


def test_when_a_key_frame_is_wanted_it_may_come_first() -> None:
    for codec in CODECS:
        source = VideoSource(codec)
        buffer = VideoJitterBuffer(codec)
        feed(buffer, source.picture())
        late = source.picture()
        feed(buffer, late[1:], 1.0)
        feed(buffer, source.picture(), 1.21)
        assert buffer.keyframe_needed
        first, *rest = source.picture(keyframe=True)
        assert feed(buffer, [first], 1.3) == []
        assert not buffer.keyframe_needed
        assert feed(buffer, rest, 1.3) == source.frames[-1:]
        assert feed(buffer, late[:1], 1.31) == []
        assert buffer.losses == 1


def test_a_key_frame_behind_the_hole_ends_the_wait_without_asking() -> None:
    for codec in CODECS:
        source = VideoSource(codec)
        buffer = VideoJitterBuffer(codec)
        feed(buffer, source.picture())
        lost = source.picture()
        keyframe = source.picture(keyframe=True) + source.picture()
        assert feed(buffer, lost[1:] + keyframe, 1.0) == []
        assert [frame.data for frame in buffer.poll(1.2)] == source.frames[-2:]
        assert not buffer.keyframe_needed


def test_a_key_frame_that_is_not_whole_does_not_end_the_wait() -> None:
    for codec in CODECS:
        source = VideoSource(codec, size=5000)
        buffer = VideoJitterBuffer(codec)
        feed(buffer, source.picture(), 0.0)
        late = source.picture()
        keyframe = source.picture(keyframe=True)
        feed(buffer, late[1:] + keyframe[:2] + keyframe[3:], 1.0)
        assert buffer.poll(1.3) == []
        assert not buffer.keyframe_needed
        assert buffer.deadline() == 1.5
        assert feed(buffer, late[:1], 1.4) == source.frames[1:2]
        assert buffer.losses == 0
        assert feed(buffer, keyframe[2:3], 1.45) == source.frames[2:]


def test_when_the_wait_is_over_a_whole_key_frame_is_preferred_to_an_earlier_broken_one() -> None:
    source = VideoSource(size=5000)
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture(), 0.0)
    source.picture()
    broken = source.picture(keyframe=True)
    feed(buffer, broken[:2] + broken[3:], 1.0)
    second = source.picture(keyframe=True)
    assert feed(buffer, second[:-1], 1.1) == []
    assert buffer.poll(1.3) == []
    assert feed(buffer, second[-1:], 1.31) == source.frames[-1:]


def test_when_the_wait_is_over_a_broken_key_frame_is_better_than_none() -> None:
    source = VideoSource(size=5000)
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture(), 0.0)
    source.picture()
    broken = source.picture(keyframe=True)
    feed(buffer, broken[:2], 1.0)
    buffer.poll(1.2)
    feed(buffer, broken[3:], 1.4)
    assert buffer.deadline() == 1.5
    assert buffer.poll(1.5) == []
    assert buffer.losses == 1
    assert not buffer.keyframe_needed
    assert feed(buffer, broken[2:3], 1.55) == source.frames[-1:]


def test_a_second_hole_is_waited_for_from_its_own_discovery() -> None:
    source = VideoSource()
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture())
    a, b, c = source.picture()
    d, e, f = source.picture()
    feed(buffer, [a, c], 1.0)
    feed(buffer, [d, f], 1.15)
    assert feed(buffer, [b], 1.19) == source.frames[1:2]
    assert buffer.deadline() == pytest.approx(1.35)
    assert feed(buffer, [e], 1.3) == source.frames[2:]


@pytest.mark.parametrize(("rtt_s", "hold_s"), [(0.0, 0.2), (0.05, 0.2), (0.1, 0.4), (1.0, 0.5)])
def test_the_wait_depends_on_the_round_trip_within_bounds(rtt_s: float, hold_s: float) -> None:
    buffer = VideoJitterBuffer("vp8")
    buffer.rtt_s = rtt_s
    assert buffer.hold_s == pytest.approx(hold_s)
    assert VideoJitterBuffer("vp8", hold_min_s=0.3, hold_max_s=0.3).hold_s == 0.3


def test_the_first_packet_of_a_key_frame_may_come_after_the_rest_was_given_up() -> None:
    source = VideoSource()
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.pictures(2))
    lost = source.picture()
    first, *rest = source.picture(keyframe=True)
    feed(buffer, lost[:1], 0.9)
    feed(buffer, lost[2:], 1.0)
    feed(buffer, rest, 1.4)
    assert buffer.poll(1.5) == []
    assert buffer.losses == 1
    assert feed(buffer, [first], 1.6) == source.frames[-1:]
    assert feed(buffer, lost[1:2], 1.6) == []


def test_what_waits_without_a_key_frame_is_dropped_in_time_and_in_number() -> None:
    source = VideoSource(size=300)
    source.picture()
    buffer = VideoJitterBuffer("vp8")
    for _ in range(3 * PENDING_MAX):
        feed(buffer, source.picture(), 1.0)
        assert len(buffer._packets) <= PENDING_MAX
    assert feed(buffer, source.picture(), 1.5) == []
    assert len(buffer._packets) == 1
    assert buffer.keyframe_needed


def test_what_waits_out_of_order_is_dropped_too() -> None:
    source = VideoSource(sequence_number=10)
    source.picture()
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture()[::-1], 1.0)
    assert buffer.poll(1.5) == []
    assert not buffer._packets
    assert buffer.next_sequence_number == 16


def test_what_waits_for_a_missing_packet_is_bounded_in_number() -> None:
    source = VideoSource(size=300)
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture(), 1.0)
    source.picture()
    for _ in range(PENDING_MAX):
        assert feed(buffer, source.picture(), 1.0) == []
    assert not buffer.keyframe_needed
    feed(buffer, source.picture(), 1.0)
    assert buffer.keyframe_needed
    assert len(buffer._packets) <= PENDING_MAX


def test_a_malformed_packet_spoils_its_picture_only_until_the_next_key_frame() -> None:
    source = VideoSource()
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.pictures(2))
    a, b, c = source.picture()
    spoilt = Packet(b.sequence_number, b.timestamp, b.marker, b"\x90\x80", b.sent_at)
    assert feed(buffer, [a, spoilt, c]) == []
    assert buffer.keyframe_needed
    assert feed(buffer, source.picture()) == []
    assert feed(buffer, source.picture(keyframe=True)) == source.frames[-1:]
    assert buffer.losses == 1


def test_a_malformed_packet_behind_a_hole_goes_on_with_a_key_frame_that_is_there() -> None:
    source = VideoSource()
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture())
    a, b, c = source.picture()
    spoilt = Packet(b.sequence_number, b.timestamp, b.marker, b"\x90\x80", b.sent_at)
    assert feed(buffer, [spoilt, c, *source.picture(keyframe=True)], 1.0) == []
    assert feed(buffer, [a], 1.1) == source.frames[-1:]
    assert not buffer.keyframe_needed


def test_a_malformed_first_packet_asks_for_a_key_frame() -> None:
    buffer = VideoJitterBuffer("vp8")
    assert buffer.add(5, 0, 1, b"\x90\x80", 0.0, 0) == []
    assert buffer.keyframe_needed


def test_h264_without_parameter_sets_begins_where_nothing_can_be_missing() -> None:
    idr, delta = b"\x65\x88\x84", b"\x41\x9a\x02"

    def joined(*packets: tuple[int, int, bytes]) -> VideoJitterBuffer:
        buffer = VideoJitterBuffer("h264")
        for number, timestamp, payload in packets:
            buffer.add(number, timestamp, 1, payload, 0.0, 0)
        return buffer

    assert joined((1, 3000, idr)).pictures == 0
    assert joined((0, 0, delta), (1, 3000, idr)).pictures == 1
    assert joined((0, 3000, PPS), (1, 3000, idr)).pictures == 0
    assert joined((0, 0, delta), (2, 6000, idr)).pictures == 0
    assert joined((0, 3000, SPS), (1, 3000, PPS), (2, 3000, idr)).pictures == 3
    buffer = joined((0, 0, delta))
    assert buffer.poll(1.0) == []
    assert not buffer._packets
    assert len(buffer.add(1, 3000, 1, idr, 1.0, 0)) == 1


def test_a_lost_parameter_set_spoils_the_key_frame() -> None:
    buffer = VideoJitterBuffer("h264")
    buffer.add(0, 0, 1, b"\x41\x9a\x02", 0.0, 0)
    assert buffer.add(2, 3000, 0, PPS, 0.0, 0) == []
    assert buffer.add(3, 3000, 1, b"\x65\x88\x84", 0.0, 0) == []
    assert buffer.keyframe_needed
    assert len(buffer.add(1, 3000, 0, SPS, 0.01, 0)) == 1


def test_an_outage_asks_for_a_key_frame_at_once() -> None:
    """F9: what was missed in two seconds is not waited for."""
    source = VideoSource()
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.pictures(30))
    source.pictures(60)
    packet = source.picture()[0]
    assert add(buffer, packet) == []
    assert buffer.keyframe_needed
    source.pictures(60)
    assert feed(buffer, source.picture(keyframe=True)) == source.frames[-1:]
    source.pictures(60)
    assert feed(buffer, source.picture(keyframe=True)) == source.frames[-1:]
    assert not buffer.keyframe_needed


@pytest.mark.parametrize("jump", [5000, 30_000, 40_000, 60_000])
@pytest.mark.parametrize("codec", CODECS)
def test_a_source_whose_numbers_jump_is_followed_and_loses_nothing(codec: str, jump: int) -> None:
    source = VideoSource(codec)
    buffer = VideoJitterBuffer(codec)
    feed(buffer, source.pictures(3))
    feed(buffer, source.picture()[:1])
    source.sequence_number = (source.sequence_number + jump) & 0xFFFF
    source.timestamp = (source.timestamp + jump * 1000) & 0xFFFFFFFF
    assert feed(buffer, source.picture(keyframe=True) + source.picture()) == source.frames[-2:]
    assert not buffer.keyframe_needed
    assert buffer.losses == 1


def test_next_sequence_number_tells_below_what_nothing_is_of_use() -> None:
    source = VideoSource(sequence_number=65_534)
    buffer = VideoJitterBuffer("vp8")
    feed(buffer, source.picture())
    assert buffer.next_sequence_number == 1
    lost = source.picture()
    feed(buffer, source.picture(keyframe=True), 1.0)
    assert buffer.next_sequence_number == lost[0].sequence_number == 1
    buffer.poll(1.2)
    assert buffer.next_sequence_number == source.sequence_number == 7
