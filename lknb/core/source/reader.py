"""Reads the packets of a media file in the order of the file, a little ahead of time, through seeks and loops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream

from lknb.core.source.media_clock import MediaClock
from lknb.core.source.packet_queue import Marker, MediaPacket, PacketQueue

logger = logging.getLogger(__name__)

_US_PER_S = 1_000_000
_DEFAULT_PERIOD_US = 40_000
_LOOP_AHEAD_US = 300_000


class MediaReader:
    """What the reading thread of a file does. `wish_*` may be called from any thread, `run` belongs to the one.

    Play time is the time of a packet within the file, plus the length of the loops before. After a seek packets come from
    the key frame before the position that was asked for: players leave out what they do not need.
    """

    def __init__(
        self,
        container: InputContainer,
        streams: Sequence[Stream],
        clock: MediaClock,
        changed: threading.Condition,
        *,
        can_rewind: bool,
        loop: bool,
        position_us: int,
    ) -> None:
        self.queues: list[PacketQueue] = []
        self._container = container
        self._streams = {stream.index: stream for stream in streams}
        self._clock = clock
        self._changed = changed
        self._can_rewind = can_rewind
        self._loop = loop
        self._seek_us: int | None = position_us
        self._stopped = False
        self._start_us = container.start_time or 0
        self._offset_us = -self._start_us
        self._epoch = clock.epoch
        self._last_us: dict[int, int] = {}
        self._end_us = 0
        self._from_us = 0
        """Where the last seek led to: until it was read so far, that counts, and not what was read from the key frame on."""
        self._starts_us = [0]
        """The play times at which the file begins: this loop's, and that of the next, which is read ahead."""
        self._aim_us: int | None = None
        self._end: Marker | None = None
        """The end, while there is nothing more to read."""

    def add(self, queue: PacketQueue) -> None:
        """Put what is read from now on into this queue as well, or the end if nothing is. Harmless twice."""
        with self._changed:
            if queue not in self.queues:
                self.queues.append(queue)
            if self._end is not None and not queue.has_end:
                queue.put(self._end)

    def wish_seek(self, position_us: int) -> None:
        """Go to this play time of the first loop."""
        with self._changed:
            self._seek_us = position_us
            self._changed.notify_all()

    def wish_loop(self, loop: bool) -> None:
        """Whether the file begins again at its end."""
        with self._changed:
            self._loop = loop
            self._changed.notify_all()

    def wish_stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """Read until stopped. Errors reach the players as the reason of their end."""
        try:
            while self._begin():
                error = self._read()
                if not self._is_interrupted:
                    self._finish(error)
        except Exception as error:
            logger.exception("reading a media file failed")
            self._put_marker(Marker("end", self._end_us, f"reading failed: {error!r}"))

    @property
    def position_us(self) -> int:
        """Which moment of the file is played now, in microseconds from its start; after a wish to seek, where that leads."""
        with self._changed:
            play_us = self._clock.position_us
            aims_us = (aim for aim in (self._seek_us, self._aim_us) if aim is not None)
            if (aim_us := next(aims_us, None)) is not None or play_us is None:
                return aim_us or 0
            play_us = min(play_us, max(self._end_us, self._from_us))
            return play_us - max((start for start in self._starts_us if start <= play_us), default=0)

    @property
    def _is_interrupted(self) -> bool:
        return self._stopped or self._seek_us is not None

    def _begin(self) -> bool:
        """Go where the next packet is to be read. False when stopped."""
        with self._changed:
            self._end = None
            aim_us, self._seek_us = self._seek_us, None
            if self._stopped:
                return False
            if aim_us is not None:
                self._aim_us = self._from_us = aim_us
        if aim_us is None:
            self._container.seek(self._start_us)
            self._offset_us = self._end_us - self._start_us
            self._starts_us = [self._starts_us[-1], self._end_us]
            return True
        self._epoch = self._clock.new_epoch()
        for queue in list(self.queues):
            queue.clear()
        if self._can_rewind:
            self._container.seek(self._start_us + aim_us)
        self._offset_us = -self._start_us
        self._last_us.clear()
        self._starts_us = [0]
        self._end_us = 0
        return True

    def _read(self) -> str | None:
        """Read to the end of the file, or until interrupted; the reason when reading fails."""
        try:
            for packet in self._container.demux(*self._streams.values()):
                if self._is_interrupted:
                    return None
                if packet.size:
                    self._take(packet)
                    self._wait_for_room()
        except av.FFmpegError as error:
            return f"reading failed: {error}"
        if self._aim_us is not None:
            self._arrive(self._aim_us)
        return None

    def _finish(self, error: str | None) -> None:
        """At the end: begin again, or say so and wait for a wish."""
        with self._changed:
            self._from_us = 0
            if not self._end_us:
                error = error or "the file is empty"
            can_loop = self._can_rewind and not error
            while can_loop and self._loop and not self._is_interrupted:
                if self._is_end_near():
                    self._put_marker(Marker("loop", self._end_us))
                    return
            if self._is_interrupted:
                return
            self._end = Marker("end", self._end_us, error)
            self._put_marker(self._end)
            while not self._is_interrupted and not (can_loop and self._loop):
                self._changed.wait()

    def _is_end_near(self) -> bool:
        """Whether it is time to begin again; waits a while if not. Until then `wish_loop(False)` comes in time."""
        position_us = self._clock.position_us
        left_us = 0 if position_us is None else self._end_us - _LOOP_AHEAD_US - position_us
        if left_us <= 0:
            return True
        self._changed.wait(None if self._clock.paused else left_us / _US_PER_S)
        return False

    def _take(self, packet: av.Packet[Any]) -> None:
        stream = self._streams[packet.stream_index]
        item = MediaPacket(packet, self._play_us(packet, stream), self._epoch, self._offset_us)
        self._last_us[stream.index] = item.play_us
        self._end_us = max(self._end_us, item.play_us + _duration_us(packet, stream))
        if self._aim_us is not None:
            self._arrive(self._aim_us)
        self._put(stream, item)

    def _arrive(self, play_us: int) -> None:
        """The file can be read from where the seek leads to: start the clock there."""
        self._put_marker(Marker("seek", play_us))
        self._clock.set(play_us)
        self._aim_us = None

    def _play_us(self, packet: av.Packet[Any], stream: Stream) -> int:
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or packet.time_base is None:
            # a bare stream of pictures has no times: they follow each other
            previous = self._last_us.get(stream.index)
            return self._offset_us if previous is None else previous + _duration_us(packet, stream)
        return int(time * packet.time_base * _US_PER_S) + self._offset_us

    def _put(self, stream: Stream, item: MediaPacket) -> None:
        for queue in list(self.queues):
            if queue.kind == stream.type:
                queue.put(item)

    def _put_marker(self, marker: Marker) -> None:
        for queue in list(self.queues):
            queue.put(marker)

    def _wait_for_room(self) -> None:
        with self._changed:
            position_us = self._clock.position_us
            for queue in self.queues:
                if position_us is not None:
                    queue.trim(position_us)
            while not self._is_interrupted and (
                any(queue.full for queue in self.queues) or not any(queue.active for queue in self.queues)
            ):
                self._changed.wait()


def _duration_us(packet: av.Packet[Any], stream: Stream) -> int:
    if packet.duration and packet.time_base is not None:
        return int(packet.duration * packet.time_base * _US_PER_S)
    rate = getattr(stream, "average_rate", None)
    return int(_US_PER_S / rate) if rate else _DEFAULT_PERIOD_US
