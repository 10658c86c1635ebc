"""Reception statistics against the formulas of RFC 3550, and what sender reports say of clocks."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lknb.logic.report import ReceptionStatistics, SenderReportClock, round_trip_s
from lknb.wire.rtcp import ReceiverReport, ReportBlock, build_rtcp, parse_rtcp

NTP = 3_900_000_000 << 32
UNIX_US = (3_900_000_000 - 2_208_988_800) * 1_000_000


def fed(*numbers: int) -> ReceptionStatistics:
    statistics = ReceptionStatistics(7, 90_000)
    for index, number in enumerate(numbers):
        statistics.add(number & 0xFFFF, index * 3000, index * 33_333)
    return statistics


def test_of_a_silent_stream_all_is_zero() -> None:
    assert ReceptionStatistics(7, 90_000).report(1.0) == ReportBlock(7)


def test_without_loss_only_the_highest_number_tells() -> None:
    statistics = fed(*range(100, 200))
    assert statistics.report(1.0) == ReportBlock(7, highest_sequence=199)
    assert statistics.received == 100


def test_losses_count_since_the_last_report_and_since_the_start() -> None:
    statistics = fed(0, 1, 3, 5, 7)
    block = statistics.report(1.0)
    assert (block.fraction_lost, block.packets_lost, block.highest_sequence) == (3 * 256 // 8, 3, 7)
    statistics.add(8, 0, 0)
    block = statistics.report(2.0)
    assert (block.fraction_lost, block.packets_lost) == (0, 3)
    block = statistics.report(3.0)
    assert (block.fraction_lost, block.packets_lost) == (0, 3)


def test_the_fraction_never_leaves_its_byte() -> None:
    statistics = fed(0)
    statistics.report(0.0)
    for number in range(255, 2800, 255):
        statistics.add(number, 0, 0)
    statistics.report(1.0)
    statistics.add(2900, 0, 0)
    statistics.add(5800, 0, 0)
    assert statistics.report(2.0).fraction_lost == 255


def test_late_packets_and_duplicates_lower_the_loss_even_below_zero() -> None:
    statistics = fed(0, 1, 3, 2, 3)
    block = statistics.report(1.0)
    assert (block.fraction_lost, block.packets_lost) == (0, -1)
    (parsed,) = parse_rtcp(build_rtcp([ReceiverReport(1, (block,))]))
    assert isinstance(parsed, ReceiverReport)
    assert parsed.reports == (block,)


def test_the_number_of_losses_stays_within_24_bits() -> None:
    statistics = fed(0)
    for index in range(1, 4000):
        statistics.add(index * 2999 & 0xFFFF, 0, 0)
    assert statistics.report(1.0).packets_lost == 0x7FFFFF
    statistics.received += 27_000_000
    assert statistics.report(2.0).packets_lost == -0x800000


def test_cycles_are_counted_in_the_upper_half() -> None:
    statistics = fed(65_534, 65_535, 0, 1)
    block = statistics.report(1.0)
    assert (block.highest_sequence, block.packets_lost) == (1 << 16 | 1, 0)


def test_jitter_is_that_of_rfc_3550() -> None:
    random = Random(5)
    statistics = ReceptionStatistics(7, 90_000)
    jitter, before = 0.0, None
    for index in range(2000):
        arrival_us = index * 33_000 + random.randrange(10_000)
        timestamp = (4_294_000_000 + index * 2970) & 0xFFFFFFFF
        statistics.add(index, timestamp, arrival_us)
        transit = arrival_us * 0.09 - index * 2970
        if before is not None:
            jitter += (abs(transit - before) - jitter) / 16
        before = transit
    assert statistics.report(1.0).jitter == pytest.approx(jitter, abs=2)
    assert statistics.jitter_s == pytest.approx(jitter / 90_000, abs=2e-5)


def test_the_packets_of_one_picture_and_retransmissions_are_no_jitter() -> None:
    statistics = ReceptionStatistics(7, 90_000)
    for picture in range(300):
        for place in range(5):
            if place != 3:
                statistics.add(picture * 5 + place, picture * 3000, picture * 33_333 + place * 4000)
        statistics.add(picture * 5 + 3, picture * 3000, picture * 33_333 + 30_000)
    assert statistics.report(1.0).jitter <= 1


def test_a_clock_that_was_set_is_no_jitter() -> None:
    statistics = ReceptionStatistics(7, 48_000)
    for index in range(100):
        statistics.add(index, index * 960 + (10_000_000 if index > 50 else 0), index * 20_000)
    assert statistics.jitter_s == 0.0


def test_a_source_that_begins_anew_is_followed_after_two_packets() -> None:
    statistics = fed(10, 11, 12, 14)
    statistics.add(40_000, 0, 0)
    assert statistics.report(1.0).highest_sequence == 14
    statistics.add(40_001, 0, 0)
    assert statistics.report(1.0) == ReportBlock(7, highest_sequence=40_001)
    statistics.add(40_003, 0, 0)
    assert statistics.report(2.0) == ReportBlock(7, 128, 1, 40_003)


def test_a_report_echoes_the_last_sender_report() -> None:
    statistics = fed(0, 1)
    statistics.sender_report(0x0000_1234_5678_9ABC, 10.0)
    block = statistics.report(10.5)
    assert (block.last_sr, block.delay_since_last_sr) == (0x1234_5678, 32_768)
    assert statistics.report(9.0).delay_since_last_sr == 0
    assert statistics.report(1e9).delay_since_last_sr == 0xFFFFFFFF


def test_the_round_trip_is_what_is_left_of_the_time_since_our_report() -> None:
    # the example of RFC 3550 figure 2
    block = ReportBlock(7, last_sr=0xB705_2000, delay_since_last_sr=0x0005_4000)
    assert round_trip_s(block, 0xB44D_B710_8000_0000 | 0) == pytest.approx(6.125)
    assert round_trip_s(ReportBlock(7), NTP) is None


def test_a_round_trip_across_the_wrap_and_one_of_a_clock_set_back() -> None:
    block = ReportBlock(7, last_sr=0xFFFF_FF00, delay_since_last_sr=0x80)
    assert round_trip_s(block, 0x100 << 16) == pytest.approx(0x180 / 65_536)
    assert round_trip_s(block, 0xFFFF_FE00 << 16) == 0.0


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.integers(0, 2**50)), max_size=60))
def test_any_packets_make_a_report_that_can_be_sent(packets: list[tuple[int, int, int]]) -> None:
    statistics = ReceptionStatistics(7, 90_000)
    for packet in packets:
        statistics.add(*packet)
        block = statistics.report(0.0)
        (parsed,) = parse_rtcp(build_rtcp([ReceiverReport(1, (block,))]))
        assert isinstance(parsed, ReceiverReport)
        assert parsed.reports == (block,)


@settings(max_examples=50)
@given(
    first=st.integers(0, 0xFFFF),
    fate=st.lists(st.sampled_from(["comes", "comes", "lost"]), min_size=1, max_size=300),
)
def test_losses_add_up(first: int, fate: list[str]) -> None:
    statistics = ReceptionStatistics(7, 90_000)
    statistics.add(first, 0, 0)
    came = 0
    for index, what in enumerate(fate, 1):
        if what == "comes":
            statistics.add((first + index) & 0xFFFF, index, index)
            came = index
    block = statistics.report(0.0)
    assert block.packets_lost == fate[:came].count("lost")
    assert block.highest_sequence == first + came


def test_a_clock_without_report_knows_nothing() -> None:
    clock = SenderReportClock(90_000)
    clock.update(0, 5, 1.0)
    assert not clock.ready
    assert clock.ntp_at(0) is None
    assert clock.unix_us(0) is None
    assert clock.timestamp_at(1.0) is None


def test_timestamps_are_mapped_to_the_senders_time_across_the_wrap() -> None:
    clock = SenderReportClock(90_000)
    clock.update(NTP, 0xFFFF_FFFF, 1.0)
    assert clock.ready
    assert clock.unix_us(0xFFFF_FFFF) == UNIX_US
    assert clock.unix_us(89_999) == UNIX_US + 1_000_000
    assert clock.unix_us((1 << 32) + 89_999) == UNIX_US + 1_000_000
    assert clock.unix_us(0xFFFF_FFFF - 45_000) == UNIX_US - 500_000
    assert clock.ntp_at(89_999) == NTP + (1 << 32)


def test_the_clock_is_carried_on_from_the_report() -> None:
    clock = SenderReportClock(48_000)
    clock.update(NTP, 0xFFFF_FFF0, 10.0)
    assert clock.timestamp_at(10.0) == (NTP, 0xFFFF_FFF0)
    assert clock.timestamp_at(12.5) == (NTP + (5 << 31), 120_000 - 16)


def test_the_offset_between_two_layers_puts_them_on_one_axis() -> None:
    low, high = SenderReportClock(90_000), SenderReportClock(90_000)
    assert low.offset_to(high) is None
    low.update(NTP, 1_000_000, 1.0)
    assert low.offset_to(high) is None
    high.update(NTP + (1 << 31), 4_294_967_000, 1.5)
    offset = low.offset_to(high)
    assert offset is not None
    # half a second after its own report the low layer stands at 1,045,000
    assert (4_294_967_000 + offset) & 0xFFFFFFFF == 1_045_000
    back = high.offset_to(low)
    assert back is not None
    assert (offset + back) & 0xFFFFFFFF == 0


@given(
    a=st.integers(0, 2**32 - 1),
    b=st.integers(0, 2**32 - 1),
    apart_ms=st.integers(-10_000, 10_000),
    later_ms=st.integers(0, 100_000),
)
def test_mapped_timestamps_of_the_same_moment_are_equal(a: int, b: int, apart_ms: int, later_ms: int) -> None:
    one, other = SenderReportClock(90_000), SenderReportClock(90_000)
    one.update(NTP, a, 0.0)
    other.update(NTP + (apart_ms << 32) // 1000, b, 0.0)
    offset = one.offset_to(other)
    assert offset is not None
    ours = (a + later_ms * 90) & 0xFFFFFFFF
    theirs = (b + (later_ms - apart_ms) * 90) & 0xFFFFFFFF
    assert (theirs + offset - ours + 1) & 0xFFFFFFFF <= 2
    mapped = one.unix_us(ours), other.unix_us(theirs)
    assert mapped[0] is not None
    assert mapped[1] is not None
    assert abs(mapped[0] - mapped[1]) <= 2
