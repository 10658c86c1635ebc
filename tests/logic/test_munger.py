"""Renumbering: what a subscriber sees is one unbroken stream."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.logic.munger import RtpMunger, Vp8Munger
from lknb.wire.vp8 import build_vp8_descriptor, parse_vp8_descriptor


def started(first_out: int = 100, first_in: int = 5000, offset: int = 0) -> RtpMunger:
    munger = RtpMunger(first_out)
    munger.switch(first_in, offset)
    return munger


def test_packets_in_order_are_numbered_from_the_first_number_on() -> None:
    munger = started()
    assert [munger.map(5000 + i, i) for i in range(4)] == [100, 101, 102, 103]


def test_a_lost_packet_keeps_its_number_for_when_it_comes_late() -> None:
    munger = started()
    assert munger.map(5000, 0) == 100
    assert munger.map(5002, 0) == 102
    assert munger.map(5001, 0) == 101


def test_a_dropped_packet_leaves_no_hole() -> None:
    munger = started()
    munger.map(5000, 0)
    munger.drop(5001)
    munger.drop(5002)
    assert munger.map(5003, 0) == 101


def test_a_late_packet_from_before_a_drop_gets_the_number_of_its_time() -> None:
    munger = started()
    munger.map(5000, 0)
    munger.drop(5002)  # 5001 is still missing
    assert munger.map(5003, 0) == 102
    assert munger.map(5001, 0) == 101


def test_a_packet_from_before_the_switch_has_no_place() -> None:
    munger = started()
    munger.map(5000, 0)
    munger.switch(900, 7)
    assert munger.map(900, 0) == 101
    assert munger.map(899, 0) is None


def test_injected_packets_come_after_the_last_and_before_the_next() -> None:
    munger = started()
    munger.map(5000, 0)
    assert [munger.inject(), munger.inject()] == [101, 102]
    assert munger.map(5001, 0) == 103


def test_timestamps_carry_the_offset_and_wrap() -> None:
    munger = started(offset=10)
    munger.map(5000, 0xFFFFFFFF)
    assert munger.last_timestamp == 9


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 180_000), st.lists(st.integers(900, 9_000), min_size=1, max_size=300))
def test_a_source_that_is_behind_catches_up(start: int, behind: int, steps: list[int]) -> None:
    munger = started()
    munger.map(5000, start)
    munger.switch(900, 0)
    source = [(start - behind + sum(steps[:count])) & 0xFFFFFFFF for count in range(len(steps))]
    munger.catch_up(source[0])
    sent = []
    for number, timestamp in enumerate(source):
        munger.map(900 + number, timestamp)
        sent.append(munger.last_timestamp)
    passed = [(timestamp - start) & 0xFFFFFFFF for timestamp in sent]
    assert passed[0] == 1
    assert passed == sorted(set(passed)), "timestamps have to rise"
    own = [(timestamp - start + (1 << 31)) % (1 << 32) - (1 << 31) for timestamp in source]
    for timestamp, its_own in zip(passed, own, strict=True):
        assert timestamp >= its_own
        if its_own > behind // 7 + 2:
            assert timestamp == its_own, "it has caught up"
    if sum(steps) < 90_000:
        assert [munger.timestamp(timestamp) for timestamp in source] == sent, "a late packet belongs to its picture"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["send", "send", "send", "drop", "inject", "switch"]), max_size=600),
    st.integers(0, 70_000),
)
def test_the_output_is_contiguous_whatever_happens(actions: list[str], start: int) -> None:
    munger = started(first_out=1, first_in=start)
    source, sent = start, []
    for action in actions:
        if action == "send":
            sent.append(munger.map(source, 0))
            source += 1
        elif action == "drop":
            munger.drop(source)
            source += 1
        elif action == "inject":
            sent.append(munger.inject())
        else:
            source += 12_345
            munger.switch(source, 0)
    assert sent == list(range(1, len(sent) + 1))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_reordered_packets_never_share_a_number(data: st.DataObject) -> None:
    order = list(range(1000, 1080))
    drops = set(data.draw(st.lists(st.sampled_from(order), max_size=20)))
    swaps = data.draw(st.lists(st.integers(0, 78), max_size=30))
    for at in swaps:
        order[at], order[at + 1] = order[at + 1], order[at]
    munger = started(first_out=1, first_in=1000)
    numbers = []
    for source in order:
        if source in drops:
            munger.drop(source)
        else:
            number = munger.map(source, 0)
            if number is not None:
                numbers.append(number)
    assert len(numbers) == len(set(numbers))


def descriptor_of(**fields: int) -> bytes:
    return build_vp8_descriptor(start_of_frame=True, **fields) + b"\0frame"  # type: ignore[arg-type]


def ids(payload: bytes) -> tuple[int | None, int | None, int | None]:
    parsed = parse_vp8_descriptor(payload)
    return parsed.picture_id, parsed.tl0_index, parsed.key_index


def test_vp8_ids_continue_over_a_switch() -> None:
    munger = Vp8Munger()
    before = descriptor_of(picture_id=32_767, tl0_index=255, key_index=31)
    munger.note(parse_vp8_descriptor(before))
    after = descriptor_of(picture_id=77, tl0_index=5, key_index=3)
    munger.switch(parse_vp8_descriptor(after))
    assert ids(munger.rewrite(after, parse_vp8_descriptor(after))) == (0, 0, 0)


def test_vp8_payload_is_untouched_until_there_is_a_reason() -> None:
    munger = Vp8Munger()
    payload = descriptor_of(picture_id=5, tl0_index=1)
    assert munger.identity
    assert munger.rewrite(payload, parse_vp8_descriptor(payload)) is payload


def test_a_short_picture_id_is_widened_when_it_is_rewritten() -> None:
    short = bytes([0x90, 0xC0, 5, 9]) + b"\0frame"
    munger = Vp8Munger()
    munger.note(parse_vp8_descriptor(descriptor_of(picture_id=300, tl0_index=8)))
    munger.switch(parse_vp8_descriptor(short))
    out = munger.rewrite(short, parse_vp8_descriptor(short))
    assert ids(out) == (301, 9, None)
    assert out.endswith(b"\0frame")


def test_a_skipped_picture_leaves_no_hole() -> None:
    munger = Vp8Munger()
    munger.note(parse_vp8_descriptor(descriptor_of(picture_id=10)))
    munger.skip_picture()
    payload = descriptor_of(picture_id=12)
    assert ids(munger.rewrite(payload, parse_vp8_descriptor(payload)))[0] == 11


def test_injected_pictures_follow_the_last_one() -> None:
    munger = Vp8Munger()
    munger.note(parse_vp8_descriptor(descriptor_of(picture_id=10, tl0_index=3)))
    assert munger.inject() == (11, 4)
    payload = descriptor_of(picture_id=500, tl0_index=60)
    munger.switch(parse_vp8_descriptor(payload))
    assert ids(munger.rewrite(payload, parse_vp8_descriptor(payload)))[:2] == (12, 5)


def test_a_descriptor_without_ids_passes() -> None:
    munger = Vp8Munger()
    plain = b"\x10\0frame"
    munger.switch(parse_vp8_descriptor(plain))
    munger.note(parse_vp8_descriptor(plain))
    assert munger.rewrite(plain, parse_vp8_descriptor(plain)) == plain
