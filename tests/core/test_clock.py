from lknb.core.clock import NTP_EPOCH_S, CaptureClock, ParticipantClock, SourceClock, TrackClock, ntp_time
from lknb.wire.rtcp import SenderReport


def test_ntp_counts_from_1900_in_fractions_of_2_to_the_32():
    assert ntp_time(0) == NTP_EPOCH_S << 32
    assert ntp_time(1_500_000) == (NTP_EPOCH_S + 1) << 32 | 1 << 31


def test_sources_on_one_clock_keep_their_distance_whatever_they_take():
    capture = CaptureClock(lambda: 10**12)
    camera, microphone = SourceClock(capture), SourceClock(capture)
    # captured at the same moment, handed over 80 ms and 5 ms later
    assert camera.wall_us(1_000_000, 501_080_000) == 501_080_000
    assert microphone.wall_us(1_000_000, 501_005_000) == 501_080_000


def test_what_this_machine_captured_has_its_place_however_late_it_comes():
    now_us = 90_000_000
    capture = CaptureClock(lambda: now_us)
    camera, microphone = SourceClock(capture), SourceClock(capture)
    assert camera.wall_us(90_000_000, 500_000_000) == 500_000_000
    # the microphone's first packet waits in a busy kernel, and so do all that follow
    now_us = 91_600_000
    assert microphone.wall_us(90_000_000, 501_600_000) == 500_000_000
    for late_us in (3_500_000, 1_400_000, 0):
        now_us += 5_000_000
        captured_us = now_us - late_us
        assert camera.wall_us(captured_us, now_us + 410_000_000) == captured_us + 410_000_000
    assert microphone.wall_us(now_us, now_us + 410_000_000) == now_us + 410_000_000


def test_sources_on_other_clocks_are_placed_by_their_arrival():
    capture = CaptureClock(lambda: 10**12)
    assert SourceClock(capture).wall_us(1_000_000, 500_000_000) == 500_000_000
    assert SourceClock(capture).wall_us(0, 500_100_000) == 500_100_000
    assert SourceClock(capture).wall_us(700_000_000, 500_200_000) == 500_200_000


def test_a_source_that_jumps_is_placed_anew():
    clock = SourceClock(CaptureClock(lambda: 10**12))
    clock.wall_us(10_000_000, 500_000_000)
    assert clock.wall_us(11_000_000, 501_010_000) == 501_000_000
    assert clock.wall_us(0, 502_000_000) == 502_000_000  # a file starts over
    assert clock.wall_us(1_000_000, 503_300_000) == 503_000_000


def report(unix_us: int, timestamp: int) -> SenderReport:
    return SenderReport(1, ntp_time(unix_us), timestamp & 0xFFFFFFFF, 0, 0)


def test_before_a_sender_report_the_arrival_counts():
    assert TrackClock(ParticipantClock(), 90_000).timestamp_us(123, 77) == 77


def test_tracks_of_one_participant_share_an_axis():
    participant = ParticipantClock()
    video, audio = TrackClock(participant, 90_000), TrackClock(participant, 48_000)
    video.report(report(1_000_000_000, 90_000), 5_000_000)
    audio.report(report(1_000_000_000, 48_000), 5_030_000)  # came 30 ms later
    assert abs(video.timestamp_us(90_000 + 45_000, 0) - 5_500_000) <= 1
    assert abs(audio.timestamp_us(48_000 + 24_000, 0) - 5_500_000) <= 1


def test_timestamps_may_wrap_and_lie_before_the_report():
    clock = TrackClock(ParticipantClock(), 90_000)
    clock.report(report(1_000_000_000, 100), 5_000_000)
    assert abs(clock.timestamp_us((1 << 32) + 100 - 9_000, 0) - 4_900_000) <= 1
    assert abs(clock.timestamp_us((3 << 32) + 100 + 9_000, 0) - 5_100_000) <= 1


def test_a_clock_that_was_set_is_followed_and_jitter_is_not():
    participant = ParticipantClock()
    clock = TrackClock(participant, 90_000)
    clock.report(report(1_000_000_000, 0), 5_000_000)
    clock.report(report(1_001_000_000, 90_000), 6_040_000)
    assert abs(clock.timestamp_us(90_000, 0) - 6_000_000) <= 1
    clock.report(report(4_602_000_000, 180_000), 7_000_000)  # an hour ahead
    assert abs(clock.timestamp_us(180_000, 0) - 7_000_000) <= 1
    clock.report(report(1_003_000_000, 270_000), 8_000_000)  # and back
    clock.report(report(1_004_000_000, 360_000), 9_020_000)
    assert abs(clock.timestamp_us(360_000, 0) - 9_020_000) <= 1


def test_reports_that_are_heard_late_move_nothing():
    participant = ParticipantClock()
    video, audio = TrackClock(participant, 90_000), TrackClock(participant, 48_000)
    for second in range(6):
        at_us = second * 1_000_000
        # all that waited for a core that stood still is heard at the same moment
        heard_us = 5_000_000 + at_us + (700_000 if second % 2 else 0)
        video.report(report(1_000_000_000 + at_us, second * 90_000), heard_us)
        audio.report(report(1_000_000_000 + at_us, second * 48_000), heard_us)
        for clock, hz in ((video, 90_000), (audio, 48_000)):
            assert abs(clock.timestamp_us(second * hz, 0) - 5_000_000 - at_us) <= 1
