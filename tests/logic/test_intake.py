"""Numbers of arriving packets, and sources that begin a new numbering."""

from __future__ import annotations

from lknb.logic.intake import Intake


def take(intake: Intake[str], number: int, timestamp: int = 0, next_number: int = 0) -> tuple[list[int], bool]:
    taken = intake.take(number & 0xFFFF, intake.timestamp(timestamp), str(number), next_number)
    return [n for n, _ in taken], intake.restarted


def test_the_first_packet_begins_a_numbering_and_the_next_does_not() -> None:
    intake: Intake[str] = Intake()
    assert take(intake, 65_535) == ([65_535], True)
    assert take(intake, 0) == ([65_536], False)
    assert take(intake, 65_534) == ([65_534], False)


def test_timestamps_are_unwrapped() -> None:
    intake: Intake[str] = Intake()
    assert [intake.timestamp(t) for t in (0xFFFF_FFFF, 0, 0xFFFF_FFFE)] == [0xFFFF_FFFF, 1 << 32, 0xFFFF_FFFE]


def test_of_a_far_numbering_no_packet_is_lost() -> None:
    intake: Intake[str] = Intake()
    take(intake, 10)
    assert take(intake, 40_000) == ([], False)
    assert take(intake, 40_001) == ([40_000 - 65_536, 40_001 - 65_536], True)
    assert take(intake, 40_002) == ([40_002 - 65_536], False)


def test_a_stray_packet_is_kept_out() -> None:
    intake: Intake[str] = Intake()
    take(intake, 10)
    assert take(intake, 30_000) == ([], False)
    assert take(intake, 11) == ([11], False)
    assert take(intake, 30_001) == ([], False)
    assert take(intake, 12) == ([12], False)


def test_two_steps_of_a_new_numbering_with_an_old_packet_between_are_no_restart() -> None:
    intake: Intake[str] = Intake()
    take(intake, 10)
    take(intake, 30_000)
    take(intake, 30_005)
    assert take(intake, 30_006) == ([30_005, 30_006], True)


def test_numbers_that_were_there_with_newer_timestamps_are_a_new_numbering() -> None:
    intake: Intake[str] = Intake()
    take(intake, 1000, 5000)
    assert take(intake, 990, 4000, next_number=1001) == ([990], False)
    assert take(intake, 991, 6000, next_number=1001) == ([], False)
    assert take(intake, 992, 6000, next_number=1001) == ([991, 992], True)
    assert take(intake, 993, 6000, next_number=991) == ([993], False)


def test_many_restarts_far_apart_are_all_followed() -> None:
    intake: Intake[str] = Intake()
    number = 0
    take(intake, number)
    for _ in range(50):
        number = (number + 20_000) & 0xFFFF
        assert take(intake, number)[0] == []
        first, second = take(intake, number + 1)[0]
        assert second == first + 1
        number += 1
