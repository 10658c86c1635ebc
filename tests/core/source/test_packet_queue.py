"""Packets between the thread that reads and those that play."""

from __future__ import annotations

import threading

import av

from lknb.core.source.packet_queue import Marker, MediaPacket, PacketQueue

NEVER = threading.Event()


def packet(play_us: int, *, keyframe: bool = False) -> MediaPacket:
    made = av.Packet(b"x")
    made.is_keyframe = keyframe
    return MediaPacket(made, play_us, 0, 0)


def times(queue: PacketQueue) -> list[int]:
    found = []
    queue.put(Marker("end", -1))
    while (item := queue.get(NEVER)) is not None and item.play_us >= 0:
        found.append(item.play_us)
    return found


def test_items_come_out_in_order() -> None:
    queue = PacketQueue("video", threading.Condition())
    for play_us in (0, 5, 3):
        queue.put(packet(play_us))
    assert times(queue) == [0, 5, 3]


def test_two_seconds_ahead_are_enough_while_somebody_plays() -> None:
    queue = PacketQueue("video", threading.Condition())
    queue.active = True
    assert not queue.full
    queue.put(packet(0))
    queue.put(packet(2_000_000))
    assert not queue.full
    queue.put(packet(2_000_001))
    assert queue.full
    queue.get(NEVER)
    assert not queue.full


def test_what_nobody_plays_is_trimmed_to_the_last_key_frame() -> None:
    queue = PacketQueue("video", threading.Condition())
    for index in range(10):
        queue.put(packet(index * 100, keyframe=index % 3 == 0))
    queue.trim(750)
    assert times(queue) == [600, 700, 800, 900]


def test_what_is_played_is_not_trimmed() -> None:
    queue = PacketQueue("video", threading.Condition())
    queue.active = True
    queue.put(packet(0, keyframe=True))
    queue.put(packet(100, keyframe=True))
    queue.trim(1000)
    assert times(queue) == [0, 100]


def test_getting_ends_when_interrupted() -> None:
    changed = threading.Condition()
    queue = PacketQueue("audio", changed)
    interrupted = threading.Event()

    def interrupt() -> None:
        with changed:
            interrupted.set()
            changed.notify_all()

    threading.Timer(0.05, interrupt).start()
    assert queue.get(interrupted) is None
    queue.put(packet(0))
    queue.clear()
    assert queue.get(interrupted) is None
