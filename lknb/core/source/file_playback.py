"""What playing the pictures and playing the sound of a file have in common."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import av

from lknb.codec.clock import now_us
from lknb.core.source.encoded import Kind
from lknb.core.source.packet_queue import Marker, MediaPacket
from lknb.core.source.player import MediaPlayer
from lknb.core.source.threaded import ThreadedSource

logger = logging.getLogger(__name__)


class FilePlayback(ThreadedSource):
    """Takes packets of one kind from a player and sends them when they are due. `on_stopped` is called once."""

    def __init__(
        self, player: MediaPlayer, kind: Kind, codec: str, on_stopped: Callable[[], None], **shape: Any
    ) -> None:
        super().__init__(kind, codec, **shape)
        self._player = player
        self._queue = player.attach(kind)
        self._on_stopped: Callable[[], None] | None = on_stopped
        self._interrupted = threading.Event()
        self._begin_us = 0
        self._offset_us = 0
        self._epoch = player.clock.epoch
        self._stands_at_end = False
        self._actions["pause"] = player.clock.pause
        self._actions["resume"] = player.clock.resume
        self._actions["seek"] = player.seek
        self._actions["loop"] = player.set_loop
        self._actions["position"] = lambda: {"position_s": player.position_s}
        self.duration_s = player.duration_s
        """Seconds; None for what has no end that is known."""

    def stop(self) -> None:
        super().stop()
        on_stopped, self._on_stopped = self._on_stopped, None
        if on_stopped is not None:
            self._player.detach(self._queue)
            on_stopped()

    def _wake(self) -> None:
        with self._player.changed:
            self._interrupted.set()
            self._player.changed.notify_all()

    def _run(self) -> None:
        # whoever joins a file that runs does not send what is past
        self._begin_us = self._player.clock.position_us or 0
        self._player.play(self._queue)
        while not self._stopped.is_set():
            item = self._queue.get(self._interrupted)
            if item is None:
                self._look_up()
            elif isinstance(item, MediaPacket):
                self._play(item)
            else:
                self._turn(item)

    def _play(self, item: MediaPacket) -> None:
        self._offset_us, self._epoch = item.offset_us, item.epoch
        try:
            self._play_packet(item)
        except av.FFmpegError as error:
            logger.debug("a packet of a media file cannot be decoded: %s", error)

    def _turn(self, marker: Marker) -> None:
        self._stands_at_end = marker.turn == "end"
        try:
            if marker.turn == "seek":
                self._begin_us = marker.play_us
                self._forget()
                return
            self._drain()
            if marker.turn == "end":
                self._finish()
            self._restart()
        except av.FFmpegError as error:
            logger.debug("a decoder of a media file cannot be emptied: %s", error)
        if marker.turn == "end":
            self._end(marker.error)

    @property
    def _stands_still(self) -> bool:
        return self._stands_at_end or self._player.clock.paused

    def _wait(self, play_us: int) -> int | None:
        """Wait until this play time is due, and return when that is. None when it is not to be sent."""
        if play_us < self._begin_us:
            return None
        while not self._stopped.is_set() and self._epoch == self._player.clock.epoch:
            due_us = self._player.clock.wait(play_us, self._epoch, self._interrupted)
            if due_us is not None:
                return due_us
            self._look_up()
        return None

    def _look_up(self) -> None:
        """Woken while waiting."""
        self._interrupted.clear()
        if not self._stopped.is_set():
            self._repeat(now_us())

    def _play_packet(self, item: MediaPacket) -> None:
        """Send a packet, or what is in it. May raise `av.FFmpegError`."""
        raise NotImplementedError

    def _drain(self) -> None:
        """Send what the decoder still holds: the stream is at its end, or begins again."""

    def _finish(self) -> None:
        """Send the rest: nothing follows."""

    def _restart(self) -> None:
        """Make the decoder ready for the beginning of the stream."""

    def _forget(self) -> None:
        """Drop all that was not sent yet, and restart: the stream goes on somewhere else."""
        self._restart()

    def _repeat(self, timestamp_us: int) -> None:
        """Woken by something else than a packet: a key frame may be wanted while the file stands still."""
